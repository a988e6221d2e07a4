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
  them where there are at most 2,000, and the mean over 500 seeded ones otherwise (see [`~inference`]).
- `scaling`: accuracy against samples and tokens, for a vote, a weighted vote and the best of n.
- `by_source`: the same for each data set, where there are several.
- `comparisons`: every two models on the same prompts, by a paired test (see [`~paired`]).
- `hard`: the prompts whose pass@1 on their *first* samples is below a threshold, measured on the *others*: measured on
  the samples that chose them, their pass@1 would be biased downwards.

Evaluation protocol of the paper (v1 section 3, v2 D.1): T = 0.6, top-p 0.95, pass@1 as the mean over k samples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .data.source import parse_sources
from .docstrings import help_from_docstring
from .emergence import EmergenceConfig
from .errors import ConfigError, ConfigErrors, expect
from .inference.scaling import Pool, scaling_curves
from .inference.votes import best_of_k, consensus_at_k, group_votes, pass_at_k
from .language import word_counts
from .sampling.config import SamplingConfig
from .scores import mean_and_error
from .solved import is_solved
from .text import count_reflection_words, split_completion
from .trace import Trace, by_prompt, grouped
from .typed import check_fields, make


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
        continues (`list[str]`, *optional*):
            Earlier evaluations that this one goes on with, by the names of their stages or by their folders: those of their
            samples that are what is asked for here are copied, and not made again.
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
    continues: list[str] = field(default_factory=list)

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
    return mean_and_error(means) if means else None


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
    known = {*accuracy, "think_format", "language_consistency", scorer}
    for reward in dict.fromkeys(name for trace in traces for name in trace.rewards if name not in known):
        values[f"reward/{reward}"] = partial(lambda name, trace: trace.rewards.get(name), reward)
    if scorer:
        values["general_win_rate"] = lambda trace: _win(trace, scorer, reference_scores or {})

    # By prompt, once: those of a domain are those of the whole.
    pools = {prompt: _pool(group, accuracy, best_of_n) for prompt, group in by_prompt(traces).items()}

    def summary(traces: Sequence[Trace]) -> dict[str, Any]:
        prompts = by_prompt(traces)
        metrics: dict[str, Any] = {"n_prompts": len(prompts), "n_samples": len(traces)}
        metrics |= _mean("pass@1", prompts, lambda trace: _right(trace, accuracy))
        metrics |= _at_k([pools[prompt] for prompt in prompts], ks)
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
    if curves := scaling_curves([pool for pool in pools.values() if len(pool.right) > 1]):
        metrics["scaling"] = curves
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
    return metrics | _at_k([_pool(group, accuracy) for group in hard.values()], ks)


def _mean(name: str, prompts: Mapping[str, list[Trace]], value: Callable[[Trace], float | None]) -> dict[str, float]:
    found = clustered([[v for v in map(value, group) if v is not None] for group in prompts.values()])
    return {name: found[0], f"{name}_stderr": found[1]} if found else {}


def _pool(group: Sequence[Trace], accuracy: Sequence[str], best_of_n: str | None = None) -> Pool:
    """Return what one prompt's judged samples say about choosing among them."""
    judged, right = _judged(group, accuracy)
    votes = group_votes(judged, right) if any(right) and not all(right) else [0] * len(judged)
    scores = tuple(trace.rewards.get(best_of_n) for trace in judged) if best_of_n else ()
    tokens = sum(trace.n_tokens for trace in judged) / len(judged) if judged else 0.0
    return Pool(tuple(right), tuple(votes), tokens, scores)


def _at_k(pools: Sequence[Pool], ks: Sequence[int]) -> dict[str, float]:
    names = [*(f"pass@{k}" for k in ks), *(f"cons@{k}" for k in ks), "best_of_n"]
    found: dict[str, list[float]] = {name: [] for name in names}
    for pool in pools:
        n = len(pool.right)
        for k in (k for k in ks if k <= n):
            found[f"pass@{k}"].append(pass_at_k(n, sum(pool.right), k))
            found[f"cons@{k}"].append(consensus_at_k(pool.votes, pool.right, k))
        scored = [(score, is_right) for score, is_right in zip(pool.scores, pool.right) if score is not None]
        if scored:
            scores, right = zip(*scored)
            found["best_of_n"].append(best_of_k(scores, right, len(scored)))
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
