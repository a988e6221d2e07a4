"""
The charts of each training stage: those that its kind declares, drawn from the stage's log.

Stages of the same kind that start from the same model and data, as a stage and its control do, share their axes; so do the
same stages of several runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ..kinds import Curve
from ..lineage import RunRecord, StageRecord, points_of
from .chart import MAX_LINES, Chart, Line, digits_for, over_seeds
from .rollouts import Emergence


# What any trainer of transformers or TRL logs: drawn where a kind names no curves, or none of those that were logged.
DEFAULT_CURVES = (
    Curve("Loss", ("loss", "eval_loss"), labels=("training", "held-out"), digits=3),
    Curve("Reward", ("reward",)),
    Curve("Learning rate", ("learning_rate",)),
    Curve("Norm of the gradient", ("grad_norm",)),
)
OVER_PROMPTS = "Band: 95 % interval over the prompts of a step, from the rollouts."
OVER_SEEDS = "Line: mean over seeds. Band: from the lowest to the highest seed."

# Which logged value a measure of the rollouts is.
_MEASURED = {"completions/mean_length": "tokens", "solve_rate": "accuracy"}


@dataclass(frozen=True)
class Trained:
    """
    The charts of stages that share their axes.

    Args:
        stages (`tuple[StageRecord, ...]`):
            The stages, those of the first run that has them.
        charts (`tuple[Chart, ...]`):
            Their charts; none where they have logged nothing yet.
        empty (`tuple[str, ...]`):
            Titles of the curves that their kind declares and for which the logs hold nothing to draw.
        constant (`tuple[tuple[str, str], ...]`):
            Title and value of the curves that never change, which are not drawn.
    """

    stages: tuple[StageRecord, ...]
    charts: tuple[Chart, ...]
    empty: tuple[str, ...] = ()
    constant: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return ", ".join(stage.name for stage in self.stages)


@dataclass(frozen=True)
class _Source:
    """One name under which lines are drawn: a stage of a run, or of several runs that differ in their seed."""

    name: str
    histories: tuple[Sequence[Mapping[str, Any]], ...]
    emergence: Emergence | None = None


def curves_of(
    runs: Sequence[RunRecord],
    names: Sequence[str] = (),
    emergence: Mapping[str, Emergence] | None = None,
    seeds: bool = False,
) -> list[Trained]:
    """
    Return the charts of every stage that trains or has a trainer's log, in the order of the recipe.

    Args:
        runs (`Sequence[RunRecord]`):
            One run, or several to compare.
        names (`Sequence[str]`, *optional*):
            Names of the runs, where there are several.
        emergence (`Mapping[str, Emergence]`, *optional*):
            What the rollouts of a stage tell, by stage, where there is one run.
        seeds (`bool`, *optional*, defaults to `False`):
            Whether the runs differ in their seed alone: then they are one line with a band.
    """
    found = []
    for stages in _groups(runs):
        declared = stages[0].about.curves if stages[0].about else ()
        sources = []
        for stage in stages:
            histories = [(run.stage(stage.name) or stage).log_history if run.stage(stage.name) else () for run in runs]
            if seeds:
                sources.append(_Source(stage.name, tuple(histories)))
                continue
            for name, history in zip(names or [""], histories):
                label = stage.name if not name else name if len(stages) == 1 else f"{name}: {stage.name}"
                sources.append(_Source(label, (history,), (emergence or {}).get(stage.name)))
        logged = any(history for source in sources for history in source.histories)
        if not (logged or declared or (stages[0].about and stages[0].about.trains)):
            continue
        charts = charts_of(declared, sources)
        drawn = {chart.title for chart in charts}
        empty = tuple(curve.title for curve in declared if curve.title not in drawn) if logged else ()
        charts = charts or charts_of(DEFAULT_CURVES, sources)
        constant = tuple((chart.title, value) for chart in charts if (value := chart.constant))
        changing = tuple(chart for chart in charts if not chart.constant)
        found.append(Trained(tuple(stages), changing, empty, constant))
    return found


def _groups(runs: Sequence[RunRecord]) -> list[list[StageRecord]]:
    """Stages of one kind, from the same model and data, in the order of the recipes."""
    groups: dict[tuple[Any, ...], list[StageRecord]] = {}
    known: set[str] = set()
    for run in runs:
        for stage in run.stages:
            if stage.name not in known:
                known.add(stage.name)
                key = (stage.kind, stage.model_from, stage.data_from)
                alone = not stage.kind or not stage.model_from
                groups.setdefault((*key, stage.name) if alone else key, []).append(stage)
    return list(groups.values())


def history_charts(curves: Iterable[Curve], history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """The charts of one trainer's log (`log_history` of `trainer_state.json`)."""
    return charts_of(curves, [_Source("", (history,))])


