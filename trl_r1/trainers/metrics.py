"""
Metrics of emergence: what the paper watches while R1-Zero learns to reason (v2 2.1, C.2). Pure.

- `reflection_per_1000_words` and `reflection/WORD`: the paper's words of reflection, in English and Chinese, per 1,000
  words of the chains of thought (of the whole completion where there is no thought).
- `language_share`: share of the words of a chain of thought that are of the prompt's language (eq. 7), averaged over
  completions. The language is the row's `language`, or else the one that most words of the question belong to.
- `solve_rate`, `solve_rate/DOMAIN`: share of a group's completions that are solved, averaged over groups. Solved: a
  reward that judges correctness is at least 1. These are the rewards that say so by `is_accuracy = True`; without one,
  those with `accuracy` in their name; without one, the first. What they all leave unjudged (`None`) does not count.
- `pass@G`: share of groups with at least one solved completion.
- `zero_variance_groups`: share of groups whose rewards are all equal, so that they teach nothing.
- `truncated`: share of completions cut by the length limit.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..language import detect, normalize_language, word_counts
from ..text import REFLECTION_WORDS, count_reflection_words, split_completion


_WORDS = tuple(word for words in REFLECTION_WORDS.values() for word in words)


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


def group_metrics(
    rewards: Sequence[Sequence[float]],
    weights: Sequence[float],
    judges: Sequence[int],
    num_generations: int,
    domains: Sequence[str | None],
) -> dict[str, float]:
    """
    Metrics of groups of completions of one prompt.

    Args:
        rewards (`Sequence[Sequence[float]]` of shape `(N, F)`):
            Reward of each completion under each function, groups together; NaN where it does not apply.
        weights (`Sequence[float]` of length `F`):
            The functions' weights.
        judges (`Sequence[int]`):
            Which of the functions judge correctness.
        num_generations (`int`):
            Size of a group.
        domains (`Sequence[str]` of length `N`):
            The completions' domains; `None` where it is unknown.

    Returns:
        `dict[str, float]`: metrics by name.
    """
    solved_share: list[float] = []
    by_domain: dict[str, list[float]] = {}
    for (solved, judged), domain in zip(
        solved_of_groups(rewards, judges, num_generations), domains[::num_generations]
    ):
        if judged:
            solved_share.append(solved / judged)
            if domain is not None:
                by_domain.setdefault(domain, []).append(solved_share[-1])
    equal = [not varies for varies in groups_with_variance(rewards, weights, num_generations)]
    metrics = {}
    if solved_share:
        metrics["solve_rate"] = _mean(solved_share)
        metrics["pass@G"] = _mean([rate > 0 for rate in solved_share])
    metrics.update((f"solve_rate/{domain}", _mean(rates)) for domain, rates in sorted(by_domain.items()))
    if equal:
        metrics["zero_variance_groups"] = _mean(equal)
    return metrics


def solved_of_groups(
    rewards: Sequence[Sequence[float]], judges: Sequence[int], num_generations: int
) -> list[tuple[int, int]]:
    """
    Count what is solved in each group.

    Args:
        rewards, judges, num_generations:
            As for [`group_metrics`].

    Returns:
        `list[tuple[int, int]]`: of each group, how many completions are solved, and how many were judged at all.
    """
    counts = []
    for start in range(0, len(rewards), num_generations):
        verdicts = [_is_solved([row[i] for i in judges]) for row in rewards[start : start + num_generations]]
        judged = [verdict for verdict in verdicts if verdict is not None]
        counts.append((sum(judged), len(judged)))
    return counts


def groups_with_variance(
    rewards: Sequence[Sequence[float]], weights: Sequence[float], num_generations: int
) -> list[bool]:
    """
    Tell of each group whether its completions differ in their weighted reward, so that it moves the policy.

    Args:
        rewards, weights, num_generations:
            As for [`group_metrics`].
    """
    found = []
    for start in range(0, len(rewards), num_generations):
        group = [row for row in rewards[start : start + num_generations] if not _is_nan(row)]
        # Equal rewards give equal sums; a standard deviation would be off zero by rounding.
        sums = {sum(w * r for w, r in zip(weights, row) if not math.isnan(r)) for row in group}
        found.append(len(sums) > 1)
    return found


def judging_rewards(functions: Sequence[Any], names: Sequence[str]) -> list[int]:
    """
    Say which reward functions judge whether an answer is right.

    Args:
        functions (`Sequence[Any]`):
            The reward functions.
        names (`Sequence[str]`):
            Their names.

    Returns:
        `list[int]`: their positions: of those with `is_accuracy = True`, else of those named `...accuracy...`, else of
        the first.
    """
    flagged = [i for i, function in enumerate(functions) if getattr(function, "is_accuracy", False) is True]
    named = [i for i, name in enumerate(names) if "accuracy" in name.lower()]
    return flagged or named or [0][: len(functions)]


@lru_cache(maxsize=4096)
def question_language(question: str, languages: tuple[str, ...] | None = None) -> str | None:
    """Return the language of a question among `languages`, or `None` where it has no word of a known one."""
    return detect(question, languages)


def _is_solved(verdicts: Sequence[float]) -> bool | None:
    judged = [verdict for verdict in verdicts if not math.isnan(verdict)]
    return max(judged) >= 1.0 if judged else None


def _is_nan(row: Sequence[float]) -> bool:
    return all(map(math.isnan, row))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
