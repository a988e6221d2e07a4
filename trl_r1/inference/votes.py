"""
Several samples of a prompt, one answer: by a vote, by a weighted vote, or by the best sample. Pure.

Votes are grouped by mathematical equality of the final answers; a sample without an answer does not vote. Majority voting
is self-consistency (arXiv 2203.11171) and the paper's cons@k (v2 D.1); a vote weighted by a reward, and the best of n by a
reward, are as in arXiv 2408.03314, section 2.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..text import split_completion
from ..trace import Trace
from ..verify import final_answer, judge


_ALL_SUBSETS_UP_TO = 2000
_SEEDED_SUBSETS = 500


def group_answers(completions: Iterable[str]) -> list[int | None]:
    """
    Group completions by mathematical equality of their answers.

    Args:
        completions (`Iterable[str]`):
            Completions of one prompt, thought included.

    Returns:
        `list[int | None]`: a group's number for each, in the order in which the groups appear; `None` without an answer.
    """
    groups: list[int | None] = []
    representatives: list[str] = []
    by_text: dict[str, int] = {}
    for completion in completions:
        part = split_completion(completion).answer
        answer = final_answer(part) if part else None
        if not answer:
            groups.append(None)
            continue
        if answer not in by_text:
            verdicts = judge([(other, answer) for other in representatives])
            same = next((i for i, verdict in enumerate(verdicts) if verdict), len(representatives))
            if same == len(representatives):
                representatives.append(answer)
            by_text[answer] = same
        groups.append(by_text[answer])
    return groups


def group_votes(traces: Sequence[Trace], right: Sequence[bool]) -> list[int | None]:
    """
    Group one prompt's judged samples by mathematical equality of their answers.

    Right answers are all equal to the gold, so they are one group; only wrong ones have to be compared with each other.

    Returns:
        `list[int | None]`: a group's number for each sample, 0 for the right ones; `None` without an answer.
    """
    wrong = iter(group_answers(trace.completion for trace, is_right in zip(traces, right) if not is_right))
    return [0 if is_right else None if (group := next(wrong)) is None else 1 + group for is_right in right]


def tally(groups: Sequence[int | None], weights: Sequence[float] | None = None) -> dict[int, float]:
    """
    Return the sum of the votes for each group.

    Args:
        groups (`Sequence[int]` of length `n`):
            The group for which each sample votes; `None`: for none.
        weights (`Sequence[float]` of length `n`, *optional*):
            What each vote counts, at least 0. By default 1.
    """
    counts: dict[int, float] = {}
    for group, weight in zip(groups, weights or itertools.repeat(1.0)):
        if group is not None:
            counts[group] = counts.get(group, 0.0) + weight
    return counts


def winner(groups: Sequence[int | None], weights: Sequence[float] | None = None) -> int | None:
    """
    Return the position of the sample that stands for the group with the most votes: its first, or, where votes have
    weights, the one that weighs most. Of tied groups the one that appeared first wins. `None`: no sample has an answer.
    """
    counts = tally(groups, weights)
    if not counts:
        return None
    won = max(counts, key=lambda group: counts[group])
    members = [i for i, group in enumerate(groups) if group == won]
    return max(members, key=lambda i: weights[i]) if weights else members[0]


def is_decided(groups: Sequence[int | None], left: int) -> bool:
    """
    Tell whether `left` further samples, of one vote each, can no longer change who wins.

    Args:
        groups (`Sequence[int]`):
            The group for which each sample so far votes.
        left (`int`):
            How many samples are still to come.
    """
    counts = tally(groups)
    if left <= 0 or not counts:
        return left <= 0
    won = max(counts, key=lambda group: counts[group])
    margin = counts[won] - max((count for group, count in counts.items() if group != won), default=0)
    # Of tied groups the first to appear wins: what is first already need not fear a tie.
    return margin > left or (margin == left and won == next(iter(counts)))


def pass_at_k(n: int, right: int, k: int) -> float:
    """
    Estimate without bias the chance that at least one of k samples is right (arXiv 2107.03374, eq. 1).

    Args:
        n (`int`):
            Samples drawn.
        right (`int`):
            How many of them are right.
        k (`int`):
            At most `n`.
    """
    if not 0 < k <= n:
        raise ValueError(f"expected a k from 1 to {n}, got {k}")
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def consensus_at_k(
    votes: Sequence[int | None],
    right: Sequence[bool],
    k: int,
    weights: Sequence[float] | None = None,
) -> float:
    """
    Return the chance that the majority of k of these samples is right: exact where there are at most 2,000 choices of k,
    else the mean over 500 seeded ones. A tie is broken at random, so it counts as the share of the tied groups that are right.

    Args:
        votes (`Sequence[int]` of length `n`):
            The group of equal answers to which each sample belongs; `None` for a sample without an answer.
        right (`Sequence[bool]` of length `n`):
            Whether each sample is right.
        k (`int`):
            How many samples vote.
        weights (`Sequence[float]` of length `n`, *optional*):
            What each vote counts. By default 1.
    """
    n = len(votes)
    if not 0 < k <= n:
        raise ValueError(f"expected a k from 1 to {n}, got {k}")
    if len(set(right)) == 1 and (not right[0] or None not in votes):
        return float(right[0])
    groups = {vote: j for j, vote in enumerate(dict.fromkeys(vote for vote in votes if vote is not None))}
    ballots = np.zeros((n, len(groups)))
    for i, vote in enumerate(votes):
        if vote is not None:
            ballots[i, groups[vote]] = 1.0 if weights is None else weights[i]
    group_is_right = np.zeros(len(groups))
    for vote, is_right in zip(votes, right):
        if vote is not None:
            group_is_right[groups[vote]] = is_right
    counts = choices_of(n, k) @ ballots  # (choices, groups)
    leads = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    tied = leads.sum(axis=1)
    wins = (leads * group_is_right).sum(axis=1) / np.maximum(tied, 1)
    return float(wins.mean())


@lru_cache(maxsize=256)
def choices_of(n: int, k: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return which of `n` samples are chosen, in each choice of `k`: all of them up to 2,000, else 500 seeded ones."""
    if math.comb(n, k) <= _ALL_SUBSETS_UP_TO:
        chosen = np.array(list(itertools.combinations(range(n), k)))
    else:
        chosen = np.random.default_rng([n, k]).random((_SEEDED_SUBSETS, n)).argsort(axis=1)[:, :k]
    masks = np.zeros((len(chosen), n))
    np.put_along_axis(masks, chosen, 1.0, axis=1)
    return masks


def best_of_k(scores: Sequence[float], right: Sequence[bool], k: int) -> float:
    r"""
    Return the chance that the highest scored of k of these samples is right: exact, over all choices of k.

    With the samples' distinct scores \( s_1 < s_2 < \dots \), the highest of k is \( s_j \) with probability
    \( \left[\binom{\#\{s \le s_j\}}{k} - \binom{\#\{s < s_j\}}{k}\right] / \binom{n}{k} \); among equals it is each with the
    same one.

    Args:
        scores (`Sequence[float]` of length `n`):
            What the reward gives each sample.
        right (`Sequence[bool]` of length `n`):
            Whether each sample is right.
        k (`int`):
            How many samples there are to choose from.
    """
    n = len(scores)
    if not 0 < k <= n:
        raise ValueError(f"expected a k from 1 to {n}, got {k}")
    chance, below = 0.0, 0
    for score in sorted(set(scores)):
        equal = [is_right for is_right, other in zip(right, scores) if other == score]
        share = (math.comb(below + len(equal), k) - math.comb(below, k)) / math.comb(n, k)
        chance += share * sum(equal) / len(equal)
        below += len(equal)
    return chance
