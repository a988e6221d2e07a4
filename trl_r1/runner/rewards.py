"""
Do a stage's rewards import, take their arguments, and find the columns they read?

They are made here as the stage will make them, by `trl_r1.rewards.schedule`, which loads no torch; what a user's own
reward imports is the user's affair.
"""

import importlib
from collections.abc import Callable
from typing import Any

from ..errors import ConfigError, DataError, EnvironmentalError
from ..recipe import ResolvedStage
from ..recipe.suggest import did_you_mean


# Columns that every row has once it has been read, whatever its file holds.
_ALWAYS_THERE = ("prompt_id", "prompt", "question", "domain", "language", "source")


def check_rewards(
    item: ResolvedStage, columns_of_source: Callable[[dict[str, Any]], set[str] | None]
) -> list[ConfigError]:
    """
    Check the rewards that a stage's config declares.

    Args:
        item (`ResolvedStage`):
            The stage.
        columns_of_source (`Callable`):
            Columns of a data source, `None` where they are unknown; raises `DataError` where it cannot be read.
    """
    declared = declared_rewards(item)
    if not declared:
        return []
    # By name, as a stage's module is: the runner stands beside the tower of training, not above it.
    schedule = importlib.import_module("trl_r1.rewards.schedule")
    problems: list[ConfigError] = []
    for key, one in declared:
        where = item.stage.origins.get(key.partition("[")[0], item.stage.at)
        inside = f"{item.name}.{key}"
        try:
            spec = schedule.RewardSpec.parse(one, inside)
            reward = schedule.make_reward(spec, inside)
        except ConfigError as error:
            near = _near(one, error)
            problems.append(type(error)(f"{error.message}{near}", file=where, key=error.key or inside))
            continue
        except EnvironmentalError as error:
            problems.append(ConfigError(str(error), file=where, key=f"{inside}.func"))
            continue
        for column, source in _lacking(schedule.required_columns(reward), spec.domains, item, columns_of_source):
            problems.append(
                DataError(
                    f"`{spec.func}` reads the column `{column}`, which {source} lack{'s' if source[0] == '`' else ''}; "
                    f"expected a column of that name or `{column}_column: ...` in the data",
                    file=where,
                    key=f"{inside}.func",
                )
            )
    return problems


def declared_rewards(item: ResolvedStage) -> list[tuple[str, Any]]:
    """Return the rewards of a config with their keys: the list `rewards`, and single ones (`best_of_n: {func: ...}`)."""
    known = item.fields
    found = []
    rewards = item.config.get("rewards")
    if isinstance(rewards, list) and (known is None or "rewards" in known):
        found += [(f"rewards[{i}]", spec) for i, spec in enumerate(rewards)]
    for key, value in item.config.items():
        if isinstance(value, dict) and "func" in value and (known is None or key in known):
            found.append((key, value))
    return found


def _near(declared: Any, error: ConfigError) -> str:
    """Return what may have been meant, where a name is unknown."""
    last = (error.key or "").rpartition(".")[2]
    if isinstance(declared, dict) and last in declared and last != "func":
        return did_you_mean(last, ("func", "weight", "args", "domains", "from_step", "until_step"))
    func = declared.get("func") if isinstance(declared, dict) else declared
    module, _, name = str(func).rpartition(".")
    try:
        names = [known for known in dir(importlib.import_module(module)) if not known.startswith("_")]
    except Exception:  # it does not import, which is what the message says
        return ""
    return "" if name in names else did_you_mean(name, names)


def _lacking(
    needed: tuple[str, ...], domains: tuple[str, ...] | None, item: ResolvedStage, columns_of_source: Callable
) -> list[tuple[str, str]]:
    """
    Return each column that a reward reads and that is missing, with where.

    A column is missing where a source that is wholly of one of the reward's domains lacks it, or where no source that
    the reward may apply to has it. Rows without it in a mixture score `None`, which is what `domains` is for.
    """
    sources = item.config.get("data")
    if not needed or not isinstance(sources, list):
        return []
    offered: list[tuple[str, set[str] | None, bool]] = []
    for source in sources:
        if not isinstance(source, dict):
            return []
        try:
            columns = columns_of_source(source)
        except DataError:
            return []  # told by the check of the data
        name = str(source.get("name") or source.get("path"))
        domain = source.get("domain")
        if domain is None and columns is not None and "domain" not in columns:
            domain = name  # as `trl_r1.data` has it
        if domains and domain is not None and domain not in domains:
            continue
        offered.append((name, columns, bool(domains and domain)))
    lacking = []
    for column in needed:
        if column in _ALWAYS_THERE:
            continue
        without = [name for name, columns, _ in offered if columns is not None and column not in columns]
        sure = [name for name, columns, own in offered if own and columns is not None and column not in columns]
        if offered and len(without) == len(offered):
            lacking.append((column, f"`{without[0]}`" if len(without) == 1 else "the data"))
        else:
            lacking += [(column, f"`{name}`") for name in sure]
    return lacking
