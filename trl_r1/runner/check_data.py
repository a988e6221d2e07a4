"""
Do a recipe's data have the columns that its stages and their rewards read?
"""

from typing import Any

from ..errors import ConfigError, DataError, did_you_mean, listed
from ..recipe import ResolvedStage, shown
from ..recipe.references import RUN
from .configs import sources_of


# Columns that every row has once it has been read, whatever its file holds.
_ALWAYS_THERE = ("prompt_id", "prompt", "question", "domain", "language", "source")

# Columns of what a stage samples, whatever its kind.
_TRACES = ("prompt_id", "prompt", "solution", "domain", "language", "completion")

# What a source's `..._column` keys say which column means.
_MEANINGS = ("prompt", "completion", "solution", "chosen", "rejected", "label", "domain", "language")

# Of a source: its name, the domain of all of its rows, its columns; `None` what is not known beforehand.
Offered = tuple[str, str | None, set[str] | None]


def source_columns(
    source: dict[str, Any], item: ResolvedStage, columns: dict[str, Any], stages: list[ResolvedStage]
) -> set[str] | None:
    """
    Return the columns that a source offers under their canonical names; `None` where they are not known beforehand.

    Raises:
        `DataError`: it cannot be read, or is empty.
    """
    path = str(source.get("path"))
    found = columns.get(path)
    if isinstance(found, str):
        raise DataError(found, file=shown(path), key=f"data.{source.get('name')}.path")
    if path.startswith(f"{RUN}/"):
        _, name, *rest = path.split("/")
        parent = next(s for s in stages if s.name == name)
        if rest[0] == "data":
            written = parent.kind.writes if parent.kind else {}
            part = rest[-1].removesuffix(".parquet")
            if written and part not in written:
                raise DataError(
                    f"`{name}` writes no data set `{part}`; expected one of {listed(written)}{did_you_mean(part, written)}",
                    file=item.stage.at,
                    key=f"stages.{item.name}.data",
                )
            found = written.get(part)
        else:
            found = _TRACES
    if found is None:
        return None
    named: dict[str, Any] = {f"{meaning}_column": source.get(f"{meaning}_column") for meaning in _MEANINGS}
    further = {key: source.get(key) for key in ("options_columns", "where")}
    for key, wanted in {**named, **further}.items():
        for column in [wanted] if isinstance(wanted, str) else wanted or ():
            if column in found:
                continue
            raise DataError(
                f"`{column}` is no column of `{shown(path) if '/' in path and RUN not in path else path}`; expected one "
                f"of {listed(found)}{did_you_mean(column, found)}",
                file=item.stage.at,
                key=f"stages.{item.name}.data.{key}",
            )
    made = [meaning for meaning in _MEANINGS if named[f"{meaning}_column"] is not None]
    return {*found, *made, *(["options"] if further["options_columns"] else [])}


def check_data(
    item: ResolvedStage, columns: dict[str, Any], stages: list[ResolvedStage]
) -> tuple[list[Offered], list[ConfigError]]:
    """
    Check the columns of a stage's data.

    Args:
        item (`ResolvedStage`):
            The stage.
        columns (`dict[str, Any]`):
            Columns of its local sources, as [`~stages._check.check_stage`] returns them.
        stages (`list[ResolvedStage]`):
            All stages.

    Returns:
        `tuple`: what each source offers, and what is wrong.
    """
    offered: list[Offered] = []
    problems: list[ConfigError] = []
    for i, source in enumerate(sources_of(item)):
        found = None
        try:
            found = source_columns(source, item, columns, stages)
        except DataError as error:
            problems.append(error)
        name, domain = str(source.get("name") or source.get("path")), source.get("domain")
        if domain is None and found is not None and "domain" not in found:
            domain = name  # as `trl_r1.data` has it
        offered.append((name, domain, found))
        for column in (item.kind.reads if item.kind else None) or ():
            if found is not None and column not in found:
                problems.append(
                    DataError(
                        f"`{name}` has no column `{column}`, which `{item.stage.kind}` reads; expected one of that name "
                        f"or `{column}_column: ...`. It has {_own(found, source)}",
                        file=item.stage.at,
                        key=f"stages.{item.name}.data[{i}]",
                    )
                )
    return offered, problems


def _own(found: set[str], source: dict[str, Any]) -> str:
    """List the columns of a source as the file has them, without those that it is read under."""
    return listed(sorted(found - {each for each in _MEANINGS if source.get(f"{each}_column") not in (None, each)}))


def check_reward_columns(
    item: ResolvedStage, rewards: list[dict[str, Any]], offered: list[Offered]
) -> list[ConfigError]:
    """
    Check that a stage's data have the columns that its rewards read.

    A column is missing where a source that is wholly of one of the reward's domains lacks it, or where no source that
    the reward may apply to has it. Rows without it in a mixture score `None`, which is what `domains` is for.

    Args:
        item (`ResolvedStage`):
            The stage.
        rewards (`list[dict[str, Any]]`):
            Its rewards, as [`~stages._check.check_stage`] returns them.
        offered (`list[Offered]`):
            What its data offer, as [`check_data`] returns it.
    """
    problems: list[ConfigError] = []
    sources = sources_of(item)
    for reward in rewards:
        domains = reward["domains"]
        apply = [each for each in offered if not domains or each[1] is None or each[1] in domains]
        for column in sorted(set(reward["requires"]) - set(_ALWAYS_THERE)):
            without = [each for each in apply if each[2] is not None and column not in each[2]]
            if apply and len(without) == len(apply) > 1:
                lacking = ["the data lack"]
            else:
                lacking = [
                    f"`{name}` lacks, whose columns are {_own(found or set(), sources[offered.index((name, domain, found))])}"
                    for name, domain, found in without
                    if len(apply) == 1 or (domains and domain)
                ]
            problems += [
                DataError(
                    f"`{reward['func']}` reads the column `{column}`, which {which}; expected a column of that name or "
                    f"`{column}_column: ...` in the data",
                    file=item.at(reward["key"]),
                    key=f"{item.name}.{reward['key']}.func",
                )
                for which in lacking
            ]
    return problems
