r"""
Sets of real numbers, compared without computer algebra: intervals, their unions, conditions on one letter
(`1 < x \le 2`, `x \ne 3`), all numbers, and all but some. Pure.
"""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .exact import read_exact
from .normal import squeeze
from .structure import Node, split_elements


@dataclass(frozen=True)
class Piece:
    """An interval: its ends as texts, as numbers where they are rational or infinite, and whether they belong to it."""

    low: str
    low_in: bool
    high: str
    high_in: bool

    @property
    def ends(self) -> tuple[Fraction | float, Fraction | float] | None:
        """The two ends as numbers, `None` where one is neither rational nor infinite."""
        low, high = _end(self.low), _end(self.high)
        return None if low is None or high is None else (low, high)


_SIGN = re.compile(r"(<|>|\\(?:le|ge|lt|gt)(?![A-Za-z]))")
_LETTER = re.compile(r"[A-Za-z](?:_(?:\w|\{\w+\}))?(?:\([A-Za-z]\))?")
_SIZE = re.compile(r"\|\s*([A-Za-z](?:_(?:\w|\{\w+\}))?)\s*\|")
_NEGATIVE_LETTER = re.compile(r"-\s*[A-Za-z](?:_(?:\w|\{\w+\}))?")
_TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\lt": r"\gt", r"\gt": r"\lt"}
_UNEQUAL = re.compile(r"^([A-Za-z])\s*(?:\\ne(?![A-Za-z])|!=)\s*(.+)$")
_REALS = re.compile(r"^\\mathbb\s*\{?R\}?|^\\text\{(?:all )?real(?: number)?s?\}$|^\\text\{all real numbers?\}$")
_HALF_OF_REALS = re.compile(r"^\\mathbb\s*\{?R\}?\s*[_^]\s*\{?\s*([-+<>])\s*0?\s*\}?$")
_WITHOUT = re.compile(r"^\s*(?:\\setminus|-)\s*\\\{(.*)\\\}$")
_NEGATIVE_INFINITY, _INFINITY = "-\\infty", "\\infty"


def is_condition(node: Node) -> bool:
    """Tell whether a node is a condition on one letter."""
    return node.kind == "value" and _condition(node.text) is not None


def is_set(node: Node) -> bool:
    """Tell whether a node is a union, an interval, or a condition on one letter."""
    return _read(node) is not None


def same_set(gold: Node, answer: Node, same: Callable[[str, str], bool] | None = None) -> bool | None:
    """
    Tell whether two nodes are the same set of numbers.

    Args:
        gold (`Node`):
            A union of intervals, an interval, or a condition.
        answer (`Node`):
            Another.
        same (`Callable`, *optional*):
            Tells whether two ends are equal that are not both rational.

    Returns:
        `bool` or `None`: `None` where either is none of these, two conditions are on other letters, or an end is not rational
        and `same` is not given.
    """
    one, other = _read(gold), _read(answer)
    if one is None or other is None or (None not in (one[0], other[0]) and one[0] != other[0]):
        return None
    mine, theirs = _merged(one[1]), _merged(other[1])
    if mine is not None and theirs is not None:
        return mine == theirs
    if same is None:
        return None
    if len(one[1]) != len(other[1]):
        return None if mine is None and theirs is None else False
    found = _match(one[1], other[1], same)
    return found if found or len(one[1]) == 1 else _match(one[1], other[1][::-1], same)


def divide_the_line(nodes: Sequence[Node]) -> bool:
    """Tell whether conditions on one letter, with known ends, hold of each real number exactly once between them."""
    found = [condition for node in nodes if (condition := _read(node)) is not None]
    if len(found) < len(nodes) or len({letter for letter, _ in found}) != 1:
        return False
    pieces = [(*piece.ends, piece) for _, pieces in found for piece in pieces if piece.ends is not None]
    pieces.sort(key=lambda one: one[:2])
    if len(pieces) < sum(len(pieces) for _, pieces in found) or (pieces[0][0], pieces[-1][1]) != (-math.inf, math.inf):
        return False
    return all(a[1] == b[0] and a[2].high_in != b[2].low_in for a, b in itertools.pairwise(pieces))


