"""The tables of the page: the scores of every model, what each builder kept and rejected."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..lineage import RunRecord
from ..scores import Score, number, scores_of, show


@dataclass(frozen=True)
class Cell:
    """One number: as shown, its standard error as shown, and whether no other model has a better one."""

    text: str
    stderr: str = ""
    best: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """Models by scores: rows are (name of the model, cells in the order of `columns`)."""

    columns: tuple[Score, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    note: str = ""


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


def score_table(models: Mapping[str, Mapping[str, Any]]) -> ScoreTable | None:
    """The evaluation table; `None` where nothing was measured."""
    columns = scores_of(models.values())
    return _table(columns, models) if columns else None


def _table(columns: Sequence[Score], models: Mapping[str, Mapping[str, Any]]) -> ScoreTable:
    best = {score.key: _best(score, [m.get(score.key) for m in models.values()]) for score in columns}

    def cell(score: Score, metrics: Mapping[str, Any]) -> Cell:
        value, stderr = number(metrics.get(score.key)), number(metrics.get(score.stderr_key))
        shown = "" if value is None or stderr is None else show(stderr, score.digits)
        return Cell(show(value, score.digits), shown, best=value is not None and value == best[score.key])

    rows = ((name, tuple(cell(score, metrics) for score in columns)) for name, metrics in models.items())
    return ScoreTable(tuple(columns), tuple(rows))


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
        cells = tuple(Cell(show(metrics.get(s.key), s.digits)) for s in columns)
        rows.append((name, (Cell(show(metrics.get("n_prompts"), 0)), *cells)))
    counted = Score("n_prompts", "Number of prompts that this model finds hard.", "", 0, "hard prompts")
    below = next((found for m in hard.values() if (found := number(m.get("hard_below"))) is not None), None)
    note = "" if below is None else f"Hard for a model: its own pass@1 on the prompt is below {below:g}."
    return ScoreTable((counted, *columns), tuple(rows), note)


def domain_table(models: Mapping[str, Mapping[str, Any]]) -> ScoreTable | None:
    """pass@1 by domain, for every model; `None` where fewer than two domains were measured."""
    found: dict[str, dict[str, Any]] = {name: {} for name in models}
    for name, metrics in models.items():
        domains = metrics.get("by_domain")
        for domain, value in domains.items() if isinstance(domains, Mapping) else ():
            found[name][str(domain)] = value.get("pass@1") if isinstance(value, Mapping) else value
    measured = dict.fromkeys(d for by_domain in found.values() for d, v in by_domain.items() if number(v) is not None)
    columns = [Score(d, f"pass@1 on prompts of the domain {d}.", heading=d) for d in measured]
    return _table(columns, found) if len(columns) > 1 else None


def comparison_table(comparisons: Sequence[Mapping[str, Any]]) -> ScoreTable | None:
    """
    Each model against the one before it, and the last against the first; `None` where nothing was compared.

    Args:
        comparisons (`Sequence[Mapping[str, Any]]`):
            Every two models, as [`~paired.compare_all`] returns them.
    """
    order = list(dict.fromkeys(name for each in comparisons for name in each["models"]))
    wanted = [*itertools.pairwise(order), *([(order[0], order[-1])] if len(order) > 2 else [])]
    by_pair = {tuple(each["models"]): each for each in comparisons}
    rows = []
    for pair in wanted:
        if (found := by_pair.get(pair)) is not None:
            difference, stderr = number(found.get("difference")), number(found.get("difference_stderr"))
            sign = "+" if difference and difference > 0 else ""
            cells = (
                Cell(sign + show(difference), show(stderr) if stderr is not None else ""),
                Cell(show(found.get("p_value"), 4)),
                Cell(show(found.get("n_prompts"), 0)),
            )
            rows.append((f"{pair[0]} → {pair[1]}", cells))
    columns = (
        Score("difference", "Mean over the problems of the second model's pass rate less the first's.", ""),
        Score("p_value", "Two-sided p-value of the sign-flip test on these differences.", "", heading="p"),
        Score("n_prompts", "Number of problems that both models were asked.", "", 0, "problems"),
    )
    return ScoreTable(columns, tuple(rows)) if rows else None


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


def _best(score: Score, values: list[Any]) -> float | None:
    """The best of several values; `None` where there is nothing to compare, or no better and worse."""
    measured = [v for value in values if (v := number(value)) is not None]
    if not score.better or len(measured) < 2 or min(measured) == max(measured):
        return None
    return max(measured) if score.better == "high" else min(measured)
