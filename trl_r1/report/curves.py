"""The curves of each training stage: those that its kind declares, drawn from the stage's log."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..kinds import Curve
from ..lineage import RunRecord, StageRecord
from ..scores import number
from .chart import MAX_LINES, Line, Panel


# What any trainer of transformers or TRL logs: drawn where a kind names no curves, or none of those that were logged.
DEFAULT_CURVES = (
    Curve("Loss", ("loss", "eval_loss"), labels=("training", "held-out"), digits=3),
    Curve("Reward", ("reward",)),
    Curve("Learning rate", ("learning_rate",)),
    Curve("Norm of the gradient", ("grad_norm",)),
)


@dataclass(frozen=True)
class StageCurves:
    """
    The panels of one training stage.

    Args:
        stage ([`~lineage.StageRecord`]):
            The stage.
        panels (`tuple[Panel, ...]`):
            Its charts; none where it has logged nothing yet.
        empty (`tuple[str, ...]`):
            Titles of the curves that its kind declares and for which its log holds nothing to draw.
    """

    stage: StageRecord
    panels: tuple[Panel, ...]
    empty: tuple[str, ...] = ()


def curves_of(run: RunRecord) -> list[StageCurves]:
    """Return the curves of every stage that trains or has a trainer's log, in the order of the recipe."""
    found = []
    for stage in run.stages:
        declared = stage.about.curves if stage.about else ()
        if not (stage.log_history or declared or (stage.about and stage.about.trains)):
            continue
        panels = panels_of(declared, stage.log_history)
        drawn = {panel.title for panel in panels}
        empty = tuple(curve.title for curve in declared if curve.title not in drawn) if stage.log_history else ()
        found.append(StageCurves(stage, tuple(panels or panels_of(DEFAULT_CURVES, stage.log_history)), empty))
    return found


def panels_of(curves: Iterable[Curve], history: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """
    Draw curves from a log; one that the log does not hold has no panel.

    Args:
        curves (`Iterable[Curve]`):
            What to draw.
        history (`Sequence[Mapping[str, Any]]`):
            `log_history` of `trainer_state.json`.
    """
    return [panel for curve in curves if (panel := _panel(curve, history)) is not None]


def _panel(curve: Curve, history: Sequence[Mapping[str, Any]]) -> Panel | None:
    logged = list(dict.fromkeys(str(key) for entry in history for key in entry))
    named: list[Line] = []
    matched: list[Line] = []
    for index, pattern in enumerate(curve.keys):
        for key in (key for key in logged if fnmatchcase(key.lower(), pattern.lower())):
            points = _points(history, key)
            if points and "*" in pattern:
                start, end = pattern.index("*"), len(key) - len(pattern) + pattern.rindex("*") + 1
                matched.append(Line(key[start:end], points))
            elif points:
                label = curve.labels[index] if index < len(curve.labels) else key.rsplit("/", 1)[-1]
                named.append(Line(label, points))
    count = len(named) + len(matched)
    if count > MAX_LINES:  # the largest, and none that is zero throughout
        matched.sort(key=lambda line: -_size(line))
        matched = [line for line in matched if _size(line) > 0][: max(0, MAX_LINES - len(named))]
    lines = (*named, *matched)[:MAX_LINES]
    if not lines:
        return None
    largest = max(abs(y) for line in lines for _, y in line.points)
    digits = curve.digits
    if 0 < largest < 0.01 and not curve.share:
        digits = max(digits + 2, 1 - math.floor(math.log10(largest)))
    return Panel(curve.title, lines, curve.share, digits, count - len(lines))


def _size(line: Line) -> float:
    return sum(abs(y) for _, y in line.points)


def _points(history: Iterable[Mapping[str, Any]], key: str) -> tuple[tuple[float, float], ...]:
    """Step and value wherever both are finite numbers, one value a step: a resumed run may have logged a step twice."""
    found: dict[float, float] = {}
    for entry in history:
        step, value = number(entry.get("step")), number(entry.get(key))
        if step is not None and value is not None:
            found[step] = value
    return tuple(sorted(found.items()))
