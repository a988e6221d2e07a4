"""
Do the config classes and rewards of a recipe's stages accept what the recipe gives them?

They are made for real, in one process for all stages (`trl_r1.stages._check`), so that the runner itself loads no torch.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from .. import errors
from ..errors import ConfigError, EnvironmentalError
from ..recipe import ResolvedStage, read_document, shown


# The keys of a stage in the recipe that become keys of its config.
_FROM_RECIPE = {"model_name_or_path": "model", "models": "model", "data": "data"}

# What a launcher tells its processes: the runner may have been started by one, the stages are not its processes.
_OF_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def check_configs(
    stages: list[ResolvedStage], run_dir: Path
) -> tuple[list[ResolvedStage], dict[str, list[dict[str, Any]]], list[ConfigError]]:
    """
    Have the config classes and rewards of all stages made.

    Args:
        stages (`list[ResolvedStage]`):
            The stages.
        run_dir (`Path`):
            The run's directory, which may not exist yet.

    Returns:
        `tuple`: the stages, their values as their fields take them; by stage the rewards that could be made, each with
        `key`, `func`, `domains` and the columns that it `requires`; and what was refused.
    """
    problems: list[ConfigError] = []
    asked = {}
    for item in stages:
        try:
            accelerate = _accelerate(item)
            if item.kind is not None:
                config = item.placed(run_dir.absolute())
                gpu = accelerate.get("use_cpu") is not True
                asked[item.name] = {
                    "kind": item.stage.kind,
                    "config": config,
                    "processes": world_size(item),
                    "gpu": gpu,
                }
        except ConfigError as error:
            problems.append(error)
    records = dict(zip(asked, ask(list(asked.values())) if asked else ()))
    checked = []
    for item in stages:
        record = records.get(item.name, {"problems": (), "converted": {}})
        # What was converted is a number or a switch: a path among the values would be the run's by now.
        config = {key: record["converted"].get(key, value) for key, value in item.config.items()}
        checked.append(replace(item, config=config))
        problems += [_problem(item, found) for found in record["problems"]]
    return checked, {name: record["rewards"] for name, record in records.items()}, problems


def ask(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Have stages checked in a separate process.

    Args:
        stages (`list[dict[str, Any]]`):
            The arguments of [`~stages._check.check_stage`], for each stage.

    Returns:
        `list[dict[str, Any]]`: what it returns, for each stage.

    Raises:
        [`~errors.EnvironmentalError`]: the process ended without an answer.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _OF_A_LAUNCHER}
    ran = subprocess.run(
        [sys.executable, "-m", "trl_r1.stages._check"],
        input=yaml.safe_dump(stages, allow_unicode=True),
        capture_output=True,
        text=True,
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},  # a check takes no memory of a GPU
    )
    if ran.returncode:
        last = "\n".join(ran.stderr.strip().splitlines()[-5:])
        raise EnvironmentalError(f"the configs could not be checked: python ended with code {ran.returncode}\n{last}")
    records: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return records


def world_size(item: ResolvedStage) -> int:
    """
    Return how many processes a stage runs in, as the recipe or its accelerate file says.

    Raises:
        [`~errors.ConfigError`]: the file does not say.
    """
    if item.stage.num_processes is not None or item.stage.accelerate is None:
        return item.stage.num_processes or 1
    found = _accelerate(item).get("num_processes")
    if isinstance(found, int) and not isinstance(found, bool) and found > 0:
        return found
    message = "expected a whole number of at least 1"
    raise ConfigError(message, file=shown(item.stage.accelerate), key="num_processes")


def _accelerate(item: ResolvedStage) -> dict[str, Any]:
    return read_document(item.stage.accelerate).data if item.stage.accelerate is not None else {}


def _problem(item: ResolvedStage, found: dict[str, Any]) -> ConfigError:
    key, message = found["key"], found["message"]
    kind = getattr(errors, found["type"], ConfigError)
    kind = kind if issubclass(kind, ConfigError) else ConfigError
    if key == "kind":
        return kind(message, file=item.stage.at, key=f"stages.{item.name}.kind")
    if key in _FROM_RECIPE and message.startswith("is missing"):
        message = f"is missing; `{item.stage.kind}` needs it, expected `{_FROM_RECIPE[key]}:` in the recipe"
    return kind(message, file=item.at(key or ""), key=f"{item.name}.{key}" if key else item.name)
