"""
The records of a recipe: `Recipe`, `Stage`, `Artifact`, and what a stage has made.
"""

import os
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ..io import read_json, write_json
from ..kinds import module_of


ARTIFACT_FILE = "artifact.json"

Record = TypeVar("Record")


@dataclass(frozen=True)
class ModelServer:
    """
    A server that runs beside each stage whose config names it: `server:NAME` in the place of an address.

    Args:
        name (`str`):
            Its name.
        command (`str`, *optional*):
            Starts it; `{port}` and `{host}` stand for where it has to listen.
        vllm (`str`, *optional*):
            In place of a command: the model that `vllm serve` serves. `base_model`, a stage, a Hub id or a folder.
        gpus (`int`, *optional*, defaults to `0`):
            GPUs that are kept for it; of each of its nodes, where it has nodes of its own.
        nodes (`int`, *optional*, defaults to `0`):
            Nodes of the stage's allocation that are kept for it. 0: it runs on the stage's first one.
        ready (`str`, *optional*, defaults to `"/health"`):
            Path or URL that answers with 200 as soon as it can be asked.
        timeout (`float`, *optional*, defaults to `1800.0`):
            Seconds that its start may take.
        at (`str`):
            `file:line` in the recipe.
    """

    name: str
    command: str | None = None
    vllm: str | None = None
    gpus: int = 0
    nodes: int = 0
    ready: str = "/health"
    timeout: float = 1800.0
    at: str = field(default="", compare=False)


@dataclass(frozen=True)
class Stage:
    """
    One stage as the recipe states it: references by name, nothing resolved.

    Args:
        name (`str`):
            Name, unique in the recipe; also the name of its folder in the run.
        kind (`str`):
            One of [`~kinds.known_kinds`], or the dotted name of a module of your own.
        config (`dict[str, Any]`):
            Flat TRL configuration: the YAML file, then `set:`, then `--set`.
        model (`str`, `list[str]`, `dict[str, str]`, *optional*):
            Where the weights come from: `base_model`, a stage, a Hub id or a folder. `evaluate` takes several.
        data (`list[str | dict[str, Any]]`):
            Names of the recipe's data, of stages (`stage`, `stage/name`), or mappings with a `source`.
        accelerate (`Path`, *optional*):
            Configuration for `accelerate launch`. Without it the stage is one plain Python process.
        num_processes (`int`, *optional*):
            How many processes to launch, in place of what the accelerate file says.
        config_file (`Path`, *optional*):
            The YAML file that `config` was read from.
        origins (`dict[str, str]`):
            `file:line` of each key of `config`, for error messages.
        at (`str`):
            `file:line` of the stage in the recipe.
        processes (`int`, *optional*, defaults to `1`):
            In how many processes a stage that samples divides its work, without accelerate.
        retries (`int`, *optional*, defaults to `0`):
            How often it is started again where it has failed.
        slurm (`dict[str, Any]`):
            What its job asks for: `nodes`, `gpus_per_node`, `time`, `partition`, `account`, `sbatch`.
        needs (`str` or `list[str]`, *optional*):
            What it needs in order to be part of the recipe: see [`settle_needs`].
        purpose (`str`, *optional*):
            One sentence on what it is for, for the report.
    """

    name: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    model: str | list[str] | dict[str, str] | None = None
    data: list[str | dict[str, Any]] = field(default_factory=list)
    accelerate: Path | None = None
    num_processes: int | None = None
    config_file: Path | None = None
    origins: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    at: str = ""
    processes: int = 1
    retries: int = 0
    slurm: dict[str, Any] = field(default_factory=dict)
    needs: str | list[str] | None = None
    purpose: str | None = None

    @property
    def module(self) -> str:
        """Module that runs the stage with `python -m`."""
        return module_of(self.kind)


