"""
Everything that can be found wrong before anything runs.

What the config classes and rewards of a stage refuse, settings that contradict the model or the launcher, columns that the
data lack, data that cannot be read. Each problem names file, key and what was expected; all of them are reported at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, ConfigErrors
from ..lineage import read_yaml
from ..recipe import Recipe, ResolvedStage, read_recipe, resolve, settle_needs, shown
from ..recipe.references import RUN
from .check_data import check_data, check_reward_columns
from .configs import accelerate_of, check_configs, world_size
from .directory import check_owner
from .place import nodes_of
from .sizes import Sizing


@dataclass(frozen=True)
class Checked:
    """
    A recipe in which nothing is wrong.

    Args:
        recipe (`Recipe`):
            The recipe.
        stages (`list[ResolvedStage]`):
            Its stages, parents before children, with values as their fields take them.
        run_dir (`Path`):
            The run's directory.
        records (`dict[str, dict[str, Any]]`):
            What [`~stages._check.check_stage`] returned for each stage.
        launcher (`str`, *optional*, defaults to `"local"`):
            What starts the stages.
    """

    recipe: Recipe
    stages: list[ResolvedStage]
    run_dir: Path
    records: dict[str, dict[str, Any]]
    launcher: str = "local"


def check(
    path: str | Path,
    run_dir: Path | None = None,
    *,
    overrides: list[str] | None = None,
    seed: int | None = None,
    only: list[str] | None = None,
    fetch: bool = False,
    sizing: Sizing | None = None,
    launcher: str | None = None,
) -> Checked:
    """
    Read a recipe and check all of it.

    Args:
        path (`str` or `Path`):
            The recipe, by path or by name.
        run_dir (`Path`, *optional*):
            Where it runs. By default `runs/NAME`, with `-seedN` where another seed than the recipe's is asked for.
        overrides (`list[str]`, *optional*):
            `stage.key=value`.
        seed (`int`, *optional*):
            In place of the recipe's.
        only (`list[str]`, *optional*):
            The only stages that are to run: how others would be launched is not checked.
        fetch (`bool`, *optional*, defaults to `False`):
            Whether configs, tokenizers and data are fetched from the Hub, and data are read whole.
        sizing ([`~runner.sizes.Sizing`], *optional*):
            What figures are made with; without it there are none, and nothing is refused for its size.
        launcher (`str`, *optional*):
            What starts the stages, in place of what the recipe says.

    Returns:
        `Checked`: the recipe, and what is known of its stages.

    Raises:
        `ConfigErrors`: everything found wrong.
    """
    recipe, problems = read_recipe(path, overrides=overrides or (), seed=seed)
    if run_dir is None:
        run_dir = Path("runs") / (recipe.name if seed is None else f"{recipe.name}-seed{seed}")
    recipe, found = settle_needs(recipe, recorded=read_yaml(run_dir / "recipe.yaml").get("without"))
    problems += found
    stages, found = resolve(recipe)
    problems += found
    launcher = launcher or recipe.launcher
    checked, records, found = check_configs(stages, run_dir, fetch, sizing, launcher)
    problems += found
    for item in checked:
        problems += check_models(item)
        if not only or item.name in only:
            problems += check_launch(item, launcher)
            problems += sizing.too_few_gpus(item, records.get(item.name, {})) if sizing is not None else []
        if item.name in records:
            offered, found = check_data(item, records[item.name]["columns"], checked)
            problems += [*found, *check_reward_columns(item, records[item.name]["rewards"], offered)]
    problems += check_surroundings(recipe, run_dir)
    if problems:
        raise ConfigErrors(list({str(problem): problem for problem in problems}.values()))
    return Checked(recipe, checked, run_dir, records, launcher)


def check_launch(item: ResolvedStage, launcher: str = "local") -> list[ConfigError]:
    """Check that a stage is one which its launcher can start as its config means it."""
    problems = []
    if item.stage.processes > 1 and item.kind is not None and item.kind.trains:
        message = f"`{item.name}` trains: its processes are started by `accelerate:`, with `num_processes`"
        problems.append(ConfigError(message, file=item.stage.at, key=f"stages.{item.name}.processes"))
    try:
        launch, processes = accelerate_of(item), world_size(item)
    except ConfigError:  # reported where the configs are made
        return problems
    nodes = nodes_of(item) if launcher == "slurm" else launch.get("num_machines") or 1
    if nodes != 1 and launcher == "local":
        problems.append(
            ConfigError(
                f"is {nodes}, and `launcher: local` starts stages on this machine alone: `{item.name}` would wait for the "
                "others for ever. Expected 1, or `launcher: slurm` (docs/scaling.md, Slurm)",
                file=shown(item.stage.accelerate or item.stage.at),
                key="num_machines",
            )
        )
    parallel = item.stage.processes if item.stage.accelerate is None else processes
    if nodes != 1 and launcher == "slurm" and parallel % nodes:
        problems.append(
            ConfigError(
                f"is {nodes}, and `{item.name}` runs in {parallel} process{'es' if parallel > 1 else ''}; expected a divisor",
                file=item.stage.at,
                key=f"stages.{item.name}.slurm.nodes",
            )
        )
    if item.stage.accelerate is None:
        return problems
    file, written = shown(item.stage.accelerate), launch.get("num_processes")
    asked = item.stage.num_processes
    if asked is not None and asked != written and item.config.get("batch_size") is None and isinstance(written, int):
        problems.append(
            ConfigError(
                f"is {asked}, and {written} in {file}: the batch of `{item.name}` (processes x "
                f"`per_device_train_batch_size` x `gradient_accumulation_steps`) would be {asked / written:g} times that "
                "of its config. Expected `batch_size: ...` beside them, from which the accumulation is computed, or an "
                f"accelerate file with `num_processes: {asked}`",
                file=item.stage.at,
                key=f"stages.{item.name}.num_processes",
            )
        )
    return problems


def check_models(item: ResolvedStage) -> list[ConfigError]:
    """Check that a folder which is named as a model holds one."""
    models = item.config.get("models")
    named = list(models.values()) if isinstance(models, dict) else [item.config.get("model_name_or_path")]
    problems: list[ConfigError] = []
    for place in named:
        if not isinstance(place, str) or place.startswith(RUN) or not Path(place).exists():
            continue
        if not any((Path(place) / name).is_file() for name in ("config.json", "adapter_config.json")):
            message = f"{shown(place)} holds no model; expected a folder with `config.json` or `adapter_config.json`"
            problems.append(ConfigError(message, file=item.stage.at, key=f"stages.{item.name}.model"))
    return problems


def check_surroundings(recipe: Recipe, run_dir: Path) -> list[ConfigError]:
    """Check the run's directory and the `hub:` section."""
    owner = check_owner(run_dir, recipe)
    problems = [owner] if owner is not None else []
    if recipe.hub is not None:
        from ..hub import check_hub_section

        try:
            check_hub_section(recipe.hub, [stage.name for stage in recipe.stages], shown(recipe.path))
        except ConfigError as error:
            problems.append(error)
    return problems
