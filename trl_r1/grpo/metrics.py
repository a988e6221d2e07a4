"""
What is logged of a generation beyond TRL's metrics: its groups, and what the paper watches while R1-Zero learns to reason
(v2 2.1, C.2). Plain numbers and texts in, plain numbers out.

- `reflection_per_1000_words` and `reflection/WORD`: the paper's words of reflection, in English and Chinese, per 1,000
  words of the chains of thought (of the whole completion where there is no thought).
- `language_share`: share of the words of a chain of thought that are of the prompt's language (eq. 7), averaged over
  completions. The language is the row's `language`, or else the one that most words of the question belong to.
- `solve_rate`, `solve_rate/DOMAIN`: share of a group's completions that are solved ([`~solved`]), averaged over groups.
  What no accuracy reward judges does not count.
- `pass@G`: share of groups with at least one solved completion.
- `truncated`: share of completions cut by the length limit.

The share of groups without variance is TRL's `frac_reward_zero_std`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..language import detect, normalize_language, word_counts
from ..solved import is_solved
from ..text import REFLECTION_WORDS, count_reflection_words, split_completion


_WORDS = tuple(word for words in REFLECTION_WORDS.values() for word in words)


@dataclass(frozen=True)
class Group:
    """
    What the rewards say of one group of completions.

    Args:
        solved (`int`):
            How many of its completions are solved.
        judged (`int`):
            How many an accuracy reward judged.
        zero_std (`bool`):
            Whether its rewards have no variance, so that it does not move the policy.
    """

    solved: int
    judged: int
    zero_std: bool


def groups_of(
    rewards: Sequence[Sequence[float]],
    weights: Sequence[float],
    accuracy: Sequence[int],
    num_generations: int,
    *,
    by_function: bool = False,
) -> list[Group]:
    """
    Say of each group of completions what is solved, and whether it has variance.

    Rewards decide on variance, not advantages: eight equal rewards of 0.1 give advantages of 7e-5, the rounding of their
    mean divided by a standard deviation of 0 plus 1e-4.

    Args:
        rewards (`Sequence[Sequence[float]]` of shape `(N, F)`):
            Reward of each completion under each function, groups together; NaN where it does not apply. Completions that
            no function scored are left out of a group's variance.
        weights (`Sequence[float]` of length `F`):
            The functions' weights.
        accuracy (`Sequence[int]`):
            Which of the functions judge correctness ([`~solved.accuracy_rewards`]).
        num_generations (`int`):
            Size of a group.
        by_function (`bool`, *optional*, defaults to `False`):
            Whether each function's rewards are centred by themselves before they are summed (TRL's
            `normalize_then_sum`), instead of their sum.

    Returns:
        `list[Group]`: in the order of the rewards.
    """
    starts = range(0, len(rewards), num_generations)
    zero_std = [_has_zero_std(rewards[start : start + num_generations], weights, by_function) for start in starts]
    verdicts = list(map(is_solved, [[row[i] for i in accuracy] for row in rewards]))
    groups = []
    for start, equal in zip(starts, zero_std, strict=True):
        group = verdicts[start : start + num_generations]
        groups.append(Group(group.count(True), len(group) - group.count(None), equal))
    return groups


def _has_zero_std(rows: Sequence[Sequence[float]], weights: Sequence[float], by_function: bool) -> bool:
    weighted = [
        [weight * reward for weight, reward in zip(weights, row, strict=True) if weight or not by_function]
        for row in rows
        if not all(map(math.isnan, row))
    ]
    if by_function:
        return all(len({reward for reward in column if not math.isnan(reward)}) <= 1 for column in zip(*weighted))
    # Equal rewards give equal sums; a standard deviation would be off zero by rounding.
    return len({sum(reward for reward in row if not math.isnan(reward)) for row in weighted}) <= 1


def group_metrics(groups: Sequence[Group], domains: Sequence[str | None]) -> dict[str, float]:
    """
    Metrics of groups of completions of one prompt.

    Args:
        groups (`Sequence[Group]`):
            The groups.
        domains (`Sequence[str]`):
            Their domains; `None` where it is unknown.

    Returns:
        `dict[str, float]`: metrics by name.
    """
    judged = [(group.solved / group.judged, domain) for group, domain in zip(groups, domains) if group.judged]
    if not judged:
        return {}
    rates = [rate for rate, _ in judged]
    metrics = {"solve_rate": _mean(rates), "pass@G": _mean([rate > 0 for rate in rates])}
    for known in sorted({domain for _, domain in judged if domain is not None}):
        metrics[f"solve_rate/{known}"] = _mean([rate for rate, domain in judged if domain == known])
    return metrics


def count_emergence(
    texts: Sequence[str],
    targets: Sequence[str | None],
    truncated: Sequence[bool],
    languages: Sequence[str] | None = None,
) -> dict[str, Any]:
    """
    Count, in one rank's completions, what [`emergence_metrics`] adds up over all ranks.

    Args:
        texts (`Sequence[str]`):
            The completions.
        targets (`Sequence[str]`):
            The language asked for, by completion; `None` where it is unknown.
        truncated (`Sequence[bool]`):
            Whether the length limit cut the completion.
        languages (`Sequence[str]`, *optional*):
            The languages that may occur.

    Returns:
        `dict[str, Any]`: plain numbers.
    """
    reflection = dict.fromkeys(_WORDS, 0)
    words = 0
    shares = []
    for text, target in zip(texts, targets, strict=True):
        # A thought that the prompt opened and that has no end has no tag either: then it is the whole completion.
        thought = split_completion(text).thought or text
        by_language = word_counts(thought, languages)
        total = sum(by_language.values())
        words += total
        for word, count in count_reflection_words(thought).items():
            reflection[word] += count
        if target is not None and total:
            shares.append(by_language.get(normalize_language(target), 0) / total)
    return {
        "words": words,
        "reflection": reflection,
        "language_share": sum(shares),
        "language_known": len(shares),
        "truncated": sum(map(bool, truncated)),
        "completions": len(texts),
    }


def emergence_metrics(counts: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """
    Turn the ranks' counts into metrics.

    Args:
        counts (`Iterable[Mapping[str, Any]]`):
            What [`count_emergence`] returned on each rank.

    Returns:
        `dict[str, float]`: metrics by name. What nothing was counted for is left out.
    """
    counts = list(counts)
    words, known, completions = (sum(c[name] for c in counts) for name in ("words", "language_known", "completions"))
    metrics = {}
    if words:
        rates = {word: 1000 * sum(c["reflection"][word] for c in counts) / words for word in _WORDS}
        metrics["reflection_per_1000_words"] = sum(rates.values())
        metrics.update((f"reflection/{word}", rate) for word, rate in rates.items())
    if known:
        metrics["language_share"] = sum(c["language_share"] for c in counts) / known
    if completions:
        metrics["truncated"] = sum(c["truncated"] for c in counts) / completions
    return metrics


@lru_cache(maxsize=4096)
def question_language(question: str, languages: tuple[str, ...] | None = None) -> str | None:
    """Return the language of a question among `languages`, or `None` where it has no word of a known one."""
    return detect(question, languages)


def group_tokens(lengths: Sequence[int], size: int) -> list[list[int]]:
    """
    Return for each row the lengths, in tokens, of all completions of its group, for rewards that compare them.

    Args:
        lengths (`Sequence[int]`):
            Lengths of the completions of all ranks, in the order of the ranks.
        size (`int`):
            Completions to a group.
    """
    return [list(lengths[i - i % size : i - i % size + size]) for i in range(len(lengths))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
