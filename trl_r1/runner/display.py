"""
What the reader of a terminal sees: one live line per running stage, plain lines where no terminal is, and tables.
"""

import errno
import itertools
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from ..scores import number, scores_of, show, show_duration
from .launch import read_progress


# Seconds between two lines about one stage where no terminal is.
_PLAIN_SECONDS = 60.0
# From so many columns on, a terminal has room for models in rows.
_WIDE = 100
_COLOURS = {"done": 32, "running": 36, "failed": 31, "FAILED": 31, "interrupted": 33}
# In a column of a table, and where a stage fails.
_STATES = re.compile(r"(?<=  )(?:done|running|failed|interrupted)(?=  |,| before|\n|$)|(?<=: )FAILED")


class Running(Protocol):
    """What is shown of a stage that runs, here or in a job."""

    folder: Path
    started: float

    @property
    def name(self) -> str: ...

    @property
    def seconds(self) -> float: ...


def progress_text(progress: dict[str, Any], eta_s: float | None) -> str:
    """Return how far a stage is: `38/150 steps  25%  reward 0.61  about 3 min 20 s left`."""
    step, total = number(progress.get("step")), number(progress.get("total"))
    if step is None:
        return ""
    parts = [f"{step:g}/{total:g} {progress.get('unit') or 'steps'}" if total else f"{step:g} {progress.get('unit')}"]
    if total:
        parts.append(f"{100 * step / total:3.0f}%")
    info = progress.get("info")
    for name, value in list(info.items())[:4] if isinstance(info, dict) else ():
        parts.append(f"{name} {value:.3g}" if number(value) is not None else f"{name} {value}")
    if eta_s is not None:
        parts.append(f"about {show_duration(eta_s)} left")
    return "  ".join(parts)


def run_text(
    done: int, stages: int, seconds: float, running: Sequence[float | None], waiting: Sequence[float | None]
) -> str:
    """
    Return how far a run is: `2 of 5 stages done, 4 min 10 s so far, about 12 min 03 s left`.

    Args:
        done (`int`), stages (`int`):
            Stages that are done, and all.
        seconds (`float`):
            How long the run has been at work.
        running (`Sequence[float | None]`):
            Seconds left of each stage that runs; `None` where they are not known yet.
        waiting (`Sequence[float | None]`):
            Seconds that each stage which waits took in an earlier run.
    """
    text = f"{done} of {stages} stages done, {show_duration(int(seconds))} so far"
    unknown = sum(each is None for each in (*running, *waiting))
    known = sum(each or 0.0 for each in waiting) / max(1, len(running))  # as many at once as now
    known += max((each or 0.0 for each in running), default=0.0)
    if not unknown:
        return f"{text}, about {show_duration(known)} left"
    rest = f"{unknown} stage{'s' if unknown > 1 else ''} whose time is not known yet"
    return f"{text}, about {show_duration(known)} left and {rest}" if known else f"{text}; left: {rest}"


class Display:
    """
    Live lines at the end of the standard output, with ordinary lines above them; where it is no terminal, ordinary lines.
    """

    def __init__(self) -> None:
        self.out: TextIO = sys.stdout
        self.live = self.out.isatty()
        self.colour = self.live and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.drawn = 0
        self.first: dict[str, tuple[float, float]] = {}
        self.said: dict[str, tuple[float, Any]] = {}

    def seconds_left(self, name: str, progress: dict[str, Any], now: float) -> float | None:
        """
        Return the estimate of the time left in seconds, or `None` before there is one: from the steps seen since the stage
        was started, as a resumed one does not begin at 0.
        """
        step, total = number(progress.get("step")), number(progress.get("total"))
        if step is None or not total or step >= total:
            return None
        since, at = self.first.setdefault(name, (now, step))
        if step < at:
            since, at = self.first[name] = (now, step)
        return (now - since) * (total - step) / (step - at) if step > at else None

    def say(self, text: str = "") -> None:
        """Write lines that stay."""
        self._clear()
        self._write(self.painted(text) + "\n")

    def painted(self, text: str) -> str:
        """Return a text with the states of stages in colour, where there is a terminal."""
        return _STATES.sub(lambda state: f"\x1b[{_COLOURS[state[0]]}m{state[0]}\x1b[0m", text) if self.colour else text

    def update(
        self, running: Sequence[Running], overall: Callable[[list[float | None]], str] = lambda left: ""
    ) -> None:
        """
        Show how far the running stages are.

        Args:
            running (`Sequence[Running]`):
                The stages.
            overall (`Callable`, *optional*):
                Says how far the run is, of the seconds left of each of them.
        """
        lines = []
        left = []
        now = time.monotonic()
        for stage in running:
            progress = read_progress(stage.folder)
            left.append(self.seconds_left(stage.name, progress, now))
            text = progress_text(progress, left[-1]) or "starting"
            lines.append(f"  {stage.name:<18} {show_duration(int(stage.seconds)):>12}  {text}")
            if not self.live:
                last, step = self.said.get(stage.name, (stage.started, None))
                # The first as soon as it can say how long it will take, where that is long.
                first = stage.name not in self.said and (left[-1] or 0.0) >= _PLAIN_SECONDS / 2
                if (first or now - last >= _PLAIN_SECONDS) and progress.get("step") != step:
                    self.said[stage.name] = (now, progress.get("step"))
                    self._write(f"{clock()} {stage.name}: {text}\n")
        if self.live:
            if running and (text := overall(left)):
                lines.append(f"  {text}")
            self._clear()
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._write("".join(line[:width] + "\n" for line in lines))
            self.drawn = len(lines)

    def forget(self, name: str) -> None:
        """Forget the pace of a stage that has ended."""
        self.first.pop(name, None)
        self.said.pop(name, None)

    def _clear(self) -> None:
        if self.drawn:
            self._write(f"\x1b[{self.drawn}A\x1b[J")
            self.drawn = 0

    def _write(self, text: str) -> None:
        try:
            self.out.write(text)
            self.out.flush()
        except UnicodeEncodeError:
            self.out.write(text.encode("ascii", "replace").decode())
            self.out.flush()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            # The terminal was closed, or `head` has seen enough: no reason for the stages to stop.
            self.out, self.live, self.drawn = open(os.devnull, "w"), False, 0  # noqa: SIM115


