"""
`trl-r1 init`: a project of one's own, made from a recipe that ships with the package.

The recipe's files are copied, comments and all, into one folder: what they name elsewhere (files that they include, configs of
other recipes, accelerate files) stands beside them, and what was asked for (model, data, GPUs) takes the place of a few values.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError, listed
from .ids import is_hub_id
from .kinds import known_kinds
from .recipe import find_recipe, known_recipes, load_recipe, read_document, recipe_homes, shown
from .recipe.edit import Keys, edited
from .recipe.records import Recipe


DEFAULT = "starter"
SCHEMAS = "schemas"
# Accelerate files of which one takes another's place for another number of GPUs.
_BY_GPUS = ("cpu", "single_gpu", "ddp")
# What a CPU does in minutes.
_ON_A_CPU = {
    "max_steps": 10,
    "save_steps": 5,
    "batch_size": 16,
    "generation_batch_size": 16,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 64,
    "max_completion_tokens": 64,
}


@dataclass
class InitOptions:
    """
    What `trl-r1 init` is asked for.

    Args:
        directory (`Path`):
            The project's folder, which is new or empty.
        recipe (`str`, *optional*, defaults to `"starter"`):
            Name of the recipe that it begins from.
        model (`str`, *optional*):
            The base model, a Hub id or a folder, in place of the recipe's.
        data (`str`, *optional*):
            The data to train on, a file or a Hub id, in place of the recipe's `train`.
        test (`str`, *optional*):
            The data to evaluate on; by default a part of `data`.
        gpus (`int`, *optional*):
            GPUs of the machine, in place of the recipe's; 0: train on the CPU, in sizes for a first look.
        ask (`Callable[[str, str], str]`, *optional*):
            Asks for what is not given: question and default to an answer. Without it the recipe's values stay.
    """

    directory: Path
    recipe: str = DEFAULT
    model: str | None = None
    data: str | None = None
    test: str | None = None
    gpus: int | None = None
    ask: Callable[[str, str], str] | None = None


@dataclass
class _Copies:
    """The files of a recipe: where each stands in the project, and what changes in it."""

    main: Path
    names: dict[Path, str] = field(default_factory=dict)
    changes: dict[Path, dict[Keys, Any]] = field(default_factory=dict)
    kinds: dict[Path, str] = field(default_factory=dict)
    recipes: list[Path] = field(default_factory=list)

    def add(self, path: Path, folder: str = "") -> str:
        """Return the name of a file in the project."""
        path = path.resolve()
        if path not in self.names:
            own = f"{path.parent.name}.yaml" if path.name == "recipe.yaml" and path != self.main else path.name
            name = "recipe.yaml" if path == self.main else f"{folder}{own}"
            self.names[path] = name if name not in self.names.values() else f"{folder}{path.parent.name}_{own}"
            self.changes[path] = {}
        return self.names[path]


def init(options: InitOptions) -> list[str]:
    """
    Write a project.

    Args:
        options (`InitOptions`):
            What is asked for.

    Returns:
        `list[str]`: what to tell the user, a line each.

    Raises:
        [`~errors.ConfigError`]: the folder holds something, the recipe is not there, or an option does not go with it.
        [`~errors.DataError`]: the data cannot be read, or have no column that is known as a question or an answer.
    """
    target = options.directory.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError("is not empty; expected a new or an empty folder", file=shown(target), key="directory")
    copies = _Copies(find_recipe(options.recipe).resolve())
    if not any(home in copies.main.parents for home in recipe_homes()):
        known = known_recipes()
        raise ConfigError(
            f"is a file of your own; expected the name of a recipe that ships with trl_r1: {listed(known, len(known))}",
            file=options.recipe,
            key="RECIPE",
        )
    recipe = load_recipe(copies.main)
    _ask_for_the_rest(options, recipe)
    notes: list[str] = []
    if (
        options.model is None
        and recipe.base_model is not None
        and recipe.base_model not in {s.name for s in recipe.stages}
    ):
        notes.append(f"base model: {recipe.base_model}, as in the recipe (--model for another)")
    if options.data is None and "train" in recipe.data:
        notes.append(f"data: {recipe.data['train'][0].get('path')}, as in the recipe (--data for others)")
    _copy(copies, recipe)
    name = re.sub(r"[^\w.-]+", "-", target.name).strip("-.") or recipe.name
    copies.changes[copies.main]["name",] = name
    if options.model is not None:
        _set_model(copies, recipe, options.model, target)
    if options.data is not None:
        notes += _set_data(copies, options.data, options.test, target)
    elif options.test is not None:
        raise ConfigError("expected --data beside it, to train on", key="--test")
    if options.gpus is not None:
        notes += _set_gpus(copies, recipe, options.gpus)
    return notes + _write(copies, target, name, options.recipe, recipe.stages[0].name)


def _ask_for_the_rest(options: InitOptions, recipe: Recipe) -> None:
    if options.ask is None:
        return
    if options.model is None and recipe.base_model is not None:
        answer = options.ask("base model, a Hub id or a folder", recipe.base_model)
        options.model = None if answer == recipe.base_model else answer
    if options.data is None and "train" in recipe.data:
        there = str(recipe.data["train"][0].get("path"))
        answer = options.ask("data to train on, a file or a Hub id", there)
        options.data = None if answer == there else answer
    launched = next((stage for stage in recipe.stages if stage.accelerate is not None), None)
    if options.gpus is None and launched is not None and launched.accelerate is not None:
        there = str(launched.num_processes or read_document(launched.accelerate).data.get("num_processes", 1))
        answer = options.ask("GPUs, 0 for none", there)
        if not answer.isdecimal():
            raise ConfigError(f"is {answer!r}; expected a number of GPUs, or 0", key="GPUs")
        options.gpus = int(answer)


def _copy(copies: _Copies, recipe: Recipe) -> None:
    """Name every file that the recipe reads, and have its files name them so."""
    kinds = {stage.name: stage.kind for stage in recipe.stages}
    copies.add(copies.main)
    copies.recipes.append(copies.main)
    for path in copies.recipes:  # which grows by what they include
        data, changes = read_document(path).data, copies.changes[path]
        included = data.get("include") or []
        names = []
        for name in [included] if isinstance(included, str) else included:
            other = (path.parent / name).resolve()
            names.append(copies.add(other))
            if other not in copies.recipes:
                copies.recipes.append(other)
        if names:
            changes["include",] = names
        for i, stage in enumerate(data.get("stages") or []):
            if "config" in stage:
                config = (path.parent / stage["config"]).resolve()
                changes["stages", i, "config"] = copies.add(config)
                copies.kinds[config] = kinds[stage["name"]]
            if "accelerate" in stage:
                changes["stages", i, "accelerate"] = copies.add(
                    _accelerate(stage["accelerate"], path.parent), "accelerate/"
                )


def _accelerate(name: str, folder: Path) -> Path:
    """Return an accelerate file by its name, or by its path beside a recipe."""
    homes = [home / "accelerate" / f"{name}.yaml" for home in recipe_homes()]
    return next((path for path in homes if path.is_file()), folder / name)


def _local(place: str, target: Path) -> str:
    """Return a path as files of the project name it: relative where it is near; what is not there is left alone."""
    path = Path(place).expanduser()
    if not path.exists():
        return place
    relative = os.path.relpath(path.resolve(), target)
    if relative.startswith(os.path.join("..", "..")):
        return str(path.resolve())
    # Without a dot a folder's name is read as the name of a stage.
    return relative if relative.startswith("..") else os.path.join(".", relative)


def _set_model(copies: _Copies, recipe: Recipe, model: str, target: Path) -> None:
    if recipe.base_model is None:
        names = listed(stage.name for stage in recipe.stages if stage.model is not None)
        raise ConfigError(
            f"`{recipe.name}` has no base model: each of {names} names its own; expected none, and an edit of recipe.yaml",
            key="--model",
        )
    if not Path(model).expanduser().exists() and not is_hub_id(model):
        raise ConfigError(
            f"is {model!r}; expected a Hub id (`owner/name`, `owner/name@revision`) or a folder that is there",
            key="--model",
        )
    copies.changes[copies.main]["base_model",] = _local(model, target)


def _set_data(copies: _Copies, data: str, test: str | None, target: Path) -> list[str]:
    """Put the data in the place of the recipe's `train`, and those to evaluate on in the place of its `test`."""
    documents = {path: read_document(path).data.get("data") or {} for path in copies.recipes}
    if not any("train" in found for found in documents.values()):
        names = listed(name for found in documents.values() for name in found)
        raise ConfigError(
            f"the recipe has no data called `train` that this could be; it has {names}. Expected none, and an edit of "
            "recipe.yaml",
            key="--data",
        )
    from .data.found import read_sources

    sources = read_sources(data)
    if test is not None:
        sources = {
            name: {**read_sources(place, option)["train"], "split": "train"}
            for name, place, option in (("test", test, "--test"), ("train", data, "--data"))
        }
    notes = []
    for name, source in sources.items():
        for path, found in documents.items():
            if name in found:
                kept = found[name] if isinstance(found[name], dict) else {}
                kept = {key: kept[key] for key in ("domain", *(["limit"] if name == "test" else [])) if key in kept}
                placed = {"path": _local(source["path"], target), "name": f"{name}"}
                copies.changes[path]["data", name] = placed | {k: v for k, v in source.items() if k != "path"} | kept
                columns = ", ".join(
                    f"{source[key]} as {key.partition('_')[0]}" for key in source if key.endswith("_column")
                )
                place = ", ".join(source[key] for key in ("path", "config", "split") if key in source)
                notes.append(f"{name}: {place}; {columns}")
                break
    return notes


