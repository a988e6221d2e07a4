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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from ..language import detect, normalize_language, word_counts
from ..solved import is_solved
from ..text import REFLECTION_WORDS, count_reflection_words, split_completion


_REFLECTION = tuple(f"reflection/{word}" for words in REFLECTION_WORDS.values() for word in words)
_COUNTED = ("words", "language_share", "language_known", "truncated", "completions", *_REFLECTION)


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
    verdicts = list(map(is_solved, [[row[i] for i in accuracy] for row in rewards]))
    groups = []
    for start in range(0, len(rewards), num_generations):
        group = slice(start, start + num_generations)
        judged = [verdict for verdict in verdicts[group] if verdict is not None]
        groups.append(Group(sum(judged), len(judged), _has_zero_std(rewards[group], weights, by_function)))
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
    metrics = {"solve_rate": fmean(rates), "pass@G": fmean([rate > 0 for rate in rates])}
    for known in sorted({domain for _, domain in judged if domain is not None}):
        metrics[f"solve_rate/{known}"] = fmean([rate for rate, domain in judged if domain == known])
    return metrics


def count_emergence(
    texts: Sequence[str],
    targets: Sequence[str | None],
    truncated: Sequence[bool],
    languages: Sequence[str] | None = None,
) -> dict[str, float]:
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
        `dict[str, float]`: numbers by name.
    """
    counts: dict[str, float] = dict.fromkeys(_COUNTED, 0)
    counts["completions"], counts["truncated"] = len(texts), sum(map(bool, truncated))
    for text, target in zip(texts, targets, strict=True):
        # A thought that the prompt opened and that has no end has no tag either: then it is the whole completion.
        thought = split_completion(text).thought or text
        by_language = word_counts(thought, languages)
        total = sum(by_language.values())
        counts["words"] += total
        for word, count in count_reflection_words(thought).items():
            counts[f"reflection/{word}"] += count
        if target is not None and total:
            counts["language_share"] += by_language.get(normalize_language(target), 0) / total
            counts["language_known"] += 1
    return counts


def emergence_metrics(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """
    Turn the ranks' counts into metrics.

    Args:
        counts (`Sequence[Mapping[str, float]]`):
            What [`count_emergence`] returned on each rank.

    Returns:
        `dict[str, float]`: metrics by name. What nothing was counted for is left out.
    """
    total = {name: sum(count[name] for count in counts) for name in _COUNTED}
    metrics = {}
    if total["words"]:
        rates = {name: 1000 * total[name] / total["words"] for name in _REFLECTION}
        metrics = {"reflection_per_1000_words": sum(rates.values()), **rates}
    if total["language_known"]:
        metrics["language_share"] = total["language_share"] / total["language_known"]
    if total["completions"]:
        metrics["truncated"] = total["truncated"] / total["completions"]
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
