"""Several runs on one page: seeds of one recipe as one, otherwise side by side. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..lineage import RunRecord
from ..scores import mean_and_error, number


def are_seeds(runs: Sequence[RunRecord]) -> bool:
    """Whether the runs are of one recipe and differ in their seeds."""
    recipes = {(run.name, tuple(stage.name for stage in run.stages)) for run in runs}
    return len(runs) > 1 and len(recipes) == 1 and len({run.seed for run in runs}) == len(runs)


def names_of(runs: Sequence[RunRecord]) -> list[str]:
    """Names that tell the runs apart: of their directories, with their parents' where those are equal."""
    for parts in (1, 2, 3):
        names = ["/".join(run.directory.resolve().parts[-parts:]) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [str(run.directory.resolve()) for run in runs]


def evaluations_of(runs: Sequence[RunRecord], names: Sequence[str], seeds: bool) -> dict[str, dict[str, Any]]:
    """
    What the evaluations measured, in all runs: metrics by evaluation and by model.

    Args:
        runs (`Sequence[RunRecord]`):
            The runs.
        names (`Sequence[str]`):
            Their names.
        seeds (`bool`):
            Whether a model is its mean over the runs, with the standard error over them; otherwise it is a model for each
            run, `model, run`.
    """
    if len(runs) == 1:
        return runs[0].evaluations()
    measured = dict(zip(names, (run.evaluations() for run in runs)))
    found: dict[str, dict[str, Any]] = {}
    for evaluation in dict.fromkeys(name for of_run in measured.values() for name in of_run):
        models = dict.fromkeys(model for of_run in measured.values() for model in of_run.get(evaluation, {}))
        for model in models:
            of_model = {
                run: of_run[evaluation][model]
                for run, of_run in measured.items()
                if model in of_run.get(evaluation, {})
            }
            if seeds:
                found.setdefault(evaluation, {})[model] = mean_of(of_model)
            else:
                found.setdefault(evaluation, {}).update({f"{model}, {run}": m for run, m in of_model.items()})
    return found


def mean_of(of_runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """
    The mean of each number over runs, `KEY_stderr` its standard error over them, and `KEY_by_seed` what it was in each.

    Args:
        of_runs (`Mapping[str, Mapping[str, Any]]`):
            Metrics by run.
    """
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for metrics in of_runs.values() for key in metrics if not key.endswith("_stderr")):
        inner = {run: m[key] for run, m in of_runs.items() if isinstance(m.get(key), Mapping)}
        values = {run: value for run, m in of_runs.items() if (value := number(m.get(key))) is not None}
        if inner:
            found[key] = mean_of(inner)
        elif values:
            found[key], error = mean_and_error([*values.values()])
            found[f"{key}_by_seed"] = values
            if len(values) > 1:
                found[f"{key}_stderr"] = error
    return found
