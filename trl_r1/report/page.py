"""The page: what it shows, and in which order. Everything from files; every text of a model is escaped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from ..errors import TrlR1Error
from ..io import write_text
from ..lineage import RunRecord, read_run
from ..scores import number, scores_of
from ..templates import templates
from .answers import questions_of
from .chart import Chart
from .compare import are_seeds, evaluations_of, names_of
from .cost import costs_of, setup_of
from .curves import curves_of
from .graph import TEMPLATES, lineage_svg
from .hacking import hacking_of
from .measured import curve_charts, emergence_facts, interventions_table
from .rejected import MEANING, rejected_of
from .rollouts import Emergence, emergence_of
from .story import chapters_of, moment_of
from .tables import ScoreTable, comparison_tables, domain_tables, hard_table, score_table, selections_of, sizes_of


PAGE, COMPARISON = "report.html", "comparison.html"
VENDOR = Path(__file__).parent / "vendor"


@dataclass(frozen=True)
class Evaluation:
    """The tables of one evaluation, and on how many prompts and samples its numbers rest."""

    stage: str
    data: str
    sizes: str
    scores: ScoreTable
    domains: list[tuple[Any, ScoreTable]]
    hard: ScoreTable | None
    comparisons: ScoreTable | None
    others: ScoreTable | None


class _Charts:
    """The charts of a page in the order in which they stand there: their data are one block at its end."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def add(self, chart: Chart) -> int:
        """Note a chart, and return its number."""
        self.found.append(chart.to_json())
        return len(self.found) - 1

    @property
    def data(self) -> Markup:
        """JSON that cannot end the element in which it stands."""
        text = json.dumps(self.found, ensure_ascii=False, separators=(",", ":"))
        return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def write_report(run_dir: str | Path, *others: str | Path) -> Path:
    """
    Write `RUN/report.html`, or, of several runs, `RUN/comparison.html` in the first. What a run does not have yet is shown
    as not run.

    Args:
        run_dir (`str` or `Path`):
            The run directory.
        *others (`str` or `Path`):
            Runs to compare it with.

    Returns:
        `Path`: the page.

    Raises:
        [`~errors.ConfigError`]: if a run directory is none.
    """
    runs = [read_run(each) for each in (run_dir, *others)]
    page = runs[0].directory / (COMPARISON if others else PAGE)
    try:
        write_text(page, render(*runs))
    except OSError as error:
        raise TrlR1Error(f"{page}: cannot be written: {error}") from error
    return page


def render(*runs: RunRecord, watched: bool = False) -> str:
    """
    Return the page as HTML.

    Args:
        *runs (`RunRecord`):
            One run, or several to compare.
        watched (`bool`, *optional*, defaults to `False`):
            Whether a server stands behind it that knows when the run has changed.
    """
    run, alone = runs[0], len(runs) == 1
    names, seeds = names_of(runs), are_seeds(runs)
    emergences = [{s.name: e for s in each.stages if (e := emergence_of(s))} for each in runs]
    evaluations = _evaluations(runs, names, seeds)
    seconds = [s.seconds for each in runs for s in each.stages if s.seconds is not None]
    parts: dict[str, Any] = {}
    if alone:
        parts = {
            "tiles": _tiles(run),
            "chapters": chapters_of(run),
            "graph": lineage_svg(run),
            "selections": selections_of(run),
            "rejected": {s.name: rejected_of(s) for s in run.stages if s.makes == "dataset"},
            "reasons": [(reason, MEANING[reason]) for reason in MEANING if reason in _reasons(run)],
            "builders": [stage for stage in run.stages if stage.makes == "dataset"],
            "questions": questions_of(run),
            "recipe": yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True) if run.recipe else "",
        }
    title = run.name if len({each.name for each in runs}) == 1 else " and ".join(names)
    return (
        templates(TEMPLATES, html=True)
        .get_template("report.html.jinja")
        .render(
            run=run,
            runs=runs,
            names=names,
            alone=alone,
            seeds=seeds,
            title=title,
            watched=watched,
            finished=sum(stage.done for stage in run.stages),
            failed=[stage for each in runs for stage in each.stages if stage.state == "failed"],
            seconds=sum(seconds) if seconds else None,
            moment=moment_of(runs if seeds else runs[:1], emergences if seeds else emergences[:1]),
            moments=[] if alone or seeds else _moments(runs, names, emergences),
            evaluations=evaluations,
            columns=list({score.key: score for e in evaluations for score in _columns(e)}.values()),
            training=curves_of(runs, () if alone else names, emergences[0] if alone else None, seeds),
            hacking=[(name, h) for name, each in zip(names, runs) for s in each.stages for h in hacking_of(s)],
            measured=_measured(runs, names),
            costs=[(name, costs_of(each)) for name, each in zip(names, runs)],
            setup=setup_of(runs),
            charts=_Charts(),
            script=_vendored("d3.min.js", "plot.umd.min.js"),
            **parts,
        )
    )


