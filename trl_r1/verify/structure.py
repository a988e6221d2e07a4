r"""
The shape of an answer: a single value, a list, a tuple, a set, an interval, a matrix, a union, a ratio, a time of day. Pure.

    answer   := part (`;` | `or` | a row of `cases`) part ...       a list of tuples; a union where all parts are sets
    part     := element (`,` | `and`) element ...                   a list; `p=5, q=2, p=7, q=2` is one of two tuples
    element  := [name `=`] value
    value    := tuple | set | interval | union | matrix | ratio | time | `a \pm b` | what [`~verify.expression`] reads

`(p, q) = (3, 2)` names each of its values, `P(1, 2)` and `A = \{1, 2\}` the whole.

Shapes are taken apart here, in time linear in the text, and only their leaves are compared as mathematics. That keeps
the verdict exact about what computer algebra blurs: order in a tuple, repeated elements of a list, open and closed
ends, how many answers were given.
"""

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from .normal import normalise, squeeze
from .units import compound
from .words import DENIAL


@dataclass(frozen=True)
class Node:
    r"""
    An answer, taken apart.

    Args:
        kind (`str`):
            `"value"`, `"list"` (bare, separated by commas), `"round"`, `"square"`, `"half"` (`(` with `]` or `[` with
            `)`), `"set"`, `"matrix"`, `"union"`, `"ratio"` or `"time"`.
        text (`str`):
            The normalised text of the whole.
        items (`tuple[Node, ...]`):
            Its elements; a matrix's, row by row.
        shape (`str`):
            Brackets of an interval (`"(]"`), size of a matrix (`"2x3"`), the half of the day (`"a"`, `"p"`), or what made a list
            (`"or"`, `"\pm"`).
        name (`str`):
            What the answer calls the value (`x` in `x = 3`), without spaces.
    """

    kind: str
    text: str
    items: tuple["Node", ...] = field(default=())
    shape: str = ""
    name: str = ""


