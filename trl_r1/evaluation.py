r"""
The numbers of an evaluation: pure functions of traces and their rewards.

A sample is right where it is solved (see [`~solved`]): each accuracy reward that judges it gives it full marks. Samples
that none can judge are left out and counted (`unjudged`); prompts that an engine could not complete are not left out, but
counted as unsolved (and by `unsampled`). Means are means over prompts, so that each prompt counts alike, and standard
errors are clustered by prompt: the samples of one prompt are not independent.

- `pass@k`: the unbiased estimate `1 - C(n - c, k) / C(n, k)` (arXiv 2107.03374, eq. 1), the mean over prompts.
- `cons@k`: the chance that the majority of k samples is right (the paper's cons@64, v2 D.1). Votes are grouped by
  mathematical equality; a sample without an answer does not vote; a tie is broken at random, so it counts as the share
  of the tied groups that are right. Over the n samples that there are, it is the exact mean over all choices of k of
  them where there are at most 2,000, and the mean over 500 seeded ones otherwise.
- `by_source`: the same for each data set, where there are several.
- `comparisons`: every two models on the same prompts, by a paired test (see [`~paired`]).
- `hard`: the prompts whose pass@1 on their *first* samples is below a threshold, measured on the *others*: measured on
  the samples that chose them, their pass@1 would be biased downwards.

Evaluation protocol of the paper (v1 section 3, v2 D.1): T = 0.6, top-p 0.95, pass@1 as the mean over k samples.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .data.source import parse_sources
from .docstrings import help_from_docstring
from .emergence import EmergenceConfig
from .errors import ConfigError, ConfigErrors, expect
from .language import word_counts
from .sampling.config import SamplingConfig
from .solved import is_solved
from .text import count_reflection_words, split_completion
from .trace import Trace, by_prompt, grouped
from .typed import check_fields, make
from .verify import final_answer, judge


_ALL_SUBSETS_UP_TO = 2000
_SEEDED_SUBSETS = 500
_MIXED_FROM = 0.1  # as in language.is_mixed: the share of its words from which a language counts


@help_from_docstring
@dataclass
class EvaluationConfig:
    """
    What an evaluation measures. How it samples is in [`~sampling.SamplingConfig`].

    Args:
        models (`dict[str, str]`):
            Models by the name under which the metrics report them.
        data (`list[dict]`):
            Held-out prompts: see [`~data.DataSource`].
        output_dir (`str`):
            Where `metrics.json` and `traces/` go.
        rewards (`list[dict]`, *optional*):
            Rewards, declared as in training; by default `MathAccuracy` alone. The accuracy rewards among them decide
            about right and wrong (see [`~solved`]).
        pass_at_k (`list[int]`, *optional*):
            The k of `pass@k` and `cons@k`.
        best_of_n (`dict`, *optional*):
            A reward, declared as in `rewards`: `best_of_n` is the accuracy of the sample that it prefers.
        general_scorer (`dict`, *optional*):
            A reward, declared as in `rewards`, that scores answers to general prompts (without `solution`): a sample
            wins against the row's `reference` where it scores higher, and half wins where they tie.
        by_model (`dict[str, dict]`, *optional*):
            Sampling settings of single models, by name: a base model's `prompt_template`, more samples for one.
        style (`str`, *optional*, defaults to `"think"`):
            Form of the completions, for the format rate: `"think"`, `"r1_zero"` or `"special_token"`.
        languages (`list[str]`, *optional*):
            The languages that may occur, for counting words.
        hard_below (`float`, *optional*):
            Report the prompts whose pass@1 on their first `hard_chosen_by` samples is below this as `hard`.
        hard_chosen_by (`int`, *optional*, defaults to `4`):
            Number of each prompt's first samples that choose the hard prompts.
        emergence (`dict`, *optional*):
            Sample some models again, with the words of reflection forbidden and with their thoughts cut: see
            [`~emergence.EmergenceConfig`].
    """

    models: dict[str, str]
    data: list[dict[str, Any]]
    output_dir: str
    rewards: list[dict[str, Any]] = field(default_factory=lambda: [{"func": "trl_r1.rewards.MathAccuracy"}])
    pass_at_k: list[int] = field(default_factory=list)
    best_of_n: dict[str, Any] | None = None
    general_scorer: dict[str, Any] | None = None
    by_model: dict[str, dict[str, Any]] = field(default_factory=dict)
    style: str = "think"
    languages: list[str] | None = None
    hard_below: float | None = None
    hard_chosen_by: int = 4
    emergence: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        expect(self, "models", bool(self.models), "at least one model")
        for name, changes in self.by_model.items():
            if name not in self.models:
                raise ConfigError(f"expected one of {', '.join(self.models)}, got {name!r}", key="by_model")
            if problems := check_fields([SamplingConfig], changes, f"by_model.{name}")[1]:
                raise ConfigErrors(problems)
        expect(self, "pass_at_k", all(k >= 1 for k in self.pass_at_k), "numbers above 0")
        share = self.hard_below is None or 0 < self.hard_below <= 1
        expect(self, "hard_below", share, "a share above 0 and at most 1")
        expect(self, "hard_chosen_by", self.hard_chosen_by >= 1, "at least 1")
        for name in self.causes.models if self.causes else ():
            if name not in self.models:
                raise ConfigError(f"expected some of {', '.join(self.models)}, got {name!r}", key="emergence.models")
        parse_sources(self.data)

    @property
    def causes(self) -> EmergenceConfig | None:
        """`emergence`, checked."""
        if self.emergence is None:
            return None
        (config,) = make([EmergenceConfig], self.emergence, within="emergence")
        found: EmergenceConfig = config
        return found


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


def consensus_at_k(votes: Sequence[int | None], right: Sequence[bool], k: int, seed: str = "") -> float:
    """
    Return the chance that the majority of k of these samples is right.

    Args:
        votes (`Sequence[int]` of length `n`):
            The group of equal answers to which each sample belongs; `None` for a sample without an answer.
        right (`Sequence[bool]` of length `n`):
            Whether each sample is right.
        k (`int`):
            How many samples vote.
        seed (`str`, *optional*):
            Seed of the choices of k samples, where there are too many to go through all.
    """
    n = len(votes)
    if not 0 < k <= n:
        raise ValueError(f"expected a k from 1 to {n}, got {k}")
    if len(set(right)) == 1 and (not right[0] or None not in votes):
        return float(right[0])
    group_is_right = {vote: is_right for vote, is_right in zip(votes, right) if vote is not None}
    choices: Iterable[Sequence[int | None]]
    if math.comb(n, k) <= _ALL_SUBSETS_UP_TO:
        choices = itertools.combinations(votes, k)
    else:
        draw = random.Random(f"{seed}:{n}:{k}")
        choices = (draw.sample(votes, k) for _ in range(_SEEDED_SUBSETS))
    total, number = 0.0, 0
    for choice in choices:
        counts = Counter(vote for vote in choice if vote is not None)
        most = max(counts.values(), default=0)
        winners = [group_is_right[group] for group, count in counts.items() if count == most]
        total += sum(winners) / len(winners) if winners else 0.0
        number += 1
    return total / number


def group_votes(traces: Sequence[Trace], right: Sequence[bool]) -> list[int | None]:
    """
    Group one prompt's samples by mathematical equality of their answers.

    Right answers are all equal to the gold, so they are one group; only wrong ones have to be compared with each other.

    Returns:
        `list[int | None]`: a group's number for each sample, 0 for the right ones; `None` without an answer.
    """
    groups: list[int | None] = []
    representatives: list[str] = []
    by_text: dict[str, int] = {}
    for trace, is_right in zip(traces, right):
        if is_right:
            groups.append(0)
            continue
        part = split_completion(trace.completion).answer
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
        groups.append(1 + by_text[answer])
    return groups


def clustered(values_by_prompt: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """
    Return the mean over prompts of the mean over their samples, and its standard error, clustered by prompt.

    Args:
        values_by_prompt (`Sequence[Sequence[float]]`):
            Each prompt's values; prompts without any are left out.

    Returns:
        `tuple[float, float]` or `None`: `None` if there is no value; the error of a single prompt is 0.
    """
    means = [math.fsum(values) / len(values) for values in values_by_prompt if values]
    if not means:
        return None
    mean = math.fsum(means) / len(means)
    if len(means) == 1:
        return mean, 0.0
    variance = math.fsum((each - mean) ** 2 for each in means) / (len(means) - 1)
    return mean, math.sqrt(variance / len(means))


def summarize(
    traces: Sequence[Trace],
    *,
    accuracy: Sequence[str],
    ks: Sequence[int] = (),
    best_of_n: str | None = None,
    scorer: str | None = None,
    reference_scores: Mapping[str, float | None] | None = None,
    languages: Sequence[str] | None = None,
    sources: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """
    Return the metrics of one model's traces, in all and, where there are several, `by_domain` and `by_source`. What
    nothing was measured for is left out.

    Args:
        traces (`Sequence[Trace]`):
            Samples with their rewards, among them `think_format` and `language_consistency`.
        accuracy (`Sequence[str]`):
            Names of the accuracy rewards (see [`~solved`]).
        ks (`Sequence[int]`, *optional*):
            The k of `pass@k` and `cons@k`. Prompts with fewer judged samples are left out there.
        best_of_n (`str`, *optional*):
            Name of the reward that chooses each prompt's best sample.
        scorer (`str`, *optional*):
            Name of the reward that scores answers to general prompts.
        reference_scores (`Mapping[str, float]`, *optional*):
            What the scorer gives each general prompt's reference, by `prompt_id`.
        languages (`Sequence[str]`, *optional*):
            The languages that may occur, for counting words.
        sources (`Mapping[str, str]`, *optional*):
            The name of the data set of each prompt, by `prompt_id`.
    """
    words = {id(trace): word_counts(_thought(trace), languages) for trace in traces}
    reflection = {id(trace): sum(count_reflection_words(_thought(trace)).values()) for trace in traces}
    values: dict[str, Callable[[Trace], float | None]] = {
        "format": lambda trace: trace.rewards.get("think_format"),
        "language_consistency": lambda trace: trace.rewards.get("language_consistency"),
        "mixed_language": lambda trace: _mixes(words[id(trace)]),
        "mean_tokens": lambda trace: trace.n_tokens if trace.was_sampled else None,
        "truncated": lambda trace: trace.finish_reason == "length",
        "with_reflection": lambda trace: reflection[id(trace)] > 0 if trace.was_sampled else None,
        "reflection_per_completion": lambda trace: reflection[id(trace)] if trace.was_sampled else None,
    }
    if scorer:
        values["general_win_rate"] = lambda trace: _win(trace, scorer, reference_scores or {})

    votes: dict[str, list[int | None]] = {}  # by prompt: those of a domain are those of the whole

    def summary(traces: Sequence[Trace]) -> dict[str, Any]:
        prompts = by_prompt(traces)
        metrics: dict[str, Any] = {"n_prompts": len(prompts), "n_samples": len(traces)}
        metrics |= _mean("pass@1", prompts, lambda trace: _right(trace, accuracy))
        metrics |= _at_k(prompts, accuracy, ks, best_of_n, votes)
        unjudged = sum(trace.solution is not None and _right(trace, accuracy) is None for trace in traces)
        if unjudged:
            metrics["unjudged"] = unjudged
        unsampled = sum(not trace.was_sampled for trace in traces)
        if unsampled:
            metrics["unsampled"] = unsampled
        for name, value in values.items():
            metrics |= _mean(name, prompts, value)
        n_words = sum(sum(words[id(trace)].values()) for trace in traces)
        if n_words:
            count = sum(reflection[id(trace)] for trace in traces)
            metrics["reflection_per_1000_words"] = 1000 * count / n_words
        return metrics

    metrics = summary(traces)
    names = sources or {}
    for key, groups in (
        ("by_domain", grouped(traces, lambda trace: trace.domain or "none")),
        ("by_source", grouped(traces, lambda trace: names.get(trace.prompt_id, "none"))),
    ):
        if len(groups) > 1:
            metrics[key] = {name: summary(groups[name]) for name in sorted(groups)}
    return metrics


def pass_rates(traces: Sequence[Trace], accuracy: Sequence[str]) -> dict[str, float]:
    """
    Return the share of right samples of each prompt that was judged, by `prompt_id`.

    Args:
        traces (`Sequence[Trace]`):
            One model's samples with their rewards.
        accuracy (`Sequence[str]`):
            Names of the accuracy rewards (see [`~solved`]).
    """
    judged = {name: _judged(group, accuracy)[1] for name, group in by_prompt(traces).items()}
    return {name: sum(right) / len(right) for name, right in judged.items() if right}


def hard_prompts(
    traces: Sequence[Trace], *, accuracy: Sequence[str], below: float, chosen_by: int, ks: Sequence[int]
) -> dict[str, Any]:
    """
    Return pass@1, pass@k and cons@k of the prompts that a model finds hard.

    Args:
        traces (`Sequence[Trace]`):
            One model's samples, in the order in which they were drawn.
        accuracy (`Sequence[str]`):
            Names of the accuracy rewards (see [`~solved`]).
        below (`float`):
            A prompt is hard if its pass@1 on its first `chosen_by` judged samples is below this.
        chosen_by (`int`):
            Number of samples that choose; the metrics are of the others.
        ks (`Sequence[int]`):
            The k of `pass@k` and `cons@k`.
    """
    hard: dict[str, list[Trace]] = {}
    for prompt_id, group in by_prompt(traces).items():
        judged, right = _judged(group, accuracy)
        first = right[:chosen_by]
        if len(judged) > chosen_by and sum(first) / len(first) < below:
            hard[prompt_id] = judged[chosen_by:]
    metrics: dict[str, Any] = {"hard_below": below, "hard_chosen_by": chosen_by, "n_prompts": len(hard)}
    metrics |= _mean("pass@1", hard, lambda trace: _right(trace, accuracy))
    return metrics | _at_k(hard, accuracy, ks, None, {})


def _mean(name: str, prompts: Mapping[str, list[Trace]], value: Callable[[Trace], float | None]) -> dict[str, float]:
    found = clustered([[v for v in map(value, group) if v is not None] for group in prompts.values()])
    return {name: found[0], f"{name}_stderr": found[1]} if found else {}


def _at_k(
    prompts: Mapping[str, list[Trace]],
    accuracy: Sequence[str],
    ks: Sequence[int],
    best_of_n: str | None,
    known: dict[str, list[int | None]],
) -> dict[str, float]:
    names = [*(f"pass@{k}" for k in ks), *(f"cons@{k}" for k in ks), "best_of_n"]
    found: dict[str, list[float]] = {name: [] for name in names}
    for prompt_id, group in prompts.items():
        judged, right = _judged(group, accuracy)
        possible = [k for k in ks if k <= len(judged)]
        if prompt_id not in known:
            several = possible and any(right) and not all(right)
            known[prompt_id] = group_votes(judged, right) if several else [0] * len(judged)
        votes = known[prompt_id]
        for k in possible:
            found[f"pass@{k}"].append(pass_at_k(len(judged), sum(right), k))
            found[f"cons@{k}"].append(consensus_at_k(votes, right, k, seed=prompt_id))
        scores = [trace.rewards.get(best_of_n) for trace in judged] if best_of_n else []
        if any(score is not None for score in scores):
            top = max(score for score in scores if score is not None)
            winners = [is_right for is_right, score in zip(right, scores) if score == top]
            found["best_of_n"].append(sum(winners) / len(winners))
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def _judged(group: Sequence[Trace], accuracy: Sequence[str]) -> tuple[list[Trace], list[bool]]:
    """Return the samples that the accuracy rewards judge, and whether each is right."""
    judged = [(trace, right) for trace in group if (right := _right(trace, accuracy)) is not None]
    return [trace for trace, _ in judged], [right for _, right in judged]


def _right(trace: Trace, accuracy: Sequence[str]) -> bool | None:
    return is_solved(trace.rewards.get(name) for name in accuracy)


def _thought(trace: Trace) -> str:
    # As in the training's metrics: where no thought is marked, the whole completion is looked at.
    return split_completion(trace.completion).thought or trace.completion


def _mixes(counts: Mapping[str, int]) -> float:
    return float(sum(count >= _MIXED_FROM * sum(counts.values()) for count in counts.values()) >= 2)


def _win(trace: Trace, scorer: str, reference_scores: Mapping[str, float | None]) -> float | None:
    score, reference = trace.rewards.get(scorer), reference_scores.get(trace.prompt_id)
    if trace.solution is not None or score is None or reference is None:
        return None
    return 0.5 if score == reference else float(score > reference)
