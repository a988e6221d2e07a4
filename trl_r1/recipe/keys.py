"""The keys of a recipe's file: what its reader, the JSON Schema and the documentation know of them."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class RecipeKeys:
    """
    The keys of a recipe, as its file gives them.

    Args:
        name (`str`):
            The recipe's name, and that of the run's folder in `runs/`.
        base_model (`str`, *optional*):
            A Hub id (`id@revision`), a folder, or a stage: what `model: base_model` means.
        seed (`int`, *optional*, defaults to `0`):
            Seed of all stages. `--seed` takes its place.
        parallel (`int`, *optional*, defaults to `1`):
            How many stages may run at once.
        num_processes (`int`, *optional*):
            Processes of every launched stage, in place of what its accelerate file says.
        disk_gb (`float`, *optional*, defaults to `1.0`):
            Free space, in GB, without which the run does not start.
        env (`dict[str, str]`, *optional*):
            Environment variables of all stages.
        data (`dict`, *optional*):
            Data sources by name: each a mapping (`path: ...` or `source: STAGE/NAME`), or a list of them.
        hub (`dict`, *optional*):
            Where models and data sets go: `namespace`, `prefix`, `private`, `stages`, `repos`, `license`.
        judge (`dict`, *optional*):
            A judge's `base_url` and `model`: arguments of the rewards that need one, which are off without it.
        report_to (`str` or `list[str]`, *optional*):
            Trackers that every training reports to: `trackio`, `wandb`, `tensorboard`.
        launcher (`str`, *optional*, defaults to `"local"`):
            `local` starts stages on this machine, `slurm` as jobs.
        retries (`int`, *optional*, defaults to `0`):
            How often a stage that fails is started again, from its last checkpoint.
        slurm (`dict`, *optional*):
            What every job asks for: see the keys of `slurm`.
        servers (`list`, *optional*):
            Servers that are started beside the stages whose config names them by `server:NAME`.
        without (`list[str]`, *optional*):
            Needs that count as not met: `bubblewrap`, `judge`.
        stages (`list`):
            The stages, in an order in which each stands behind those that it reads from.
    """

    name: str = ""
    base_model: str | None = None
    seed: int = 0
    parallel: int = 1
    num_processes: int | None = None
    disk_gb: float = 1.0
    env: dict[str, str | int | float] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    hub: dict[str, Any] | None = None
    judge: dict[str, Any] | None = None
    report_to: str | list[str] = field(default_factory=list)
    launcher: Literal["local", "slurm"] = "local"
    retries: int = 0
    slurm: dict[str, Any] = field(default_factory=dict)
    servers: list[Any] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    stages: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class StageKeys:
    """
    The keys of a stage, as the recipe gives them.

    Args:
        name (`str`):
            Its folder in the run, and how others refer to it.
        kind (`str`):
            A kind of stage that ships with the package, or the dotted path of a module of your own.
        model (`str` or `list[str]` or `dict[str, str]`, *optional*):
            `base_model`, a stage, a Hub id (`id@revision`) or a path; several for `evaluate`.
        data (`str` or `dict` or `list`, *optional*):
            Names of the recipe's `data`, stages (`STAGE`, `STAGE/NAME`), or mappings `{source: NAME, share: 0.5}`.
        config (`str`, *optional*):
            The stage's YAML, relative to the recipe.
        accelerate (`str`, *optional*):
            A configuration of `recipes/accelerate/` by name, or a path; without it the stage is one process.
        num_processes (`int`, *optional*):
            How many processes to launch, in place of what the accelerate file says.
        processes (`int`, *optional*, defaults to `1`):
            Of a stage that samples: in how many processes it divides its work.
        retries (`int`, *optional*):
            How often it is started again where it fails; the recipe's by default.
        slurm (`dict`, *optional*):
            What its job asks for, in place of the recipe's, key by key.
        needs (`str` or `list[str]`, *optional*):
            What must be there for the stage to be part of the recipe: `bubblewrap`, `judge`.
        purpose (`str`, *optional*):
            One sentence on what it is for, which the report shows.
        set (`dict`, *optional*):
            Keys of its config to override here.
    """

    name: str = ""
    kind: str = ""
    model: str | list[str] | dict[str, str] | None = None
    data: str | dict[str, Any] | list[str | dict[str, Any]] | None = None
    config: str | None = None
    accelerate: str | None = None
    num_processes: int | None = None
    processes: int = 1
    retries: int | None = None
    slurm: dict[str, Any] = field(default_factory=dict)
    needs: str | list[str] | None = None
    purpose: str | None = None
    set: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SlurmKeys:
    """
    What a job asks for, as the recipe and the stage give it.

    Args:
        nodes (`int`, *optional*):
            Nodes of the stage; by default the accelerate file's `num_machines`.
        gpus_per_node (`int`, *optional*), time (`str`, *optional*), partition (`str`, *optional*), account (`str`, *optional*):
            As `sbatch` takes them.
        sbatch (`list[str]`, *optional*):
            Further options of `sbatch`: `["--exclusive"]`.
    """

    nodes: int | None = None
    gpus_per_node: int | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    sbatch: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ServerKeys:
    """
    The keys of a server, as the recipe gives them.

    Args:
        name (`str`):
            How configs name it: `server:NAME`.
        command (`str`, *optional*):
            The command that starts it; `{port}` is a free port, `{host}` the address to listen at.
        vllm (`str`, *optional*):
            In place of a command, a model to serve by `vllm serve`: a Hub id, a folder, `base_model`, or a stage.
        gpus (`int`, *optional*):
            GPUs kept for it, the last of the machine's. Of `vllm` 1 by default, which is also its tensor parallelism.
        nodes (`int`, *optional*, defaults to `0`):
            Under Slurm, nodes of its own in the stage's job.
        ready (`str`, *optional*, defaults to `"/health"`):
            A path or URL that answers 200 when it can be used.
        timeout (`float`, *optional*, defaults to `1800.0`):
            Seconds until it must.
    """

    name: str = ""
    command: str | None = None
    vllm: str | None = None
    gpus: int | None = None
    nodes: int = 0
    ready: str = "/health"
    timeout: float = 1800.0