_MATRIX = re.compile(
    r"^(?:[(\[])?\s*\\begin\s*\{([pbBsmall]*matrix|array)\}(\{[^{}]*\})?(.*)\\end\s*\{\1\}\s*(?:[)\]])?"
    r"(\s*\^\s*(?:\{\s*(?:T|\\top|\\intercal)\s*\}|T|\\top|\\intercal))?$",
    re.DOTALL,
)
_SYSTEM = re.compile(
    r"^(?:\\\{)?\s*\\begin\s*\{(cases|array|aligned|gathered)\}(?:\{[lcr\s]*\})?([^&]*)\\end\s*\{\1\}$", re.DOTALL
)
ROW_END = re.compile(r"\\\\(?:\s*\[[^\]]*\])?")
_AND = r"(?<![A-Za-z\\])and(?![A-Za-z])"
_OR = r"(?<![A-Za-z\\])or(?![A-Za-z])|\\lor(?![A-Za-z])|或"
_CONNECTOR = re.compile(rf"\s*(?:[,;]?\s*(?:{_AND}|{_OR})|[;,]|[和与])\s*")
_ALTERNATIVE = re.compile(rf"\s*(?:[,;]?\s*(?:{_OR})|;)\s*")
_UNION = re.compile(r"\s*\\cup(?![A-Za-z])\s*")
_THOUSANDS = re.compile(r"^(?:[^,=]{1,40}=\s*)?[-+]?(?:\\\$|[$¥€£₹])?\s*[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_RATIO = re.compile(r"^\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+$")
_TIME = re.compile(
    r"^(\d{1,2})(?:\s*:\s*([0-5]\d)(?:\s*:\s*([0-5]\d))?|(?=\s*(?:\\text\{\s*)?[ap]\.?\s?m))\s*(?:\\text\{\s*)?(?:([ap])\.?\s?m\.?)?"
    r"(?:o'clock)?\s*(?:\})?$",
    re.IGNORECASE,
)
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")
_MEMBER = re.compile(r"^(\\?[A-Za-z]+(?:_\{?\w+\}?)?|\([A-Za-z](?:\s*,\s*[A-Za-z])*\))\s*\\in(?![A-Za-z])\s*")
_COLUMN = re.compile(r"^[(\[]([^()\[\]]*)[)\]]\s*\^\s*(?:\{\s*(?:T|\\top|\\intercal)\s*\}|T|\\top|\\intercal)$")
# `\{x \mid x > 1\}`, `\{x \in \mathbb{R} : x > 1\}`
_SET_BUILDER = re.compile(
    r"^\s*([A-Za-z])\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?(?:\\mid(?![A-Za-z])|\||:)\s*((?=.*\b\1\b).+)$",
    re.DOTALL,
)
_EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)")
_POINT = re.compile(r"^([A-Z](?:_\{?\w+\}?|')?|\\text\{(?:[Tt]he )?[A-Za-z]+(?: is)?\})\s*(?=\()")
_WORD = r"(?:[A-Za-z]|\\(?!frac|sqrt|cdot|times|pm|ln|log|sin|cos|tan|pi)[A-Za-z]+\b)"
# `x`, `x_1`, `x'`, `AB`, `\vec{a}`, `\angle ABC`, `|AB|`, `S_{\triangle ABC}`, `f(x)`, `P(X = 2)`, `\text{Total}`
_SIMPLE_NAME = (
    rf"(?:\\(?:vec|overline|overrightarrow|mathbf|hat|bar|tilde|widehat|mathrm)\s*(?:\{{[A-Za-z]+\}}|[A-Za-z])|"
    rf"\\(?:angle|triangle)\s*(?:[A-Z]+|\d)|[A-Z]{{2,4}}|[A-Z][a-z]{{3,15}}|\\text\{{[^{{}}\d]+\}}|{_WORD})"
    r"(?:_(?:\w|\{[^{}]*\}))?'*(?:\([^()]{1,20}\))?"
)
_ARGUMENT = r"\s*\([^()]{1,20}\)"
_CHINESE_NAME = r"[\u3400-\u9fff]{1,12}"  # `路程 = 速度 \times 时间`
_NAME = re.compile(
    rf"{_SIMPLE_NAME}|\|\s*{_SIMPLE_NAME}\s*\||\\frac\{{\s*{_SIMPLE_NAME}\s*\}}\{{\s*{_SIMPLE_NAME}\s*\}}|"
    rf"[A-Za-z]\s*\^\s*\{{?\s*-1\s*\}}?{_ARGUMENT}|\(\s*[A-Za-z]\s*\\circ\s*[A-Za-z]\s*\){_ARGUMENT}|(?:\\sigma|s)\s*\^\s*\{{?\s*2\s*\}}?|\\(?:sin|cos|tan|cot)\s*(?:\^\s*\{{?\s*2\s*\}}?\s*)?(?:\d\s*)?(?:\\angle\s*)?{_SIMPLE_NAME}|{_CHINESE_NAME}(?:\s*(?:\\times|\\cdot|[-+/])\s*{_CHINESE_NAME}){{0,3}}|{_SIMPLE_NAME}\s*(?:(?:[:/]|\\(?:cap|cup|setminus)(?![A-Za-z]))\s*{_SIMPLE_NAME})+"
)


def is_name(text: str) -> bool:
    r"""Tell whether the left side of an equation only names a value: `x`, `f(3)`, `\angle A`, `\frac{NO}{BO}`, `|AB|`."""
    text = text.strip()
    in_words = "\\text" in text or text.isalpha()
    if ((in_words and len(text) > 3) or not text.isascii()) and DENIAL.search(text):
        return False
    return len(text) <= 80 and _NAME.fullmatch(text) is not None and text not in ("e", "i")