def _reasons(run: RunRecord) -> set[str]:
    """The reasons for which a builder of the run rejected anything."""
    return {bar.label for selection in selections_of(run) for bar in selection.bars}


def _vendored(*files: str) -> Markup:
    """The scripts of the libraries, each with its licence's notice in its first line."""
    return Markup("\n".join((VENDOR / file).read_text(encoding="utf-8").strip() for file in files))


def _columns(evaluation: Evaluation) -> list[Any]:
    return [*evaluation.scores.columns, *(score for score, _ in evaluation.scores.folded)]


def _evaluations(runs: Sequence[RunRecord], names: Sequence[str], seeds: bool) -> list[Evaluation]:
    found = []
    for name, models in evaluations_of(runs, names, seeds).items():
        compared = runs[0].comparisons(name) if len(runs) == 1 else []
        scores = score_table(models, compared)
        if scores is not None:
            tables = domain_tables(models), hard_table(models), *comparison_tables(compared)
            found.append(Evaluation(name, runs[0].evaluated_on(name), sizes_of(models), scores, *tables))
    return found


def _moments(
    runs: Sequence[RunRecord], names: Sequence[str], emergences: Sequence[Mapping[str, Emergence]]
) -> list[Any]:
    found = [(name, moment_of([run], [each])) for name, run, each in zip(names, runs, emergences)]
    return [(name, moment) for name, moment in found if moment is not None]


def _measured(runs: Sequence[RunRecord], names: Sequence[str]) -> list[dict[str, Any]]:
    """Curves and numbers that stages measured beyond the scores."""
    found = []
    for name, run in zip(names, runs):
        for stage in run.stages:
            if stage.name in run.continued:
                continue
            charts, facts, table = curve_charts(stage), emergence_facts(stage), interventions_table(stage)
            if charts or facts or table:
                label = stage.name if len(runs) == 1 else f"{name}: {stage.name}"
                found.append({"stage": label, "charts": charts, "facts": facts, "table": table})
    return found


def _tiles(run: RunRecord) -> list[dict[str, Any]]:
    """
    From the first model to the last one that is measured: the numbers with which most readers begin.

    Each number is that of the first evaluation that has it for both models, else of the first that has it for the last.
    """
    evaluations = run.evaluations()
    names = next((list(models) for models in evaluations.values() if len(models) > 1), [])
    if not names:
        return []
    # A distilled student comes after the model that the recipe is about, and is not what it ends in.
    first, last = names[0], "r1" if "r1" in names else names[-1]
    tiles = []
    for score in scores_of(metrics for models in evaluations.values() for metrics in models.values()):
        if score.key not in ("pass@1", "format", "language_consistency", "mixed_language", "general_win_rate"):
            continue
        measured = [
            (stage, number(models.get(first, {}).get(score.key)), number(models.get(last, {}).get(score.key)))
            for stage, models in evaluations.items()
        ]
        measured = [entry for entry in measured if entry[2] is not None]
        if measured:
            stage, before, after = next((entry for entry in measured if entry[1] is not None), measured[0])
            numbers = {"title": score.title, "before": before, "after": after}
            tiles.append({**numbers, "first": first, "last": last, "stage": stage})
    return tiles
