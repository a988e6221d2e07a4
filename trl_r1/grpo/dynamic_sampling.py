r"""
Dynamic sampling (DAPO, arXiv 2503.14476, eq. 11): groups without variance are replaced by groups of fresh prompts.

A group whose rewards are all equal has no advantage and moves the policy nowhere. DAPO samples on until the batch holds
only groups with \\(0 < |\{o_i \mid \text{is\_equivalent}(a, o_i)\}| < G\\). Here that is: until in every group at least
two completions differ in their weighted reward, or `max_sampling_rounds` further rounds are over; what then still lacks
variance stays, so that the batch keeps its size. DAPO's condition looks at right and wrong alone; with several rewards,
a group that is all right and differs in form moves the policy too.

A round is TRL's own sampling and scoring, of as many fresh prompts as are missing, divided by the share of groups that
had variance so far in this generation. The ranks take the same number of rounds of the same size: each sees
the gathered rewards, and so how many groups each of them lacks. Each replaces its own.

What is logged: TRL's metrics and its table of completions, the metrics of emergence and the solve rates are those of
the prompts as they were offered, before anything is replaced. So they can be compared with a run without dynamic
sampling, and do not rise because easy groups are thrown away. `num_tokens` counts all. The rollouts that `save_rollouts`
keeps are all that was sampled. Of dynamic sampling itself: `dynamic_sampling/rounds`,
`dynamic_sampling/extra_completions` (of all ranks, per generation) and `dynamic_sampling/frac_reward_zero_std`, the share
of groups without variance that are left.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..errors import ConfigError


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


class GroupReplacement:
    """
    Which groups without variance are replaced, by groups of which round, and how many are to be sampled for it. The same
    on every rank but for [`places`].

    Args:
        has_variance (`Sequence[bool]`):
            Of the groups as they were offered, of all ranks one after another: whether they have variance.
        ranks (`int`):
            Number of processes, with equally many groups.
        rank (`int`):
            This process.
        max_rounds (`int`):
            Further rounds at most.

    Attributes:
        places (`list[tuple[int, int]]`):
            For each group of this rank's batch where it comes from: the round, 0 being what was offered, and the group
            within this rank's part of it.
        rounds (`int`):
            Further rounds so far.
    """

    def __init__(self, has_variance: Sequence[bool], ranks: int, rank: int, max_rounds: int):
        self.rounds = 0
        self._rank, self._ranks, self._max_rounds = rank, ranks, max_rounds
        by_rank = self._by_rank(has_variance)
        self.places = [(0, group) for group in range(len(by_rank[rank]))]
        self._to_replace = [group for group, varies in enumerate(by_rank[rank]) if not varies]
        self._missing = [groups.count(False) for groups in by_rank]
        self._offered = self._sampled = len(has_variance)
        self._with_variance = sum(has_variance)

    def groups_to_sample(self) -> int:
        """How many groups each rank is to sample in a further round: 0 if none is missing, or no round is left."""
        missing = max(self._missing)
        if not missing or self.rounds == self._max_rounds:
            return 0
        # As many as are missing, divided by the share of groups that had variance so far.
        return min(len(self.places), math.ceil(missing * self._sampled / max(self._with_variance, 1)))

    def add(self, has_variance: Sequence[bool]) -> None:
        """Take in a further round: whether its groups, of all ranks one after another, have variance."""
        self.rounds += 1
        by_rank = self._by_rank(has_variance)
        for group, varies in enumerate(by_rank[self._rank]):
            if varies and self._to_replace:
                self.places[self._to_replace.pop(0)] = (self.rounds, group)
        self._missing = [max(0, missing - groups.count(True)) for missing, groups in zip(self._missing, by_rank)]
        self._sampled += len(has_variance)
        self._with_variance += sum(has_variance)

    def metrics(self, num_generations: int) -> dict[str, float]:
        """What is logged, given the completions of a group."""
        return {
            "dynamic_sampling/rounds": self.rounds,
            "dynamic_sampling/extra_completions": (self._sampled - self._offered) * num_generations,
            "dynamic_sampling/frac_reward_zero_std": sum(self._missing) / self._offered,
        }

    def _by_rank(self, groups: Sequence[bool]) -> list[list[bool]]:
        n = len(groups) // self._ranks
        return [list(groups[rank * n : (rank + 1) * n]) for rank in range(self._ranks)]


def check_dynamic_sampling(args: Any, columns: Sequence[str] | None = None) -> None:
    """
    Refuse what dynamic sampling cannot be combined with.

    Args:
        args ([`~grpo.config.R1GRPOConfig`]):
            The trainer's.
        columns (`Sequence[str]`, *optional*):
            The columns of the data set, once it is known.

    Raises:
        [`~errors.ConfigError`]: with the reason.
    """
    images = sorted({"image", "images"} & set(columns or ()))
    if images:
        raise ConfigError(
            f"batches with images are not joined; the data have the column {images[0]!r}", key="dynamic_sampling"
        )
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
