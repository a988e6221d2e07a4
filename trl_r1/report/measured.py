"""
What a stage measured beyond the scores. Tolerant of the form: what is none of these is passed over.

- Curves wherever they stand in `metrics.json`: `{name: [[x, y, stderr], ...]}`, or points by name
  (`{"samples": 4, "tokens": 120, "accuracy": .8, "stderr": .01}`), which give a curve over samples and one over tokens.
- `emergence`: for each model its metrics under each intervention (`forbidden`, `budget-64`), or plain numbers.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..lineage import StageRecord
from ..scores import number, show
from .chart import Band, Chart, Line, Point
from .tables import ScoreTable, score_table


_Z = 1.96
_LOG_FROM = 8.0  # positions that span more than this are drawn on a logarithmic axis
_BUDGET = re.compile(r"budget\D*(\d+)")
_OF_POINTS = {"samples": "samples", "tokens": "tokens"}  # positions of points by name
_ACROSS = {"budget": "tokens of thought allowed", "tokens": "tokens", "samples": "samples"}


@dataclass(frozen=True)
class Fact:
    """A number of `emergence`: for which model, what, and its value."""

    model: str
    name: str
    value: str


def curve_charts(stage: StageRecord) -> list[Chart]:
    """The curves in a stage's metrics: one chart for each name, a line for each model."""
    found: dict[str, list[Line]] = {}
    for path, points in (*_curves(stage.metrics), *_budgets(stage)):
        models = path[:1] == ("models",) and len(path) > 2
        label, name = (path[1], path[2:]) if models else (path[-1], path[:-1] or path)
        title = " ".join(part for part in name if part != "curves").replace("_", " ")
        lines = found.setdefault(title, [])
        band: tuple[Band, ...] = tuple((p[0], p[1] - _Z * p[2], p[1] + _Z * p[2]) for p in points if len(p) > 2)
        values: tuple[Point, ...] = tuple((p[0], p[1]) for p in points)
        lines.append(Line(label, values, band, color=len(lines)))
    return [_chart(title, lines) for title, lines in found.items()]


def _chart(title: str, lines: Sequence[Line]) -> Chart:
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    share = min(ys) >= 0 and max(ys) <= 1
    across = next((text for word, text in _ACROSS.items() if word in title), "")
    banded = any(line.band for line in lines)
    return Chart(
        title[:1].upper() + title[1:],
        tuple(lines),
        axis="pass@1" if share else title,
        across=across or "x",
        share=share,
        digits=3 if share else 2,
        note="Band: 95 % interval." if banded else "",
        smooth=False,
        log_x=min(xs) > 0 and max(xs) / min(xs) > _LOG_FROM,
    )


def _curves(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[list[float]]]]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _curves(value, (*path, str(key)))
    elif path and isinstance(found, list):
        for name, points in (("", _points(found)), *_named_points(found)):
            if points:
                yield (*path[:-1], f"{path[-1]}, over {name}") if name else path, points


def _named_points(found: list[Any]) -> Iterator[tuple[str, list[list[float]]]]:
    """Of points by name, accuracy over each position that they have."""
    points = [entry for entry in found if isinstance(entry, Mapping)]
    for name in _OF_POINTS if len(points) == len(found) > 1 else ():
        values = [[number(p.get(key)) for key in (name, "accuracy", "stderr")] for p in points]
        if all(x is not None and y is not None for x, y, _ in values):
            yield name, sorted([v for v in value if v is not None] for value in values)


def _budgets(stage: StageRecord) -> Iterator[tuple[tuple[str, ...], list[list[float]]]]:
    """pass@1 of each model by its budget of thought."""
    for model, measured in interventions_of(stage).items():
        found = [(int(match[1]), m) for name, m in measured.items() if (match := _BUDGET.fullmatch(name))]
        points = [[budget, number(m.get("pass@1")), number(m.get("pass@1_stderr"))] for budget, m in sorted(found)]
        if len(points) > 1:
            yield ("models", model, "budget of thought"), [[v for v in p if v is not None] for p in points]


def interventions_of(stage: StageRecord) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The metrics of each model under each intervention of `emergence`."""
    models = stage.metrics.get("emergence")
    return {
        str(model): {
            str(name): m
            for name, m in measured.items()
            if isinstance(m, Mapping) and number(m.get("pass@1")) is not None
        }
        for model, measured in (models if isinstance(models, Mapping) else {}).items()
        if isinstance(measured, Mapping)
    }


def interventions_table(stage: StageRecord) -> ScoreTable | None:
    """
    Each model as it is, and under each intervention but the budgets, which are a chart.

    Where `emergence.domains` of the stage's config names one domain, a model as it is is measured there as well.
    """
    config = stage.config.get("emergence")
    domains = config.get("domains") if isinstance(config, Mapping) else None
    found: dict[str, Mapping[str, Any]] = {}
    for model, measured in interventions_of(stage).items():
        whole = (stage.metrics.get("models") or {}).get(model) or {}
        if domains:
            whole = (whole.get("by_domain") or {}).get(domains[0]) or {} if len(domains) == 1 else {}
        others = {f"{model}, {name}": m for name, m in measured.items() if not _BUDGET.fullmatch(name)}
        if others:
            found |= ({f"{model}, as it is": whole} if whole else {}) | others
    wanted = ("pass@1", "mean_tokens", "with_reflection", "reflection_per_completion")
    rows = {name: {k: v for k, v in m.items() if k.removesuffix("_stderr") in wanted} for name, m in found.items()}
    table = score_table(rows)
    return table and replace(
        table, rows=tuple((n, tuple(replace(c, best=False) for c in cells)) for n, cells in table.rows)
    )


def _points(found: Any) -> list[list[float]]:
    """The list as points of two or three numbers, in order; empty where it is none."""
    if not isinstance(found, list) or len(found) < 2:
        return []
    points = []
    for entry in found:
        if not isinstance(entry, (list, tuple)) or len(entry) not in (2, 3):
            return []
        values = [number(value) for value in entry]
        if values[0] is None or values[1] is None:
            return []
        points.append([value for value in values if value is not None])
    return sorted(points)


def emergence_facts(stage: StageRecord) -> list[Fact]:
    """The numbers under `emergence` in a stage's metrics, for each model or for all together."""
    models = stage.metrics.get("models")
    places = [("", stage.metrics.get("emergence"))]
    places += [
        (str(n), m.get("emergence"))
        for n, m in (models if isinstance(models, Mapping) else {}).items()
        if isinstance(m, Mapping)
    ]
    return [
        Fact(model, " ".join(path).replace("_", " "), show(value))
        for model, found in places
        for path, value in _numbers(found)
    ]


def _numbers(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(found, Mapping):
        for key, value in found.items() if "pass@1" not in found else ():  # that is an intervention's
            yield from _numbers(value, (*path, str(key)))
    elif path and (value := number(found)) is not None:
        yield path, value