def _set_gpus(copies: _Copies, recipe: Recipe, gpus: int) -> list[str]:
    """
    Have the accelerate files start so many processes; on a CPU, the configs of their stages ask for no GPU, and for as much
    as is done in minutes.
    """
    if gpus < 0:
        raise ConfigError(f"is {gpus}; expected a number of GPUs, or 0", key="--gpus")
    launched = [stage for stage in recipe.stages if stage.accelerate is not None]
    if not launched:
        raise ConfigError(f"`{recipe.name}` trains on no GPU; expected none", key="--gpus")
    for stage in launched:
        rows, each = (stage.config.get(key) for key in ("batch_size", "per_device_train_batch_size"))
        if isinstance(rows, int) and isinstance(each, int) and gpus and rows % (each * gpus):
            raise ConfigError(
                f"is {gpus}; expected a divisor of {rows // each} (`batch_size` {rows} / `per_device_train_batch_size` "
                f"{each} of `{stage.name}`)",
                key="--gpus",
            )
    for path in [path for path, name in copies.names.items() if name.startswith("accelerate/")]:
        if path.stem in _BY_GPUS:
            other = path.with_name(f"{_BY_GPUS[min(gpus, 2)]}.yaml")
            former = copies.names.pop(path)
            del copies.changes[path]
            new = copies.add(other, "accelerate/")
            for changes in copies.changes.values():
                changes |= {keys: new for keys, value in changes.items() if value == former}
            path = other
        elif gpus == 0:
            raise ConfigError(f"is 0, and `{recipe.name}` needs GPUs (accelerate: {path.stem})", key="--gpus")
        copies.changes[path]["num_processes",] = max(1, gpus)
    for path in copies.recipes:
        if "num_processes" in read_document(path).data:
            copies.changes[path]["num_processes",] = gpus
    notes = []
    for stage in recipe.stages if gpus == 0 else ():
        if stage.config_file is not None:
            small = {key: size for key, size in _ON_A_CPU.items() if key in stage.config}
            on_a_cpu = {"use_cpu": True, "bf16": False} if stage in launched else {}
            copies.changes[stage.config_file.resolve()] |= {(key,): v for key, v in {**small, **on_a_cpu}.items()}
            if small:
                file = copies.names[stage.config_file.resolve()]
                notes.append(
                    f"{file}: sizes for a first look on a CPU: {', '.join(f'{k} {v}' for k, v in small.items())}"
                )
    return notes


