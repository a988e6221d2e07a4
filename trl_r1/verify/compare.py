r"""
The verdict on one pair, but for the mathematics of its leaves. Pure.

The same code runs in two places: in the caller's process with a leaf that decides only plain expressions and raises
[`~verify.numeric.Undecided`] for the rest, and in a worker with a leaf that asks computer algebra. What the first decides the
second would decide the same way, so the fast path cannot change a verdict.

Rules that keep a verdict from being fooled:
- every numeric part of a chain of equations in the answer must be equal to its last part: neither `5=4` nor
  `x=1=2=3=4` answers 4, while `x=4` and `2+2=4` do; what else stands left of a value must name it (`x+1=4` does not);
- an equation that defines no name is answered by an equation only;
- a number is not answered by an expression that contains letters other than constants, nor by a number with words
  behind it that are no unit and no noun;
- as many elements as the gold has, each used once; the order counts in tuples, not in lists and sets; values with
  names of their own keep them.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from math import gcd

from .equations import defines, oriented, same_equation, same_name, value_of
from .exact import read_exact
from .expression import looks_mathematical
from .intervals import is_condition, is_set, same_set
from .normal import normalise, squeeze
from .numeric import compare_values, nearly_equal
from .parameters import with_its_parameter
from .piecewise import read_cases, same_cases
from .prose import sentence_value
from .quantity import (
    Leaf,
    Unreadable,
    ask,
    behind_label,
    compare_quantities,
    has_letters,
    is_nothing,
    letters,
    same_words,
    states_words,
)
from .structure import Node, chain, in_unit_vectors, is_name, multiple_of_identity, take_apart
from .words import IN_TEXT, fraction_with_noun, is_text, number_with_noun


__all__ = ["Leaf", "Unreadable", "compare", "fast_leaf", "has_letters", "is_text"]
_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|lt|gt|in|subset|equiv)(?![A-Za-z])|!=")
_LONGEST_ANSWER = 500  # characters, beside a short gold
# `N \equiv 5 \pmod{7}` is a 5
_RESIDUE = re.compile(
    r"^(?:(?!-?\d+\s*\\equiv)[^=<>]{1,60}?\\equiv(?![A-Za-z]))?\s*([-+]?\d+)\s*(?:\\pmod(?![A-Za-z])\s*(?:\{\s*\d+\s*\}|\d+)|\(\s*\\?(?:text\{)?mod\s*\}?\s*\d+\s*\))$"
)
_SET = re.compile(r"[<>\[(]|\\(?:le|ge|ne|cup|cap|setminus|mathbb|infty)(?![A-Za-z])|!=")
_APPROXIMATELY = re.compile(r"\s*\\approx(?![A-Za-z])\s*")
_SEQUENCES = ("list", "round", "set", "square", "half")
_VECTORS = ("round", "matrix")
_AGREE = {
    # A bare list may be written with any brackets that do not change its meaning; a tuple may lose its own.
    "list": ("list", "set", "round"),
    "set": ("set", "list"),
    "round": ("round", "list", "matrix"),
    "square": ("square",),
    "half": ("half",),
    "matrix": ("matrix", "round"),
    "union": ("union",),
    "ratio": ("ratio",),
    "time": ("time",),
}


def compare(gold: str, answer: str, leaf: Leaf) -> bool:
    """
    Tell whether an answer is equal to the gold.

    Args:
        gold (`str`):
            The reference, as [`~verify.golds.read_gold`] returns it.
        answer (`str`):
            The final answer, as [`~verify.extract.final_answer`] returns it.
        leaf (`Callable`):
            Decides two single values.

    Raises:
        [`~verify.numeric.Undecided`], [`Unreadable`]: passed on from `leaf`.
    """
    texts = with_its_parameter(normalise(gold), normalise(answer))
    if texts is None:
        return False
    gold_text, answer_text = (_without_words(text) for text in texts)
    if not answer_text or len(answer_text) > _LONGEST_ANSWER + 5 * len(gold_text):
        return False
    if squeeze(gold_text) == squeeze(answer_text):
        return True
    if not gold_text:
        raise Unreadable(gold)
    if (cases := read_cases(gold_text)) is not None:
        given = read_cases(answer_text)
        return given is not None and same_cases(cases, given, lambda one, other: _compare_nodes(one, other, leaf))
    readings = [part for part in _APPROXIMATELY.split(gold_text) if part]
    if len(readings) > 1 or readings != [gold_text]:
        # `\dfrac23 \approx 0.67`: the answer may be either.
        return any(compare(reading, answer_text, leaf) for reading in readings if not is_name(reading))
    if (behind := behind_label(gold_text, answer_text)) is not None and compare(gold_text, behind, leaf):
        return True
    if is_text(gold_text):
        return same_words(gold_text, answer_text) or states_words(gold_text, answer_text)
    if is_nothing(gold_text) and is_nothing(answer_text):
        return True
    if (value := sentence_value(answer)) is not None and value != answer:
        return compare(gold, value, leaf)
    return any(
        _compare_nodes(take_apart(gold_text), take_apart(reading), leaf) for reading in _approximate(answer_text)
    )


def _without_words(text: str) -> str:
    """Write a fraction in words as a fraction, before its `and` parts it (`two and a half`), and all numbers as a set."""
    text = _ITS_KIND.sub("", _FOR_ALL.sub("", text) or text)
    text = _ALL_BUT.sub(r"\\mathbb{R}\\setminus\\{\1\\}", text)
    words = IN_TEXT.sub(r"\1", text)
    if _ALL_NUMBERS.fullmatch(words):
        return r"\mathbb{R}"
    value = fraction_with_noun(words)
    if value is None and " and " in words and (number := number_with_noun(words)) is not None:
        return str(number)
    return text if value is None else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


_ALL_NUMBERS = re.compile(
    r"\s*(?:(?:all|any|the|every) real(?: number)?s?(?: [a-z])?|(?:全体|一切|任意|所有)实数)\s*", re.IGNORECASE
)
_ITS_KIND = re.compile(
    r"^\\text\{\s*(?:the )?(?:number|integer|value|letter|expression|quantity)\s*\}\s*(?=\S)", re.IGNORECASE
)
# `f(x) = 2x + 3 \text{ for all } x`
_FOR_ALL = re.compile(
    r"(?<=[\w})])\s*,?\s*(?:\\text\{\s*(?:for )?(?:all|every|any)(?: real)?(?: numbers?)?\s*\}|for (?:all|every|any)(?: real)?(?: numbers?)?|\\forall)"
    r"\s*[A-Za-z](?:\s*\\in\s*\\mathbb\s*\{?\s*[A-Z]\s*\}?|\s*(?:\\[gl]e(?![A-Za-z])|[<>])\s*-?\d+)?$|"
    r"(?<=[\w})])\s*(?:,\s*[A-Za-z]\s*\\in\s*\\mathbb\s*\{?[A-Z]\}?(?:\s*[\^_]\s*\{?\s*(?:[*+]|\\cdot)\s*\}?)?|"
    r"\(\s*[a-z]\s*\\(?:in|ge|le|ne)(?![A-Za-z])\s*(?:\\mathbb\s*\{?[A-Z]\}?(?:\s*[\^_]\s*\{?\s*(?:[*+]|\\cdot)\s*\}?)?|-?\d+)\s*\))$"
)
_ALL_BUT = re.compile(
    r"^(?:\\text\{\s*)?all real numbers(?: [a-z])? (?:except|other than|but)(?: for)?\s*\}?\s*(?:[a-z]\s*=\s*)?([^{}]{1,60})$",
    re.IGNORECASE,
)


def _approximate(answer: str) -> list[str]:
    """Return the readings of `x = \\frac{2}{3} \\approx 0.67`: the first, and the others where they are near it."""
    parts = [part for part in _APPROXIMATELY.split(answer) if part]
    if not parts:
        return []
    if len(parts) == 1:
        return parts
    values = parts[1:] if is_name(parts[0]) else parts
    first = chain(values[0])[-1]
    return [values[0], *(other for other in values[1:3] if nearly_equal(first, other))]


def _compare_nodes(gold: Node, answer: Node, leaf: Leaf) -> bool:
    if gold.kind in _VECTORS and answer.kind == "value":
        answer = in_unit_vectors(answer.text) or answer
        if gold.kind == "matrix":
            answer = multiple_of_identity(answer.text, gold.shape) or answer
    elif gold.kind == "value" and answer.kind in _VECTORS:
        gold = in_unit_vectors(gold.text) or gold
    if gold.kind == "value":
        return _compare_value(gold, answer, leaf)
    if gold.name and answer.name and gold.name != answer.name:
        return False
    if answer.kind == "value" and gold.kind in _SEQUENCES and not is_condition(answer):
        answer = take_apart(answer.text, as_list=True)
    if gold.kind == "set" and len(gold.items) == 1 and answer.kind == "value":
        return _compare_nodes(gold.items[0], answer, leaf)
    if gold.kind in ("time", "ratio") and (verdict := _compare_ratio(gold, answer, leaf)) is not None:
        return verdict
    if (
        gold.kind == "union"
        or answer.kind == "union"
        or (is_set(answer) and answer.kind in ("value", "list") and _is_interval(gold))
    ):
        return _compare_sets(gold, answer, leaf)
    if not _shapes_agree(gold, answer):
        # `\frac{1}{2} \begin{pmatrix} ... \end{pmatrix}` is a matrix too.
        scaled = gold.kind == "matrix" and answer.kind == "value" and "matrix}" in answer.text
        return scaled and ask(leaf, gold.text, answer.text)
    return _compare_items(gold, answer, leaf)


def _compare_items(gold: Node, answer: Node, leaf: Leaf) -> bool:
    items: Sequence[Node] = answer.items
    if gold.kind in ("list", "set") and len(items) > len(gold.items) == len({item.text for item in gold.items}):
        items = list({squeeze(item.text): item for item in items}.values())  # an element named twice
    if len(gold.items) != len(items):
        return False
    names = [item.name for item in gold.items]
    ordered = gold.kind not in ("list", "set")
    if all(names) and len(set(names)) == len(names) > 1:  # each value has a name of its own
        by_name = {item.name: item for item in items}
        if all(by_name):
            if set(by_name) != set(names):
                return False
            items = [by_name[name] for name in names]
        ordered = True
    if ordered and not any(names):
        items = _in_order_of_names(items)
    if ordered:
        return all(_compare_nodes(g, a, leaf) for g, a in zip(gold.items, items, strict=True))
    return _match_any_order(gold.items, items, leaf)


# Letters of which coordinates come in the order of the alphabet, however an answer lists them.
_COORDINATES = ("xyz", "abcd", "pqrs", "uvw", "mn")


def _in_order_of_names(items: Sequence[Node]) -> Sequence[Node]:
    """Bring `y = 2, x = 1` into the order of a tuple; other names stay in the order in which they are written."""
    names = [item.name for item in items]
    known = len(set(names)) == len(names) and any(set(names) <= set(letters) for letters in _COORDINATES)
    return sorted(items, key=lambda item: item.name) if known else items


def _compare_ratio(gold: Node, answer: Node, leaf: Leaf) -> bool | None:
    """Compare with a ratio or a time of day; `None` where the answer is neither of them nor a value."""
    if gold.kind == "time" == answer.kind:
        halves = (gold.shape, answer.shape)
        same = [int(part.text) for part in gold.items] == [int(part.text) for part in answer.items]
        if same:
            return "" in halves or halves[0] == halves[1]
        return _hours(gold) == _hours(answer) and "" in halves and halves != ("", "")
    if gold.kind == "ratio" and answer.kind in ("ratio", "time") and not answer.shape:
        parts = [part.text for part in answer.items][: 2 + (answer.text.count(":") > 1 or answer.kind == "ratio")]
        values = [[read_exact(part) for part in texts] for texts in ([item.text for item in gold.items], parts)]
        if len(values[0]) != len(values[1]):
            return False
        if any(value is None for part in values for value in part):
            return False
        one, other = ([value.value for value in part if value is not None] for part in values)
        return all(a * other[0] == b * one[0] for a, b in zip(one, other, strict=True)) and bool(one[0])
    quotient = _quotient(gold)
    if answer.kind == "value" and quotient is not None:
        return _compare_value(Node("value", quotient), answer, leaf)
    return None if answer.kind == "value" and answer.name else False


def _hours(time: Node) -> tuple[int, ...]:
    hour, minute, second = (int(part.text) for part in time.items)
    return (hour % 12 + 12 * (time.shape == "p") if time.shape else hour, minute, second)


def _quotient(node: Node) -> str | None:
    """Write a ratio as a quotient; `None` for what is, or may be, a time of day that is no ratio in lowest terms."""
    if node.kind == "time":
        parts = [part.text for part in node.items[:2]]
        if node.shape or parts[1].startswith("0") or gcd(int(parts[0]), int(parts[1])) > 1 or node.text.count(":") > 1:
            return None
        return "/".join(parts)
    return "/".join(part.text for part in node.items) if len(node.items) == 2 else None


def _is_interval(node: Node) -> bool:
    """Tell whether a node is an interval and cannot be a point."""
    if len(node.items) != 2:
        return False
    return node.kind in ("square", "half") or (node.kind == "round" and (bool(node.name) or "\\infty" in node.text))


def _compare_sets(gold: Node, answer: Node, leaf: Leaf) -> bool:
    verdict = same_set(gold, answer, lambda one, other: compare_quantities(one, other, leaf))
    if verdict is None:
        if not looks_mathematical(gold.text):
            raise Unreadable(gold.text)
        return _may_be_set(gold) and _may_be_set(answer) and ask(leaf, gold.text, answer.text)
    return verdict


def _may_be_set(node: Node) -> bool:
    """Tell whether a node is a set of numbers, or a value that may turn out to be one."""
    return bool(_SET.search(node.text)) if node.kind == "value" else is_set(node)


def _shapes_agree(gold: Node, answer: Node) -> bool:
    if answer.kind not in _AGREE[gold.kind] or (answer.shape == "or" and gold.kind in ("round", "matrix")):
        return False  # `-1 or 3` is no point
    if gold.kind == answer.kind:
        return gold.shape == answer.shape or gold.kind in ("set", "list")
    if "matrix" in (gold.kind, answer.kind):
        return "1" in (gold.shape if gold.kind == "matrix" else answer.shape).split("x")
    return True


def _match_any_order(gold: Sequence[Node], answer: Sequence[Node], leaf: Leaf) -> bool:
    """Pair the elements off, each used once. Elements written alike are paired first, so that the rest are few."""
    left = list(answer)
    unmatched = []
    for item in gold:
        same = next((a for a in left if squeeze(a.text) == squeeze(item.text)), None)
        if same is None:
            unmatched.append(item)
        else:
            left.remove(same)
    for item in unmatched:
        found = next((a for a in left if _compare_nodes(item, a, leaf)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _compare_value(gold: Node, answer: Node, leaf: Leaf) -> bool:
    if answer.kind == "value":
        return _compare_texts(gold.text, answer.text, leaf)
    if answer.kind == "list" and (value := _with_its_domain(gold, answer)) is not None:
        return _compare_value(gold, value, leaf)
    if answer.kind in ("ratio", "time"):
        quotient = _quotient(answer)
        return quotient is not None and _compare_texts(gold.text, quotient, leaf)
    if answer.kind == "set" and len(answer.items) == 1 and not is_condition(gold):
        return _compare_value(gold, answer.items[0], leaf)
    if answer.kind == "list" and answer.shape == "or" and not is_condition(gold):
        return all(_compare_value(gold, item, leaf) for item in answer.items)  # `0.45 or 45\%`
    if is_condition(gold) or "\\mathbb" in gold.text:
        return _compare_sets(gold, answer, leaf)
    if _RELATION.search(gold.text) or (answer.kind == "matrix" and "matrix}" in gold.text):
        return ask(leaf, gold.text, answer.text)
    return False


def _with_its_domain(gold: Node, answer: Node) -> Node | None:
    r"""Return the expression of `\frac{x}{x - 3}, x \ne 3`, if all else are conditions on letters of the gold."""
    value, *others = answer.items
    known = letters(gold.text.rpartition("=")[2])
    if (
        not others
        or is_condition(value)
        or not all(is_condition(item) and len(used := letters(item.text)) == 1 and used <= known for item in others)
    ):
        return None
    return value


def _compare_texts(gold: str, answer: str, leaf: Leaf) -> bool:
    """Compare two single values, each maybe `name = value`, maybe with a unit."""
    if squeeze(gold) == squeeze(answer):
        return True
    if is_text(gold):
        return same_words(gold, answer)
    sides = chain(answer)
    if len(sides) == 2 and is_name(sides[0]) and _RELATION.search(sides[0]):
        answer = sides[1]  # `P(X \ge 1) = \frac{5}{8}`
    if not _RELATION.search(gold) and (residue := _RESIDUE.match(answer)):
        answer = residue[1]
    if _RELATION.search(gold) or _RELATION.search(answer):
        if not _RELATION.search(gold):
            return False
        return _compare_sets(Node("value", gold), Node("value", answer), leaf)
    gold_sides, answer_sides = oriented(chain(gold)), oriented(chain(answer))
    if len(gold_sides) == 1:
        value = value_of(answer_sides, leaf)
        return value is not None and compare_quantities(gold, value, leaf)
    if not any(has_letters(side) for side in gold_sides):
        # `0.56 = 56\%`: two ways of writing the gold.
        return any(_compare_texts(reading, answer, leaf) for reading in gold_sides if reading)
    if not defines(gold_sides):
        return len(answer_sides) == 2 and same_equation(gold_sides, answer_sides, leaf)
    if len(answer_sides) > 1 and not same_name(gold_sides[0], answer_sides[0]):
        return same_equation([gold_sides[0], gold_sides[-1]], [answer_sides[0], answer_sides[-1]], leaf)
    value = value_of(answer_sides, leaf)
    return value is not None and compare_quantities(gold_sides[-1], value, leaf)


def fast_leaf(gold: str, answer: str, factor: Fraction) -> bool:
    """
    The leaf of the caller's process: values of plain expressions. The rest is for the workers.

    Raises:
        [`~verify.numeric.Undecided`]: if it takes computer algebra.
    """
    return compare_values(gold, answer, factor)
