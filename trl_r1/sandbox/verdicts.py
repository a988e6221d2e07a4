"""What is learned of a test from what its process wrote and how it ended."""

import json
from collections.abc import Iterator
from typing import Any

from .lane import Ended
from .limits import MEMORY_LIMIT, OUTPUT_LIMIT, RUNTIME_ERROR, Result


DETAIL = 300
_OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "OutOfMemoryError", "out of memory", "memory allocation of")


def records(data: bytes, longest: int) -> Iterator[dict[str, Any]]:
    """
    Return the records that a job wrote, those that can be read.

    Args:
        data (`bytes`):
            What it wrote, a line of JSON a record.
        longest (`int`):
            Bytes of the longest record that is read: read, one may take thirty times its bytes. A longer one is
            `{"too_long": True}`.
    """
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        line, start = data[start : min(end, start + longest + 1)], end + 1
        if len(line) > longest:
            yield {"too_long": True}
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def glimpse(written: Any) -> str:
    """Return the beginning of a value, without writing all of it."""
    text = ""
    try:
        for piece in json.JSONEncoder().iterencode(written):
            text += piece
            if len(text) > DETAIL:
                break
    except RecursionError:
        pass
    return text[:DETAIL]


def failure(verdict: str, why: Any) -> Result:
    """Return the result of a test that failed, its verdict made finer by what was said."""
    why = why[:DETAIL] if isinstance(why, str) else glimpse(why)  # a program may have written anything there
    if verdict == RUNTIME_ERROR and any(word in why for word in _OUT_OF_MEMORY):
        verdict = MEMORY_LIMIT
    if why.startswith("TooLarge"):
        verdict = OUTPUT_LIMIT
    return Result(verdict, why)


def ended_early(ended: Ended, errors: str = "") -> Result:
    """Return the result of a test whose process did not end well."""
    if ended.limit is not None:
        return Result(ended.limit)
    last = last_line(errors)
    if last:
        return failure(RUNTIME_ERROR, last if not any(w in errors for w in _OUT_OF_MEMORY) else f"MemoryError: {last}")
    return Result(RUNTIME_ERROR, f"signal {-ended.code}" if ended.code < 0 else f"ended with exit code {ended.code}")


def last_line(text: str) -> str:
    """Return the last line, which names the error in most languages."""
    return (text.rstrip().rsplit("\n", 1)[-1])[:DETAIL]


def first_error(text: str) -> str:
    """Return the first line of a compiler's output that tells of an error."""
    lines = [line for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it does not compile")