def _match(gold: list[Piece], answer: list[Piece], same: Callable[[str, str], bool]) -> bool:
    return all(
        (g.low_in, g.high_in) == (a.low_in, a.high_in)
        and _same_end(g.low, a.low, same)
        and _same_end(g.high, a.high, same)
        for g, a in zip(gold, answer, strict=True)
    )


def _same_end(gold: str, answer: str, same: Callable[[str, str], bool]) -> bool:
    one, other = _end(gold), _end(answer)
    if (one is not None and math.isinf(one)) or (other is not None and math.isinf(other)):
        return one == other
    return one == other if one is not None and other is not None else same(gold, answer)


def _read(node: Node) -> tuple[str | None, list[Piece]] | None:
    """Return the letter of a condition, `None` for a set, with the pieces."""
    if node.kind == "value":
        return _named(_condition(node.text), node.name)
    if node.kind == "list":  # `x \\ge -3, x \\le 2`, `x \\ne 1, 3`
        unequal = _UNEQUAL.match(node.text)
        return (
            _condition(node.text)
            if unequal and "\\ne" not in unequal[2]
            else _intersection([_named(_read(item), node.name) for item in node.items])
        )
    if node.kind == "union":
        pieces: list[Piece] = []
        letter = None
        for item in node.items:
            inner = _read(item)
            if inner is None or (None not in (letter, inner[0]) and inner[0] != letter):
                return None
            letter = letter or inner[0]
            pieces += inner[1]
        return letter, pieces
    if node.kind not in ("round", "square", "half") or len(node.items) != 2:
        return None
    if any(item.kind != "value" for item in node.items):
        return None
    low, high = (item.text for item in node.items)
    return _interval(node.name or None, low, node.shape[0] == "[", high, node.shape[1] == "]")


def _named(found: tuple[str | None, list[Piece]] | None, name: str) -> tuple[str | None, list[Piece]] | None:
    r"""Give a set the letter that is said to be in it: `x \in \mathbb{R}`."""
    return (name, found[1]) if found is not None and found[0] is None and name else found


def _intersection(found: list[tuple[str | None, list[Piece]] | None]) -> tuple[str | None, list[Piece]] | None:
    """Return what several conditions on one letter leave, where their ends are numbers."""
    conditions = [one for one in found if one is not None]
    letters = {letter for letter, _ in conditions}
    if len(conditions) < len(found) or len(letters) != 1 or None in letters:
        return None
    pieces = conditions[0][1]
    for _, others in conditions[1:]:
        both = [_overlap(one, other) for one in pieces for other in others]
        if any(piece is None for piece in both):
            return None
        pieces = [piece for piece in both if isinstance(piece, Piece)]
    return (conditions[0][0], pieces) if pieces else None


def _overlap(one: Piece, other: Piece) -> Piece | bool | None:
    """Return what two intervals share, `False` where that is nothing, `None` where an end is not known as a number."""
    if one.ends is None or other.ends is None:
        return None
    low = max((one.ends[0], not one.low_in, one.low), (other.ends[0], not other.low_in, other.low))
    high = min((one.ends[1], one.high_in, one.high), (other.ends[1], other.high_in, other.high))
    if low[0] > high[0] or (low[0] == high[0] and (low[1] or not high[1])):
        return False
    return Piece(low[2], not low[1], high[2], high[1])


def _interval(
    letter: str | None, low: str, low_in: bool, high: str, high_in: bool
) -> tuple[str | None, list[Piece]] | None:
    ends = _end(low), _end(high)
    if None not in ends and not ends[0] < ends[1]:  # type: ignore[operator]
        return None
    finite = [end is None or math.isfinite(end) for end in ends]
    return letter, [Piece(low, low_in and finite[0], high, high_in and finite[1])]


