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
    """

    def __init__(self, has_variance: Sequence[bool], ranks: int, rank: int, max_rounds: int):
        self._rank, self._ranks, self._max_rounds = rank, ranks, max_rounds
        self._sampled = [list(has_variance)]  # of each round, 0 being what was offered

    @property
    def rounds(self) -> int:
        """Further rounds so far."""
        return len(self._sampled) - 1

    @property
    def places(self) -> list[tuple[int, int]]:
        """
        For each group of this rank's batch where it comes from: the round, 0 being what was offered, and the group
        within this rank's part of it.
        """
        offered, *further = self._of_rank(self._rank)
        fresh = (
            (number, group)
            for number, groups in enumerate(further, 1)
            for group, varies in enumerate(groups)
            if varies
        )
        return [(0, group) if varies else next(fresh, (0, group)) for group, varies in enumerate(offered)]

    def groups_to_sample(self) -> int:
        """How many groups each rank is to sample in a further round: 0 if none is missing, or no round is left."""
        missing = max(self._missing())
        if not missing or self.rounds == self._max_rounds:
            return 0
        # As many as are missing, divided by the share of groups that had variance so far.
        with_variance = max(sum(map(sum, self._sampled)), 1)
        return min(
            len(self._sampled[0]) // self._ranks, math.ceil(missing * sum(map(len, self._sampled)) / with_variance)
        )

    def add(self, has_variance: Sequence[bool]) -> None:
        """Take in a further round: whether its groups, of all ranks one after another, have variance."""
        self._sampled.append(list(has_variance))

    def metrics(self, num_generations: int) -> dict[str, float]:
        """What is logged, given the completions of a group."""
        return {
            "dynamic_sampling/rounds": self.rounds,
            "dynamic_sampling/extra_completions": sum(map(len, self._sampled[1:])) * num_generations,
            "dynamic_sampling/frac_reward_zero_std": sum(self._missing()) / len(self._sampled[0]),
        }

    def _missing(self) -> list[int]:
        """How many groups each rank's batch lacks."""
        by_rank = map(self._of_rank, range(self._ranks))
        return [max(0, offered.count(False) - sum(map(sum, further))) for offered, *further in by_rank]

    def _of_rank(self, rank: int) -> list[list[bool]]:
        """Whether a rank's groups have variance, of each round."""
        sizes = [len(groups) // self._ranks for groups in self._sampled]
        return [groups[rank * n : (rank + 1) * n] for groups, n in zip(self._sampled, sizes)]


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
    for name, wrong, right in (
        ("scale_rewards", "batch", "`group` or `none`"),
        ("multi_objective_aggregation", "normalize_then_sum", "`sum_then_normalize`"),
    ):
        if getattr(args, name) == wrong:
            raise ConfigError(
                f"with `{name}: {wrong}` advantages are scaled over the whole batch as it was sampled, which is not "
                f"the one that is trained on; expected {right}",
                key="dynamic_sampling",
            )
    rows = args.per_device_train_batch_size * args.steps_per_generation
    if rows % args.num_generations:
        raise ConfigError(
            "each process replaces its own groups, so the completions that it samples (per_device_train_batch_size x "
            f"steps_per_generation = {rows}) must be a multiple of num_generations = {args.num_generations}",
            key="dynamic_sampling",
        )
    if args.max_sampling_rounds < 1:
        raise ConfigError(f"expected at least 1, got {args.max_sampling_rounds}", key="max_sampling_rounds")


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
    joined = {}
    for name in (name for name in batches[0] if name != "num_items_in_batch"):
        parts = [batch[name] for batch in batches]
        if name in PADDING:
            side, value = PADDING[name]
            width = max(part.size(1) for part in parts)
            value = pad_token_id if value == "pad" else value
            parts = [_padded(part, width - part.size(1), side, value) for part in parts]
        elif any(part.dim() != 1 for part in parts):
            raise NotImplementedError(f"TRL's batch has {name!r}, of which dynamic sampling does not know the padding")
        joined[name] = torch.stack([parts[number][row] for number, row in chosen])
    return joined


def _padded(tensor: torch.Tensor, columns: int, side: str, value: float) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (columns, 0) if side == "left" else (0, columns), value=value)
