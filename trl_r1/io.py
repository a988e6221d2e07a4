"""
Files that appear whole or not at all, whoever is killed meanwhile and whoever reads; JSON, read without surprises; and
output that nobody reads to its end.
"""

import contextlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Give a place to write a file to, which becomes `path` at the end of the block. A reader sees the old file or the new
    one; where the block fails, the old one stays.

    Args:
        path (`str` or `os.PathLike`):
            The file. Its folder is made where there is none. Any number of threads, processes and machines may write it
            at the same time: the last one stays.

    Example:
    ```python
    >>> with whole_file("run/metrics.json") as partial:
    ...     partial.write_text("{}")
    ```
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Give a folder to write to, which becomes `path` at the end of the block and replaces what was there. Where the block
    fails, what was there stays.

    Args:
        path (`str` or `os.PathLike`):
            The folder. One process at a time may write it.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        publish(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish(temporary: str | os.PathLike[str], final: str | os.PathLike[str]) -> None:
    """Rename a finished folder to its final name, in place of what is there."""
    temporary, final = Path(temporary), Path(final)
    if final.is_dir() and not final.is_symlink():
        shutil.rmtree(final)
    temporary.replace(final)


def numbered_checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the folders `checkpoint-STEP` in a folder, the latest first."""
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name[11:].isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name[11:]), reverse=True)


def last_lines(path: str | os.PathLike[str], count: int, start: int = 0) -> list[str]:
    """
    Return the last lines of a log that are not blank; of a line that was overwritten (a progress bar), what was there last.

    Args:
        path (`str` or `os.PathLike`):
            The log; where it cannot be read, there are no lines.
        count (`int`):
            Most lines.
        start (`int`, *optional*, defaults to `0`):
            Where to begin, in bytes.
    """
    try:
        with open(path, "rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    whole = [line.rstrip().rpartition("\r")[2] for line in text.splitlines()]
    return [line for line in whole if line.strip()][-count:]


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one where the file is missing, cut short, or holds something else."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all, so that it outlasts a power failure."""
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def until_closed(command: Callable[[], int]) -> int:
    """
    Run a command whose output may be cut short by its reader (`trl-r1 plan ... | head`), which is no error.

    Args:
        command (`Callable`):
            Prints, and returns an exit code.

    Returns:
        `int`: the command's, or 0 where its output was cut.
    """
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()  # here, and not when the interpreter ends and can only complain
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # what stands for standard output may be no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
