"""
Everything that can be found wrong before anything runs.

Keys and types of each stage's config, batches that do not divide, rewards that do not import or want a column that the
data lack, data that cannot be read, a disk that is too small. Each problem names file, key and what was expected; all
of them are told at once.
"""

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, ConfigErrors, DataError, TrlR1Error
from ..kinds import kind_of, known_kinds
from ..recipe import Recipe, ResolvedStage, read_document, read_recipe, resolve, shown
from ..recipe.annotations import Misfit, fit
from ..recipe.fields import UNKNOWN, Field, read_class, read_stage_module
from ..recipe.references import RUN
from ..recipe.suggest import did_you_mean, listed
from .columns import columns_of
from .directory import check_owner
from .rewards import check_rewards


# Keys whose default is no value and that a stage cannot do without.
_NEEDED = ("model_name_or_path", "models", "data", "prompt_template", "rewards")

# Mappings inside a config whose keys are the fields of a class.
_NESTED = {"rules": "trl_r1.select:Rules"}

# Columns of what a stage samples, whatever its kind.
_TRACES = ("prompt_id", "prompt", "solution", "domain", "language", "completion")

GB = 1 << 30


def check(
    path: str | Path, run_dir: Path | None = None, *, overrides: list[str] | None = None, seed: int | None = None
) -> tuple[Recipe, list[ResolvedStage], Path]:
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

    Returns:
        `tuple[Recipe, list[ResolvedStage], Path]`: the recipe, its stages, parents before children, with values as
        their fields take them, and the run's directory.

    Raises:
        `ConfigErrors`: everything found wrong.
    """
    recipe, problems = read_recipe(path, overrides=overrides or (), seed=seed)
    if run_dir is None:
        run_dir = Path("runs") / (recipe.name if seed is None else f"{recipe.name}-seed{seed}")
    stages, found = resolve(recipe)
    problems += found
    checked = []
    for item in stages:
        item, found = check_config(item)
        checked.append(item)
        problems += found
    for item in checked:
        problems += [*check_batch(item), *check_models(item), *check_data(item, checked)]
        problems += check_rewards(item, lambda source, item=item: source_columns(source, item, checked))
    problems += check_surroundings(recipe, run_dir, checked)
    if problems:
        raise ConfigErrors(list({str(problem): problem for problem in problems}.values()))
    return recipe, checked, run_dir


def check_config(item: ResolvedStage) -> tuple[ResolvedStage, list[ConfigError]]:
    """Check the keys and the types of a stage's config; return the stage with its values as its fields take them."""
    if item.fields is None:
        return item, []
    problems, config = [], {}
    for key, value in item.config.items():
        config[key] = value
        if key == "env":
            if not isinstance(value, dict):
                problems.append(_wrong(item, key, f"is {value!r}; expected a mapping of environment variables"))
            continue
        field = item.fields.get(key)
        if field is None:
            near = did_you_mean(key, item.fields)
            problems.append(_wrong(item, key, f"unknown key; expected one that `{item.stage.kind}` knows{near}"))
            continue
        try:
            config[key] = fit(value, field)
        except Misfit as misfit:
            problems.append(_wrong(item, key, f"is {value!r}; expected {misfit}"))
        if key in _NESTED and item.stage.kind in known_kinds() and isinstance(value, dict):
            problems += _check_nested(item, key, value, read_class(_NESTED[key]))
    for key, field in item.fields.items():
        needed = field.required or (
            item.stage.kind in known_kinds() and key in _NEEDED and field.default in (None, "")
        )
        if key == "model_name_or_path" and (item.stage.kind == "general" or config.get("backend") == "server"):
            needed = False  # rows may be complete as they are; a server has a model of its own
        if needed and config.get(key) in (None, ""):
            hint = {"model_name_or_path": "`model:` in the recipe", "models": "`model:` in the recipe"}.get(key)
            hint = hint or ("`data:` in the recipe" if key == "data" else f"`{key}:` in its config")
            problems.append(_wrong(item, key, f"is missing; `{item.stage.kind}` needs it, expected {hint}"))
    return replace(item, config=config), problems