def name_key(text: str) -> str:
    """Write a name in one way: `x_{1}` as `x_1`."""
    return squeeze(text).replace("{", "").replace("}", "")


def chain(text: str) -> list[str]:
    """Split a chain of equations into its parts."""
    return split_outside(text, _EQUALS)


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
    if (member := _MEMBER.match(text)) and not re.fullmatch(r"\\?[A-Za-z]", text[member.end() :].strip()):
        inner = _take_apart(text[member.end() :], as_list, depth + 1)
        return inner if member[1].startswith("(") else replace(inner, name=name_key(member[1]))
    if (system := _SYSTEM.match(text)) and (system[1] != "array" or "=" in system[2]):
        rows = [row.strip(" ,;.") for row in ROW_END.split(system[2]) if row.strip(" ,;.")]
        if len(rows) == 1:
            return _take_apart(rows[0], as_list, depth + 1)
        return _listed(", ".join(rows), [_take_apart(row, as_list, depth + 1) for row in rows])
    if compound(text) is not None:
        return Node("value", text)
    if found := _MATRIX.match(text):
        return _matrix(text, found[3], as_list, depth, transposed=bool(found[4]))
    for separator in (_UNION, _ALTERNATIVE):
        parts = [part for part in split_outside(text, separator) if part]
        if len(parts) > 1:
            nodes = [_take_apart(part, as_list, depth + 1) for part in parts]
            if all(_is_set(node) for node in nodes) and (
                separator is not _ALTERNATIVE or not all(_may_be_point(node) for node in nodes)
            ):
                return Node("union", text, tuple(nodes))
            if separator is _ALTERNATIVE:
                return replace(_listed(text, nodes), shape="or")
    if (column := _COLUMN.match(text)) and len(entries := split_elements(column[1], in_brackets=True)) > 1:
        items = tuple(_take_apart(entry, as_list, depth + 1) for entry in entries)
        return Node("matrix", text, items, f"{len(items)}x1")
    enclosed = _enclosed(text)
    if enclosed is not None:
        opening, closing, inside = enclosed
        if opening == "\\{" and (condition := _SET_BUILDER.match(inside)):
            described = _take_apart(condition[2], as_list, depth + 1)
            if _is_set(described) or (described.kind == "list" and all(_is_set(item) for item in described.items)):
                return described
        elements = split_elements(inside, in_brackets=True)
        if opening == "\\{":
            items = tuple(_take_apart(e, as_list, depth + 1) for e in elements) if inside.strip() else ()
            items = tuple(one for item in items for one in (item.items if item.shape == "\\pm" else (item,)))
            return Node("set", text, items, opening + closing)
        if len(elements) > 1:
            kind = {"()": "round", "[]": "square"}.get(opening + closing, "half")
            nodes = tuple(_take_apart(element, as_list, depth + 1) for element in elements)
            if kind == "square" and all(
                node.kind == "square" and len(node.items) == len(nodes[0].items) for node in nodes
            ):
                cells = tuple(cell for node in nodes for cell in node.items)  # `[[2, 1], [7, -2]]`
                return Node("matrix", text, cells, f"{len(nodes)}x{len(nodes[0].items)}")
            return Node(kind, text, nodes, opening + closing)
    if text in ("\\emptyset", "\\text{empty set}"):
        return Node("set", text, (), "\\{\\}")
    elements = split_elements(text, in_brackets=as_list)
    if len(elements) > 1:
        return _listed(text, [_take_apart(element, as_list, depth + 1) for element in elements])
    if point := _POINT.match(text):
        inner = _take_apart(text[point.end() :], as_list, depth + 1)
        if inner.kind == "round":
            return replace(inner, text=text, name=name_key(point[1]) if point[1][0] != "\\" else "")
    if (time := _TIME.match(text)) and int(time[1]) <= 24:
        return Node(
            "time", text, tuple(Node("value", part or "0") for part in time.groups()[:3]), (time[4] or "").lower()
        )
    if _RATIO.match(text):
        return Node("ratio", text, tuple(Node("value", part.strip()) for part in text.split(":")))
    sides = chain(text)
    if len(sides) == 2:
        return _equation(text, sides[0], sides[1], as_list, depth)
    if len(_PLUS_MINUS.findall(text)) == 1 and len(sides) == 1:
        both = (_PLUS_MINUS.sub("+", text), _PLUS_MINUS.sub("-", text))
        items = tuple(Node("value", sign.strip().removeprefix("+").strip()) for sign in both)
        return Node("list", text, items, "\\pm")
    return Node("value", text)


