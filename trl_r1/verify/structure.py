r"""
The shape of an answer: a single value, a list, a tuple, a set, an interval, a matrix, a union, a ratio, a word. Pure.

Shapes are taken apart here, in time linear in the text, and only their leaves are compared as mathematics. That keeps
the verdict exact about what computer algebra blurs: order in a tuple, repeated elements of a list, open and closed
ends, how many answers were given.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from .normal import normalise


@dataclass(frozen=True)
class Node:
    r"""
    An answer, taken apart.

    Args:
        kind (`str`):
            `"value"`, `"list"` (bare, separated by commas), `"round"`, `"square"`, `"half"` (`(` with `]` or `[` with
            `)`), `"set"`, `"matrix"`, `"union"` or `"ratio"`.
        text (`str`):
            The normalised text of the whole.
        items (`tuple[Node, ...]`):
            Its elements; a matrix's, row by row.
        shape (`str`):
            Brackets of an interval (`"(]"`), or size of a matrix (`"2x3"`).
    """

    kind: str
    text: str
    items: tuple["Node", ...] = field(default=())
    shape: str = ""


_MATRIX = re.compile(
    r"^(?:[(\[])?\s*\\begin\s*\{([pbBsmall]*matrix|array)\}(\{[^{}]*\})?(.*)\\end\s*\{\1\}\s*(?:[)\]])?(?:\s*\^\{?T\}?)?$",
    re.DOTALL,
)
_OPENING = {"(": ")", "[": "]", "{": "}"}
_CONNECTOR = re.compile(r"\s*(?:,\s*(?:and|or)(?![A-Za-z])|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|[;,]|[和或])\s*")
_THOUSANDS = re.compile(r"^[-+]?(?:\\\$|\$)?\s*[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_RATIO = re.compile(r"^\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+$")
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")
_MEMBER = re.compile(r"^\\?[A-Za-z]+(?:_\{?\w+\}?)?\s*\\in(?![A-Za-z])\s*")


def take_apart(text: str, as_list: bool = False) -> Node:
    """
    Read the shape of an answer.

    Args:
        text (`str`):
            The answer; it is normalised here.
        as_list (`bool`, *optional*, defaults to `False`):
            Whether a comma always parts two elements: `100,101` is a list of two then, else one number.
    """
    return _remembered(text, as_list) if len(text) <= _LONGEST_REMEMBERED else _shape(text, as_list)


def _shape(text: str, as_list: bool) -> Node:
    return _take_apart(normalise(text), as_list, depth=0)


_LONGEST_REMEMBERED = 1_000
_remembered = lru_cache(maxsize=8192)(_shape)


def _take_apart(text: str, as_list: bool, depth: int) -> Node:
    text = text.strip()
    if depth > 6:
        return Node("value", text)
    text = _MEMBER.sub("", text) if "\\in" in text else text
    if found := _MATRIX.match(text):
        return _matrix(text, found[3], as_list, depth)
    if "\\cup" in text:
        parts = split_outside(text, re.compile(r"\s*\\cup(?![A-Za-z])\s*"))
        if len(parts) > 1:
            return Node("union", text, tuple(_take_apart(part, as_list, depth + 1) for part in parts))
    enclosed = _enclosed(text)
    if enclosed is not None:
        opening, closing, inside = enclosed
        elements = split_elements(inside, in_brackets=True)
        if opening == "\\{":
            found = tuple(_take_apart(e, as_list, depth + 1) for e in elements) if inside.strip() else ()
            return Node("set", text, found, opening + closing)
        if len(elements) > 1:
            kind = {"()": "round", "[]": "square"}.get(opening + closing, "half")
            nodes = tuple(_take_apart(element, as_list, depth + 1) for element in elements)
            return Node(kind, text, nodes, opening + closing)
    elements = split_elements(text, in_brackets=as_list)
    if len(elements) > 1:
        return Node("list", text, tuple(_take_apart(element, as_list, depth + 1) for element in elements))
    if _RATIO.match(text):
        return Node("ratio", text, tuple(Node("value", part.strip()) for part in text.split(":")))
    if len(_PLUS_MINUS.findall(text)) == 1 and "=" not in text:
        both = (_PLUS_MINUS.sub("+", text), _PLUS_MINUS.sub("-", text))
        return Node("list", text, tuple(Node("value", sign.strip().removeprefix("+").strip()) for sign in both))
    return Node("value", text)


def split_elements(text: str, in_brackets: bool = False) -> list[str]:
    """
    Split a text at the commas (`;`, `and`, `or`) that stand outside all brackets.

    Commas that part thousands are no separators: `1,080` is one number, `1,080, 2,000` are two. Inside brackets a
    comma parts elements unless another one is followed by a space.
    """
    parts = split_outside(text, _CONNECTOR)
    if len(parts) == 1 or not re.search(r"\d,\d{3}(?!\d)", text):
        return [part for part in parts if part] or [text]
    spaced = split_outside(
        text, re.compile(r"\s*(?:,\s+(?:(?:and|or)(?![A-Za-z])\s*)?|;|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*")
    )
    if len(spaced) > 1:
        return [part for part in spaced if part]
    if not in_brackets and _THOUSANDS.match(text):
        return [text]
    return [part for part in parts if part] or [text]


def split_outside(text: str, separator: re.Pattern[str]) -> list[str]:
    r"""Split at each match of a separator that stands outside `()`, `[]`, `{}`, `\{\}` and `\text{}`. Linear."""
    depths = []
    depth = 0
    for character in text:
        if character in "([{":
            depth += 1
        depths.append(depth)
        if character in ")]}":
            depth -= 1
    if depth:  # brackets of unlike ends, as in `(0, 1]` beside others, still balance; what does not is left whole
        return [text]
    parts, start = [], 0
    for found in separator.finditer(text):
        inner = found.start() + len(found[0]) - len(found[0].lstrip())
        if found[0] and inner < len(depths) and depths[inner] == 0:
            parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*parts, text[start:].strip()]


def _enclosed(text: str) -> tuple[str, str, str] | None:
    r"""Return opening, closing and inside where one pair of brackets holds the whole text."""
    if text.startswith("\\{") and text.endswith("\\}"):
        opening, closing, inside = "\\{", "\\}", text[2:-2]
    elif text[:1] in ("(", "[") and text[-1:] in (")", "]"):
        opening, closing, inside = text[0], text[-1], text[1:-1]
    elif text.startswith("\\langle") and text.endswith("\\rangle"):
        opening, closing, inside = "(", ")", text[len("\\langle") : -len("\\rangle")]
    else:
        return None
    depth = 0
    for character in inside:
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth < 0:
                return None
    return (opening, closing, inside) if depth == 0 else None


def _matrix(text: str, body: str, as_list: bool, depth: int) -> Node:
    rows = [row for row in re.split(r"\\\\(?:\s*\[[^\]]*\])?", body.replace("\\hline", "")) if row.strip()]
    cells = [[_take_apart(normalise(cell), as_list, depth + 1) for cell in row.split("&")] for row in rows]
    width = len(cells[0]) if cells else 0
    if any(len(row) != width for row in cells):
        return Node("value", text)
    return Node("matrix", text, tuple(cell for row in cells for cell in row), f"{len(cells)}x{width}")