def clock() -> str:
    """Return the time of day."""
    return datetime.now().strftime("%H:%M:%S")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Return a table in plain text. `right`: the columns to align right."""
    right = set(right)
    rows = [tuple(str(cell) for cell in row) for row in rows]
    widths = [max(len(str(row[i])) for row in (head, *rows)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))
        )
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), line(["-" * width for width in widths]), *(line(row) for row in rows)])


def data_table(records: dict[str, dict[str, Any]]) -> str:
    """Return the table of `trl-r1 plan --data`: what [`~stages._data.read_data`] counted, a line for each source."""
    head = ["stage", "data", "rows", "left out", "no answer", "unreadable", "longest prompt", "cut short"]
    rows = []
    for name, record in records.items():
        for each in record["data"]:
            empty, unreadable = (
                "  ".join(f"{gold['reward']} {gold[key]}" for gold in each["golds"])
                if len(each["golds"]) > 1
                else "".join(str(gold[key]) for gold in each["golds"]) or "-"
                for key in ("empty", "unreadable")
            )
            longest = "-" if each["longest"] is None else str(each["longest"])
            cut = "-" if each["room"] is None else str(each["cut"])
            rows.append(
                [name, each["source"], str(each["rows"]), str(each["without"]), empty, unreadable, longest, cut]
            )
    return table(head, rows, right=range(2, len(head)))


def evaluation_table(models: dict[str, dict[str, Any]], width: int | None = None) -> str:
    """
    Return the table of an evaluation, as wide as the terminal at most: models in rows where there is room, else scores. What is
    the same for all models stands below it.

    Args:
        models (`dict[str, dict[str, Any]]`):
            Metrics of each model.
        width (`int`, *optional*):
            Columns of the terminal. By default those that it has, and 80 where there is none.
    """
    width = width or shutil.get_terminal_size().columns

    def cell(metrics: dict[str, Any], score: Any) -> str:
        value = number(metrics.get(score.key))
        if value is None:
            return "-"
        error = number(metrics.get(score.stderr_key))
        return show(value, score.digits) + (f" ±{show(error, score.digits)}" if error is not None else "")

    columns = {
        score.title: [cell(metrics, score) for metrics in models.values()] for score in scores_of(models.values())
    }
    shared = [title for title, cells in columns.items() if len(cells) > 1 and len(set(cells)) == 1]
    constant = {
        title: columns[title][0] for title in shared if title != next(iter(columns))
    }  # the first is what counts
    rows = [["model", *models], *([title, *cells] for title, cells in columns.items() if title not in constant)]
    wide = _right_aligned(zip(*rows))
    if width >= _WIDE and len(wide.partition("\n")[0]) <= width:
        parts = [wide]
    else:
        parts = []
        first, last = 1, len(rows[0])
        while first < len(rows[0]):  # as many models side by side as there is room for
            part = _right_aligned([row[0], *row[first:last]] for row in rows)
            if last == first + 1 or max(map(len, part.splitlines())) <= width:
                parts.append(part)
                first, last = last, len(rows[0])
            else:
                last -= 1
    if constant:
        same = ", ".join(f"{title} {value}" for title, value in constant.items())
        parts.append(textwrap.fill(f"The same for all: {same}", width, break_long_words=False))
    return "\n\n".join(parts)


def _right_aligned(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    return table(head, body, right=range(1, len(head)))


def comparison_lines(comparisons: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each two models that were compared one after the other: the difference and its p-value."""
    order = list(dict.fromkeys(name for each in comparisons for name in each["models"]))
    beside = set(itertools.pairwise(order))
    lines = []
    for each in comparisons:
        a, b = each["models"]
        if (a, b) in beside:
            difference = f"{each['difference']:+.3f} ±{each['difference_stderr']:.3f}"
            lines.append(f"{a} -> {b}: {difference}, p = {each['p_value']:.4f} (paired, {each['n_prompts']} problems)")
    return lines
