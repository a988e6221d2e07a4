"""
The run told stage by stage, for one who sees R1 for the first time: what each stage is for, and what became of the figures
in this run. In its place, the moment of which the paper speaks: length, reflection and accuracy growing together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..lineage import RunRecord, StageRecord
from ..scores import Score, number, show
from .answers import before_and_after
from .chart import Chart, Line, over_seeds
from .curves import OVER_SEEDS
from .rollouts import Emergence, Growth, Sampled
from .tables import best_of


_PERCENT = {
    "pass@1": "right answers",
    "format": "well-formed answers",
    "mixed_language": "thoughts that mix languages",
    "general_win_rate": "general requests won",
}
_PLAIN = {
    "mean_tokens": ("tokens per answer", 1),
    "reflection_per_completion": ("reflection words per answer", 2),
    "reflection_per_1000_words": ("reflection words per 1,000", 0),
}
_OF_LOG = {"tokens": "completions/mean_length", "reflection": "reflection_per_1000_words", "accuracy": "solve_rate"}


@dataclass(frozen=True)
class Change:
    """A figure before and after a stage; without `before` what it is."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Chapter:
    """
    One stage of the story.

    Args:
        stage (`StageRecord`):
            The stage.
        changes (`tuple[Change, ...]`):
            What happened to the figures.
        against (`str`):
            The model with which its figures are compared; empty where there is none.
        control_of (`str`):
            An earlier stage of the same kind from the same model and data, beside which it stands.
    """

    stage: StageRecord
    changes: tuple[Change, ...] = ()
    against: str = ""
    control_of: str = ""


@dataclass(frozen=True)
class Moment:
    """
    The moment in which reflection, length and accuracy grow together.

    Args:
        stage (`str`):
            The stage.
        chart (`Chart`):
            Its three curves on one axis.
        lines (`tuple[str, ...]`):
            What they say, a sentence each.
        emergence (`Emergence`, *optional*):
            What the rollouts tell, where they were kept.
        others (`tuple[Chart, ...]`):
            The same for the other domains.
        first, second (`Sampled`, *optional*):
            The same prompt early and late in the training; or, where no prompt was sampled in both, a held-out prompt before
            and after it.
        pairs (`int`):
            Among how many prompts it was chosen.
        held_out (`bool`):
            Whether it is a held-out prompt.
    """

    stage: str
    chart: Chart
    lines: tuple[str, ...]
    emergence: Emergence | None = None
    others: tuple[Chart, ...] = ()
    first: Sampled | None = None
    second: Sampled | None = None
    pairs: int = 0
    held_out: bool = False


def chapters_of(run: RunRecord) -> list[Chapter]:
    """The stages in the order of the recipe, each with what happened to this run's figures there."""
    chapters = []
    for index, stage in enumerate(run.stages):
        same = [s for s in run.stages[:index] if stage.model_from and s.kind == stage.kind]
        control = next(
            (s.name for s in same if (s.model_from, s.data_from) == (stage.model_from, stage.data_from)), ""
        )
        control = "" if stage.makes == "metrics" else control
        changes, against = _measured(run, stage)
        changes = changes or _selected(stage) or _compared(run, stage) or _logged(stage)
        chapters.append(Chapter(stage, tuple(changes), against if against else "", control))
    return chapters


def _measured(run: RunRecord, stage: StageRecord) -> tuple[list[Change], str]:
    """The scores of a stage's model beside those of the model it started from."""
    parents = ["base" if name == "base_model" else name for name in stage.model_from]
    if run.base_model == stage.name:
        own, before = "base", ""
    else:
        own, before = stage.name, parents[0] if parents else ""
    changes: dict[str, Change] = {}
    found_before = ""
    for models in run.evaluations().values():
        now, then = models.get(own, {}), models.get(before, {})
        for key in (*_PERCENT, *_PLAIN):
            change = _change(key, number(then.get(key)), number(now.get(key)))
            if change and key not in changes:
                changes[key] = change
                found_before = found_before or (before if change.before else "")
    if "reflection_per_completion" in changes:
        changes.pop("reflection_per_1000_words", None)
    return list(changes.values()), found_before


def _change(key: str, before: float | None, after: float | None) -> Change | None:
    if after is None:
        return None
    if key in _PERCENT:
        name, texts = (
            _PERCENT[key],
            [None if v is None else f"{100 * v:.1f} %".replace(".0 %", " %") for v in (before, after)],
        )
    else:
        name, digits = _PLAIN[key]
        texts = [None if v is None else show(v, digits) for v in (before, after)]
    if texts[0] == texts[1]:
        return None
    return Change(name, texts[0] or "", texts[1] or "")


def _selected(stage: StageRecord) -> list[Change]:
    kept, seen = number(stage.selection.get("kept")), number(stage.selection.get("seen"))
    if kept is None:
        return []
    counts = stage.selection.get("rejected")
    counts = counts if isinstance(counts, Mapping) else {}
    reasons = sorted(((n, k) for k, v in counts.items() if (n := number(v))), reverse=True)[:3]
    rejected = ", ".join(f"{reason} {show(count, 0)}" for count, reason in reasons)
    found = [Change("samples kept", "", f"{show(kept, 0)} of {show(seen, 0)}" if seen else show(kept, 0))]
    return found + ([Change("rejected most often as", "", rejected)] if rejected else [])


