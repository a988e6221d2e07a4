"""
Accuracy against samples and tokens, from one pool of samples per prompt. Pure.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..scores import mean_and_error
from .votes import best_of_k, consensus_at_k, pass_at_k


@dataclass(frozen=True)
class Pool:
    """
    The judged samples of one prompt.

    Args:
        right (`tuple[bool, ...]` of length `n`):
            Whether each sample is right.
        votes (`tuple[int, ...]` of length `n`):
            The group of equal answers to which each belongs; `None` for one without an answer.
        tokens (`float`):
            Mean length of a sample in tokens.
        scores (`tuple[float, ...]` of length `n`, *optional*):
            What the reward gives each sample, where one chooses; `None` where it does not apply.
    """

    right: tuple[bool, ...]
    votes: tuple[int | None, ...]
    tokens: float
    scores: tuple[float | None, ...] = ()


def scaling_curves(pools: Sequence[Pool]) -> dict[str, list[dict[str, float]]]:
    """
    Return how accuracy grows with the number of samples, for each way of choosing that the pools allow.

    Each point is a mean over all choices of k of a prompt's samples (over 500 seeded ones where a vote has more than 2,000),
    then over prompts; its standard error is over prompts. So all points of a curve come from the same samples, and
    none from one lucky choice of them.

    Args:
        pools (`Sequence[Pool]`):
            The prompts, each with at least one sample.

    Returns:
        `dict[str, list[dict[str, float]]]`: by `"vote"`, `"any"` (pass@k, the ceiling of every choice) and, where all samples
        have scores, `"best_of_n"` and (where no score is negative) `"weighted_vote"`: points with `samples` (k),
        `tokens` (of k samples), `accuracy` and `stderr`. k are powers of two up to the smallest pool.
    """
    n = min((len(pool.right) for pool in pools), default=0)
    ways: dict[str, Callable[[Pool, int], float]] = {"any": _any, "vote": _vote}
    scores = [score for pool in pools for score in pool.scores or (None,)]
    if all(score is not None for score in scores):
        ways["best_of_n"] = lambda pool, k: best_of_k(pool.scores, pool.right, k)  # type: ignore[arg-type]
        if all(score >= 0 for score in scores):  # type: ignore[operator]
            ways["weighted_vote"] = lambda pool, k: _vote(pool, k, pool.scores)  # type: ignore[arg-type]
    return {name: [_point(pools, k, way) for k in _powers_of_two(n)] for name, way in ways.items()} if n else {}


def _powers_of_two(most: int) -> list[int]:
    return [2**i for i in range(most.bit_length())]


def _any(pool: Pool, k: int) -> float:
    return pass_at_k(len(pool.right), sum(pool.right), k)


def _vote(pool: Pool, k: int, weights: Sequence[float] | None = None) -> float:
    return consensus_at_k(pool.votes, pool.right, k, weights)


def _point(pools: Sequence[Pool], k: int, way: Callable[[Pool, int], float]) -> dict[str, Any]:
    mean, stderr = mean_and_error([way(pool, k) for pool in pools])
    tokens = k * math.fsum(pool.tokens for pool in pools) / len(pools)
    return {"samples": k, "tokens": tokens, "accuracy": mean, "stderr": stderr}