def _check_nested(item: ResolvedStage, key: str, values: dict[str, Any], known: dict[str, Field]) -> list[ConfigError]:
    problems = []
    for name, value in values.items():
        if name not in known:
            near = did_you_mean(name, known)
            message = f"unknown key; expected one of {listed(known, 20)}{near}"
            problems.append(_wrong(item, key, message, inside=name))
            continue
        try:
            fit(value, known[name])
        except Misfit as misfit:
            message = f"is {value!r}; expected {misfit}"
            problems.append(_wrong(item, key, message, inside=name))
    return problems


def world_size(item: ResolvedStage) -> int | None:
    """Return how many processes a stage runs in, as the recipe or its accelerate file says; `None` where that says nothing."""
    if item.stage.accelerate is None:
        return 1
    if item.stage.num_processes is not None:
        return item.stage.num_processes
    found = read_document(item.stage.accelerate).data.get("num_processes")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def check_batch(item: ResolvedStage) -> list[ConfigError]:
    """Check, as `GRPOConfig` will, that a batch holds whole groups of completions."""
    try:
        processes = world_size(item)
    except ConfigError as error:
        return [error]
    if processes is None:
        return [
            ConfigError(
                "expected a whole number of at least 1", file=shown(item.stage.accelerate), key="num_processes"
            )
        ]
    if not item.fields or not {"num_generations", "steps_per_generation"} <= item.fields.keys():
        return []

    def value(key: str) -> Any:
        found = item.config.get(key)
        return found if found is not None or key in item.config else item.fields[key].default

    batch, group, accumulation = (
        value(key) for key in ("per_device_train_batch_size", "num_generations", "gradient_accumulation_steps")
    )
    generation_batch, steps = value("generation_batch_size"), value("steps_per_generation")
    numbers = [n for n in (batch, group, accumulation, generation_batch, steps) if n is not None]
    if any(n is UNKNOWN or not isinstance(n, int) for n in numbers) or None in (batch, group, accumulation):
        return []
    if generation_batch is not None and steps is not None:
        return [_wrong(item, "generation_batch_size", "expected this or `steps_per_generation`, got both")]
    if min(numbers) < 1:
        return [_wrong(item, "per_device_train_batch_size", "expected batch sizes and steps of at least 1")]
    if group < 2:
        return [_wrong(item, "num_generations", f"is {group}; expected at least 2, or there is nothing to compare")]
    across = f"{processes} process{'es' if processes > 1 else ''}"
    if generation_batch is not None:
        if generation_batch % (batch * processes):
            return [
                _wrong(
                    item,
                    "generation_batch_size",
                    f"is {generation_batch}; expected a multiple of per_device_train_batch_size {batch} x {across}",
                )
            ]
        total, made_of = generation_batch, f"generation_batch_size {generation_batch}"
    else:
        steps = accumulation if steps is None else steps
        total = batch * processes * steps
        made_of = f"per_device_train_batch_size {batch} x {across} x {steps} steps per generation = {total}"
    if total % group:
        return [_wrong(item, "num_generations", f"is {group}; expected a divisor of the batch ({made_of})")]
    return []


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


