r"""
Values by cases, `\begin{cases} x & \text{if } x \ge 0 \\ -x & \text{if } x < 0 \end{cases}`, as pairs of a value and a condition.
Pure, and linear in the text.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .equations import same_name
from .intervals import divide_the_line, is_set, same_set
from .structure import ROW_END, Node, take_apart
from .words import IN_TEXT


_MOST_ROWS = 20
_CASES = re.compile(
    r"^(?:([^=&]{1,40}?)\s*=\s*)?(?:\\\{)?\s*\\begin\s*\{(cases|array)\}(?:\{[lcr\s]*\})?(.*)\\end\s*\{\2\}[.,\s]*$",
    re.DOTALL,
)
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|ne)(?![A-Za-z])")
_LEAD = re.compile(r"^[\s,:]*(?:\b(?:if|for|when|where|whenever)\b|当|若|如果)?[\s:]*", re.IGNORECASE)
_OTHERWISE = re.compile(r"(?:otherwise|else|elsewhere|其他|其它|其余|否则)(?:情况)?", re.IGNORECASE)
# `n \text{ is an even integer}`, `n 为偶数 时`
_FILLING = re.compile(r"\b(?:is|are|an?|integers?|numbers?)\b|[为是时]", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<=.)\s*[,(]\s*[a-z]\s*\\in\s*\\mathbb\s*\{?[A-Z]\}?(?:\s*[\^_]\s*\{?(?:[*+]|\\cdot)\}?)?\s*\)?$"
)
_SYNONYMS = str.maketrans({"偶": "even", "奇": "odd", "数": ""})


@dataclass(frozen=True)
class Case:
    """One row: a value, and when it holds (`"otherwise"` for the rest)."""

    value: str
    condition: str


def read_cases(text: str) -> tuple[str, tuple[Case, ...]] | None:
    """
    Read a value by cases.

    Args:
        text (`str`):
            A normalised answer.

    Returns:
        `tuple[str, tuple[Case, ...]]` or `None`: the name that it is given, maybe empty, and its rows; `None` for anything else,
        a system of equations too.
    """
    found = _CASES.match(text) if "\\begin" in text else None
    if found is None:
        return None
    rows = [row for row in ROW_END.split(found[3]) if row.strip(" ,;.")]
    cases = [_case(row) for row in rows[: _MOST_ROWS + 1]]
    if not 1 < len(cases) <= _MOST_ROWS or None in cases:
        return None
    return (found[1] or "").strip(), tuple(case for case in cases if case is not None)


def _case(row: str) -> Case | None:
    value, parted, condition = row.partition("&")
    value, condition = value.strip(" ,;."), _LEAD.sub("", IN_TEXT.sub(r" \1 ", condition)).strip(" ,;.")
    condition = _DOMAIN.sub("", condition)
    if (
        not parted
        or not value
        or not condition
        or "&" in condition
        or _RELATION.search(value)
        or _RELATION.match(condition)
    ):
        return None
    return Case(value, "otherwise" if _OTHERWISE.fullmatch(condition) else condition)


def same_cases(
    gold: tuple[str, tuple[Case, ...]], answer: tuple[str, tuple[Case, ...]], same: Callable[[Node, Node], bool]
) -> bool:
    """
    Tell whether two values by cases are the same: row by row, in any order.

    Args:
        gold (`tuple[str, tuple[Case, ...]]`):
            As [`read_cases`] returns it.
        answer (`tuple[str, tuple[Case, ...]]`):
            Another.
        same (`Callable`):
            Tells whether two values are equal, the gold's first.
    """
    if (gold[0] and answer[0] and not same_name(gold[0], answer[0])) or len(gold[1]) != len(answer[1]):
        return False
    left, unmatched = list(answer[1]), []
    for case in gold[1]:
        found = next((one for one in left if _same_condition(case.condition, one.condition, same)), None)
        if found is None:
            unmatched.append(case)
        elif same(take_apart(case.value), take_apart(found.value)):
            left.remove(found)
        else:
            return False
    if not unmatched:
        return True
    # `otherwise` on one side, the same said on the other
    explicit = next(
        (cases for cases in (gold[1], answer[1]) if all(case.condition != "otherwise" for case in cases)), None
    )
    return (
        len(unmatched) == 1
        and explicit is not None
        and "otherwise" in (unmatched[0].condition, left[0].condition)
        and divide_the_line([take_apart(case.condition) for case in explicit])
        and same(take_apart(unmatched[0].value), take_apart(left[0].value))
    )


def _same_condition(gold: str, answer: str, same: Callable[[Node, Node], bool]) -> bool:
    if "otherwise" in (gold, answer):
        return gold == answer
    one, other = take_apart(gold), take_apart(answer)
    if is_set(one) and is_set(other):
        return same_set(one, other, lambda a, b: same(take_apart(a), take_apart(b))) is True
    if "=" in gold and "=" in answer:
        return one.name == other.name and same(one, other)
    return _plain(gold) == _plain(answer)


def _plain(condition: str) -> str:
    return re.sub(r"[\s{}]", "", _FILLING.sub(" ", condition.translate(_SYNONYMS))).casefold()
