r"""
Length, compared within the group of completions of one prompt.

Kimi k1.5 (arXiv 2501.12599, 2.3.3): of k responses to a problem, with lengths from `min_len` to `max_len`,

    λ_i = 1/2 - (len_i - min_len) / (max_len - min_len)
    r_i = λ_i           where the answer is right
    r_i = min(0, λ_i)   where it is wrong

and 0 for all where all are equally long. DeepSeek-R1 has no reward on length; this is for those who want one. Lengths are
in tokens, and only lengths of the same prompt are compared: across prompts the hard ones would pay for the easy ones.
Rewards that look at one completion at a time come with TRL: `get_cosine_scaled_reward`, `get_repetition_penalty_reward`
and `get_soft_overlong_punishment` in `trl.rewards`.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..errors import ConfigError
from .schedule import RewardSpec, call, check_machine, make_reward
from .scheduled import required_columns


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroupLength:
    """
    Shorter is better among the right answers to a prompt, and longer is worse among the wrong ones.

    From 0.5 for the shortest completion of a group to -0.5 for the longest; a wrong answer never earns more than 0.
    `None` where it cannot be judged whether the answer is right. Add it to a reward of accuracy with a weight below 1,
    or a short right answer and a long wrong one are further apart by their lengths than by being right. Kimi k1.5
    begins without it, since it slows the start: see `from_step` in [`RewardSpec`].

    **What a group is.** [`R1GRPOTrainer`] hands the lengths of the whole group, whichever ranks hold its rows. Under
    other trainers a group is what rows of one call have the same prompt. `AsyncGRPOTrainer` calls with one whole group.
    In stock `GRPOTrainer` and `RLOOTrainer` a rank holds whole groups where `per_device_train_batch_size` times
    `steps_per_generation` is a multiple of `num_generations`; where it is not, the part of a group that a rank holds is
    compared within itself.

    Args:
        accuracy (`str`, `Mapping` or `Callable`, *optional*, defaults to `"trl_r1.rewards.math.math_accuracy"`):
            What says whether an answer is right (1 or more): a reward as a stage declares it (`func`, `args`), or the
            reward itself.

    Example:
    ```python
    >>> from trl_r1.rewards import group_length

    >>> group_length(
    ...     prompts=["1+1?"] * 3,
    ...     completions=["2", "It is 2", "I do not know"],
    ...     completion_ids=[[5], [5] * 3, [5] * 5],
    ...     solution=["2"] * 3,
    ... )
    [0.5, 0.0, -0.5]
    ```
    """

    accuracy: Any = "trl_r1.rewards.math.math_accuracy"

    __name__: ClassVar[str] = "group_length"
    # R1GRPOTrainer looks for this, and then hands `group_tokens`: for each row the lengths of its whole group.
    reads_group_tokens: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if callable(self.accuracy):
            return
        spec = RewardSpec.parse(self.accuracy, "accuracy")
        if spec != replace(RewardSpec(spec.func), args=spec.args):
            raise ConfigError("expected `func` and `args` alone; the rest stands at the reward itself", key="accuracy")
        object.__setattr__(self, "accuracy", make_reward(spec, "accuracy"))

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def requires(self) -> tuple[str, ...]:
        """What the reward of accuracy reads."""
        return required_columns(self.accuracy)

    def check_machine(self) -> None:
        """Check that this machine has what the reward of accuracy needs."""
        check_machine(self.accuracy, "accuracy")

    def __call__(
        self,
        *,
        completions: list[Any],
        prompts: list[Any] | None = None,
        completion_ids: list[Any] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        if not completions:
            return []
        if completion_ids is None:
            raise ConfigError(
                "the reward `group_length` counts tokens and needs `completion_ids`, which trainers hand to rewards",
                key="completion_ids",
            )
        lengths = [len(ids) for ids in completion_ids]
        groups = columns.pop("group_tokens", None) or _by_prompt(prompts, columns, lengths)
        right = call(
            self.accuracy,
            completions=completions,
            prompts=prompts,
            completion_ids=completion_ids,
            trainer_state=trainer_state,
            log_extra=None,
            log_metric=None,
            **columns,
        )
        return [
            None if verdict is None else _reward(length, group, verdict >= 1)
            for length, group, verdict in zip(lengths, groups, right, strict=True)
        ]


def _reward(length: int, group: list[int], right: bool) -> float:
    shortest, longest = min(group), max(group)
    if shortest == longest:
        return 0.0
    share = 0.5 - (length - shortest) / (longest - shortest)
    return share if right else min(0.0, share)


def _by_prompt(prompts: list[Any] | None, columns: dict[str, Any], lengths: list[int]) -> list[list[int]]:
    """Return for each row the lengths of the rows that have its prompt."""
    asked = prompts if prompts is not None else columns.get("question")
    if asked is None:
        raise ConfigError("the reward `group_length` needs prompts or the column `question`", key="question")
    keys = [prompt if isinstance(prompt, str) else json.dumps(prompt, default=str) for prompt in asked]
    groups: dict[str, list[int]] = {}
    for key, length in zip(keys, lengths, strict=True):
        groups.setdefault(key, []).append(length)
    sizes = {len(group) for group in groups.values()}
    if len(sizes) > 1 and not _WARNED:
        _WARNED.append(True)
        logger.warning(
            "group_length: prompts of one batch have from %d to %d completions. Where groups are spread over ranks, each "
            "rank compares its own part: make per_device_train_batch_size * steps_per_generation a multiple of "
            "num_generations, or use R1GRPOTrainer.",
            min(sizes),
            max(sizes),
        )
    return [groups[key] for key in keys]


_WARNED: list[bool] = []

group_length = GroupLength()
