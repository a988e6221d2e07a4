"""
What follows the last stage: the report, the push to the Hub, the table of the evaluation.

Neither a report nor a push that fails takes back what the run has made.
"""

from pathlib import Path

from ..errors import TrlR1Error
from ..lineage import read_run
from ..recipe import Recipe, shown
from .display import Display, comparison_lines, evaluation_table


def finish(recipe: Recipe, run_dir: Path, display: Display, *, worked: bool, whole: bool) -> int:
    """
    Write the report, push where the recipe says so, print the evaluation.

    Args:
        recipe (`Recipe`):
            The recipe.
        run_dir (`Path`):
            The run.
        display (`Display`):
            Where to write.
        worked (`bool`):
            Whether any stage has run now: otherwise an existing report is kept.
        whole (`bool`):
            Whether every stage is done.

    Returns:
        `int`: 0, or the error's code where a push failed.
    """
    code = 0
    if whole and (worked or not (run_dir / "report.html").is_file()):
        write_report(run_dir, display)
    if whole and recipe.hub is not None:
        code = push(run_dir, display)
    record = read_run(run_dir)
    evaluations = record.evaluations()
    for name, models in evaluations.items():
        display.say("\n".join(["", name, evaluation_table(models), *comparison_lines(record.comparisons(name))]))
    if whole and not evaluations:
        display.say(f"\nAll stages are done; what they made is in {shown(run_dir)}")
    return code


def write_report(run_dir: Path, display: Display, *, quiet: bool = False) -> None:
    """Write `report.html`; say so where it fails, and no more. `quiet`: between two stages, say nothing."""
    try:
        from .. import report

        path = report.write_report(run_dir)
    except Exception as error:
        if quiet:
            return
        display.say(f"\nThe report could not be written ({type(error).__name__}: {error}). The run itself is whole; ")
        display.say(f"`trl-r1 report {shown(run_dir)}` tries again.")
    else:
        if not quiet:
            display.say(f"\nReport: {shown(path)}")


def push(run_dir: Path, display: Display) -> int:
    """Push a run to the Hub; say so where it fails, and return the code to end with."""
    from .. import hub

    try:
        hub.push_run(run_dir, say=display.say)
    except TrlR1Error as error:
        display.say(f"\nThe push did not complete: {error}")
        display.say(f"Nothing here is lost; `trl-r1 push {shown(run_dir)}` completes it.")
        return error.exit_code
    return 0