def _condition(text: str) -> tuple[str | None, list[Piece]] | None:
    if half := _HALF_OF_REALS.match(text):
        return None, [
            Piece("0", False, _INFINITY, False) if half[1] in "+>" else Piece(_NEGATIVE_INFINITY, False, "0", False)
        ]
    if reals := _REALS.match(text):
        rest = text[reals.end() :]
        without = _WITHOUT.match(rest)
        if rest.strip() and not without:
            return None
        return None, _without(split_elements(without[1]) if without else [])
    if unequal := _UNEQUAL.match(text):
        points = split_elements(unequal[2])
        return unequal[1], _without([point for one in points for point in _both_signs(one)])
    parts = [part.strip() for part in _SIGN.split(text)]
    signs, ends = parts[1::2], parts[::2]
    if any(_NEGATIVE_LETTER.fullmatch(part) for part in ends):  # `-x > -1` is `x < 1`
        ends = [_negated(part) for part in ends]
        signs = [_TURNED[sign] for sign in signs]
        text = ends[0] + "".join(f" {sign} {part}" for sign, part in zip(signs, ends[1:], strict=True))
    size = next((found for part in ends if (found := _SIZE.fullmatch(part))), None)
    if size is not None:
        return _mirrored(_condition(text.replace(size[0], size[1])))
    letters = [i for i, part in enumerate(ends) if _LETTER.fullmatch(part)]
    if len(letters) != 1 or len(signs) not in (1, 2) or (len(signs) == 2 and letters != [1]) or not all(ends):
        return None
    closed = [sign in ("\\le", "\\ge") for sign in signs]
    upwards = [sign in ("<", "\\le", "\\lt") for sign in signs]
    if len(set(upwards)) > 1:
        return None
    if not upwards[0]:
        closed, ends = closed[::-1], ends[::-1]
    at = next(i for i, part in enumerate(ends) if _LETTER.fullmatch(part))
    low = ends[0] if at else _NEGATIVE_INFINITY
    high = ends[-1] if at < len(ends) - 1 else _INFINITY
    return _interval(squeeze(ends[at]), low, at > 0 and closed[0], high, at < len(ends) - 1 and closed[-1])


def _both_signs(point: str) -> list[str]:
    size = point.strip().removeprefix("\\pm").strip()
    return [size, f"-{size}"] if size != point.strip() else [point]


def _mirrored(found: tuple[str | None, list[Piece]] | None) -> tuple[str | None, list[Piece]] | None:
    """Turn a condition on a number into the same one on its size, where its ends are known and above 0."""
    if found is None or len(found[1]) != 1 or (ends := found[1][0].ends) is None or ends[1] <= 0:
        return None
    piece = found[1][0]
    if ends[0] == -math.inf:
        return _interval(found[0], _negated(piece.high), piece.high_in, piece.high, piece.high_in)
    if ends[0] < 0:
        return None
    mirror = Piece(_negated(piece.high), piece.high_in, _negated(piece.low), piece.low_in)
    return found[0], [mirror, piece]


def _negated(end: str) -> str:
    return (
        end.replace(" ", "").removeprefix("-") if end.strip().startswith("-") else f"-{end.strip().removeprefix('+')}"
    )


def _without(points: list[str]) -> list[Piece]:
    """Return all numbers but some."""
    known = [_end(point) for point in points]
    if all(end is not None for end in known):
        points = [point for _, point in sorted(zip(known, points, strict=True))]
    bounds = [_NEGATIVE_INFINITY, *points, _INFINITY]
    return [Piece(low, False, high, False) for low, high in itertools.pairwise(bounds)]


def _end(text: str) -> Fraction | float | None:
    bare = text.replace(" ", "")
    if bare in ("\\infty", "+\\infty", "-\\infty"):
        return -math.inf if bare[0] == "-" else math.inf
    found = read_exact(text)
    return found.value if found is not None and not found.decimal else None


def _merged(pieces: list[Piece]) -> list[tuple[Fraction | float, bool, Fraction | float, bool]] | None:
    """Return the disjoint pieces of a set from left to right; `None` where an end is not known as a number."""
    if any(piece.ends is None for piece in pieces):
        return None
    merged: list[tuple[Fraction | float, bool, Fraction | float, bool]] = []
    known = [(*piece.ends, piece) for piece in pieces if piece.ends is not None]
    for low, high, piece in sorted(known, key=lambda found: (found[0], not found[2].low_in)):
        if merged and (low < merged[-1][2] or (low == merged[-1][2] and (piece.low_in or merged[-1][3]))):
            start, start_in, end, end_in = merged[-1]
            if high > end:
                end, end_in = high, piece.high_in
            elif high == end:
                end_in = end_in or piece.high_in
            merged[-1] = (start, start_in, end, end_in)
        else:
            merged.append((low, piece.low_in, high, piece.high_in))
    return merged