@dataclass(frozen=True)
class Recipe:
    """
    A recipe: named stages that form a graph.

    Args:
        name (`str`):
            Name of the recipe. A run directory belongs to one name.
        path (`Path`):
            The file.
        stages (`tuple[Stage, ...]`):
            In the order of the file.
        base_model (`str`, *optional*):
            What `model: base_model` means: a Hub id, a folder, or a stage.
        seed (`int`, *optional*, defaults to `0`):
            Seed of every stage whose `set:` states no other.
        parallel (`int`, *optional*, defaults to `1`):
            How many stages may run at once.
        data (`dict[str, list[dict[str, Any]]]`):
            Data sources by name.
        disk_gb (`float`, *optional*, defaults to `1.0`):
            Free space, in GB, without which the run does not start.
        hub (`dict[str, Any]`, *optional*):
            What is pushed to the Hub at the end.
        judge (`dict[str, Any]`, *optional*):
            A judge's server: arguments of the rewards that need one.
        report_to (`tuple[str, ...]`):
            The trackers that its trainings report to.
        launcher (`str`, *optional*, defaults to `"local"`):
            What starts the stages: `"local"`, on this machine, or `"slurm"`.
        servers (`tuple[ModelServer, ...]`):
            Servers that run beside the stages which name them.
        without (`tuple[str, ...]`):
            Needs that count as not met; once settled, those of the machine that are not. See [`settle_needs`].
        settled (`bool`):
            Whether the recipe had parts with needs, and those that are not met have been left out.
        off (`tuple[str, ...]`):
            What was left out, a line for each need.
    """

    name: str
    path: Path
    stages: tuple[Stage, ...]
    base_model: str | None = None
    seed: int = 0
    parallel: int = 1
    data: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    disk_gb: float = 1.0
    hub: dict[str, Any] | None = None
    judge: dict[str, Any] | None = None
    report_to: tuple[str, ...] = ()
    launcher: str = "local"
    servers: tuple[ModelServer, ...] = ()
    without: tuple[str, ...] = ()
    settled: bool = False
    off: tuple[str, ...] = ()

    def stage(self, name: str) -> Stage:
        """Return the stage called `name`."""
        return next(stage for stage in self.stages if stage.name == name)


@dataclass(frozen=True)
class Artifact:
    """
    What a finished stage has made. Its file is written last: where it exists, the artifact is whole.

    Args:
        stage (`str`):
            Name of the stage.
        kind (`str`):
            `"model"`, `"dataset"` or `"metrics"`.
        path (`str`):
            The main output, relative to the stage's folder.
        fingerprint (`str`):
            Hash of all that the outputs depend on (see [`fingerprint`]).
        parents (`dict[str, str]`):
            Fingerprints of the stages it was made from.
        versions (`dict[str, str]`):
            Packages it was made with.
        contents (`dict[str, str]`):
            Hashes of the files and modules of the user's that it was made with (see [`contents`]).
        files (`dict[str, int]`):
            Size in bytes of each output file, relative to the stage's folder: a missing or a cut file is noticed.
        started, finished (`str`):
            Times, ISO 8601, UTC.
        wall_seconds (`float`):
            Time spent, over all attempts.
    """

    stage: str
    kind: str
    path: str
    fingerprint: str
    parents: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    wall_seconds: float = 0.0

    def write(self, folder: str | Path) -> None:
        """Write `artifact.json` into the stage's folder, whole or not at all."""
        write_json(Path(folder) / ARTIFACT_FILE, asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> "Artifact | None":
        """Return the artifact of a stage's folder, or `None` where the stage has not finished."""
        return read_record(cls, Path(folder) / ARTIFACT_FILE)

    def whole(self, folder: str | Path) -> bool:
        """Whether every output file is still there in its size."""
        for name, size in self.files.items():
            try:
                if os.stat(os.path.join(folder, name)).st_size != size:
                    return False
            except OSError:
                return False
        return True


def read_record(cls: type[Record], path: Path) -> Record | None:
    """Return a record as its file gives it; `None` where there is none, or a field without a default is missing."""
    found = read_json(path)
    known = {each.name: each.default for each in fields(cls)}  # type: ignore[arg-type]  # a dataclass, for which there is no public type
    if any(default is MISSING and name not in found for name, default in known.items()):
        return None
    return cls(**{key: value for key, value in found.items() if key in known})


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
