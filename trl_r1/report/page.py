"""The page: what it shows, and in which order. Everything from files; every text of a model is escaped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import TrlR1Error
from ..io import write_text
from ..lineage import RunRecord, read_run
from ..scores import number, scores_of
from ..templates import templates
from .answers import questions_of
from .chart import TEMPLATES
from .curves import curves_of
from .graph import lineage_svg
from .tables import ScoreTable, comparison_table, domain_table, hard_table, score_table, selections_of, sizes_of


PAGE = "report.html"


@dataclass(frozen=True)
class Evaluation:
    """The tables of one evaluation, and on how many prompts and samples its numbers rest."""

    stage: str
    data: str
    sizes: str
    scores: ScoreTable
    domains: ScoreTable | None
    hard: ScoreTable | None
    comparisons: ScoreTable | None


def write_report(run_dir: str | Path) -> Path:
    """
    Write `RUN/report.html`. What the run does not have yet is shown as not run.

    Args:
        run_dir (`str` or `Path`):
            The run directory.

    Returns:
        `Path`: the page.

    Raises:
        [`~errors.ConfigError`]: if the run directory is none.
    """
    run = read_run(run_dir)
    page = run.directory / PAGE
    try:
        write_text(page, render(run))
    except OSError as error:
        raise TrlR1Error(f"{page}: cannot be written: {error}") from error
    return page


def render(run: RunRecord) -> str:
    """Return the page as HTML."""
    evaluations = _evaluations(run)
    seconds = [s.seconds for s in run.stages if s.seconds is not None]
    return (
        templates(TEMPLATES, html=True)
        .get_template("report.html.jinja")
        .render(
            run=run,
            title=f"{run.name}: report",
            finished=sum(stage.done for stage in run.stages),
            seconds=sum(seconds) if seconds else None,
            tiles=_tiles(run),
            evaluations=evaluations,
            columns=list({score.key: score for e in evaluations for score in e.scores.columns}.values()),
            graph=lineage_svg(run),
            training=curves_of(run),
            selections=selections_of(run),
            builders=[stage for stage in run.stages if stage.makes == "dataset"],
            questions=questions_of(run),
            recipe=yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True) if run.recipe else "",
        )
    )


def _evaluations(run: RunRecord) -> list[Evaluation]:
    found = []
    for name, models in run.evaluations().items():
        scores = score_table(models)
        if scores is not None:
            tables = domain_table(models), hard_table(models), comparison_table(run.comparisons(name))
            found.append(Evaluation(name, run.evaluated_on(name), sizes_of(models), scores, *tables))
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
