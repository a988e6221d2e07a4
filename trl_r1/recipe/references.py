"""
From names to paths: what each stage reads, where it is, and which stages it depends on.

Which keys of a config name a model, data or a file, its kind says (`StageKind.references`); no other key is resolved.
Paths inside the run are written `${run}/...` until the very end, so that a fingerprint does not change when a run is
moved to another folder.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data_files import is_place
from ..errors import ConfigError, DataError, RecipeError, did_you_mean, listed
from ..ids import is_hub_id
from ..kinds import StageKind, kind_of
from ..model_server import server_name
from .document import read_document, shown
from .records import ModelServer, Recipe, Stage


RUN = "${run}"
_DATA_SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz", ".arrow", ".tsv")
_FOLDERS = ("rollouts", "traces", "rejected")  # what a stage keeps beside `data/`, and another may read


@dataclass(frozen=True)
class ResolvedStage:
    """
    A stage with every reference resolved.

    Args:
        stage (`Stage`):
            As the recipe states it.
        config (`dict[str, Any]`):
            The flat configuration. Paths inside the run start with `${run}`.
        parents (`tuple[str, ...]`):
            Stages it reads from, in the order of first mention.
        kind ([`~kinds.StageKind`], *optional*):
            What its kind says about itself; `None` where there is no such kind.
        inputs (`tuple[Path, ...]`):
            Local files and folders it reads from outside the run.
        servers (`tuple[ModelServer, ...]`):
            Those that its config names, and that run beside it. The place of a model inside the run starts with `${run}`.
        tracked (`tuple[str, ...]`):
            The trackers that it reports to, where its config does not say. What it makes does not depend on them.
        project (`str`, *optional*, defaults to `""`):
            Under what name: the recipe's.
    """

    stage: Stage
    config: dict[str, Any]
    parents: tuple[str, ...] = ()
    kind: StageKind | None = None
    inputs: tuple[Path, ...] = ()
    servers: tuple[ModelServer, ...] = ()
    tracked: tuple[str, ...] = ()
    project: str = ""

    @property
    def name(self) -> str:
        """Its name in the recipe."""
        return self.stage.name

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it leaves in its folder."""
        return self.kind.leaves if self.kind else ()

    def at(self, key: str) -> str:
        """Return `file:line` of a key of its config; of the stage where the recipe gives the key, else the config's file."""
        keys = tuple(int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", key))
        top = str(keys[0]) if keys else ""
        file = None if top in ("model_name_or_path", "models", "data") else self.stage.config_file
        found = self.stage.origins.get(top)
        if found is None:
            return self.stage.at if file is None else shown(file)
        if file is not None and len(keys) > 1 and found.startswith(f"{shown(file)}:"):
            document = read_document(file)
            there, here = document.data.get(top), self.config.get(top)
            if not isinstance(there, list) or not isinstance(here, list) or len(there) == len(here):
                return document.at(*keys)  # where no entry of a list was left out
        return found

    def placed(self, run_dir: str | Path) -> dict[str, Any]:
        """Return the configuration with the run's folder filled in, and the names under which trackers find the stage."""
        placed = {
            key: with_texts(value, lambda text: text.replace(RUN, str(run_dir))) for key, value in self.config.items()
        }
        return {**self.tracking(run_dir), **placed} if self.kind and self.kind.trains else placed

    def tracking(self, run_dir: str | Path) -> dict[str, Any]:
        """Return the trackers and the names under which they find the stage; nothing where it is not tracked."""
        if not self.tracked:
            return {}
        run_name = f"{Path(run_dir).name}-{self.name}"
        return {"report_to": list(self.tracked), "project": self.project, "run_name": run_name}


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value of a config with every text in it changed; keys stay."""
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def resolve(recipe: Recipe) -> tuple[list[ResolvedStage], list[ConfigError]]:
    """
    Resolve every stage of a recipe.

    Args:
        recipe (`Recipe`):
            As it was read.

    Returns:
        `tuple[list[ResolvedStage], list[ConfigError]]`: the stages, parents before children and otherwise in the order
        of the recipe; and what is wrong with them. On a cycle the order is the recipe's.
    """
    problems: list[ConfigError] = []
    resolved = [_Resolving(recipe, stage, problems).resolved() for stage in recipe.stages]
    return _ordered(resolved, problems), problems


def _ordered(resolved: list[ResolvedStage], problems: list[ConfigError]) -> list[ResolvedStage]:
    left, order = list(resolved), []
    while left:
        parents = {item.name: set(item.parents) & {other.name for other in left} for item in left}
        ready = next((item for item in left if not parents[item.name]), None)
        if ready is None:
            problems.append(_cycle(left, parents))
            return resolved
        left.remove(ready)
        order.append(ready)
    return order


def _cycle(left: list[ResolvedStage], parents: dict[str, set[str]]) -> ConfigError:
    """Return the error for stages of which each has a parent among them."""
    trail = [left[0].name]
    while (name := min(parents[trail[-1]])) not in trail:
        trail.append(name)
    cycle = [*trail[trail.index(name) :], name]
    way = f"a cycle: {' -> '.join(cycle)} (each reads from the next)" if len(cycle) > 2 else "reads its own output"
    at = next(item.stage.at for item in left if item.name == name)
    return RecipeError(f"{way}; expected stages without a cycle", file=at, key=f"stages.{name}")


@dataclass
class _Resolving:
    """The resolution of one stage."""

    recipe: Recipe
    stage: Stage
    problems: list[ConfigError]
    kind: StageKind | None = None
    parents: list[str] = field(default_factory=list)
    inputs: list[Path] = field(default_factory=list)

    def resolved(self) -> ResolvedStage:
        stage = self.stage
        try:
            self.kind = kind_of(stage.kind)
        except ConfigError as error:
            self.problems.append(ConfigError(error.message, file=stage.at, key=f"stages.{stage.name}.kind"))
        config = {key: self.nested(value, (key,)) for key, value in deepcopy(stage.config).items()}
        if stage.model is not None:
            self.models(config, stage.model)
        elif self.kind and self.kind.trains and self.kind.model == "one" and not config.get("model_name_or_path"):
            self.wrong(f"is missing; a stage of kind `{stage.kind}` starts from a model, expected its name", "model")
        if stage.data:
            if self.kind is not None and self.kind.reads is None:
                self.wrong(f"a stage of kind `{stage.kind}` reads no data; expected no `data`", "data")
            config["data"] = [self.filtered(source) for item in stage.data for source in self.sources(item)]
        config["output_dir"] = f"{RUN}/{stage.name}"
        config.setdefault("seed", self.recipe.seed)
        if stage.accelerate is not None:
            self.inputs.append(stage.accelerate)
        servers = self.servers(config)
        # A stage of one's own says itself what it takes.
        told = self.kind is not None and (self.kind.trains or self.kind.makes == "metrics") and "." not in stage.kind
        tracked = self.recipe.report_to if told else ()
        parents, inputs = tuple(dict.fromkeys(self.parents)), tuple(dict.fromkeys(self.inputs))
        return ResolvedStage(stage, config, parents, self.kind, inputs, servers, tracked, self.recipe.name)

    def wrong(self, message: str, key: str, kind: type[ConfigError] = RecipeError) -> None:
        self.problems.append(kind(message, file=self.stage.at, key=f"stages.{self.stage.name}.{key}"))

    # --- models -----------------------------------------------------------------------------------------------------

    def models(self, config: dict[str, Any], model: str | list[str] | dict[str, str]) -> None:
        takes = self.kind.model if self.kind else "one"
        if takes == "none":
            self.wrong(f"a stage of kind `{self.stage.kind}` takes no model; expected no `model`", "model")
        elif takes == "several":
            config["models"] = {name: self.model_place(item, "model") for name, item in self.named(model)}
        elif isinstance(model, str):
            config["model_name_or_path"] = self.model_place(model, "model")
        else:
            self.wrong(f"a stage of kind `{self.stage.kind}` starts from one model; expected one name", "model")

    def named(self, model: str | list[str] | dict[str, str]) -> list[tuple[str, str]]:
        """Return each of several models with its name."""
        if isinstance(model, dict):
            return list(model.items())
        items = [model] if isinstance(model, str) else model
        names = ["base" if item == "base_model" else Path(item.split("@")[0]).name for item in items]
        for name in {name for name in names if names.count(name) > 1}:
            self.wrong(f"two models are called `{name}`; expected a mapping of names to models", "model")
        return list(zip(names, items))

    def model_place(self, name: str, key: str) -> str:
        names = [stage.name for stage in self.recipe.stages]
        if name == "base_model":
            if not self.recipe.base_model:
                self.wrong("`base_model` is used, and the recipe names none; expected a top-level `base_model`", key)
                return name
            return self.model_place(self.recipe.base_model, "model (base_model)")
        if name in names:
            self.parents.append(name)
            self.makes(name, "model", "a model", key)
            return f"{RUN}/{name}/model"
        if local := self.local(name):
            return local
        if is_hub_id(name):
            return name
        self.wrong(
            f"`{name}` is no stage of this recipe, no folder and no Hub id (`owner/name`); expected `base_model` or one "
            f"of {listed(names)}{did_you_mean(name, names)}",
            key,
        )
        return name

    def makes(self, name: str, output: str, what: str, key: str) -> None:
        stage = self.recipe.stage(name)
        try:
            outputs = kind_of(stage.kind).leaves
        except ConfigError:  # reported where that stage is resolved
            return
        if any(made == output or output.startswith(f"{made}/") for made in outputs):
            return
        self.wrong(f"`{name}` ({stage.kind}) makes {listed(outputs)}, not {what}; expected a stage that does", key)

    def servers(self, config: dict[str, Any]) -> tuple[ModelServer, ...]:
        """Return the servers that a config names; a model of the run that one serves is a parent."""
        named: dict[str, None] = {}

        def remember(text: str) -> str:
            if name := server_name(text):
                named[name] = None
            return text

        with_texts(config, remember)
        known = {server.name: server for server in self.recipe.servers}
        for name in named.keys() - known.keys():
            self.wrong(
                f"`server:{name}` is no server of this recipe; expected one of `servers:`, {listed(list(known)) or 'none'}"
                f"{did_you_mean(name, known)}",
                "set",
            )
        found = []
        for server in (known[name] for name in named if name in known):
            place = server.vllm and self.model_place(server.vllm, f"servers.{server.name}.vllm")
            found.append(replace(server, vllm=place))
        return tuple(found)

    # --- data -------------------------------------------------------------------------------------------------------

    def sources(self, item: str | dict[str, Any]) -> list[dict[str, Any]]:
        if isinstance(item, dict):
            source, rest = item.get("source"), {key: value for key, value in item.items() if key != "source"}
            if source is None:
                return [self.file_source(rest)]
            if isinstance(source, str):
                return [{**each, **rest} for each in self.sources(source)]
            self.wrong(f"`source` is {source!r}; expected the name of data or of a stage", "data")
            return []
        if item in self.recipe.data:
            sources = self.recipe.data[item]
            found = []
            for each in sources:
                if "source" not in each:
                    found.append(self.file_source({"name": item, **each} if len(sources) == 1 else each))
                elif each["source"] in self.recipe.data:
                    self.wrong(f"data `{item}` names other data; expected a stage or a `path`", "data")
                else:
                    found += [{**made, "name": item} for made in self.sources(each)]
            return found
        name, _, part = item.partition("/")
        names = [stage.name for stage in self.recipe.stages]
        if name in names:
            self.parents.append(name)
            if part in _FOLDERS:
                return [{"path": f"{RUN}/{name}/{part}", "name": item}]
            output = f"data/{part or 'train'}.parquet"
            self.makes(name, output, f"`{output}`", "data")
            return [{"path": f"{RUN}/{name}/{output}", "name": item}]
        known = [*self.recipe.data, *names]
        self.wrong(
            f"`{item}` is neither data nor a stage of this recipe; expected one of {listed(known)}, or `stage/name`"
            f"{did_you_mean(item, known)}",
            "data",
        )
        return []

    def file_source(self, source: dict[str, Any]) -> dict[str, Any]:
        path = source.get("path")
        if not isinstance(path, str):
            self.wrong(f"`path` is {path!r}; expected a Hub id or a file", "data", DataError)
        elif local := self.local(path):
            return {**source, "path": local}
        elif path.endswith(_DATA_SUFFIXES) or not is_hub_id(path):
            places = " or ".join(dict.fromkeys(map(shown, self.places(path))))
            self.wrong(f"`{path}`: no such file; expected {places}, or a Hub id `owner/name`", "data", DataError)
        return source

    def filtered(self, source: dict[str, Any]) -> dict[str, Any]:
        """Return a source with the place of the pass rates that its prompts are filtered by."""
        solved = source.get("solved")
        if not isinstance(solved, dict) or not isinstance(name := solved.get("path"), str):
            return source
        place = self.stage_place(name, "`solved.path`", "a pass_rates.parquet", "data")
        return {**source, "solved": {**solved, "path": place}}

    # --- places -----------------------------------------------------------------------------------------------------

    def stage_place(self, name: str, named: str, otherwise: str, key: str) -> str:
        """Return the folder of a stage, or the place that is named instead of one."""
        names = [stage.name for stage in self.recipe.stages]
        if name in names:
            self.parents.append(name)
            return f"{RUN}/{name}"
        local = self.local(name)
        if local is None:
            self.wrong(
                f"{named} is `{name}`; expected a stage of this recipe, one of {listed(names)}, or {otherwise}"
                f"{did_you_mean(name, names)}",
                key,
            )
        return local or name

    def places(self, path: str) -> list[Path]:
        return [folder / Path(path).expanduser() for folder in (self.recipe.path.resolve().parent, Path.cwd())]

    def local(self, path: str) -> str | None:
        """Return the place of a file, a folder or a data set beside the recipe or in the current folder: an input then."""
        found = next((place.resolve() for place in self.places(path) if is_place(place)), None)
        self.inputs += [found] if found else []
        return str(found) if found else None

    # --- inside the config ------------------------------------------------------------------------------------------

    def nested(self, value: Any, at: tuple[str, ...], func: Any = None) -> Any:
        """Resolve the references inside a config. `func`: the reward among whose declaration the value is."""
        what = self.named_by(at)
        if what == "data":
            items = value if isinstance(value, list) else [value]
            if all(isinstance(item, (str, dict)) for item in items):
                return [source for item in items for source in self.sources(item)]
        if isinstance(value, dict):
            func = value.get("func", func)
            return {key: self.nested(item, (*at, str(key)), func) for key, item in value.items()}
        if isinstance(value, list):
            return [self.nested(item, (*at, str(i)), func) for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        if what == "model":
            names = {stage.name for stage in self.recipe.stages}
            names |= {"base_model"} if self.recipe.base_model else set()
            if value in names:
                # Imported only for a value that has the name of a stage.
                from ..rewards.schedule import model_arguments

                if at[-2:-1] != ("args",) or func is None or at[-1] in model_arguments(func):
                    return self.model_place(value, ".".join(at))
        if what == "stage":
            other = next((stage for stage in self.recipe.stages if stage.name == value), self.stage)
            if other.kind != self.stage.kind:
                self.wrong(f"`{value}` is of kind `{other.kind}`; expected a stage of kind `{self.stage.kind}`", at[0])
            return self.stage_place(value, f"`{at[0]}`", "the folder of one", at[0])
        if what == "file":
            return self.file_place(value)
        return value

    def named_by(self, at: tuple[str, ...]) -> str | None:
        """Return what the value at a path of keys names: `"model"`, `"data"`, `"stage"`, `"file"` or nothing."""
        if self.kind is None:
            return None
        for pattern, what in self.kind.names.items():
            parts = pattern.split(".")
            if len(parts) == len(at) and all(part in ("*", key) for part, key in zip(parts, at)):
                return what
        return None

    def file_place(self, value: str) -> str:
        """Return the path of a file that a config names: relative to the current folder, else to the config file."""
        beside = self.stage.config_file.parent / value if self.stage.config_file else None
        if beside and beside.is_file() and not Path(value).exists():
            self.inputs.append(beside.resolve())
            return str(beside.resolve())
        if Path(value).is_file():
            self.inputs.append(Path(value))
        return value
