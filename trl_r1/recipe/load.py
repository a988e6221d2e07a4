"""
Find a recipe and read it.

Everything that is wrong is collected and reported at once, so that a file is fixed in one go.
"""

import re
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError, ConfigErrors, RecipeError, did_you_mean, listed
from ..kinds import known_kinds
from .document import Document, dotted, read_document
from .records import Recipe, Stage


RECIPE_KEYS = (
    *("name", "base_model", "seed", "parallel", "num_processes", "disk_gb", "env", "data", "hub", "report", "stages"),
)
STAGE_KEYS = ("name", "kind", "model", "data", "config", "accelerate", "num_processes", "set")

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
            if re.search(r"^stages:", path.read_text(encoding="utf-8"), re.MULTILINE):
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
    raise ConfigError(
        f"no such file, and no recipe of this name; recipes that ship with trl_r1: {listed(known)}"
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
    document = read_document(find_recipe(path))
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
        names = [str(s.get("name")) for s in self.data["stages"] if isinstance(s, dict)]
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
            if len(keys) > 1 and keys[0] in names:
                self.stage_overrides.setdefault(keys[0], []).append((keys[1:], value, text))
            elif len(keys) > 2 and keys[0] == "data" and keys[1] in (self.data.get("data") or {}):
                sources = self.data["data"][keys[1]]
                for source in sources if isinstance(sources, list) else [sources]:
                    if isinstance(source, dict):
                        source[".".join(keys[2:])] = value
            elif len(keys) == 1 and keys[0] in RECIPE_KEYS and keys[0] not in ("stages", "data"):
                self.data[keys[0]] = value
            else:
                known = [*names, *(f"data.{name}" for name in self.data.get("data") or {})]
                self.problems.append(
                    RecipeError(
                        f"no stage or data of this name; this recipe has {listed(known)}{did_you_mean(keys[0], names)}",
                        file="--set",
                        key=path,
                    )
                )

    def recipe(self) -> tuple[Recipe, list[ConfigError]]:
        self.known_keys(self.data, RECIPE_KEYS)
        name = self.typed("name", str, "a name", required=True)
        if name is not None and not re.fullmatch(r"[\w.-]+", name):
            self.wrong(f"is {name!r}; expected letters, digits, `-`, `_`, `.`: it names the run directory", "name")
        seed = self.typed("seed", int, "a whole number", default=0)
        parallel = self.typed("parallel", int, "a whole number of at least 1", default=1)
        if isinstance(parallel, int) and parallel < 1:
            self.wrong(f"is {parallel}; expected at least 1", "parallel")
            parallel = 1
        disk_gb = self.typed("disk_gb", (int, float), "a number of GB", default=1.0)
        env = self.environment(self.typed("env", dict, "a mapping of variables", default={}))
        data = self.sources()
        found = [self.stage(i, raw, env) for i, raw in enumerate(self.data["stages"])]
        stages = [stage for stage in found if stage is not None]
        self.unique_names()
        recipe = Recipe(
            name=name or self.document.path.stem,
            path=self.document.path,
            stages=tuple(stages),
            base_model=self.typed("base_model", str, "a Hub id, a folder or a stage"),
            seed=seed if seed is not None else 0,
            parallel=parallel or 1,
            data=data,
            disk_gb=float(disk_gb or 0.0),
            hub=self.typed("hub", dict, "a mapping"),
            report=self.typed("report", dict, "a mapping"),
        )
        return recipe, self.problems

    def known_keys(self, mapping: dict[str, Any], known: tuple[str, ...], *at: str | int) -> None:
        for key in mapping:
            if key not in known:
                self.wrong(f"unknown key; expected one of {listed(known)}{did_you_mean(key, known)}", *at, key)

    def typed(self, key: str, kind: Any, expected: str, *, default: Any = None, required: bool = False) -> Any:
        value = self.data.get(key)
        if value is None:
            if required:
                self.wrong(f"is missing; expected {expected}", key)
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.wrong(f"is {value!r}; expected {expected}", key)
            return default
        return value

    def environment(self, env: dict[str, Any]) -> dict[str, str]:
        for key, value in env.items():
            if isinstance(value, (dict, list)) or value is None:
                self.wrong(f"is {value!r}; expected text or a number", "env", key)
        return {key: str(value) for key, value in env.items()}

    def sources(self) -> dict[str, list[dict[str, Any]]]:
        data = self.data.get("data") or {}
        if not isinstance(data, dict):
            self.wrong("expected a mapping of names to data sources", "data")
            return {}
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

    def stage(self, i: int, raw: Any, env: dict[str, str]) -> Stage | None:
        at = ("stages", i)
        if not isinstance(raw, dict):
            self.wrong("expected a mapping with `name` and `kind`", *at)
            return None
        name = raw.get("name")
        raw = {**raw, **{k[0]: v for k, v, _ in self.overrides_of(name) if len(k) == 1 and k[0] in STAGE_KEYS}}
        self.known_keys(raw, STAGE_KEYS, *at)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.wrong(f"is {name!r}; expected a name of letters, digits, `-` and `_`", *at, "name")
            return None
        kind = raw.get("kind")
        if not isinstance(kind, str) or not (kind in known_kinds() or _MODULE.fullmatch(kind)):
            self.wrong(
                f"unknown kind {kind!r} of stage `{name}`; expected one of {listed(known_kinds())}, or the dotted name of a "
                f"module of your own{did_you_mean(str(kind), known_kinds())}",
                *at,
                "kind",
                kind=RecipeError,
            )
            return None
        config, origins, config_file = self.config(raw, name, env, at)
        return Stage(
            name=name,
            kind=kind,
            config=config,
            model=self.model(raw.get("model"), at),
            data=self.data_names(raw.get("data"), at),
            accelerate=self.accelerate(raw.get("accelerate"), at),
            num_processes=self.processes(raw, at),
            config_file=config_file,
            origins=origins,
            at=self.document.at(*at),
        )

    def overrides_of(self, name: Any) -> list[tuple[list[str], Any, str]]:
        return self.stage_overrides.get(name, []) if isinstance(name, str) else []

    def config(
        self, raw: dict[str, Any], name: str, env: dict[str, str], at: tuple[str | int, ...]
    ) -> tuple[dict[str, Any], dict[str, str], Path | None]:
        config: dict[str, Any] = {}
        origins: dict[str, str] = {}
        config_file = None
        if raw.get("config") is not None:
            config_file = self.file(raw["config"], "a YAML file, relative to the recipe", *at, "config")
        if config_file is not None:
            try:
                document = read_document(config_file)
            except ConfigError as error:
                self.problems.append(error)
            else:
                config = deepcopy(document.data)
                origins = {key: document.at(key) for key in config}
        inline = raw.get("set") or {}
        if not isinstance(inline, dict):
            self.wrong("expected a mapping of config keys", *at, "set")
            inline = {}
        config.pop("seed", None)  # the file's own seed is for running it alone: here the recipe's counts
        for key, value in inline.items():
            config[key] = value
            origins[key] = self.document.at(*at, "set", key)
        own = config.get("env")
        if env and (own is None or isinstance(own, dict)):
            config["env"] = {**env, **(own or {})}
            origins.setdefault("env", self.document.at("env"))
        for keys, value, text in self.overrides_of(name):
            if len(keys) == 1 and keys[0] in STAGE_KEYS:
                continue
            if not _put(config, keys, value):
                self.problems.append(ConfigError("no such place in the config", file="--set", key=text))
            origins[keys[0]] = f"--set {text}"
        return config, origins, config_file

    def processes(self, raw: dict[str, Any], at: tuple[str | int, ...]) -> int | None:
        value, where = raw.get("num_processes"), (*at, "num_processes")
        if value is None and raw.get("accelerate") is not None:
            value, where = self.data.get("num_processes"), ("num_processes",)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.wrong(f"is {value!r}; expected a whole number of at least 1", *where)
            return None
        if raw.get("accelerate") is None:
            self.wrong("expected `accelerate:` beside it, which starts the processes", *where)
        return value

    def model(self, value: Any, at: tuple[str | int, ...]) -> str | list[str] | dict[str, str] | None:
        several = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if isinstance(value, (str, list, dict)) and several and all(isinstance(item, str) for item in several):
            return value
        if value is None:
            return None
        self.wrong(f"is {value!r}; expected `base_model`, a stage, a Hub id or a folder", *at, "model")
        return None

    def data_names(self, value: Any, at: tuple[str | int, ...]) -> list[str | dict[str, Any]]:
        values = value if isinstance(value, list) else [] if value is None else [value]
        for item in values:
            if not (isinstance(item, str) or (isinstance(item, dict) and {"path", "source"} & item.keys())):
                self.wrong(f"is {item!r}; expected names of data or stages, or mappings with `source`", *at, "data")
                return []
        return values

    def accelerate(self, value: Any, at: tuple[str | int, ...]) -> Path | None:
        if value is None:
            return None
        for home in recipe_homes():
            if isinstance(value, str) and (home / "accelerate" / f"{value}.yaml").is_file():
                return home / "accelerate" / f"{value}.yaml"
        named = sorted({p.stem for home in recipe_homes() for p in (home / "accelerate").glob("*.yaml")})
        return self.file(value, f"one of {listed(named)} or a YAML file, relative to the recipe", *at, "accelerate")

    def file(self, value: Any, expected: str, *at: str | int) -> Path | None:
        if isinstance(value, str):
            path = self.folder / Path(value).expanduser()
            if path.is_file():
                return path
        self.wrong(f"is {value!r}, and no such file; expected {expected}", *at)
        return None

    def unique_names(self) -> None:
        first: dict[str, str] = {}
        for i, raw in enumerate(self.data["stages"]):
            name = raw.get("name") if isinstance(raw, dict) else None
            if not isinstance(name, str):
                continue
            if name in first:
                self.wrong(
                    f"two stages are called `{name}` (the other at {first[name]}); expected names that differ",
                    "stages",
                    i,
                    "name",
                    kind=RecipeError,
                )
            elif name in (self.data.get("data") or {}):
                self.wrong(f"`{name}` is a data set and a stage; expected names that differ", "stages", i, "name")
            elif name == "base_model":
                self.wrong(
                    "`base_model` is the name of the recipe's base model; expected another name", "stages", i, "name"
                )
            first.setdefault(name, self.document.at("stages", i))


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
