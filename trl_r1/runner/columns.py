"""
A look at a local data file: which columns it has, and whether there is a row in it. Without torch or `datasets`.
"""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..recipe import shown


# So many rows of a text file are read to learn its columns, and so many bytes of one JSON document.
_ROWS = 1000
_BYTES = 4 << 20

READABLE = (".jsonl", ".json", ".parquet", ".csv", ".arrow")


def columns_of(path: str | Path) -> tuple[str, ...] | None:
    """
    Return the columns of a local data set.

    Args:
        path (`str` or `Path`):
            A jsonl, json, csv (also with .gz), parquet or arrow file, a folder of them, or a folder saved by
            `save_to_disk`.

    Returns:
        `tuple[str, ...]`, *optional*: the columns; `None` where they are not known without loading it.

    Raises:
        `DataError`: it cannot be read, or there is no row in it.
    """
    path = Path(path)
    if path.is_dir():
        return _of_folder(path)
    kind = next((s.lower() for s in reversed(path.suffixes) if s != ".gz"), "")
    reader = {
        ".jsonl": _of_json,
        ".json": _of_json,
        ".csv": _of_csv,
        ".parquet": _of_parquet,
        ".arrow": _of_arrow,
    }.get(kind)
    if reader is None:
        raise DataError(f"expected a file that ends in {', '.join(READABLE)} (or .gz after it)", file=shown(path))
    try:
        if path.stat().st_size == 0:
            raise DataError("expected at least one row, got an empty file", file=shown(path))
        columns = reader(path)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=shown(path)) from None
    except Exception as error:  # every library has its own errors for a broken file
        reason = str(error).split("\n")[0]
        raise DataError(f"cannot be read as {kind[1:]}: {reason}", file=shown(path)) from None
    if columns is not None and not columns:
        raise DataError("expected at least one row, got none", file=shown(path))
    return columns


def _of_folder(path: Path) -> tuple[str, ...] | None:
    if (path / "dataset_info.json").is_file():
        info = json.loads((path / "dataset_info.json").read_text(encoding="utf-8"))
        return tuple(info["features"]) if info.get("features") else None
    if (path / "dataset_dict.json").is_file():
        return None  # one of its splits: which, the stage's config says
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in READABLE)
    if not files:
        raise DataError(
            f"expected a folder with files that end in {', '.join(READABLE)}, found none", file=shown(path)
        )
    return columns_of(files[0])


def _opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _of_json(path: Path) -> tuple[str, ...] | None:
    with _opened(path) as file:
        start = file.read(_BYTES)
        whole = len(start) < _BYTES
    text = start.lstrip()
    if not text:
        return ()
    if text.startswith("["):
        text = text[1:].lstrip()
        if text.startswith("]"):
            return ()
        return _keys_of_first(text, whole)
    columns: dict[str, None] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines[:_ROWS]):
        if not line.strip() or (number == len(lines) - 1 and not whole):
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            if (number == 0 and line.strip() in ("{", "[")) or text.startswith("{\n"):
                return _keys_of_first(text, whole)  # one document over many lines
            raise ValueError(f"line {number + 1}: {error}") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number + 1} holds a {type(row).__name__}, expected a mapping")
        columns.update(dict.fromkeys(row))
    return tuple(columns)


def _keys_of_first(text: str, whole: bool) -> tuple[str, ...] | None:
    try:
        first, _ = json.JSONDecoder().raw_decode(text)
    except ValueError:
        if whole:
            raise
        return None  # a first row of more than 4 MB
    if not isinstance(first, dict):
        raise ValueError(f"the first row is a {type(first).__name__}, expected a mapping")
    return tuple(first)


def _of_csv(path: Path) -> tuple[str, ...]:
    with _opened(path) as file:
        reader = csv.reader(file)
        header = next(reader, None)
        return tuple(header) if header and next(reader, None) is not None else ()


def _of_parquet(path: Path) -> tuple[str, ...]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    return tuple(file.schema_arrow.names) if file.metadata.num_rows else ()


def _of_arrow(path: Path) -> tuple[str, ...]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            return tuple(pa.ipc.open_stream(source).schema.names)
        except pa.ArrowInvalid:
            return tuple(pa.ipc.open_file(source).schema.names)
