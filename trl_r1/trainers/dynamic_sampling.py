r"""
Dynamic sampling (DAPO, arXiv 2503.14476, eq. 11): groups that teach nothing are replaced by groups of fresh prompts.

A group whose rewards are all equal has no advantage and moves the policy nowhere. DAPO samples on until the batch holds
only groups with \\(0 < |\{o_i \mid \text{is\_equivalent}(a, o_i)\}| < G\\). Here that is: until in every group at least
two completions differ in their weighted reward, or `max_sampling_rounds` further rounds are over; what then still lacks
variance stays, so that the batch keeps its size. DAPO's condition looks at right and wrong alone; with several rewards,
a group that is all right and differs in form teaches too.

A round is TRL's own sampling and scoring, of as many fresh prompts as are missing, divided by the share of groups that
had variance so far in this generation. The ranks take the same number of rounds of the same size: each sees
the gathered rewards, and so how many groups each of them lacks. Each replaces its own.

What is logged: TRL's metrics and its table of completions, the metrics of emergence and the solve rates are those of
the prompts as they were offered, before anything is replaced. So they can be compared with a run without dynamic
sampling, and do not rise because easy groups are thrown away. `num_tokens` counts all. The rollouts that `save_rollouts`
keeps are all that was sampled. Of dynamic sampling itself: `dynamic_sampling/rounds`,
`dynamic_sampling/extra_completions` (of all ranks, per generation) and `dynamic_sampling/dull_groups`, the share of
groups without variance that are left.
"""

import contextlib
import copy
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ..errors import ConfigError
from .fresh_prompts import FreshPrompts
from .metrics import groups_with_variance


# How TRL pads each tensor of a batch: the side, and with what ("pad": the tokenizer's padding token).
PADDING: dict[str, tuple[str, Any]] = {
    "prompt_ids": ("left", "pad"),
    "prompt_mask": ("left", 0),
    "completion_ids": ("right", "pad"),
    "completion_mask": ("right", 0),
    "tool_mask": ("right", 1),
    "old_per_token_logps": ("right", 0.0),
    "ref_per_token_logps": ("right", 0.0),
    "sampling_per_token_logps": ("right", 0.0),
    "importance_sampling_ratio": ("right", 1.0),
}


class DynamicSampling(FreshPrompts):
    """Dynamic sampling in a GRPO trainer. To stand before the trainer in a list of bases."""

    _samples_dynamically = False
    _sampling_round = 0

    def __init__(self, model, reward_funcs, args, *rest, **named):
        wanted = getattr(args, "dynamic_sampling", False)
        if wanted:
            check_dynamic_sampling(args)
        super().__init__(model, reward_funcs, args, *rest, **named)
        if not wanted:
            return
        self._open_stream("dynamic_sampling")
        images = {"image", "images"} & set(self.train_dataset.column_names)
        if images:
            raise ConfigError(
                f"batches with images are not joined; the data have the column {min(images)!r}", key="dynamic_sampling"
            )
        self._samples_dynamically = True
        self._blank_logs = copy.deepcopy(self._logs)

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self._samples_dynamically:
            self._gathered_rewards = rewards  # (N, F), of all ranks
        return rewards

    def _generate_and_score_completions(self, inputs):
        if not (self._samples_dynamically and self.model.training):
            return super()._generate_and_score_completions(inputs)
        ranks, rank, size = self.accelerator.num_processes, self.accelerator.process_index, self.num_generations
        per_rank = len(inputs) // size  # groups
        columns = list(inputs[0])
        taken = set(self._ids_of_groups(inputs))
        batches = [super()._generate_and_score_completions(inputs)]
        has_variance = self._by_rank(per_rank)
        # Where the rows of each of this rank's groups stand: (batch, group within it)
        places = [(0, group) for group in range(per_rank)]
        missing = [groups.count(False) for groups in has_variance]
        vacant = [group for group in range(per_rank) if not has_variance[rank][group]]
        seen, teaching, rounds, extra = ranks * per_rank, ranks * per_rank - sum(missing), 0, 0
        while max(missing) > 0 and rounds < self.args.max_sampling_rounds:
            n = min(per_rank, math.ceil(max(missing) * seen / max(teaching, 1)))
            rows = self._fresh_rows(ranks * n, taken, columns)[rank * n : (rank + 1) * n]
            rounds += 1
            with self._unlogged(rounds):
                batches.append(
                    super()._generate_and_score_completions([dict(row) for row in rows for _ in range(size)])
                )
            has_variance = self._by_rank(n)
            for group in range(n):
                if has_variance[rank][group] and vacant:
                    places[vacant.pop(0)] = (rounds, group)
            found = [groups.count(True) for groups in has_variance]
            missing = [max(0, lacking - more) for lacking, more in zip(missing, found)]
            seen, teaching, extra = seen + ranks * n, teaching + sum(found), extra + ranks * n * size
        metrics = self._metrics["train"]
        metrics["dynamic_sampling/rounds"].append(rounds)
        metrics["dynamic_sampling/extra_completions"].append(extra)
        metrics["dynamic_sampling/dull_groups"].append(sum(missing) / (ranks * per_rank))
        if rounds == 0:
            return batches[0]
        chosen = [(batch, group * size + row) for batch, group in places for row in range(size)]
        joined = join_batches(batches, chosen, self._tokenizer.pad_token_id)
        mask = joined["completion_mask"]  # (B, C)
        mask = mask * joined["tool_mask"] if "tool_mask" in joined else mask
        joined["num_items_in_batch"] = self.accelerator.gather(mask.sum()).sum()
        return joined

    def _by_rank(self, per_rank: int) -> list[list[bool]]:
        """Of the groups that were scored last: whether they have variance, by rank."""
        groups = groups_with_variance(
            self._gathered_rewards.tolist(), self.reward_weights.tolist(), self.num_generations
        )
        return [groups[start : start + per_rank] for start in range(0, len(groups), per_rank)]

    @contextlib.contextmanager
    def _unlogged(self, number: int) -> Iterator[None]:
        """What is sampled within is a further round: kept among the rollouts, but in no metric and in no table."""
        metrics, logs = self._metrics["train"], self._logs
        self._metrics["train"], self._logs = defaultdict(list), copy.deepcopy(self._blank_logs)
        self._sampling_round = number
        try:
            yield
            metrics["num_tokens"] = self._metrics["train"]["num_tokens"]
        finally:
            self._metrics["train"], self._logs = metrics, logs
            self._sampling_round = 0