def charts_of(curves: Iterable[Curve], sources: Sequence[_Source]) -> list[Chart]:
    """The charts of several logs."""
    return [chart for curve in curves if (chart := _chart(curve, sources)) is not None]


def _chart(curve: Curve, sources: Sequence[_Source]) -> Chart | None:
    most = max(2, MAX_LINES // len(sources))
    drawn = [(source, *_lines(curve, source, most)) for source in sources]
    drawn = [each for each in drawn if each[1]]
    if not drawn:
        return None
    keys = list(dict.fromkeys(line.label for _, lines, _ in drawn for line in lines))
    left_out = max(count for _, _, count in drawn)
    found = []
    for index, (source, lines, _) in enumerate(drawn):
        for line in lines:
            if len(keys) == 1:  # one quantity: a colour for each stage
                found.append(replace(line, label=source.name or line.label, color=index))
            else:  # a colour for each quantity, a dash for each stage
                label = f"{source.name}: {line.label}" if len(drawn) > 1 else line.label
                found.append(replace(line, label=label, color=keys.index(line.label), dash=index))
    if len(drawn) == 1 and len(found) == 1:
        found = [replace(found[0], label=lines[0].label) for _, lines, _ in drawn]
    several = any(len(source.histories) > 1 for source, _, _ in drawn)
    banded = any(line.band for line in found)
    return Chart(
        curve.title,
        tuple(found),
        axis=curve.axis,
        share=curve.share,
        digits=curve.digits if curve.share else digits_for([p for line in found for p in line.points], curve.digits),
        left_out=left_out,
        note=(OVER_SEEDS if several else OVER_PROMPTS) if banded else "",
    )


def _lines(curve: Curve, source: _Source, most: int) -> tuple[list[Line], int]:
    """What a log has for a curve, at most so many lines, and how many are left out."""
    logged = list(dict.fromkeys(str(key) for history in source.histories for entry in history for key in entry))
    named: list[Line] = []
    matched: list[Line] = []
    for index, pattern in enumerate(curve.keys):
        for key in (key for key in logged if fnmatchcase(key.lower(), pattern.lower())):
            points, band = over_seeds([points_of(history, key) for history in source.histories])
            if not points:
                continue
            if "*" in pattern:
                start, end = pattern.index("*"), len(key) - len(pattern) + pattern.rindex("*") + 1
                matched.append(Line(key[start:end], points, band))
            else:
                label = curve.labels[index] if index < len(curve.labels) else key.rsplit("/", 1)[-1]
                named.append(Line(label, points, band or _measured(source.emergence, key)))
    count = len(named) + len(matched)
    if count > most:  # the largest, and none that is zero throughout
        matched.sort(key=lambda line: -_size(line))
        matched = [line for line in matched if _size(line) > 0][: max(0, most - len(named))]
    lines = [*named, *matched][:most]
    return lines, count - len(lines) if lines else 0


def _measured(emergence: Emergence | None, key: str) -> tuple[tuple[float, float, float], ...]:
    name = _MEASURED.get(key)
    return emergence.growth[0].bands.get(name, ()) if emergence and name else ()


def _size(line: Line) -> float:
    return sum(abs(y) for _, y in line.points)
