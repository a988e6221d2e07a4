"""
Where the rows of a stage's data set are: `data/NAME.parquet`, or its parts `data/NAME-00000-of-00003.parquet`, named as
`datasets` names them. A recipe, a config and the runner say `data/NAME.parquet` for either.
"""

import os
import re
from collections import defaultdict
from pathlib import Path


_PART = re.compile(r"(.+)-(\d{5,})-of-(\d{5,})\.parquet")


def part_of(path: str | os.PathLike[str], number: int, parts: int) -> Path:
    """Return the name of a part of the data set `path`, counted from 0."""
    path = Path(path)
    return path.with_name(f"{path.stem}-{number:05d}-of-{parts:05d}{path.suffix}")


def data_files(path: str | os.PathLike[str]) -> list[Path]:
    """
    Return the files of a data set.

    Args:
        path (`str` or `os.PathLike`):
            `NAME.parquet`: a file, or what the parts of a data set are called after. Any other file is its own.

    Returns:
        `list[Path]`: the file itself; the parts in their order; or nothing, where there is neither, or a part is missing.
    """
    path = Path(path)
    if path.is_file() or path.suffix != ".parquet" or not path.parent.is_dir():
        return [path] if path.is_file() else []
    return data_sets(path.parent).get(path.stem, [])


def is_place(path: str | os.PathLike[str]) -> bool:
    """Return whether there is a file, a folder or a data set of this name."""
    return Path(path).exists() or bool(data_files(path))


def parquet_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the parquet files of a folder in the order of their names, without hidden ones; none where there is no folder."""
    return sorted(file for file in Path(folder).glob("*.parquet") if not file.name.startswith("."))


def data_sets(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """Return the files of each data set in a folder, by its name, `train` first; without those that lack a part."""
    found: dict[str, list[Path]] = {}
    parts: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for file in parquet_files(folder):
        if match := _PART.fullmatch(file.name):
            parts[match[1], int(match[3])].append(file)
        else:
            found[file.stem] = [file]
    for (name, expected), files in parts.items():
        if len(files) == expected:
            found.setdefault(name, files)
    return dict(sorted(found.items(), key=lambda item: (item[0] != "train", item[0])))
