"""An evaluation in the trackers that the recipe's `report_to` names: numbers by model, and some samples to read."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..scores import number, scores_of
from ..trace import read_traces


logger = logging.getLogger(__name__)

_SAMPLES = 20  # of each model


def log_evaluation(models: Mapping[str, Mapping[str, Any]], shards: Mapping[str, Sequence[Path]]) -> None:
    """
    Log what an evaluation has measured; nothing where the runner names no tracker.

    Args:
        models (`Mapping[str, Mapping[str, Any]]`):
            The metrics of each model, which are logged as `MODEL/METRIC` and as the table `scores`.
        shards (`Mapping[str, Sequence[Path]]`):
            The traces of each, of which the first ones are the table `samples`.
    """
    told = os.environ.get("TRL_R1_TRACKERS")
    if not told:
        return
    try:
        _log(json.loads(told), models, shards)
    except Exception:  # a tracker that is away must not cost the evaluation
        logger.warning("the evaluation could not be logged", exc_info=True)


def _log(told: dict[str, Any], models: Mapping[str, Mapping[str, Any]], shards: Mapping[str, Sequence[Path]]) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(
        cpu=True, log_with=told["report_to"], project_dir=os.environ.get("TENSORBOARD_LOGGING_DIR")
    )
    names = {"name": told["run_name"]}
    groups = {"group": os.environ["WANDB_RUN_GROUP"]} if "WANDB_RUN_GROUP" in os.environ else {}
    accelerator.init_trackers(told["project"], init_kwargs={"trackio": names, "wandb": {**names, **groups}})
    keys = [score.key for score in scores_of(models.values())]
    rows = [[model, *(number(metrics.get(key)) for key in keys)] for model, metrics in models.items()]
    accelerator.log({f"{model}/{key}": v for model, *values in rows for key, v in zip(keys, values) if v is not None})
    samples = [
        [model, trace.prompt, trace.completion, trace.solution, json.dumps(trace.rewards)]
        for model, paths in shards.items()
        for trace in islice(chain.from_iterable(map(read_traces, paths)), _SAMPLES)
    ]
    tables: dict[str, tuple[list[str], list[list[Any]]]] = {
        "scores": (["model", *keys], rows),
        "samples": (["model", "prompt", "completion", "solution", "rewards"], samples),
    }
    for tracker in accelerator.trackers:
        for name, (columns, data) in tables.items():
            if tracker.name == "wandb":
                tracker.log_table(name, columns=columns, data=data)
            elif tracker.name == "trackio":
                import pandas
                import trackio

                tracker.log(
                    {name: trackio.Table(dataframe=pandas.DataFrame([dict(zip(columns, row)) for row in data]))}
                )
    accelerator.end_training()
