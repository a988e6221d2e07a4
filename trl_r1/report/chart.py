"""Line charts as inline SVG: small, labelled, the same in light and dark."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup

from ..scores import show
from ..templates import templates


TEMPLATES = Path(__file__).parent / "templates"
WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 42, WIDTH - 12, 10, HEIGHT - 28  # of the axes
MAX_POINTS = 240
MAX_LINES = 8

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """
    One curve.

    Args:
        label (`str`):
            Name in the legend.
        points (`tuple[tuple[float, float], ...]`):
            Step and value, in order of steps; finite.
    """

    label: str
    points: tuple[Point, ...]

    @property
    def start(self) -> float:
        """Mean of the first tenth."""
        return _mean(self.points[: max(1, len(self.points) // 10)])[1]

    @property
    def end(self) -> float:
        """Mean of the last tenth."""
        return _mean(self.points[-max(1, len(self.points) // 10) :])[1]


@dataclass(frozen=True)
class Panel:
    """
    One small chart.

    Args:
        title (`str`):
            What is measured, with its unit.
        lines (`tuple[Line, ...]`):
            At least one curve, each with at least one point.
        share (`bool`):
            Whether the values are shares of 1: their axis runs from 0 to 1, so that panels compare.
        digits (`int`):
            Digits of the values shown beside the title.
        left_out (`int`):
            Number of curves left out.
    """

    title: str
    lines: tuple[Line, ...]
    share: bool = False
    digits: int = 2
    left_out: int = 0

    @property
    def summary(self) -> str:
        """`0.31 → 0.94`: the means of the first and of the last tenth of the only curve."""
        if len(self.lines) != 1:
            return ""
        line = self.lines[0]
        if len(line.points) < 2:
            return show(line.end, self.digits)
        return f"{show(line.start, self.digits)} → {show(line.end, self.digits)}"

    @property
    def svg(self) -> Markup:
        """The chart as an `<svg>`: thin raw curves, thick smoothed ones, both axes labelled."""
        steps = [x for line in self.lines for x, _ in line.points]
        values = [y for line in self.lines for _, y in line.points]
        first, last = min(steps), max(steps)
        last = last if last > first else first + 1
        shares = self.share and min(values) >= 0 and max(values) <= 1
        y_ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if shares else ticks(values)
        x = _scale(first, last, LEFT, RIGHT)
        y = _scale(min(y_ticks[0], *values), max(y_ticks[-1], *values), BOTTOM, TOP)

        def path(points: Sequence[Point]) -> str:
            return "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)

        thinned = [thin(line.points) for line in self.lines]
        x_ticks = [tick for tick in ticks([first, last], aim=5) if first <= tick <= last and tick == int(tick)]
        return svg(
            "chart.svg.jinja",
            panel=self,
            frame=(WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM),
            x_ticks=[(x(tick), label(tick, 1)) for tick in x_ticks],
            y_ticks=[(y(tick), label(tick, y_ticks[1] - y_ticks[0])) for tick in y_ticks],
            curves=[(path(points), path(smooth(points))) for points in thinned],
        )


def svg(template: str, **values: Any) -> Markup:
    """Render a template of the report that draws a picture."""
    return Markup(templates(TEMPLATES, html=True).get_template(template).render(**values))


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Map values from `low` to `high` to positions from `start` to `end`."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def thin(points: Sequence[Point], most: int = MAX_POINTS) -> Sequence[Point]:
    """Means of neighbours, so that no more than `most` points remain: a run of 10,000 steps fits the page."""
    if len(points) <= most:
        return points
    edges = [index * len(points) // most for index in range(most + 1)]
    return [_mean(points[start:end]) for start, end in pairwise(edges)]


def smooth(points: Sequence[Point]) -> Sequence[Point]:
    """
    A moving mean over an eighth of the curve, centred; the points themselves where there are fewer than twelve.
    """
    if len(points) < 12:
        return points
    half = max(1, len(points) // 16)
    return [(x, _mean(points[max(0, i - half) : i + half + 1])[1]) for i, (x, _) in enumerate(points)]


def _mean(points: Sequence[Point]) -> Point:
    return fmean(x for x, _ in points), fmean(y for _, y in points)


def ticks(values: Sequence[float], aim: int = 4) -> list[float]:
    """Round numbers that span the values, about `aim` steps of them."""
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(high)):
        # A flat curve lies in the middle of its panel.
        margin = abs(high) / 2 or 1.0
        low, high = low - margin, high + margin
    raw = (high - low) / aim
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]


def label(tick: float, spacing: float) -> str:
    """A tick as short as it can be: `0.25`, `12k`, `1e-5`."""
    if tick == 0:
        return "0"
    if abs(tick) >= 10_000:
        return f"{tick / 1000:g}k"
    if spacing < 1e-3:
        return f"{tick:.1e}".replace("e-0", "e-")
    digits = max(0, -math.floor(math.log10(spacing) + 1e-9))
    if abs(spacing * 10**digits - round(spacing * 10**digits)) > 1e-6:
        digits += 1
    return f"{tick:,.{digits}f}"
