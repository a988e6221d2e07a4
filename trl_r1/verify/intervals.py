r"""
Sets of real numbers written as intervals with rational or infinite ends, compared without computer algebra. Pure.

Only ever refutes: two sets whose merged pieces differ are different, whatever else their texts might mean. Sets that
come out equal are left to computer algebra, which knows what form was asked for.
"""

import math
from fractions import Fraction

from .exact import read_exact
from .structure import Node


# low end, whether it belongs to the set, high end, whether it belongs to it
Piece = tuple[Fraction | float, bool, Fraction | float, bool]


def differ(gold: Node, answer: Node) -> bool:
    """
    Tell whether two nodes are certain to be different sets.

    Args:
        gold (`Node`):
            A union of intervals, or an interval.
        answer (`Node`):
            Another.

    Returns:
        `bool`: `False` where they are the same, or either is not made of intervals with rational or infinite ends.
    """
    one, other = _pieces(gold), _pieces(answer)
    return one is not None and other is not None and one != other


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
    text = node.text.replace(" ", "")
    if text in ("\\infty", "+\\infty", "-\\infty"):
        return -math.inf if text[0] == "-" else math.inf
    found = read_exact(node.text) if node.kind == "value" else None
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
