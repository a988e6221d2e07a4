"""
Do a stage's rewards import, take their arguments, and find the columns they read?

Rewards are imported by their dotted names, as the stage will; those of `trl_r1.rewards` load no torch.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from ..errors import ConfigError, DataError
from ..recipe import ResolvedStage
from ..recipe.suggest import did_you_mean, listed


SPEC_KEYS = ("func", "weight", "args", "domains", "from_step", "until_step")


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
    rewards = item.config.get("rewards")
    if rewards is None or (item.fields is not None and "rewards" not in item.fields):
        return []
    where = item.stage.origins.get("rewards", item.stage.at)
    problems: list[ConfigError] = []

    def wrong(message: str, key: str, kind: type[ConfigError] = ConfigError) -> None:
        problems.append(kind(message, file=where, key=f"{item.name}.{key}"))

    if not isinstance(rewards, list) or not rewards:
        return []  # its type is told by the check of the fields
    for i, spec in enumerate(rewards):
        key = f"rewards[{i}]"
        spec = {"func": spec} if isinstance(spec, str) else spec
        if not isinstance(spec, dict) or not isinstance(spec.get("func"), str):
            wrong("expected a mapping with `func`, a dotted import path", key)
            continue
        for name in spec:
            if name not in SPEC_KEYS:
                wrong(
                    f"unknown key; expected one of {listed(SPEC_KEYS)}{did_you_mean(name, SPEC_KEYS)}", f"{key}.{name}"
                )
        try:
            reward = import_reward(spec["func"])
        except ConfigError as error:
            wrong(error.message, f"{key}.func")
            continue
        problem = _arguments(reward, spec.get("args"))
        if problem:
            wrong(problem, f"{key}.args")
        for column, source in _lacking(reward, spec, item, columns_of_source):
            wrong(
                f"`{spec['func']}` reads the column `{column}`, which {source} lack{'s' if source[0] == '`' else ''}; "
                f"expected a column of that name or `{column}_column: ...` in the data",
                f"{key}.func",
                DataError,
            )
    return problems


def import_reward(name: str) -> Any:
    """
    Import a reward by its dotted name.

    Raises:
        `ConfigError`: there is no such module, it fails to import, or it has no such name.
    """
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        raise ConfigError(f"is `{name}`; expected a dotted import path, `package.module.Reward`")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a user's module raises
        raise ConfigError(
            f"`{name}` does not import ({type(error).__name__}: {error}); expected a dotted import path that does"
        ) from None
    try:
        found = getattr(module, attribute)
    except AttributeError:
        near = did_you_mean(attribute, [n for n in dir(module) if not n.startswith("_")])
        raise ConfigError(f"`{module_name}` has no `{attribute}`; expected a reward that it has{near}") from None
    if not callable(found):
        raise ConfigError(f"`{name}` is a {type(found).__name__}; expected a reward, which can be called")
    return found


def _arguments(reward: Any, arguments: Any) -> str | None:
    if arguments is not None and not isinstance(arguments, dict):
        return f"is {arguments!r}; expected a mapping of arguments"
    if not inspect.isclass(reward):
        return "takes no arguments: it is ready as it is; expected none" if arguments else None
    try:
        inspect.signature(reward).bind(**(arguments or {}))
    except (TypeError, ValueError) as error:
        return f"do not fit `{reward.__name__}{inspect.signature(reward)}`: {error}"
    return None


def _lacking(
    reward: Any, spec: dict[str, Any], item: ResolvedStage, columns_of_source: Callable
) -> list[tuple[str, str]]:
    """
    Return each column that a reward reads and that is missing, with where.

    A column is missing where a source that is wholly of one of the reward's domains lacks it, or where no source that
    the reward may apply to has it. Rows without it in a mixture score `None`, which is what `domains` is for.
    """
    needed = [column for column in getattr(reward, "requires", ()) if isinstance(column, str)]
    sources = item.config.get("data")
    if not needed or not isinstance(sources, list):
        return []
    domains = spec.get("domains")
    offered: list[tuple[str, set[str] | None, bool]] = []
    for source in sources:
        if not isinstance(source, dict):
            return []
        try:
            columns = columns_of_source(source)
        except DataError:
            return []  # told by the check of the data
        domain = source.get("domain")
        if domains and domain is not None and domain not in domains:
            continue
        offered.append((str(source.get("name") or source.get("path")), columns, bool(domains and domain)))
    lacking = []
    for column in needed:
        without = [name for name, columns, _ in offered if columns is not None and column not in columns]
        sure = [name for name, columns, own in offered if own and columns is not None and column not in columns]
        if offered and len(without) == len(offered):
            lacking.append((column, f"`{without[0]}`" if len(without) == 1 else "the data"))
        else:
            lacking += [(column, f"`{name}`") for name in sure]
    return lacking
