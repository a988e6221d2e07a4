"""
When a completion counts as solved: the one definition, used by evaluation, training metrics, selection, curriculum and
dynamic sampling.

A completion is solved when every accuracy reward that judges it gives it full marks (1). A program that passes half of
its tests is not solved. Where no accuracy reward judges it (`None` or NaN), it is neither solved nor unsolved, and counts
nowhere.

Accuracy rewards are those that say so by `is_accuracy = True`; without one, those with `accuracy` in their name; without
one, the first.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any


FULL_MARKS = 1.0


def is_solved(rewards: Iterable[float | None], at_least: float = FULL_MARKS) -> bool | None:
    """
    Tell whether a completion is solved.

    Args:
        rewards (`Iterable[float | None]`):
            What the accuracy rewards gave it; `None` or NaN where one does not judge it.
        at_least (`float`, *optional*, defaults to `1.0`):
            What each must give. Below 1 for selection alone, where a data set may be content with less.

    Returns:
        `bool` or `None`: `None` where none judges it.
    """
    judged = [reward for reward in rewards if reward is not None and not math.isnan(reward)]
    return min(judged) >= at_least if judged else None


def accuracy_rewards(functions: Sequence[Any], names: Sequence[str]) -> list[int]:
    """
    Say which reward functions judge whether an answer is right.

    Args:
        functions (`Sequence[Any]`):
            The reward functions.
        names (`Sequence[str]`):
            Their names.

    Returns:
        `list[int]`: their positions.
    """
    flagged = [i for i, function in enumerate(functions) if getattr(function, "is_accuracy", False) is True]
    named = [i for i, name in enumerate(names) if "accuracy" in name.lower()]
    return flagged or named or [0][: len(functions)]
