"""The tables of the page: the scores of every model, what each builder kept and rejected."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..lineage import RunRecord
from ..scores import Score, number, scores_of, show


_Z = 1.96
_NOT_APART = 0.05  # p-value from which on two models are not told apart
BY_DOMAIN = ("pass@1", "mean_tokens", "reflection_per_completion", "reflection_per_1000_words")


@dataclass(frozen=True)
class Cell:
    """
    One number.

    Args:
        text (`str`):
            As shown.
        stderr (`str`, *optional*):
            Its standard error as shown.
        best (`bool`, *optional*, defaults to `False`):
            Whether no other model is shown to be better.
        value (`float`, *optional*):
            The number itself, by which the table is sorted.
        title (`str`, *optional*):
            What a pointer over it shows: the value of each seed.
    """

    text: str
    stderr: str = ""
    best: bool = False
    value: float | None = None
    title: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """Models by scores: rows are (name of the model, cells in the order of `columns`). `folded`: columns of one value."""

    columns: tuple[Score, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    note: str = ""
    folded: tuple[tuple[Score, str], ...] = ()


@dataclass(frozen=True)
class Bar:
    """One bar of a builder: what became of so many samples."""

    label: str
    count: int
    percent: float
    kept: bool


@dataclass(frozen=True)
class Selection:
    """What one builder kept and rejected."""

    stage: str
    kind: str
    seen: int
    kept: int
    bars: tuple[Bar, ...]
    by_domain: tuple[tuple[str, int], ...]


Comparisons = Sequence[Mapping[str, Any]]


def score_table(models: Mapping[str, Mapping[str, Any]], comparisons: Comparisons = ()) -> ScoreTable | None:
    """
    The evaluation table; `None` where nothing was measured.

    Args:
        models (`Mapping[str, Mapping[str, Any]]`):
            Metrics by model.
        comparisons (`Sequence[Mapping[str, Any]]`, *optional*):
            The paired comparisons of pass@1, as [`~paired.compare_all`] returns them.
    """
    columns = scores_of(models.values())
    return _table(columns, models, comparisons) if columns else None


def _table(
    columns: Sequence[Score], models: Mapping[str, Mapping[str, Any]], comparisons: Comparisons = ()
) -> ScoreTable:
    best = {score.key: best_of(score, models, comparisons) for score in columns}

    def cell(score: Score, name: str, metrics: Mapping[str, Any]) -> Cell:
        value, stderr = number(metrics.get(score.key)), number(metrics.get(score.stderr_key))
        shown = "" if value is None or stderr is None else show(stderr, score.digits)
        seeds = metrics.get(f"{score.key}_by_seed")
        title = ", ".join(f"{run}: {show(v, score.digits)}" for run, v in seeds.items()) if seeds else ""
        return Cell(show(value, score.digits), shown, name in best[score.key], value, title)

    return _folded(
        columns, [(n, tuple(cell(score, n, metrics) for score in columns)) for n, metrics in models.items()]
    )


def _folded(columns: Sequence[Score], rows: Sequence[tuple[str, tuple[Cell, ...]]], note: str = "") -> ScoreTable:
    """The table without the columns that have one value, but for its first."""
    alike = [i for i in range(len(columns)) if len(rows) > 1 and len({cells[i].text for _, cells in rows}) == 1]
    kept = [i for i in range(len(columns)) if i not in alike] or [0]
    return ScoreTable(
        tuple(columns[i] for i in kept),
        tuple((name, tuple(cells[i] for i in kept)) for name, cells in rows),
        note,
        folded=tuple((columns[i], rows[0][1][i].text) for i in alike if i not in kept),
    )


def best_of(score: Score, models: Mapping[str, Mapping[str, Any]], comparisons: Comparisons = ()) -> set[str]:
    """
    The models that are not shown to be worse than the best in a score; none where all are, or nothing is better or worse.

    For pass@1 that is asked of the paired comparison over prompts (p below .05); for other scores of their standard errors,
    as if the models had been measured on different prompts, which is the more careful; without standard errors the best
    stands alone. Standard errors over a few seeds are compared by the t distribution.
    """
    values = {name: value for name, m in models.items() if (value := number(m.get(score.key))) is not None}
    if not score.better or len(values) < 2 or len(set(values.values())) == 1:
        return set()
    best = (max if score.better == "high" else min)(values, key=lambda name: values[name])
    by_pair = {frozenset(each["models"]): number(each.get("p_value")) for each in comparisons}

    def apart(name: str) -> bool:
        p_value = by_pair.get(frozenset((best, name))) if score.key == "pass@1" else None
        if p_value is not None:
            return p_value < _NOT_APART
        if show(values[best], score.digits) == show(values[name], score.digits):
            return False
        errors = [number(models[each].get(score.stderr_key)) for each in (best, name)]
        seeds = [len(models[each].get(f"{score.key}_by_seed") or ()) for each in (best, name)]
        quantile = t_quantile(sum(seeds) - 2) if all(seeds) else _Z
        margin = quantile * math.hypot(*(error or 0.0 for error in errors)) if None not in errors else 0.0
        return abs(values[best] - values[name]) > margin

    found = {name for name in values if name == best or not apart(name)}
    return found if len(found) < len(values) else set()


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of the t distribution, within 4 % from two degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z, v = _Z, max(freedom, 2)
    first = (z**3 + z) / (4 * v)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return z + first + second + third


def sizes_of(models: Mapping[str, Mapping[str, Any]]) -> str:
    """On how many prompts and samples an evaluation rests: `240 prompts, 960 to 4,800 samples`; empty if unknown."""
    found = []
    for key, name in (("n_prompts", "prompts"), ("n_samples", "samples")):
        sizes = [size for m in models.values() if (size := number(m.get(key))) is not None]
        if sizes:
            low, high = show(min(sizes), 0), show(max(sizes), 0)
            found.append(f"{low} {name}" if low == high else f"{low} to {high} {name}")
    return ", ".join(found)


def hard_table(models: Mapping[str, Mapping[str, Any]]) -> ScoreTable | None:
    """pass@1, pass@k and cons@k on the prompts that each model itself finds hard."""
    hard = {name: m["hard"] for name, m in models.items() if isinstance(m.get("hard"), Mapping)}
    columns = [score for score in scores_of(hard.values()) if "@" in score.key]
    if not columns:
        return None
    rows = []
    for name, metrics in hard.items():
        cells = tuple(Cell(show(metrics.get(s.key), s.digits), value=number(metrics.get(s.key))) for s in columns)
        hard_prompts = Cell(show(metrics.get("n_prompts"), 0), value=number(metrics.get("n_prompts")))
        rows.append((name, (hard_prompts, *cells)))
    counted = Score("n_prompts", "Number of prompts that this model finds hard.", "", 0, "hard prompts")
    below = next((found for m in hard.values() if (found := number(m.get("hard_below"))) is not None), None)
    note = "" if below is None else f"Hard for a model: its own pass@1 on the prompt is below {below:g}."
    return ScoreTable((counted, *columns), tuple(rows), note)


def domain_tables(models: Mapping[str, Mapping[str, Any]]) -> list[tuple[Score, ScoreTable]]:
    """pass@1, length and reflection by domain, for every model: each where two domains or more were measured."""
    found = []
    for score in scores_of(_of_domains(models)):
        if score.key not in BY_DOMAIN:
            continue
        by_model: dict[str, dict[str, Any]] = {name: {} for name in models}
        for name, metrics in models.items():
            for domain, value in _domains(metrics).items():
                whole = value if isinstance(value, Mapping) else {"pass@1": value}
                by_model[name][domain] = whole.get(score.key)
                by_model[name][f"{domain}_stderr"] = whole.get(score.stderr_key)
        names = dict.fromkeys(d for m in models.values() for d in _domains(m))
        measured = [d for d in names if any(number(values.get(d)) is not None for values in by_model.values())]
        if len(measured) > 1:
            columns = [replace(score, key=d, heading=d, meaning=f"{score.title}: {d}") for d in measured]
            found.append((score, _table(columns, by_model)))
    return found


def _domains(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    domains = metrics.get("by_domain")
    found = domains if isinstance(domains, Mapping) else {}
    return {str(name): value for name, value in found.items() if not str(name).endswith(("_stderr", "_by_seed"))}


def _of_domains(models: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    values = [value for metrics in models.values() for value in _domains(metrics).values()]
    return [value if isinstance(value, Mapping) else {"pass@1": value} for value in values]


def comparison_tables(comparisons: Comparisons) -> tuple[ScoreTable | None, ScoreTable | None]:
    """
    Each model against the one before it and the last against the first; and all other pairs. `None` where there are none.

    Args:
        comparisons (`Sequence[Mapping[str, Any]]`):
            Every two models, as [`~paired.compare_all`] returns them.
    """
    order = list(dict.fromkeys(name for each in comparisons for name in each["models"]))
    first = [*itertools.pairwise(order), *([(order[0], order[-1])] if len(order) > 2 else [])]
    others = [pair for pair in itertools.combinations(order, 2) if pair not in first]
    by_pair = {tuple(each["models"]): each for each in comparisons}
    return _pairs(first, by_pair), _pairs(others, by_pair)


def _pairs(
    pairs: Sequence[tuple[str, str]], by_pair: Mapping[tuple[str, ...], Mapping[str, Any]]
) -> ScoreTable | None:
    rows = []
    for pair in pairs:
        if (found := by_pair.get(pair)) is not None:
            difference, stderr = number(found.get("difference")), number(found.get("difference_stderr"))
            sign = "+" if difference and difference > 0 else ""
            cells = (
                Cell(sign + show(difference), show(stderr) if stderr is not None else "", value=difference),
                Cell(_p_value(found.get("p_value")), value=number(found.get("p_value"))),
                Cell(show(found.get("n_prompts"), 0), value=number(found.get("n_prompts"))),
            )
            rows.append((f"{pair[0]} → {pair[1]}", cells))
    columns = (
        Score("difference", "Mean over the problems of the second model's pass rate less the first's.", ""),
        Score("p_value", "Two-sided p-value of the sign-flip test on these differences.", "", heading="p"),
        Score("n_prompts", "Number of problems that both models were asked.", "", 0, "problems"),
    )
    return _folded(columns, rows) if rows else None


def _p_value(value: Any) -> str:
    found = number(value)
    return "< 0.0001" if found is not None and found < 1e-4 else show(value, 4)


def selections_of(run: RunRecord) -> list[Selection]:
    """What each builder kept and rejected, in the order of the recipe, most frequent reasons first."""
    found = []
    for stage in run.stages:
        selection = stage.selection
        kept, seen = number(selection.get("kept")), number(selection.get("seen"))
        if kept is None:
            continue
        reasons = _counts(selection.get("rejected"))
        whole = max(seen or 0, kept + sum(reasons.values()), 1)
        ranked = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
        bars = [Bar("kept", int(kept), 100 * kept / whole, True)]
        bars += [Bar(reason, count, 100 * count / whole, False) for reason, count in ranked]
        by_domain = tuple(_counts(selection.get("kept_by_domain")).items())
        found.append(Selection(stage.name, stage.kind, int(seen or whole), int(kept), tuple(bars), by_domain))
    return found


def _counts(found: Any) -> dict[str, int]:
    """What of a mapping are counts by name."""
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {str(name): int(count) for name, value in pairs if (count := number(value)) is not None}