def source_columns(source: dict[str, Any], item: ResolvedStage, stages: list[ResolvedStage]) -> set[str] | None:
    """
    Return the columns that a source offers under their canonical names; `None` where they are not known beforehand.

    Raises:
        `DataError`: it cannot be read, or is empty.
    """
    path = source.get("path")
    found: tuple[str, ...] | None = None
    if not isinstance(path, str):
        return None
    if path.startswith(f"{RUN}/"):
        name, _, rest = path[len(RUN) + 1 :].partition("/")
        parent = next(s for s in stages if s.name == name)
        if rest.startswith("data/"):
            written = {}
            with contextlib.suppress(ConfigError):  # said already
                written = read_stage_module(parent.stage.module).datasets
            part = rest[len("data/") : -len(".parquet")]
            if written and part not in written:
                raise DataError(
                    f"`{name}` writes no data set `{part}`; expected one of {listed(written)}{did_you_mean(part, written)}",
                    file=item.stage.at,
                    key=f"stages.{item.name}.data",
                )
            found = written.get(part)
        else:
            found = _TRACES
    elif Path(path).exists():
        found = columns_of(path)
    if found is None:
        return None
    columns = set(found)
    for meaning in ("prompt", "completion", "solution", "chosen", "rejected", "domain", "language"):
        named = source.get(f"{meaning}_column")
        if named is not None and named not in columns:
            raise DataError(
                f"`{named}` is no column of `{shown(path) if '/' in path and RUN not in path else path}`; expected one "
                f"of {listed(found)}{did_you_mean(named, found)}",
                file=item.stage.at,
                key=f"stages.{item.name}.data.{meaning}_column",
            )
        if named is not None:
            columns.add(meaning)
    return columns


def check_data(item: ResolvedStage, stages: list[ResolvedStage]) -> list[ConfigError]:
    """Check the keys, the files and the columns of a stage's data."""
    sources = item.config.get("data")
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        return []
    problems: list[ConfigError] = []
    known = read_class("trl_r1.data.source:DataSource")
    for i, source in enumerate(sources):
        key = f"stages.{item.name}.data[{i}]"
        for name, value in source.items():
            if item.stage.kind not in known_kinds():
                break  # a stage of the user's own reads them in its own way
            if name not in known:
                message = f"unknown key; expected one of {listed(known, 20)}{did_you_mean(name, known)}"
                problems.append(DataError(message, file=item.stage.at, key=f"{key}.{name}"))
                continue
            try:
                fit(value, known[name])
            except Misfit as misfit:
                problems.append(DataError(f"is {value!r}; expected {misfit}", file=item.stage.at, key=f"{key}.{name}"))
        try:
            columns = source_columns(source, item, stages)
        except DataError as error:
            named = f"data.{source.get('name')}.path"
            problems.append(error if error.key else DataError(error.message, file=error.file, key=named))
            continue
        if item.stage.kind not in known_kinds() or columns is None:
            continue
        for column in kind_of(item.stage.kind).reads or ():
            if column not in columns:
                problems.append(
                    DataError(
                        f"`{source.get('name') or source.get('path')}` has no column `{column}`, which "
                        f"`{item.stage.kind}` reads; expected one of that name or `{column}_column: ...`. It has "
                        f"{listed(sorted(columns))}",
                        file=item.stage.at,
                        key=key,
                    )
                )
    return problems


def check_surroundings(recipe: Recipe, run_dir: Path, stages: list[ResolvedStage]) -> list[TrlR1Error]:
    """Check the run's directory, the disk and the `hub:` section."""
    problems: list[TrlR1Error] = []
    owner = check_owner(run_dir, recipe)
    if owner is not None:
        problems.append(owner)
    place = run_dir.absolute()
    while not place.exists():
        place = place.parent
    left = sum(not (run_dir / item.name / "artifact.json").exists() for item in stages) / max(1, len(stages))
    needed, free = recipe.disk_gb * left, shutil.disk_usage(place).free / GB
    if free < needed:
        problems.append(
            ConfigError(
                f"no space left: {free:.1f} GB are free at {shown(place)}, and what is left of the run needs "
                f"{needed:.1f} GB (`disk_gb: {recipe.disk_gb:g}` in {shown(recipe.path)}); expected more room or another "
                "--output-dir",
                file=shown(run_dir),
                key="disk_gb",
            )
        )
    if recipe.hub is not None:
        from ..hub import check_hub_section

        try:
            check_hub_section(recipe.hub, [stage.name for stage in recipe.stages], shown(recipe.path))
        except ConfigError as error:
            problems.append(error)
    return problems


def _wrong(item: ResolvedStage, key: str, message: str, inside: str = "") -> ConfigError:
    where = f"{item.name}.{key}.{inside}" if inside else f"{item.name}.{key}"
    return ConfigError(message, file=item.stage.origins.get(key, item.stage.at), key=where)
