r"""
Sets of real numbers with rational or infinite ends, compared without computer algebra: intervals, their unions, and
conditions on one letter (`1 < x \le 2`). Pure.
"""

import math
import re
from fractions import Fraction

from .exact import read_exact
from .structure import Node


# low end, whether it belongs to the set, high end, whether it belongs to it
Piece = tuple[Fraction | float, bool, Fraction | float, bool]

_SIGN = re.compile(r"(<|>|\\(?:le|ge|lt|gt)(?![A-Za-z]))")
_LETTER = re.compile(r"[A-Za-z](?:_(?:\w|\{\w+\}))?")


def same_set(gold: Node, answer: Node) -> bool | None:
    """
    Tell whether two nodes are the same set of numbers.

    Args:
        gold (`Node`):
            A union of intervals, an interval, or a condition.
        answer (`Node`):
            Another.

    Returns:
        `bool` or `None`: `None` where either is none of these, has other ends, or two conditions are on other letters.
    """
    one, other = _read(gold), _read(answer)
    if one is None or other is None or (None not in (one[0], other[0]) and one[0] != other[0]):
        return None
    return one[1] == other[1]


def _read(node: Node) -> tuple[str | None, list[Piece]] | None:
    """Return the letter of a condition, `None` for a set, with the pieces."""
    if node.kind == "value":
        return _condition(node.text)
    pieces = _pieces(node)
    return None if pieces is None else (None, pieces)


def _condition(text: str) -> tuple[str, list[Piece]] | None:
    parts = [part.strip() for part in _SIGN.split(text)]
    signs = parts[1::2]
    ends = parts[::2]
    letters = [i for i, part in enumerate(ends) if _LETTER.fullmatch(part)]
    if len(letters) != 1 or len(signs) not in (1, 2) or (len(signs) == 2 and letters != [1]):
        return None
    upwards = [sign in ("<", "\\le", "\\lt") for sign in signs]
    if len(set(upwards)) > 1:
        return None
    if not upwards[0]:
        signs, ends = signs[::-1], ends[::-1]
    at = next(i for i, part in enumerate(ends) if _LETTER.fullmatch(part))
    low = _end_of(ends[0]) if at else -math.inf
    high = _end_of(ends[-1]) if at < len(ends) - 1 else math.inf
    if low is None or high is None or not low < high:
        return None
    closed = [sign in ("\\le", "\\ge") for sign in signs]
    low_in = at > 0 and closed[0] and math.isfinite(low)
    high_in = at < len(ends) - 1 and closed[-1] and math.isfinite(high)
    return ends[at], [(low, low_in, high, high_in)]


def _pieces(node: Node) -> list[Piece] | None:
    """Return the disjoint pieces of a set from left to right."""
    if node.kind == "union":
        found: list[Piece] = []
        for item in node.items:
            inner = _pieces(item)
            if inner is None:
                return None
            found += inner
        return _merged(found)
    if node.kind not in ("round", "square", "half") or len(node.items) != 2:
        return None
    low, high = _end(node.items[0]), _end(node.items[1])
    if low is None or high is None or not low < high:
        return None
    return [(low, node.shape[0] == "[" and math.isfinite(low), high, node.shape[1] == "]" and math.isfinite(high))]


def _end(node: Node) -> Fraction | float | None:
    return _end_of(node.text) if node.kind == "value" else None


def _end_of(text: str) -> Fraction | float | None:
    bare = text.replace(" ", "")
    if bare in ("\\infty", "+\\infty", "-\\infty"):
        return -math.inf if bare[0] == "-" else math.inf
    found = read_exact(text)
    return found.value if found is not None and not found.decimal else None


def _merged(pieces: list[Piece]) -> list[Piece]:
    merged: list[Piece] = []
    for low, low_in, high, high_in in sorted(pieces, key=lambda piece: (piece[0], not piece[1])):
        if merged and (low < merged[-1][2] or (low == merged[-1][2] and (low_in or merged[-1][3]))):
            start, start_in, end, end_in = merged[-1]
            if high > end:
                end, end_in = high, high_in
            elif high == end:
                end_in = end_in or high_in
            merged[-1] = (start, start_in, end, end_in)
        else:
            merged.append((low, low_in, high, high_in))
    return merged
