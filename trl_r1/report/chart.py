"""Line charts as inline SVG: small, labelled, the same in light and dark."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from ..scores import show


WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 10, 28
MAX_POINTS = 240
MAX_LINES = 8


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
    points: tuple[tuple[float, float], ...]

    @property
    def start(self) -> float:
        """Mean of the first tenth."""
        tenth = self.points[: max(1, len(self.points) // 10)]
        return sum(y for _, y in tenth) / len(tenth)

    @property
    def end(self) -> float:
        """Mean of the last tenth."""
        tenth = self.points[-max(1, len(self.points) // 10) :]
        return sum(y for _, y in tenth) / len(tenth)


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
    lines: tuple[Line, ...] = field(default_factory=tuple)
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
        return draw(self)


def draw(panel: Panel) -> Markup:
    """Return the chart as an `<svg>`: thin raw curves, thick smoothed ones, both axes labelled."""
    steps = [x for line in panel.lines for x, _ in line.points]
    values = [y for line in panel.lines for _, y in line.points]
    x_low, x_high = min(steps), max(steps)
    x_high = x_high if x_high > x_low else x_low + 1
    y_ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if panel.share and min(values) >= 0 and max(values) <= 1 else ticks(values)
    y_low, y_high = min(y_ticks[0], *values), max(y_ticks[-1], *values)

    def x_at(step: float) -> float:
        return LEFT + (step - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_at(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    about = "; ".join(
        f"{line.label}: {show(line.start, panel.digits)} to {show(line.end, panel.digits)}" for line in panel.lines
    )
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(panel.title)}. {escape(about)}">'
    ]
    spacing = y_ticks[1] - y_ticks[0]
    for tick in y_ticks:
        at = f"{y_at(tick):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{at}" dy=".32em" text-anchor="end">{label(tick, spacing)}</text>'
        )
    x_ticks = [t for t in ticks([x_low, x_high], aim=5) if x_low <= t <= x_high and t == int(t)]
    for tick in x_ticks:
        x = x_at(tick)
        anchor = "end" if x > WIDTH - RIGHT - 8 else "start" if x < LEFT + 8 else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="{anchor}">{label(tick, 1)}</text>')
        parts.append(f'<path class="axis" d="M{x:.1f} {HEIGHT - BOTTOM}v4"/>')
    # Left of the axis, where no number can run into it.
    parts.append(f'<text class="tick" x="{LEFT - 6}" y="{HEIGHT - 9}" text-anchor="end">step</text>')
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
    )
    for number, line in enumerate(panel.lines, start=1):
        points = thin(line.points)
        smoothed = smooth(points)
        if smoothed is not points:
            parts.append(f'<path class="raw s{number}" d="{_path(points, x_at, y_at)}"/>')
        if len(points) == 1:
            x, y = points[0]
            parts.append(f'<circle class="dot f{number}" cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3"/>')
        else:
            parts.append(f'<path class="curve s{number}" d="{_path(smoothed, x_at, y_at)}"/>')
    return Markup("".join([*parts, "</svg>"]))


def _path(
    points: Sequence[tuple[float, float]], x_at: Callable[[float], float], y_at: Callable[[float], float]
) -> str:
    return "M" + "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in points)


def thin(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> Sequence[tuple[float, float]]:
    """Means of neighbours, so that no more than `most` points remain: a run of 10,000 steps fits the page."""
    if len(points) <= most:
        return points
    found = []
    for index in range(most):
        group = points[index * len(points) // most : (index + 1) * len(points) // most]
        found.append((sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)))
    return found


def smooth(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """
    A moving mean over an eighth of the curve, centred; the points themselves where there are fewer than twelve.
    """
    if len(points) < 12:
        return points
    half = max(1, len(points) // 16)
    found = []
    for index, (x, _) in enumerate(points):
        window = points[max(0, index - half) : index + half + 1]
        found.append((x, sum(y for _, y in window) / len(window)))
    return found


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