def check_dynamic_sampling(args: Any) -> None:
    """
    Refuse what dynamic sampling cannot be combined with.

    Args:
        args ([`~configs.R1GRPOConfig`]):
            The trainer's.

    Raises:
        [`~errors.ConfigError`]: with the reason.
    """
    reason = "advantages are scaled over the whole batch as it was sampled, which is not the one that is trained on"
    if args.scale_rewards == "batch":
        reason = f"with `scale_rewards: batch` {reason}; expected `group` or `none`"
    elif args.multi_objective_aggregation == "normalize_then_sum":
        reason = f"with `multi_objective_aggregation: normalize_then_sum` {reason}; expected `sum_then_normalize`"
    elif args.per_device_train_batch_size * args.steps_per_generation % args.num_generations:
        rows = args.per_device_train_batch_size * args.steps_per_generation
        reason = (
            f"each process replaces its own groups, so the completions that it samples (per_device_train_batch_size x "
            f"steps_per_generation = {rows}) must be a multiple of num_generations = {args.num_generations}"
        )
    elif args.max_sampling_rounds < 1:
        raise ConfigError(f"expected at least 1, got {args.max_sampling_rounds}", key="max_sampling_rounds")
    else:
        return
    raise ConfigError(reason, key="dynamic_sampling")


def join_batches(
    batches: Sequence[Mapping[str, Any]], chosen: Sequence[tuple[int, int]], pad_token_id: int
) -> dict[str, Any]:
    """
    Make one batch of rows of several, padded as TRL pads.

    Args:
        batches (`Sequence[Mapping[str, Any]]`):
            What `GRPOTrainer._generate_and_score_completions` returned: tensors of shape `(B, P)`, `(B, C)`, `(B, 1)`
            or `(B,)`, each batch with its own widths.
        chosen (`Sequence[tuple[int, int]]`):
            The rows of the new batch: the batch, and the row in it.
        pad_token_id (`int`):
            The tokenizer's.

    Returns:
        `dict[str, Any]`: the batch, without `num_items_in_batch`, which all ranks have in common.
    """
    starts = [0]
    for batch in batches:
        starts.append(starts[-1] + batch["advantages"].size(0))
    order = torch.tensor(
        [starts[number] + row for number, row in chosen], device=batches[0]["advantages"].device, dtype=torch.long
    )
    joined = {}
    for name in batches[0]:
        if name == "num_items_in_batch":
            continue
        parts = [batch[name] for batch in batches]
        if name not in PADDING and any(part.dim() != 1 for part in parts):
            raise NotImplementedError(f"TRL's batch has {name!r}, of which dynamic sampling does not know the padding")
        if name in PADDING:
            side, value = PADDING[name]
            parts = _padded(parts, side, pad_token_id if value == "pad" else value)
        joined[name] = torch.cat(parts)[order]
    return joined


def _padded(tensors: Sequence[torch.Tensor], side: str, value: Any) -> list[torch.Tensor]:
    width = max(tensor.size(1) for tensor in tensors)
    return [
        torch.nn.functional.pad(
            tensor, (width - tensor.size(1), 0) if side == "left" else (0, width - tensor.size(1)), value=value
        )
        for tensor in tensors
    ]