def in_unit_vectors(text: str) -> Node | None:
    r"""Read a sum of `\mathbf{i}, \mathbf{j}, \mathbf{k}` with numbers before them as a tuple; `None` for anything else."""
    terms = list(_UNIT_VECTOR.finditer(text := text.rpartition("=")[2].strip()))
    found = {term[3]: term for term in terms}
    if (
        not 1 < len(terms) == len(found)
        or "".join(term[0] for term in terms) != text
        or not all(term[1] for term in terms[1:])
    ):
        return None
    coefficients = [
        f"{found[letter][1].strip('+')}{found[letter][2].strip() or 1}" if letter in found else "0"
        for letter in ("ijk" if "k" in found else "ij")
    ]
    return Node("round", text, tuple(Node("value", coefficient) for coefficient in coefficients), "()")


def multiple_of_identity(text: str, shape: str) -> Node | None:
    r"""Read `-64\mathbf{I}`, `3I_2` and `\mathbf{0}_{2 \times 2}` as a square matrix of a shape (`"2x2"`); `None` for anything else."""
    rows, _, columns = shape.partition("x")
    found = _IDENTITY.fullmatch(text) or _ZERO_MATRIX.fullmatch(text)
    if found is None or rows != columns or (found["size"] or rows) != rows:
        return None
    factor = found[1] if found[1] not in ("", "-") else f"{found[1]}1"
    cells = [factor if k % (int(rows) + 1) == 0 else "0" for k in range(int(rows) ** 2)]
    return Node("matrix", text, tuple(Node("value", cell) for cell in cells), shape)


_SIZE = r"\s*_\s*\{?\s*(?P<size>\d)(?:\s*\\times\s*(?P=size))?\s*\}?"
_IDENTITY = re.compile(
    rf"(-?(?:\d+(?:\.\d+)?|\\frac\{{\d+\}}\{{\d+\}})?)\s*(?:\\cdot\s*)?(?:\\mathbf\s*)?I(?:{_SIZE})?"
)
_ZERO_MATRIX = re.compile(rf"(0){_SIZE}")
_UNIT_VECTOR = re.compile(
    r"([-+]?)\s*((?:\\(?:frac|sqrt)(?![A-Za-z])|[\d.{}/\s])*?)\s*(?:\\(?:hat|vec|overrightarrow|mathbf)\s*)?\{?\s*\\?([ijk])(?:math)?(?![A-Za-z^_])\s*\}?\s*"
)


def _equation(text: str, left: str, right: str, as_list: bool, depth: int) -> Node:
    """Take `name = value` apart; an equation of another kind, or with a plain value, stays a value."""
    names = _enclosed(left)
    if not (is_name(left) or (names and names[0] == "(")):
        return Node("value", text)
    value = _take_apart(right, as_list, depth + 1)
    if names is not None:
        called = [name_key(name) for name in split_elements(names[2], in_brackets=True)]
        if value.kind == "list" and value.items and all(len(item.items) == len(called) for item in value.items):
            items = tuple(replace(item, items=_called(item.items, called)) for item in value.items)
            return replace(value, items=items)
        if value.kind in ("round", "square", "list") and len(value.items) == len(called):
            return replace(value, items=_called(value.items, called))
        return replace(value, name=name_key(left)) if value.kind != "value" else Node("value", text)
    if value.kind == "value":
        return Node("value", text, name=name_key(left))
    if value.kind == "list":  # `x = \\pm 2`
        return replace(value, items=_called(value.items, [name_key(left)] * len(value.items)))
    return replace(value, name=name_key(left))


