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
    for place, side in enumerate(sides[:-1]):
        if side and not is_name(side) and not _BINDS.match(side) and not _GOES_ON.fullmatch(side):
            side = side.replace("\\$", "")
            if (based := _in_bases(side)) is not None and (total := in_base(last)) is not None:
                if not compare_quantities(str(total), based, leaf):
                    return None
                continue  # `4_6 + 14_6 = 22_6`, `5_{10} = 101_2`
            if side == "e" and numeric:
                continue  # an eccentricity
            if numeric and has_letters(side):
                # `2a + 3b = (4 - 2i) + 3i = 4 + i`
                computed = place == 0 and len(sides) > 2 and len(letters(side)) > 1
                if not (computed or _names_a_number(side) or _in_other_letters(sides[0], side)):
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


def _in_other_letters(name: str, side: str) -> bool:
    """Tell whether a chain begins with a name that this side of it does not hold: `DF = 2 DQ = 8`."""
    return side != name and is_name(name) and name_key(name) not in name_key(side)


_BASED = re.compile(r"\(?\b([0-9A-F]{1,40})\)?\s*_\s*\{?\s*(\d{1,2})\s*\}?")


def _in_bases(side: str) -> str | None:
    """Write the numbers of a side that name their base in base ten; `None` where none does."""
    values = [in_base(found[0]) for found in _BASED.finditer(side)]
    left = iter(values)
    return _BASED.sub(lambda _: str(next(left)), side) if values and None not in values else None


# What was asked for, whatever letters it holds: a limit, a sum, an integral, a derivative.
_BINDS = re.compile(
    r"\s*\\(?:lim|sum|prod|i{0,2}int|oint|max|min|sup|inf)(?![A-Za-z])|\s*\\frac\s*\{\s*(?:d|\\partial)(?![A-Za-z]{2})[^{}]{0,8}\}\s*"
    r"\{\s*(?:d|\\partial)[^{}]{1,8}\}"
)
# Terms that go on: `1 + 2 + \ldots + 9`.
_GOES_ON = re.compile(r"[^=]*[-+]\s*\\ldots\s*[-+][^=]*|[^=]*(?:\\cdot|\\times)\s*\\ldots\s*(?:\\cdot|\\times)[^=]*")