def _write(copies: _Copies, target: Path, name: str, recipe: str, first: str) -> list[str]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".trl-r1-init-") as temporary:
        folder = Path(temporary) / "project"
        folder.mkdir()
        for path, file in copies.names.items():
            text = edited(path.read_text(encoding="utf-8"), copies.changes[path])
            kind = "recipe" if path in copies.recipes else copies.kinds.get(path)
            if kind == "recipe" or kind in known_kinds():
                text = f"# yaml-language-server: $schema={SCHEMAS}/{kind}.json\n{text}"
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
        home = next(home / DEFAULT for home in recipe_homes() if (home / DEFAULT).is_dir())
        for file in ("rewards.py", "test_rewards.py"):
            (folder / file).write_text((home / file).read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "README.md").write_text(_readme(name, recipe, first), encoding="utf-8")
        _write_schemas(folder / SCHEMAS)
        if target.exists():  # which may be the current folder
            for path in folder.iterdir():
                os.rename(path, target / path.name)
        else:
            os.rename(folder, target)
    own = [*sorted(copies.names.values()), "rewards.py", "test_rewards.py", "README.md", f"{SCHEMAS}/"]
    return [f"{shown(target)}: {', '.join(own)}", "", f"  cd {shown(target)}", "  trl-r1 plan recipe.yaml"]


def _write_schemas(folder: Path) -> None:
    """Write them in a process of its own, since the config classes load torch."""
    command = [sys.executable, "-m", "trl_r1.keys", "--schemas", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise ConfigError(f"the schemas could not be written:\n{ran.stderr.strip()[-2000:]}")


def _readme(name: str, recipe: str, stage: str) -> str:
    return f"""\
# {name}

Begun from the recipe `{recipe}` of trl_r1. `recipe.yaml` has the model, the data and the stages; each stage's keys are in the
file that its `config:` names. `trl-r1 keys KIND [KEY]` says what a key means; `schemas/` has your editor complete and check them.
`rewards.py` holds a reward of your own, which a stage names as `rewards.states_answer`; `pip install pytest`, then
`python -m pytest`, tests it.

    trl-r1 plan recipe.yaml         # checks all of it, and says what it takes
    trl-r1 rehearse recipe.yaml     # all of it in minutes on a CPU, with tiny models
    trl-r1 run recipe.yaml          # in runs/{name}; stopped or failed, the same command goes on
    trl-r1 run recipe.yaml --output-dir runs/short --set {stage}.max_steps=5   # a first look
    trl-r1 status runs/{name}       # how far it is; `trl-r1 report runs/{name}` writes its page
"""


def asked(question: str, default: str) -> str:
    """Ask on the terminal; an empty answer is the default."""
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:  # Ctrl-D
        raise KeyboardInterrupt from None