def _called(items: tuple[Node, ...], names: list[str]) -> tuple[Node, ...]:
    return tuple(replace(item, name=name) for item, name in zip(items, names, strict=True))


def _is_set(node: Node) -> bool:
    if node.kind == "value":
        return bool(_CONDITION.search(node.text)) and "=" not in node.text
    return node.kind in ("square", "half", "union") or (node.kind == "round" and len(node.items) == 2)


def _may_be_point(node: Node) -> bool:
    return node.kind == "round" and "\\infty" not in node.text


_CONDITION = re.compile(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])")


def _listed(text: str, nodes: list[Node]) -> Node:
    """Make a list of its elements; of named values that come round again (`p=5, q=2; p=7, q=2`), a list of tuples."""
    flat = [item for node in nodes for item in (node.items if node.kind == "list" and not node.name else (node,))]
    names = [item.name for item in flat]
    period = next((k for k in range(1, len(names)) if names[k] == names[0]), len(names))
    if all(names) and 1 < period < len(names) and names == names[:period] * (len(names) // period):
        groups = [tuple(flat[start : start + period]) for start in range(0, len(flat), period)]
        flat = [Node("round", ", ".join(item.text for item in group), group, "()") for group in groups]
    elif len(nodes) > 1 and all(
        node.kind == "list" and node.shape != "\\pm" and node.name == nodes[0].name for node in nodes
    ):
        flat = [replace(node, kind="round", shape="()") for node in nodes] if not nodes[0].name else flat
    elif names and names[0] and set(names[1:]) <= {names[0], ""} and flat[0].kind == "value":
        flat = [replace(item, name=names[0]) for item in flat]  # `x = 1, 2`, `x = \\pm 1, \\pm 8`
    return Node("list", text, tuple(flat))


def split_elements(text: str, in_brackets: bool = False) -> list[str]:
    """
    Split a text at the commas (`;`, `and`, `or`) that stand outside all brackets.

    Commas that part thousands are no separators: `1,080` is one number, `1,080, 2,000` are two. Inside brackets a
    comma parts elements unless another one is followed by a space.
    """
    parts = split_outside(text, _CONNECTOR)
    if len(parts) == 1 or not re.search(r"\d,\d{3}(?!\d)", text):
        return [part for part in parts if part] or [text]
    spaced = split_outside(text, _SPACED)
    if len(spaced) > 1:
        return [part for part in spaced if part]
    if not in_brackets and _THOUSANDS.match(text):
        return [text]
    return [part for part in parts if part] or [text]


_SPACED = re.compile(rf"\s*(?:,\s+(?:(?:{_AND}|{_OR})\s*)?|;|{_AND}|{_OR})\s*")


def split_outside(text: str, separator: re.Pattern[str]) -> list[str]:
    r"""Split at each match of a separator that stands outside `()`, `[]`, `{}`, `\{\}` and `\text{}`. Linear."""
    if separator.search(text) is None:
        return [text.strip()]
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


def _matrix(text: str, body: str, as_list: bool, depth: int, transposed: bool) -> Node:
    rows = [row for row in ROW_END.split(body.replace("\\hline", "")) if row.strip()]
    cells = [[_take_apart(normalise(cell), as_list, depth + 1) for cell in row.split("&")] for row in rows]
    width = len(cells[0]) if cells else 0
    if any(len(row) != width for row in cells):
        return Node("value", text)
    if transposed:
        cells = [list(column) for column in zip(*cells, strict=True)]
        width = len(rows)
    return Node("matrix", text, tuple(cell for row in cells for cell in row), f"{len(cells)}x{width}")
