"""
The reference answers of a cell of a data set. Pure.

A cell is an answer or a worked solution that ends in one; a list of such, each of which is right; or a mapping that holds
one under a key. The last two may also stand there as JSON, as a loader of rows leaves them.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..errors import ConfigError
from .extract import final_answer, stands_alone


_ABSENT = frozenset(("", "nan", "null", "none", "n/a"))


def read_golds(solution: Any, key: str | None = None) -> tuple[str, ...]:
    """
    Find the reference answers of one cell.

    Args:
        solution (`Any`):
            Text, a number, a list of either, or a mapping.
        key (`str`, *optional*):
            Under which key of a mapping they stand.

    Returns:
        `tuple[str, ...]`: the answers, each once; empty if there is nothing to compare with (`None`, NaN, an empty text or
        list, a mapping without the key).

    Raises:
        [`~errors.ConfigError`]: if the cell is a mapping and no key is named.
    """
    solution = _parsed(solution)
    if isinstance(solution, Mapping):
        if key is None:
            keys = ", ".join(f"`{name}`" for name in list(solution)[:8])
            raise ConfigError(
                f"a `solution` is a mapping with the keys {keys}; name the one that holds the answer", key="gold_key"
            )
        return read_golds(solution.get(key))
    if hasattr(solution, "tolist"):  # an array
        solution = solution.tolist()
    if isinstance(solution, (list, tuple)):
        return tuple(dict.fromkeys(gold for item in solution for gold in read_golds(item, key)))
    gold = read_gold(solution)
    return () if gold is None else (gold,)


def read_gold(solution: Any) -> str | None:
    """
    Find the reference answer in a text: an answer by itself, or a worked solution that ends in one.

    Returns:
        `str` or `None`: `None` if there is nothing to compare with.
    """
    if not isinstance(solution, str):
        absent = (
            solution is None or isinstance(solution, bool) or (isinstance(solution, float) and math.isnan(solution))
        )
        return None if absent else str(solution)
    return _remembered(solution) if len(solution) <= _LONGEST_REMEMBERED else _gold_of(solution)


def _gold_of(solution: str) -> str | None:
    text = solution.strip()
    if "</think>" in text:
        text = text.rsplit("</think>", 1)[1].strip()
    if (end := text.rfind("</answer>")) >= 0 and (start := text.rfind("<answer>", 0, end)) >= 0:
        text = text[start + len("<answer>") : end].strip()
    if text.lower() in _ABSENT:
        return None
    return text if stands_alone(text) else final_answer(text)


_LONGEST_REMEMBERED = 5_000
_remembered = lru_cache(maxsize=4096)(_gold_of)  # a group of completions shares its gold


def _parsed(solution: Any) -> Any:
    """Read a list of texts or a mapping that stands there as JSON; `[0, 1]` is an interval and stays one."""
    if isinstance(solution, str) and solution.lstrip()[:1] in ("[", "{") and '"' in solution:
        try:
            found = json.loads(solution)
        except (ValueError, RecursionError):
            return solution
        if isinstance(found, Mapping) or (isinstance(found, list) and all(isinstance(item, str) for item in found)):
            return found
    return solution
