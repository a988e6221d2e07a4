r"""
Chains of equations: what they define, what they give, and whether two say the same. Pure.
"""

import re

from .numeric import Undecided, compare_equations
from .quantity import Leaf, Unreadable, ask, compare_quantities, has_letters, in_base, letters
from .structure import is_name, name_key


def oriented(sides: list[str]) -> list[str]:
    """Turn `4 = x` round."""
    sides = sides[1:] if len(sides) > 1 and not sides[0] else sides
    turned = len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]) and not has_letters(sides[0])
    return sides[::-1] if turned else sides


def defines(sides: list[str]) -> bool:
    """Tell whether an equation defines a name: it stands alone on the left, and nowhere on the right."""
    name, value = sides[0], sides[-1]
    if not is_name(name):
        return False
    used = letters(value)
    return not used or not (letters(name.partition("(")[0]) & used or re.match(r"\\(?:sin|cos|tan|cot|frac)", name))


_FUNCTION_NAME = re.compile(r"[A-Za-z]\([A-Za-z]\)")


def same_name(gold: str, answer: str) -> bool:
    """Tell whether two left sides name the same: `y` and `f(x)` do."""
    one, other = name_key(gold), name_key(answer)
    return one == other or (
        "y" in (one, other) and any(_FUNCTION_NAME.fullmatch(name) is not None for name in (one, other))
    )


def same_equation(gold: list[str], answer: list[str], leaf: Leaf) -> bool:
    """Tell whether two equations about the same letters say the same."""
    if not all(answer) or letters(" ".join(gold)) != letters(" ".join(answer)):
        return False
    if len(gold) == 2:
        try:
            return compare_equations((gold[0], gold[1]), (answer[0], answer[1]))
        except Undecided:
            pass
    if all(_FORMAL.search(" ".join(sides)) for sides in (gold, answer)) and _signs(gold) != _signs(answer):
        return False  # what sums terms that have no value equals what is written alike, in whatever order
    return ask(leaf, " = ".join(gold), " = ".join(answer))


_FORMAL = re.compile(r"\\(?:sum|prod)(?![A-Za-z]).*_\{[^{}]*[-+][^{}]*\}")  # `\sum_{k=0}^{n} a_k a_{n-k}`
_SIGN = re.compile(r"\\[A-Za-z]+|[A-Za-z]|\d+|[-+*/^_=]")


def _signs(sides: list[str]) -> list[str]:
    return sorted(sign for sign in _SIGN.findall(" = ".join(sides)) if sign not in ("\\cdot", "\\times", "*"))


def value_of(sides: list[str], leaf: Leaf) -> str | None:
    """Return the last side of a chain of equations; `None` if another is not equal to it and does not name it."""
    last = sides[-1]
    if not last:
        return None
    numeric = not has_letters(last)
    for side in sides[:-1]:
        if side and not is_name(side) and not _BINDS.match(side) and not _GOES_ON.fullmatch(side):
            side = side.replace("\\$", "")
            if side == "e" and numeric:
                continue  # an eccentricity
            if in_base(last) is not None and in_base(side) == in_base(last):
                continue  # `5_{10} = 101_2`
            if numeric and has_letters(side):
                if not _names_a_number(side):
                    return None
                continue
            try:
                if not compare_quantities(last, side, leaf):
                    return None
            except Unreadable:
                return None  # the sides are the answer's: what cannot be read in them is no fault of the gold
    return last


def _names_a_number(side: str) -> bool:
    """Tell whether a side with letters is what was asked for (`a + b`, `xy`) and no equation to be solved (`2x`)."""
    return not re.search(r"\d", re.sub(r"_\{?\w+\}?|(?<=[A-Za-z])\([^()]*\)", "", side))


# What was asked for, whatever letters it holds: a limit, a sum, an integral, a derivative.
_BINDS = re.compile(
    r"\s*\\(?:lim|sum|prod|i{0,2}int|oint|max|min|sup|inf)(?![A-Za-z])|\s*\\frac\s*\{\s*(?:d|\\partial)(?![A-Za-z]{2})[^{}]{0,8}\}\s*"
    r"\{\s*(?:d|\\partial)[^{}]{1,8}\}"
)
# Terms that go on: `1 + 2 + \ldots + 9`.
_GOES_ON = re.compile(r"[^=]*[-+]\s*\\ldots\s*[-+][^=]*|[^=]*(?:\\cdot|\\times)\s*\\ldots\s*(?:\\cdot|\\times)[^=]*")
