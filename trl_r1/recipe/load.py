"""
Find a recipe and read it.

Everything that is wrong is collected and reported at once, so that a file is fixed in one go.
"""

import re
import shlex
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import ConfigError, ConfigErrors, RecipeError, did_you_mean, listed
from ..kinds import known_kinds
from ..typed import check_fields, hints_of
from .document import Document, dotted, read_document
from .include import read_with_includes
from .keys import RecipeKeys, ServerKeys, SlurmKeys, StageKeys
from .records import ModelServer, Recipe, Stage


Keys = TypeVar("Keys", RecipeKeys, StageKeys, ServerKeys, SlurmKeys)

TRACKERS = ("trackio", "wandb", "tensorboard")
# A stage's name is the name of its folder and the first part of `stage.key` and `stage/data`: no dots, no slashes.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def recipe_homes() -> list[Path]:
    """Return the folders that hold recipes: inside the installed package, and at the top of a source checkout."""
    package = Path(__file__).resolve().parents[1]
    return [home for home in (package / "recipes", package.parent / "recipes") if home.is_dir()]


def known_recipes() -> list[str]:
    """Return the names of the recipes that ship with the package: `r1`, and `r1/small` for a `small.yaml` beside it."""
    found = set()
    for home in recipe_homes():
        for path in home.rglob("*.yaml"):
            keys = set(re.findall(r"^(\w+):", path.read_text(encoding="utf-8"), re.MULTILINE))
            if "name" in keys and keys & {"stages", "include"}:  # without a name it is there to be included
                name = path.relative_to(home)
                found.add((name.parent if name.name == "recipe.yaml" else name.with_suffix("")).as_posix())
    return sorted(found)


