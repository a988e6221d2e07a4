"""
What a run directory says about itself, read back from its files: the stages, where each took its model and data from,
what it was rewarded for, what it measured. The cards on the Hub and the report are written from this. Torch-free.

Every file but the directory itself may be missing: a run that was interrupted, or a stage that was started by hand,
is read as far as it goes.
"""

import math
import shlex
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .data_files import data_sets
from .errors import ConfigError
from .io import last_lines, numbered_checkpoints, read_json
from .kinds import StageKind, kind_of
from .scores import number


_NOT_A_STAGE = {"model", "data", "rejected", "traces", "rollouts"}


@dataclass(frozen=True)
class StageRecord:
    """
    One stage of a run, as its directory tells it.

    Args:
        name (`str`):
            Name in the recipe.
        kind (`str`):
            As the recipe names it; empty where nothing says it.
        directory (`Path`):
            `RUN/STAGE`; need not exist.
        parents (`tuple[str, ...]`):
            Stages from which it took its model, its data or a reward.
        model_from (`tuple[str, ...]`):
            Where its model came from, as the recipe names it: `base_model`, a stage, a Hub id or a path.
        data_from (`tuple[str, ...]`):
            Where its data came from, as the recipe names it.
        stated_purpose (`str`):
            What it is for, where the recipe says it.
    """

    name: str
    kind: str
    directory: Path
    parents: tuple[str, ...] = ()
    model_from: tuple[str, ...] = ()
    data_from: tuple[str, ...] = ()
    stated_purpose: str = ""

    @cached_property
    def about(self) -> StageKind | None:
        """What its kind says about itself; `None` where its module does not import here, or nothing names it."""
        try:
            return kind_of(self.kind) if self.kind else None
        except ConfigError:
            return None

    @property
    def makes(self) -> str:
        """`"model"`, `"dataset"` or `"metrics"`, by its kind or else its artifact; empty where neither says it."""
        return self.about.makes if self.about else str(self.artifact.get("kind") or "")

    @property
    def makes_reward_model(self) -> bool:
        return self.about is not None and self.about.card == "reward_model"

    @property
    def done(self) -> bool:
        """Whether the stage ended well: `artifact.json` is written last."""
        return (self.directory / "artifact.json").is_file()

    @property
    def started(self) -> bool:
        return self.directory.is_dir()

    @property
    def purpose(self) -> str:
        """What it is for, in a sentence: as the recipe says it, else as its kind does."""
        return self.stated_purpose or (self.about.purpose if self.about else "")

    @property
    def state(self) -> str:
        """`"finished"`, `"failed"`, `"interrupted"`, `"not finished"` (it runs, or was killed) or `"not run"`."""
        if self.done or not self.started:
            return "finished" if self.done else "not run"
        outcome = read_json(self.directory / "started.json").get("outcome")
        return outcome if outcome in ("failed", "interrupted") else "not finished"

    @property
    def progress(self) -> dict[str, Any]:
        """What it last said of itself: `step`, `total`, `unit`, and the `error` with which it ended."""
        return read_json(self.directory / "progress.json")

    @cached_property
    def learned(self) -> str:
        """What a training's log says in a sentence: the mean reward, or else loss, of its first and of its last tenth."""
        name = next((key for key in ("reward", "loss") if self.logged(key)), None)
        if name is None:
            return ""
        points = self.logged(name)
        tenth = math.ceil(len(points) / 10)
        first, last = (statistics.fmean(value for _, value in part) for part in (points[:tenth], points[-tenth:]))
        said = f"{name} {first:.3g} -> {last:.3g}"
        if tenth == 1 < len(points):
            said += f" (steps {points[0][0]:.0f} and {points[-1][0]:.0f} alone)"
        alike = self.logged("frac_reward_zero_std")
        if alike and min(share for _, share in alike) == 1:
            said += (
                ". NOTHING WAS LEARNED: the completions of each prompt earned the same, in every step that was logged"
            )
            cut = statistics.fmean([share for _, share in self.logged("truncated")] or [0.0])
            if cut > 0.5:
                said += f"; {cut:.0%} were cut: `max_completion_length` is too short for them"
            said += ". What to look at: docs/troubleshooting.md"
        return said

    def logged(self, key: str) -> tuple[tuple[float, float], ...]:
        """Step and value of what a trainer logged under a key: see [`points_of`]."""
        return points_of(self.log_history, key)

    def log_tail(self, lines: int = 20) -> list[str]:
        """The last lines of its log; of a line that was overwritten, what was there last."""
        return last_lines(self.directory / "log.txt", lines)

    @cached_property
    def artifact(self) -> dict[str, Any]:
        return read_json(self.directory / "artifact.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config with which the stage ran."""
        return read_yaml(self.directory / "config.yaml")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return read_json(self.directory / "metrics.json")

    @cached_property
    def selection(self) -> dict[str, Any]:
        return read_json(self.directory / "selection.json")

    @property
    def fingerprint(self) -> str:
        return str(self.artifact.get("fingerprint") or "")

    @property
    def model_dir(self) -> Path | None:
        """The folder of the final model, if the stage left one."""
        folder = self.directory / "model"
        return folder if folder.is_dir() and any(folder.iterdir()) else None

    @property
    def datasets(self) -> dict[str, list[Path]]:
        """The files of each data set that the stage left, `train` first, and of what it rejected, `rejected`, last."""
        rejected = data_sets(self.directory / "rejected").get("train")
        return data_sets(self.directory / "data") | ({"rejected": rejected} if rejected else {})

    @cached_property
    def rewards(self) -> tuple[dict[str, Any], ...]:
        """The rewards as its config declares them: `{"func": ..., "weight": ..., "domains": ...}`."""
        declared = self.config.get("rewards")
        if not declared:
            functions = self.config.get("reward_funcs") or []
            functions = [functions] if isinstance(functions, str) else functions
            weights = self.config.get("reward_weights") or [1.0] * len(functions)
            declared = [{"func": f, "weight": w} for f, w in zip(functions, weights)]
        declared = declared if isinstance(declared, (list, tuple)) else [declared]
        entries = (entry if isinstance(entry, dict) else {"func": str(entry)} for entry in declared)
        return tuple({"weight": 1.0, **entry} for entry in entries)

    @cached_property
    def data_sources(self) -> tuple[dict[str, Any], ...]:
        """The data sources of its resolved config."""
        declared = self.config.get("data") or []
        declared = [declared] if isinstance(declared, (str, dict)) else declared
        return tuple(entry if isinstance(entry, dict) else {"path": str(entry)} for entry in declared)

    @property
    def seconds(self) -> float | None:
        """Wall time of the stage in seconds, where the runner noted it."""
        return number(self.artifact.get("wall_seconds"))

    @cached_property
    def log_history(self) -> tuple[dict[str, Any], ...]:
        """What a trainer logged, step by step; of a stage that has not finished, up to its last checkpoint."""
        for folder in (self.directory, *numbered_checkpoints(self.directory)):
            history = read_json(folder / "trainer_state.json").get("log_history")
            if isinstance(history, list):
                return tuple(entry for entry in history if isinstance(entry, dict))
        return ()


def points_of(history: Iterable[Mapping[str, Any]], key: str) -> tuple[tuple[float, float], ...]:
    """Step and value wherever both are finite numbers, one value a step: a resumed run may have logged a step twice."""
    found: dict[float, float] = {}
    for entry in history:
        step, value = number(entry.get("step")), number(entry.get(key))
        if step is not None and value is not None:
            found[step] = value
    return tuple(sorted(found.items()))


@dataclass(frozen=True)
class RunRecord:
    """
    A run, as its directory tells it.

    Args:
        directory (`Path`):
            `RUN`.
        name (`str`):
            Name of the recipe.
        base_model (`str`):
            Hub id, path or stage from which everything starts; empty where nothing says it.
        stages (`tuple[StageRecord, ...]`):
            In the order of the recipe.
        recipe (`dict[str, Any]`):
            The resolved recipe.
        run (`dict[str, Any]`):
            What the runner noted in `run.json`.
    """

    directory: Path
    name: str
    base_model: str
    stages: tuple[StageRecord, ...]
    recipe: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    def stage(self, name: str) -> StageRecord | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def seed(self) -> int | None:
        return self.run.get("seed", self.recipe.get("seed"))

    @property
    def command(self) -> str:
        command = self.run.get("command")
        return shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of the code and of the packages: those of the run, else those of its stages."""
        found = self.run.get("versions")
        if not found:
            found = next((s.artifact.get("versions") for s in reversed(self.stages) if s.artifact.get("versions")), {})
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    def lineage(self, name: str) -> list[StageRecord]:
        """The stages up to and with this one, in the order of the recipe: nothing that it does not descend from."""
        wanted = {name}
        for _ in self.stages:  # a line of descent is no longer than the recipe
            wanted |= {parent for stage in self.stages if stage.name in wanted for parent in stage.parents}
        return [stage for stage in self.stages if stage.name in wanted]

    @cached_property
    def continued(self) -> set[str]:
        """Names of the evaluations that a later one continues, and all of whose models it has measured."""
        return {
            earlier.name
            for stage in self.stages
            for folder in stage.config.get("continues") or ()
            if (earlier := self.stage(Path(folder).name))
            and (earlier.metrics.get("models") or {}).keys() <= (stage.metrics.get("models") or {}).keys()
        }

    def evaluations(self) -> dict[str, dict[str, dict[str, Any]]]:
        """
        What every `evaluate` stage measured, in the order of the recipe: metrics by name of the stage, then of the model.
        A stage on several data sets is an evaluation for each of them: `stage/data`.

        Two evaluations measure on different prompts, so their numbers for one model are never put together. One that is
        continued by another ([`continued`]) is left out.
        """
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for stage in self.stages:
            if stage.name in self.continued:
                continue
            models = stage.metrics.get("models")
            measured = (
                {str(k): v for k, v in models.items() if isinstance(v, dict)} if isinstance(models, dict) else {}
            )
            by_source = {k: v["by_source"] for k, v in measured.items() if isinstance(v.get("by_source"), dict)}
            for source in sorted({source for sources in by_source.values() for source in sources}):
                found[f"{stage.name}/{source}"] = {k: v[source] for k, v in by_source.items() if source in v}
            if not by_source:
                found[stage.name] = measured
        return {name: models for name, models in found.items() if models}

    def comparisons(self, evaluation: str) -> list[dict[str, Any]]:
        """The paired comparisons of an evaluation's models (see [`~paired`]), by its name in [`evaluations`]."""
        name, _, source = evaluation.partition("/")
        stage = self.stage(name)
        metrics = stage.metrics if stage else {}
        found = (metrics.get("comparisons_by_source") or {}).get(source) if source else metrics.get("comparisons")
        return [each for each in found or () if isinstance(each, dict) and len(each.get("models") or ()) == 2]

    def evaluated_on(self, evaluation: str) -> str:
        """The data of an evaluation, by its name in [`evaluations`]."""
        name, _, source = evaluation.partition("/")
        stage = self.stage(name)
        return source or (", ".join(stage.data_from) if stage else "")

    def evaluations_of(self, model: str) -> dict[str, dict[str, Any]]:
        """Metrics of one model by name of the `evaluate` stage that measured it, in the order of the recipe."""
        return {name: models[model] for name, models in self.evaluations().items() if model in models}

    def stage_of_path(self, path: str | Path) -> str | None:
        """The stage whose directory holds this path, if one does."""
        try:
            inside = Path(path).expanduser().resolve().relative_to(self.directory.resolve())
        except (ValueError, OSError, RuntimeError):
            return None
        return inside.parts[0] if inside.parts and self.stage(inside.parts[0]) else None


def read_run(run_dir: str | Path) -> RunRecord:
    """
    Read a run directory.

    Args:
        run_dir (`str` or `Path`):
            What `trl-r1 run` wrote.

    Raises:
        [`~errors.ConfigError`]: if it is no directory.
    """
    directory = Path(run_dir)
    if not directory.is_dir():
        raise ConfigError("expected the directory of a run, as `trl-r1 run` leaves it", file=str(run_dir))
    recipe, run = read_yaml(directory / "recipe.yaml"), read_json(directory / "run.json")
    base_model = str(recipe.get("base_model") or "")
    declared = [s for s in recipe.get("stages") or [] if isinstance(s, dict) and s.get("name")]
    if not declared:
        declared = _stages_on_disk(directory)
    names = {str(s["name"]) for s in declared}
    name = recipe.get("name") or run.get("name") or run.get("recipe") or directory.resolve().name
    stages = tuple(_stage_record(directory, entry, names, base_model) for entry in declared)
    return RunRecord(directory, str(name), base_model, stages, recipe, run)


def _stage_record(directory: Path, entry: dict[str, Any], names: set[str], base_model: str) -> StageRecord:
    name, model_from, data_from = str(entry["name"]), _names(entry.get("model")), _names(entry.get("data"))
    kind, purpose = str(entry.get("kind") or ""), str(entry.get("purpose") or "")
    stage = StageRecord(name, kind, directory / name, (), model_from, data_from, purpose)
    sources = [base_model if source == "base_model" else source for source in model_from]
    sources += [*data_from, *map(str, stage.artifact.get("parents") or ())]
    for reward in stage.rewards:
        arguments = reward.get("args")
        for value in map(str, arguments.values() if isinstance(arguments, dict) else ()):
            # A reward model's path is resolved to RUN/STAGE/model.
            sources += [each for each in names if value == each or Path(value) == directory / each / "model"]
    heads = (source if source in names else source.split("/")[0] for source in sources)
    parents = tuple(dict.fromkeys(head for head in heads if head in names and head != name))
    return replace(stage, parents=parents)


def _names(value: Any) -> tuple[str, ...]:
    """Names in `model:` or `data:` of a recipe, which may be one name, a list of names, or mappings with `source`."""
    entries = value if isinstance(value, (list, tuple)) else [value]
    named = (entry.get("source") or entry.get("path") if isinstance(entry, dict) else entry for entry in entries)
    return tuple(str(entry) for entry in named if entry)


def _stages_on_disk(directory: Path) -> list[dict[str, Any]]:
    """Without a recipe: every folder with a config is a stage; in the order in which they were started."""
    homes = [
        home for home in directory.iterdir() if (home / "config.yaml").is_file() and home.name not in _NOT_A_STAGE
    ]
    homes.sort(key=lambda home: ((home / "config.yaml").stat().st_mtime, home.name))
    return [{"name": home.name} for home in homes]


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping from a file; empty where the file is missing, cut short, or holds something else."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
