"""What a chart draws: lines of points, with bands. Pure; report.js draws them with Observable Plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from ..scores import show


MAX_POINTS = 240
MAX_LINES = 8

Point = tuple[float, float]
Band = tuple[float, float, float]


@dataclass(frozen=True)
class Line:
    """
    One curve.

    Args:
        label (`str`):
            Name in the legend.
        points (`tuple[tuple[float, float], ...]`):
            Position and value, in order; finite.
        band (`tuple[tuple[float, float, float], ...]`, *optional*):
            Position, low and high: what the value may be.
        color, dash (`int`, *optional*, defaults to `0`):
            Which of the page's colours and dash patterns.
        scale (`float`, *optional*, defaults to `1`):
            What 1 on the vertical axis stands for, where curves of several units share it.
    """

    label: str
    points: tuple[Point, ...]
    band: tuple[Band, ...] = ()
    color: int = 0
    dash: int = 0
    scale: float = 1.0

    @property
    def start(self) -> float:
        """Mean of the first tenth."""
        return _mean(self.points[: max(1, len(self.points) // 10)])[1]

    @property
    def end(self) -> float:
        """Mean of the last tenth."""
        return _mean(self.points[-max(1, len(self.points) // 10) :])[1]


@dataclass(frozen=True)
class Chart:
    """
    One chart.

    Args:
        title (`str`):
            What is measured.
        lines (`tuple[Line, ...]`):
            At least one curve, each with at least one point.
        axis (`str`, *optional*):
            Name of the vertical axis; by default the title.
        across (`str`, *optional*, defaults to `"step"`):
            Name of the horizontal axis.
        share (`bool`, *optional*, defaults to `False`):
            Whether the values are shares of 1: their axis runs from 0 to 1, so that charts compare.
        digits (`int`, *optional*, defaults to `2`):
            Digits of the values shown.
        left_out (`int`, *optional*, defaults to `0`):
            Number of curves left out.
        note (`str`, *optional*):
            What the bands are, or what else has to be said.
        marks (`tuple[tuple[float, str], ...]`, *optional*):
            Positions that are marked by a vertical rule, each with its text.
        smooth (`bool`, *optional*, defaults to `True`):
            Whether a moving mean is drawn over the points.
        log_x (`bool`, *optional*, defaults to `False`):
            Whether the horizontal axis is logarithmic.
    """

    title: str
    lines: tuple[Line, ...]
    axis: str = ""
    across: str = "step"
    share: bool = False
    digits: int = 2
    left_out: int = 0
    note: str = ""
    marks: tuple[tuple[float, str], ...] = ()
    smooth: bool = True
    log_x: bool = False

    @property
    def summary(self) -> str:
        """`0.31 → 0.94`: the means of the first and of the last tenth of the only curve."""
        return self.change(self.lines[0]) if len(self.lines) == 1 else ""

    def change(self, line: Line) -> str:
        """`0.31 → 0.94`: the means of the first and of the last tenth of a curve."""
        if len(line.points) < 2:
            return show(line.end, self.digits)
        return f"{show(line.start, self.digits)} → {show(line.end, self.digits)}"

    @property
    def constant(self) -> str:
        """The one value of all its curves; empty where they have several, or too few points to say so."""
        values = {y for line in self.lines for _, y in line.points}
        return show(values.pop(), self.digits) if len(values) == 1 and len(self.lines[0].points) > 2 else ""

    @property
    def legend(self) -> list[tuple[int, int, str, str]]:
        """Colour, dash, name and change of each entry: a curve, or, where stages share quantities, a quantity or a stage."""
        by_color: dict[int, list[Line]] = {}
        for line in self.lines:
            by_color.setdefault(line.color, []).append(line)
        if not any(line.dash for line in self.lines) or len(by_color) == len(self.lines):
            return [(line.color, line.dash, line.label, self.change(line)) for line in self.lines]
        found = []
        for color, lines in by_color.items():
            of_stage = "; ".join(self.change(line) for line in lines)
            found.append((color, 0, lines[0].label.rpartition(": ")[2], of_stage))
        stages = {line.dash: line.label.rpartition(": ")[0] for line in self.lines}
        return found + [(-1, dash, stage, "") for dash, stage in sorted(stages.items())]

    @property
    def alternative(self) -> str:
        """What the chart says, for who cannot see it."""
        return f"{self.title}. " + "; ".join(f"{line.label}: {self.change(line)}" for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """What report.js draws: no curve has more than `MAX_POINTS` points."""
        lines = [
            {
                "label": line.label,
                "color": line.color,
                "dash": line.dash,
                "scale": _short(line.scale),
                "points": [[_short(x), _short(y)] for x, y in thin(line.points)],
                "band": [[_short(value) for value in each] for each in thin_band(line.band)],
            }
            for line in self.lines
        ]
        values = [y / line.scale for line in self.lines for _, y in line.points]
        return {
            "title": self.title,
            "x": self.across,
            "y": self.axis or self.title,
            "share": self.share and min(values) >= 0 and max(values) <= 1,
            "digits": self.digits,
            "smooth": self.smooth,
            "log": self.log_x,
            "marks": [[_short(x), text] for x, text in self.marks],
            "lines": lines,
        }


def _short(value: float) -> float:
    """Five significant digits: more cannot be seen."""
    found = float(f"{value:.5g}")
    return int(found) if found == int(found) and abs(found) < 1e15 else found


def thin(points: Sequence[Point], most: int = MAX_POINTS) -> Sequence[Point]:
    """Means of neighbours, so that no more than `most` points remain: a run of 10,000 steps fits the page."""
    if len(points) <= most:
        return points
    edges = [index * len(points) // most for index in range(most + 1)]
    return [_mean(points[start:end]) for start, end in pairwise(edges)]


def thin_band(band: Sequence[Band], most: int = MAX_POINTS) -> Sequence[Band]:
    """A band in no more than `most` places: of neighbours, the mean of what is low and of what is high."""
    lows, highs = thin([(x, low) for x, low, _ in band], most), thin([(x, high) for x, _, high in band], most)
    return [(x, low, high) for (x, low), (_, high) in zip(lows, highs, strict=True)]


def over_seeds(runs: Sequence[Sequence[Point]]) -> tuple[tuple[Point, ...], tuple[Band, ...]]:
    """
    The mean of a curve over runs, and its range from the lowest to the highest run, at the positions that all have.

    Args:
        runs (`Sequence[Sequence[tuple[float, float]]]`):
            The curve in each run.
    """
    known = [dict(points) for points in runs if points]
    common = sorted(set.intersection(*map(set, known))) if known else []
    values = [(x, [run[x] for run in known]) for x in common]
    band = tuple((x, min(each), max(each)) for x, each in values) if len(known) > 1 else ()
    return tuple((x, fmean(each)) for x, each in values), band


def _mean(points: Sequence[Point]) -> Point:
    return fmean(x for x, _ in points), fmean(y for _, y in points)


def digits_for(points: Sequence[Point], digits: int) -> int:
    """More digits than asked where all values are small."""
    largest = max((abs(y) for _, y in points), default=0.0)
    return max(digits + 2, 1 - math.floor(math.log10(largest))) if 0 < largest < 0.01 else digits