def _compared(run: RunRecord, stage: StageRecord) -> list[Change]:
    """The best model of an evaluation, and those that cannot be told apart from it."""
    if stage.makes != "metrics":
        return []
    found = []
    for name, models in run.evaluations().items():
        if name != stage.name and not name.startswith(f"{stage.name}/"):
            continue
        for key, title in (("pass@1", "most right answers"), ("general_win_rate", "most general requests won")):
            best = best_of(Score(key, ""), models, run.comparisons(name))
            if best:
                first, *others = sorted(best, key=lambda model: -(number(models[model].get(key)) or 0))
                value = f"{first}, {100 * (number(models[first].get(key)) or 0):.1f} %"
                found.append(Change(title, "", value))
                if others:
                    found.append(Change("not told apart from it", "", ", ".join(others)))
    return found


def _logged(stage: StageRecord) -> list[Change]:
    """Of a training that no evaluation measured: the first of its curves."""
    for key, name in (
        ("accuracy", "pairs ordered right"),
        ("solve_rate", "right answers in training"),
        ("loss", "loss"),
    ):
        points = stage.logged(key)
        if len(points) > 1:
            line = Line(name, points)
            if key == "loss":
                return [Change(name, show(line.start, 3), show(line.end, 3))]
            return [Change(name, f"{100 * line.start:.0f} %", f"{100 * line.end:.0f} %")]
    return []


def moment_of(runs: Sequence[RunRecord], emergences: Sequence[Mapping[str, Emergence]]) -> Moment | None:
    """
    The moment of the first RL stage that starts from the base model, or else of the first that logged the three curves.

    Args:
        runs (`Sequence[RunRecord]`):
            One run, or several that differ in their seed.
        emergences (`Sequence[Mapping[str, Emergence]]`):
            For each, what the rollouts of its stages tell.
    """
    run = runs[0]
    logs = [s for s in run.stages if s.logged("solve_rate")]
    stages = [s for s in run.stages if s.name in emergences[0]] or logs
    if not stages:
        return None
    stage = next((s for s in stages if "base_model" in s.model_from), stages[0])
    found = [each[stage.name] for each in emergences if stage.name in each]
    if not found:
        same = [s for r in runs if (s := r.stage(stage.name))]
        curves = {name: [s.logged(key) for s in same] for name, key in _OF_LOG.items()}
        growth = Growth("", {name: over_seeds(each)[0] for name, each in curves.items()}, {})
        titles = {"reflection": "reflection words per 1,000"}
        chart = _chart(stage.name, [growth], titles, None)
        if chart is None:
            return None
        lines = tuple(_sentences(growth, titles))
        return Moment(stage.name, chart, lines, None, (), *before_and_after(run, stage, ""), held_out=True)
    first = found[0]
    domain = first.chosen.domain
    growths = [next((g for g in each.growth if g.domain == domain), each.growth[0]) for each in found]
    chart = _chart(stage.name, growths, {}, growths[0].doubled)
    if chart is None:
        return None
    others = [g for g in first.growth if g.domain != domain] if len(found) == 1 else []
    pair = (first.early, first.late, first.pairs)
    held_out = not first.pairs
    if held_out:
        pair = before_and_after(run, stage, domain)
    return Moment(
        stage.name,
        chart,
        tuple(_sentences(growths[0], {}) if len(found) == 1 else ()),
        first,
        tuple(c for g in others if (c := _chart(stage.name, [g], {}, g.doubled)) is not None),
        *pair,
        held_out=held_out,
    )


_TITLES = {"tokens": "tokens per answer", "reflection": "reflection words per answer", "accuracy": "right answers"}


def _chart(stage: str, growths: Sequence[Growth], titles: Mapping[str, str], doubled: int | None) -> Chart | None:
    lines = []
    for color, (name, title) in enumerate({**_TITLES, **titles}.items()):
        points, band = over_seeds([growth.points.get(name, ()) for growth in growths])
        if len(points) < 2:
            continue
        band = band or growths[0].bands.get(name, ())
        scale = max(max(y for _, y in points), 1e-9)
        line = Line(title, points, band, color, scale=scale)
        lines.append(line)
    if not lines:
        return None
    where = f", {growths[0].domain}" if growths[0].domain else ""
    banded = (
        ""
        if not any(line.band for line in lines)
        else OVER_SEEDS
        if len(growths) > 1
        else "Band: 95 % interval over prompts."
    )
    return Chart(
        f"{stage}{where}: answers grow longer, more reflective and more often right"
        if _all_grow(lines)
        else f"{stage}{where}: length, reflection and accuracy",
        tuple(lines),
        axis="share of its highest value",
        digits=2,
        marks=((doubled, f"step {doubled}: reflection has doubled"),)
        if doubled is not None and len(growths) == 1
        else (),
        note=banded,
        smooth=False,
    )


def _all_grow(lines: Sequence[Line]) -> bool:
    """Whether the heading may say so: reflection by half at least, the others by a tenth."""
    return len(lines) == 3 and all(
        line.end > (1.5 if line.label == _TITLES["reflection"] else 1.1) * line.start for line in lines
    )


def _sentences(growth: Growth, titles: Mapping[str, str]) -> list[str]:
    found = []
    for name, title in {**_TITLES, **titles}.items():
        ends, fold = growth.ends(name), growth.fold(name)
        if ends is None:
            continue
        if name == "accuracy":
            found.append(f"{title}: {100 * ends[0]:.0f} % → {100 * ends[1]:.0f} %")
        else:
            times = f" ({fold:.1f} times)" if fold is not None else ""
            found.append(f"{title}: {show(ends[0], 2)} → {show(ends[1], 2)}{times}")
    reflecting = growth.ends("reflecting")
    if reflecting:
        found.append(f"answers with any reflection: {100 * reflecting[0]:.0f} % → {100 * reflecting[1]:.0f} %")
    return found
