"""Under which licenses the rows of a data set stand, by the data they were made from."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..lineage import StageRecord


_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class SourceLicense:
    """
    What the rows of one source say of their license.

    Args:
        source (`str`):
            Name of the source, as the column `source` has it; empty where the rows name none.
        license (`str`, *optional*):
            Its license, as the column `license` has it; `None` where nothing states one.
        rows (`int`):
            Rows of the data set that come from it.
    """

    source: str
    license: str | None
    rows: int


def source_licenses(parts: Iterable[Path]) -> list[SourceLicense]:
    """Read the columns `source` and `license` of a data set's parquet files; its sources, the largest first."""
    import pyarrow.parquet as pq

    rows: dict[tuple[str, str | None], int] = {}
    for part in parts:
        schema = pq.read_schema(part)
        there = [name for name in ("source", "license") if name in schema.names]
        groups = [{"count_all": pq.read_metadata(part).num_rows}]
        if there:
            groups = pq.read_table(part, columns=there).group_by(there).aggregate([([], "count_all")]).to_pylist()
        for group in groups:
            key = (str(group.get("source") or ""), str(group.get("license") or "").strip() or None)
            rows[key] = rows.get(key, 0) + group["count_all"]
    return [SourceLicense(*key, number) for key, number in sorted(rows.items(), key=lambda item: -item[1])]


def card_license(sources: Iterable[SourceLicense]) -> str | list[str] | None:
    """
    Return what a card's metadata say: the licenses of all sources, by the Hub's identifiers; what is no identifier is
    `other`. `None` where a source states none, since nothing holds for all rows then.
    """
    stated = {one.license for one in sources}
    if not stated or None in stated:
        return None
    names = sorted({name if _IDENTIFIER.fullmatch(name) else "other" for one in stated if (name := str(one).lower())})
    return names[0] if len(names) == 1 else names


def check_licenses(stage: StageRecord, private: bool) -> str | None:
    """
    Say which sources of a stage's data state no license.

    Args:
        stage (`StageRecord`):
            The stage, without a license of its own.
        private (`bool`):
            Whether its data set is for its owner alone.

    Returns:
        `str`, *optional*: the sentence, for a private data set.

    Raises:
        [`~errors.ConfigError`]: they are to be published.
    """
    unknown = [
        one for one in source_licenses(p for parts in stage.datasets.values() for p in parts) if not one.license
    ]
    if not unknown:
        return None
    named = ", ".join(f"{one.source or 'rows without a source'} ({one.rows:,} rows)" for one in unknown)
    message = (
        f"its data come from sources that state no license: {named}; state it by `license:` in their entries of `data:`, "
        "or for all of the data set by `--license ID` or `license:` in the recipe's `hub:`"
    )
    if not private:
        raise ConfigError(f"{message}. Nothing was pushed", file=str(stage.directory), key="license")
    return f"{stage.name}: {message}"
