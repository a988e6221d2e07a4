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
from ..errors import ConfigError, MachineError
from ..recipe import ResolvedStage, read_document, shown
from ..recipe.references import RUN
from ..rewards.schedule import model_arguments
from .sizes import Sizing


# The keys of a stage in the recipe that become keys of its config.
_FROM_RECIPE = {"model_name_or_path": "model", "models": "model", "data": "data"}

# What a launcher tells its processes: the runner may have been started by one, the stages are not its processes.
_OF_A_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def sources_of(item: ResolvedStage) -> list[dict[str, Any]]:
    """Return a stage's data sources; none where they are no list of mappings, which its config class refuses."""
    sources = item.config.get("data")
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        return []
    return sources


def from_outside(source: dict[str, Any]) -> bool:
    """Whether a source is outside the run, and so there before anything runs."""
    path = source.get("path")
    return isinstance(path, str) and not path.startswith(RUN)


def models_of(item: ResolvedStage, stages: list[ResolvedStage]) -> dict[str, dict[str, Any]]:
    """
    Return which models a stage reads, and what trains each before.

    Args:
        item (`ResolvedStage`):
            The stage.
        stages (`list[ResolvedStage]`):
            All stages.

    Returns:
        `dict[str, dict[str, Any]]`: by the model's name, empty where the stage has one: `place` and `trained` of a
        [`~stages._models.KnownModel`].
    """
    several = item.config.get("models")
    return chains_of(several if isinstance(several, dict) else {"": item.config.get("model_name_or_path")}, stages)


def chains_of(named: dict[str, Any], stages: list[ResolvedStage]) -> dict[str, dict[str, Any]]:
    """Return what trains each of some models, as [`models_of`]."""
    by_name = {other.name: other for other in stages}
    found = {}
    for name, place in named.items():
        trained: list[dict[str, Any]] = []
        while isinstance(place, str) and place.startswith(f"{RUN}/"):
            parent = by_name[place.split("/")[1]]
            if any(parent.name == each["stage"] for each in trained):  # a cycle, which is reported
                place = None
                break
            keys = ("prompt_template", "chat_template_path", "model_init_kwargs")
            trained.insert(0, {"stage": parent.name, **{key: parent.config.get(key) for key in keys}})
            place = parent.config.get("model_name_or_path")
        if trained or isinstance(place, str):
            found[str(name)] = {"place": place if isinstance(place, str) else None, "trained": trained}
    return found


def reward_models(item: ResolvedStage) -> list[str]:
    """Return the places of the models that a stage's rewards read."""
    declared = item.config.get("rewards")
    found = []
    for reward in declared if isinstance(declared, list) else []:
        arguments = reward.get("args") if isinstance(reward, dict) else None
        if isinstance(arguments, dict) and any(isinstance(value, str) for value in arguments.values()):
            found += [arguments[name] for name in model_arguments(reward.get("func")) if name in arguments]
    return [place for place in found if isinstance(place, str)]


def check_configs(
    stages: list[ResolvedStage],
    run_dir: Path,
    fetch: bool = False,
    sizing: Sizing | None = None,
    launcher: str = "local",
) -> tuple[list[ResolvedStage], dict[str, dict[str, Any]], list[ConfigError]]:
    """
    Have the config classes and rewards of all stages made, and their data looked into.

    Args:
        stages (`list[ResolvedStage]`):
            The stages.
        run_dir (`Path`):
            The run's directory, which may not exist yet.
        fetch (`bool`, *optional*, defaults to `False`):
            Whether configs, tokenizers and data are fetched from the Hub, and data are read whole.
        sizing ([`~runner.sizes.Sizing`], *optional*):
            What figures are made with, for the stages that it names.
        launcher (`str`, *optional*, defaults to `"local"`):
            What starts the stages.

    Returns:
        `tuple`: the stages, their values as their fields take them; what [`~stages._check.check_stage`] returns for each,
        by its name; and what was refused.
    """
    problems: list[ConfigError] = []
    asked = {}
    for item in stages:
        try:
            accelerate = accelerate_of(item)
            if accelerate and launcher == "slurm" and "nodes" in item.stage.slurm:
                accelerate = {**accelerate, "num_machines": item.stage.slurm["nodes"]}
            if item.kind is not None:
                asked[item.name] = {
                    "kind": item.stage.kind,
                    "config": item.placed(run_dir.absolute()),
                    "processes": world_size(item),
                    "gpu": accelerate.get("use_cpu") is not True,
                    "sources": [source for source in sources_of(item) if from_outside(source)],
                    "accelerate": accelerate,
                    "models": models_of(item, stages),
                    "fetch": fetch,
                    "beside": sum(server.gpus for server in item.servers if not server.nodes),
                }
                if sizing is not None and sizing.wants(item.name):
                    places = chains_of({place: place for place in reward_models(item)}, stages)
                    asked[item.name]["sizing"] = sizing.asked(item.name, places)
        except ConfigError as error:
            problems.append(error)
    records = dict(zip(asked, ask(list(asked.values())) if asked else ()))
    checked = []
    for item in stages:
        if item.name in records:
            problems += [_problem(item, found) for found in records[item.name]["problems"]]
            # What was converted is a number or a switch: a path among the values would be the run's by now.
            item = replace(item, config=item.config | records[item.name]["converted"])
        checked.append(item)
    return checked, records, problems


def ask(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Have stages checked in a separate process.

    Args:
        stages (`list[dict[str, Any]]`):
            The arguments of [`~stages._check.check_stage`], for each stage.

    Returns:
        `list[dict[str, Any]]`: what it returns, for each stage.

    Raises:
        [`~errors.MachineError`]: the process ended without an answer.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _OF_A_LAUNCHER}
    own = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = {} if own is None else {"TRL_R1_VISIBLE_GPUS": own}
    ran = subprocess.run(
        [sys.executable, "-m", "trl_r1.stages._check"],
        input=yaml.safe_dump(stages, allow_unicode=True),
        capture_output=True,
        text=True,
        # A check takes no memory of a GPU; how many there are it counts by the variable's value here.
        env={**environment, "CUDA_VISIBLE_DEVICES": "", **visible},
    )
    if ran.returncode:
        last = "\n".join(ran.stderr.strip().splitlines()[-5:])
        raise MachineError(f"the configs could not be checked: python ended with code {ran.returncode}\n{last}")
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
    found = accelerate_of(item).get("num_processes")
    if isinstance(found, int) and not isinstance(found, bool) and found > 0:
        return found
    message = "expected a whole number of at least 1"
    raise ConfigError(message, file=shown(item.stage.accelerate), key="num_processes")


def accelerate_of(item: ResolvedStage) -> dict[str, Any]:
    """Return what a stage's accelerate file says; nothing where it has none."""
    return read_document(item.stage.accelerate).data if item.stage.accelerate is not None else {}


def _problem(item: ResolvedStage, found: dict[str, Any]) -> ConfigError:
    key, message = found["key"], found["message"]
    kind: type[ConfigError] = getattr(errors, found["type"], ConfigError)
    if key == "kind":
        return kind(message, file=item.stage.at, key=f"stages.{item.name}.kind")
    if key == "accelerate":
        return kind(message, file=item.stage.at, key=f"stages.{item.name}.accelerate")
    if key in _FROM_RECIPE and message.startswith("is missing"):
        message = f"is missing; `{item.stage.kind}` needs it, expected `{_FROM_RECIPE[key]}:` in the recipe"
    return kind(message, file=item.at(key or ""), key=f"{item.name}.{key}" if key else item.name)
