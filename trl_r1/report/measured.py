"""
What a stage measured beyond the scores: curves (`{name: [[x, y, stderr], ...]}`) wherever they stand in `metrics.json`, and
the numbers of `emergence`. Tolerant of the form: what is no curve and no number is passed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..lineage import StageRecord
from ..scores import number, show
from .chart import Band, Chart, Line, Point


_Z = 1.96
_LOG_FROM = 8.0  # positions that span more than this are drawn on a logarithmic axis
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
    for path, points in _curves(stage.metrics):
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
    elif path and (points := _points(found)):
        yield path, points


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
        for key, value in found.items():
            yield from _numbers(value, (*path, str(key)))
    elif path and (value := number(found)) is not None:
        yield path, value