def find_recipe(name: str | Path) -> Path:
    """
    Find a recipe by path or by name.

    Args:
        name (`str` or `Path`):
            A YAML file, a folder with a `recipe.yaml`, or the name of a recipe that ships with the package
            (`playground`, `r1`), or of a file beside it (`r1/small` for `r1/small.yaml`).

    Raises:
        `ConfigError`: nothing of this name.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if (path / "recipe.yaml").is_file():
        return path / "recipe.yaml"
    for home in recipe_homes():
        for candidate in (home / path / "recipe.yaml", home / path.with_name(f"{path.name}.yaml")):
            if candidate.is_file():
                return candidate
    known = known_recipes()
    beside = [file.name for file in path.parent.glob("*.yaml")] if path.suffix else []
    if hint := did_you_mean(path.name, beside):
        raise ConfigError(f"no such file{hint}", file=str(name))
    raise ConfigError(
        f"no such file, and no recipe of this name; recipes that ship with trl_r1: {listed(known, len(known))}"
        f"{did_you_mean(str(name), known)}",
        file=str(name),
    )


def load_recipe(path: str | Path, *, overrides: Iterable[str] = (), seed: int | None = None) -> Recipe:
    """
    Read a recipe, with its stages' config files.

    Args:
        path (`str` or `Path`):
            The recipe's YAML file, or a name that [`find_recipe`] knows.
        overrides (`Iterable[str]`, *optional*):
            `stage.key=value`, `data.name.key=value` or a top-level `key=value`, values in YAML.
        seed (`int`, *optional*):
            Takes the place of the recipe's seed.

    Raises:
        `ConfigErrors`: everything found wrong.
    """
    recipe, problems = read_recipe(path, overrides=overrides, seed=seed)
    if problems:
        raise ConfigErrors(problems)
    return recipe


def read_recipe(
    path: str | Path, *, overrides: Iterable[str] = (), seed: int | None = None
) -> tuple[Recipe, list[ConfigError]]:
    """
    Read a recipe as far as it can be read: what [`load_recipe`] does, with the problems beside the recipe.

    Raises:
        `ConfigError`: the file itself cannot be read, or has no stages.
    """
    document = read_with_includes(find_recipe(path))
    return _Reading(document, list(overrides), seed).recipe()


class _Reading:
    """One reading of one recipe: the document, the overrides, and what was found wrong."""

    def __init__(self, document: Document, overrides: list[str], seed: int | None):
        self.document = document
        self.folder = document.path.resolve().parent
        self.data = deepcopy(document.data)
        self.problems: list[ConfigError] = []
        self.stage_overrides: dict[str, list[tuple[list[str], Any, str]]] = {}
        if not isinstance(self.data.get("stages"), list) or not self.data["stages"]:
            self.wrong("expected a list of stages, each with `name` and `kind`", "stages")
            raise self.problems[0]
        self.apply(overrides)
        if seed is not None:
            self.data["seed"] = seed

    def wrong(self, message: str, *keys: str | int, kind: type[ConfigError] = ConfigError) -> None:
        self.problems.append(kind(message, file=self.document.at(*keys), key=dotted(*keys) or None))

    def apply(self, overrides: list[str]) -> None:
        stages = {str(stage.get("name")): stage for stage in self.data["stages"] if isinstance(stage, dict)}
        for text in overrides:
            path, equals, raw = text.partition("=")
            keys = path.strip().split(".")
            if not equals or not all(keys):
                self.problems.append(ConfigError("expected `stage.key=value`", file="--set", key=text))
                continue
            try:
                value = yaml.safe_load(raw)
            except yaml.YAMLError:
                value = raw
            if len(keys) == 2 and keys[0] in stages and keys[1] in hints_of(StageKeys):
                stages[keys[0]][keys[1]] = value
            elif len(keys) > 1 and keys[0] in stages:
                self.stage_overrides.setdefault(keys[0], []).append((keys[1:], value, text))
            elif len(keys) > 2 and keys[0] == "data" and keys[1] in (self.data.get("data") or {}):
                sources = self.data["data"][keys[1]]
                for source in sources if isinstance(sources, list) else [sources]:
                    if isinstance(source, dict):
                        source[".".join(keys[2:])] = value
            elif len(keys) == 1 and keys[0] in hints_of(RecipeKeys) and keys[0] not in ("stages", "data"):
                self.data[keys[0]] = value
            else:
                known = [*stages, *(f"data.{name}" for name in self.data.get("data") or {})]
                self.problems.append(
                    RecipeError(
                        f"no stage or data of this name; this recipe has {listed(known)}{did_you_mean(keys[0], stages)}",
                        file="--set",
                        key=path,
                    )
                )

    def checked(self, cls: type[Keys], mapping: dict[str, Any], *at: str | int) -> Keys:
        """Return the values of a mapping that are right; what is wrong is noted, and the default takes its place."""
        given = {key: value for key, value in mapping.items() if value is not None or key not in hints_of(cls)}
        right, problems = check_fields([cls], given)
        for problem in problems:
            self.wrong(problem.message, *at, problem.key or "")
        return cls(**right)

    def at_least_one(self, value: int | None, *at: str | int) -> None:
        if value is not None and value < 1:
            self.wrong(f"is {value}; expected at least 1", *at)

    def recipe(self) -> tuple[Recipe, list[ConfigError]]:
        keys = self.checked(RecipeKeys, self.data)
        if self.data.get("name") is None:
            self.wrong("is missing; expected a name", "name")
        elif keys.name and not re.fullmatch(r"[\w.-]+", keys.name):
            self.wrong(
                f"is {keys.name!r}; expected letters, digits, `-`, `_`, `.`: it names the run directory", "name"
            )
        self.at_least_one(keys.parallel, "parallel")
        trackers = [keys.report_to] if isinstance(keys.report_to, str) else keys.report_to
        for name in trackers:
            if name not in TRACKERS:
                known = listed(TRACKERS)
                self.wrong(f"is {name!r}; expected some of {known}{did_you_mean(name, TRACKERS)}", "report_to")
        data = self.sources(keys.data)
        env = {key: str(value) for key, value in keys.env.items()}
        found = [self.stage(i, raw, env, keys) for i, raw in enumerate(keys.stages)]
        self.unique_names()
        recipe = Recipe(
            name=keys.name or self.document.path.stem,
            path=self.document.path,
            stages=tuple(stage for stage in found if stage is not None),
            base_model=keys.base_model,
            seed=keys.seed,
            parallel=max(1, keys.parallel),
            data=data,
            disk_gb=float(keys.disk_gb),
            hub=keys.hub,
            judge=keys.judge,
            report_to=tuple(trackers),
            launcher=keys.launcher,
            servers=self.servers(keys.servers),
            without=tuple(keys.without),
        )
        return recipe, self.problems

    def sources(self, data: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for name, value in data.items():
            sources = value if isinstance(value, list) else [value]
            for i, source in enumerate(sources):
                at = ("data", name, i) if isinstance(value, list) else ("data", name)
                if not isinstance(source, dict) or not ({"path", "source"} & source.keys()):
                    self.wrong("expected a mapping with a `path` (Hub id or file) or a `source` (a stage)", *at)
                    break
            else:
                found[name] = sources
        return found

    def slurm(self, given: dict[str, Any], *at: str | int) -> dict[str, Any]:
        """Return what a job asks for, without what is left open."""
        keys = self.checked(SlurmKeys, given, *at, "slurm")
        for name in ("nodes", "gpus_per_node"):
            value = getattr(keys, name)
            if value is not None and value < (name == "nodes"):
                self.wrong(f"is {value}; expected at least {int(name == 'nodes')}", *at, "slurm", name)
        for line in keys.sbatch:
            if not line.startswith("-"):
                self.wrong(
                    f"has {line!r}; expected options of sbatch, such as --constraint=h100", *at, "slurm", "sbatch"
                )
        return {name: value for name, value in vars(keys).items() if value not in (None, [])}

    def servers(self, servers: list[Any]) -> tuple[ModelServer, ...]:
        found: dict[str, ModelServer] = {}
        for i, raw in enumerate(servers):
            at = ("servers", i)
            if not isinstance(raw, dict):
                self.wrong("expected a mapping with `name`, and `command` or `vllm`", *at)
                continue
            keys = self.checked(ServerKeys, raw, *at)
            if not _NAME.fullmatch(keys.name):
                self.wrong(f"is {raw.get('name')!r}; expected letters, digits, `-` and `_`", *at, "name")
            elif keys.name in found:
                self.wrong(f"two servers are called `{keys.name}`; expected names that differ", *at, "name")
            if (keys.command is None) == (keys.vllm is None):
                self.wrong("expected either `command` or `vllm`", *at)
            elif keys.command is not None and not _is_command(keys.command):
                self.wrong("expected a command line, its quotes closed", *at, "command")
            elif keys.command is not None and "{port}" not in keys.command:
                self.wrong("expected `{port}` in it, for the port that the runner chooses", *at, "command")
            if not keys.ready.startswith(("/", "http://", "https://")):
                self.wrong(f"is {keys.ready!r}; expected a path such as /health, or a URL", *at, "ready")
            for key in ("gpus", "nodes"):
                if (getattr(keys, key) or 0) < 0:
                    self.wrong(f"is {getattr(keys, key)}; expected 0 or more", *at, key)
            gpus = keys.gpus if keys.gpus is not None else int(keys.vllm is not None)
            found[keys.name] = ModelServer(**{**vars(keys), "gpus": gpus, "at": self.document.at(*at)})
        return tuple(found.values())

    def stage(self, i: int, raw: Any, env: dict[str, str], of_recipe: RecipeKeys) -> Stage | None:
        at = ("stages", i)
        if not isinstance(raw, dict):
            self.wrong("expected a mapping with `name` and `kind`", *at)
            return None
        keys = self.checked(StageKeys, raw, *at)
        if not _NAME.fullmatch(keys.name):
            self.wrong(f"is {raw.get('name')!r}; expected a name of letters, digits, `-` and `_`", *at, "name")
            return None
        if keys.kind not in known_kinds() and not _MODULE.fullmatch(keys.kind):
            kinds = known_kinds()
            self.wrong(
                f"unknown kind {raw.get('kind')!r} of stage `{keys.name}`; expected one of {listed(kinds)}, or the dotted "
                f"name of a module of your own{did_you_mean(keys.kind, kinds)}",
                *at,
                "kind",
                kind=RecipeError,
            )
            return None
        config, origins, config_file = self.config(keys, env, at)
        return Stage(
            name=keys.name,
            kind=keys.kind,
            config=config,
            model=keys.model,
            data=keys.data if isinstance(keys.data, list) else [keys.data] if keys.data is not None else [],
            accelerate=self.accelerate(keys.accelerate, at),
            num_processes=self.processes(keys, of_recipe.num_processes, at),
            config_file=config_file,
            origins=origins,
            at=self.document.at(*at),
            processes=max(1, keys.processes),
            retries=max(0, of_recipe.retries if keys.retries is None else keys.retries),
            slurm={**self.slurm(of_recipe.slurm), **self.slurm(keys.slurm, *at)},
            needs=keys.needs,
            purpose=keys.purpose,
        )

    def config(
        self, keys: StageKeys, env: dict[str, str], at: tuple[str | int, ...]
    ) -> tuple[dict[str, Any], dict[str, str], Path | None]:
        config: dict[str, Any] = {}
        origins: dict[str, str] = {}
        config_file = None
        if keys.config is not None:
            config_file = self.file(keys.config, "a YAML file, relative to the recipe", *at, "config")
        if config_file is not None:
            try:
                document = read_document(config_file)
                # The file's own seed is for running it alone: here the recipe's counts.
                config = {key: value for key, value in deepcopy(document.data).items() if key != "seed"}
                origins = {key: document.at(key) for key in config}
            except ConfigError as error:
                self.problems.append(error)
        config |= keys.set
        origins |= {key: self.document.at(*at, "set", key) for key in keys.set}
        own = config.get("env")
        if env and (own is None or isinstance(own, dict)):
            config["env"] = {**env, **(own or {})}
            origins.setdefault("env", self.document.at("env"))
        for path, value, text in self.stage_overrides.get(keys.name, ()):
            if not _put(config, path, value):
                self.problems.append(ConfigError("no such place in the config", file="--set", key=text))
            origins[path[0]] = f"--set {text}"
        return config, origins, config_file

    def processes(self, keys: StageKeys, of_recipe: int | None, at: tuple[str | int, ...]) -> int | None:
        value, where = keys.num_processes, (*at, "num_processes")
        if value is None and keys.accelerate is not None:
            value, where = of_recipe, ("num_processes",)
        self.at_least_one(value, *where)
        self.at_least_one(keys.processes, *at, "processes")
        if keys.processes != 1 and keys.accelerate is not None:
            self.wrong(
                "expected no `accelerate:` beside it: `num_processes` is the number of a training's", *at, "processes"
            )
        if value is not None and keys.accelerate is None:
            self.wrong("expected `accelerate:` beside it, which starts the processes", *where)
        return value

    def accelerate(self, value: str | None, at: tuple[str | int, ...]) -> Path | None:
        if value is None:
            return None
        named = {p.stem: p for home in reversed(recipe_homes()) for p in (home / "accelerate").glob("*.yaml")}
        return named.get(value) or self.file(
            value, f"one of {listed(sorted(named))} or a YAML file, relative to the recipe", *at, "accelerate"
        )

    def file(self, value: str, expected: str, *at: str | int) -> Path | None:
        path = self.folder / Path(value).expanduser()
        if path.is_file():
            return path
        self.wrong(f"is {value!r}, and no such file; expected {expected}", *at)
        return None

    def unique_names(self) -> None:
        taken = {name: f"`{name}` is a data set and a stage" for name in self.data.get("data") or {}}
        taken["base_model"] = "`base_model` is the name of the recipe's base model"
        for i, raw in enumerate(self.data["stages"]):
            name = raw.get("name") if isinstance(raw, dict) else None
            if not isinstance(name, str):
                continue
            if name in taken:
                self.wrong(f"{taken[name]}; expected names that differ", "stages", i, "name", kind=RecipeError)
            other = self.document.at("stages", i)
            taken.setdefault(name, f"two stages are called `{name}` (the other at {other})")


def _is_command(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


def _put(config: dict[str, Any], keys: list[str], value: Any) -> bool:
    """Put a value into a config, down a path of keys and of positions in lists (`rewards.0.weight`)."""
    inner: Any = config
    key: str | int
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(inner, list):
            if not keys[i].isdigit() or int(key) >= len(inner):
                return False
            key = int(key)
        elif not last and not isinstance(inner.get(key), (dict, list)):
            inner[key] = {}
        if last:
            inner[key] = value
        elif not isinstance(inner[key], (dict, list)):
            return False
        else:
            inner = inner[key]
    return True
