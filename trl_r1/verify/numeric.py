r"""
Values of plain expressions, without computer algebra: the fast path for roots, polynomials, logarithms and the like.

[`compare_values`] reads two expressions in a small grammar (numbers, letters, `+ - * /`, powers, fractions, roots,
trigonometric functions, logarithms, brackets) and compares them at the very points, to the very precision, and by the
very rule of the workers. What it decides they would decide the same way, and a test holds it to that; whatever lies
outside the grammar, or is read in two ways (`2(3)`, `f(x)`, `1/2x`), or is too near to call, is [`Undecided`] and goes
to them. Linear in the text, and every operation is bounded, so that it may run in the caller's process: powers and
exponentials too large for that are left to the workers, which can be killed.

Numbers are exact fractions as long as the operations allow, and else floating-point numbers of 60 digits, checked
against 90: where the two disagree in the first 40, or a sum cancels, nothing is decided. What agrees is computed again to
1,300 digits before it is called equal: `\sqrt{10^{60}+1}` and `10^{30}` have the first 60 in common, and a root of a
number of the longest kind that is read here (4,000 bits) differs from a rational one within the first 1,210.
"""

from fractions import Fraction
from functools import lru_cache
from typing import Any
from zlib import crc32

import mpmath

from .exact import within_rounding
from .expression import read_tree


DIGITS = 40
EQUAL_DIGITS = 1_300
POINTS = 4
_CONTEXTS: list[Any] = []
for _digits in (DIGITS + 20, DIGITS + 50, EQUAL_DIGITS):
    _context = mpmath.MPContext()  # of our own, and never changed: safe among threads, and from other users of mpmath
    _context.dps = _digits
    _CONTEXTS.append(_context)

_MOST_BITS = 4_000
_LARGEST_ARGUMENT = 10_000


class Undecided(Exception):
    """The fast path cannot tell; computer algebra must."""


def point(name: str, attempt: int) -> Fraction:
    """
    Return the value that a letter takes at one of the points at which expressions are compared.

    Args:
        name (`str`):
            The letter, in lower case, its index without braces.
        attempt (`int`):
            Which point. Letters are positive at the odd ones, negative at the others; -1 is half-way between the first
            two, -2 between the next two.
    """
    if attempt < 0:
        return (point(name, -2 * attempt - 2) + point(name, -2 * attempt - 1)) / 2
    size = Fraction(100 + crc32(f"{name}/{attempt}".encode()) % 801, 307)
    return size if attempt % 2 else -size


def _same_value(gold: Any, answer: Any, decimal: bool, context: Any) -> bool | None:
    """Compare two floating-point values; `None` where they are too near to call."""
    difference, size = abs(gold - answer), max(abs(gold), abs(answer))
    if difference <= size * context.mpf(10) ** (10 - DIGITS):
        return True
    if decimal:
        if _is_real(gold) and _is_real(answer):
            return within_rounding(_as_fraction(gold), _as_fraction(answer))
        return bool(difference <= context.mpf("5e-7") * min(1, size))
    if size < context.mpf(10) ** (10 - DIGITS) or difference <= size * context.mpf(10) ** -(DIGITS // 2):
        return None
    return False


def _same_to_the_end(gold: str, answer: str, factor: Fraction, attempt: int) -> bool | None:
    """Compare, to many more digits, what agrees in the first 30."""
    context = _CONTEXTS[2]
    one, other = (_fine_value(text, attempt) for text in (gold, answer))
    if one is None or other is None:
        return None
    one, other = _floated(one, context), _floated(other, context) * _floated(factor, context)
    return bool(abs(one - other) <= max(abs(one), abs(other)) * context.mpf(10) ** (2 * DIGITS - EQUAL_DIGITS))


def compare_values(gold: str, answer: str, factor: Fraction = Fraction(1)) -> bool:
    """
    Tell whether the value of `gold` is `factor` times that of `answer`.

    Args:
        gold (`str`):
            One expression, normalised, without unit.
        answer (`str`):
            Another.
        factor (`Fraction`, *optional*, defaults to `1`):
            What the answer is to be multiplied by.

    Raises:
        [`Undecided`]: if either is not of the grammar, or their values are too near to call or too large to compute.
    """
    gold_tree, answer_tree = read_tree(gold), read_tree(answer)
    if gold_tree is None or answer_tree is None:
        raise Undecided
    (_, gold_names, gold_decimal), (_, answer_names, answer_decimal) = gold_tree, answer_tree
    decimal = gold_decimal or answer_decimal
    points = POINTS if gold_names or answer_names else 1
    for attempt in range(points):
        one, other = _value(gold, attempt), _value(answer, attempt)
        if one is None or other is None:
            raise Undecided
        if isinstance(one, Fraction) and isinstance(other, Fraction):
            other *= factor
            verdict = one == other or (decimal and within_rounding(one, other))
        else:
            context = _CONTEXTS[1]
            verdict = _same_value(
                _floated(one, context), _floated(other, context) * _floated(factor, context), decimal, context
            )
            if verdict and not decimal and attempt == points - 1:
                verdict = _same_to_the_end(gold, answer, factor, attempt)
        if verdict is None:
            raise Undecided
        if not verdict:
            return False
    return True


def nearly_equal(one: str, other: str) -> bool:
    """Tell whether two constants agree to two digits, as `2\\pi` and `6.28` do; `False` where either cannot be computed."""
    if any(tree is None or tree[1] for tree in (read_tree(one), read_tree(other))):
        return False
    first, second = _value(one, 0), _value(other, 0)
    if first is None or second is None:
        return False
    context = _CONTEXTS[1]
    first, second = _floated(first, context), _floated(second, context)
    return bool(abs(first - second) <= max(abs(first), abs(second)) / 50)


def compare_equations(gold: tuple[str, str], answer: tuple[str, str]) -> bool:
    """
    Tell whether two equations with rational coefficients say the same.

    They do if the difference of the sides of one is a multiple of the other's. Where it is not, linear equations differ;
    of others that is not said.

    Args:
        gold (`tuple[str, str]`):
            The sides of one equation, normalised.
        answer (`tuple[str, str]`):
            Those of the other.

    Raises:
        [`Undecided`]: if a side is not of the grammar or not rational, if they are about other letters, or if they are
            neither multiples nor linear.
    """
    trees = [[read_tree(side) for side in sides] for sides in (gold, answer)]
    if any(tree is None or tree[2] for sides in trees for tree in sides):
        raise Undecided
    if len({frozenset().union(*(tree[1] for tree in sides)) for sides in trees}) > 1:
        raise Undecided
    one, other = ({attempt: _difference(sides, attempt) for attempt in range(-2, POINTS)} for sides in (gold, answer))
    if not all(one.values()) or not all(other.values()):
        raise Undecided
    if all(one[attempt] * other[0] == other[attempt] * one[0] for attempt in one):
        return True
    if all(2 * values[-k] == values[2 * k - 2] + values[2 * k - 1] for values in (one, other) for k in (1, 2)):
        return False
    raise Undecided


def _difference(sides: tuple[str, str], attempt: int) -> Fraction:
    left, right = (_value(side, attempt) for side in sides)
    if not isinstance(left, Fraction) or not isinstance(right, Fraction):
        raise Undecided
    return left - right


@lru_cache(maxsize=16384)
def _value(text: str, attempt: int) -> Any:
    """Return the value at one point, `None` where it has none that can be relied on."""
    tree = read_tree(text)[0]
    try:
        first = _evaluate(tree, attempt, _CONTEXTS[0])
        if isinstance(first, Fraction):
            return first
        second = _evaluate(tree, attempt, _CONTEXTS[1])
        if abs(_CONTEXTS[1].mag(second)) > _MOST_BITS:
            return None  # as a fraction it would be as long as that
        if second and abs(second - first) <= abs(second) * _CONTEXTS[1].mpf(10) ** -DIGITS:
            return second
    except (_TooLarge, ZeroDivisionError, ValueError, OverflowError):
        pass
    return None


@lru_cache(maxsize=4096)
def _fine_value(text: str, attempt: int) -> Any:
    try:
        return _evaluate(read_tree(text)[0], attempt, _CONTEXTS[2])
    except (_TooLarge, ZeroDivisionError, ValueError, OverflowError):
        return None


class _TooLarge(Exception):
    pass


def _floated(value: Any, context: Any) -> Any:
    if isinstance(value, Fraction):
        return context.mpf(value.numerator) / value.denominator
    return value


def _evaluate(tree: tuple[Any, ...], attempt: int, context: Any) -> Any:
    kind = tree[0]
    if kind == "number":
        return tree[1]
    if kind == "name":
        return point(tree[1], attempt)
    if kind == "pi":
        return +context.pi
    if kind == "e":
        return +context.e
    if kind == "i":
        return context.mpc(0, 1)
    values = [_evaluate(part, attempt, context) for part in tree[1:]]
    if kind == "-":
        return -values[0]
    if kind == "1/":
        return 1 / values[0]
    if kind in ("+", "*"):
        return _folded(kind, values, context)
    if kind == "^":
        return _power(values[0], values[1], context)
    if kind == "root":
        return _root(values[0], values[1], context)
    return _apply(kind, values, context)


def _folded(kind: str, values: list[Any], context: Any) -> Any:
    total = values[0]
    largest = max(abs(_floated(value, context)) for value in values) if kind == "+" else 0
    for value in values[1:]:
        if not (isinstance(total, Fraction) and isinstance(value, Fraction)):
            total, value = _floated(total, context), _floated(value, context)
        total = total + value if kind == "+" else total * value
        if isinstance(total, Fraction) and _bits(total) > _MOST_BITS:
            raise _TooLarge
    if largest and not isinstance(total, Fraction) and abs(total) < largest * context.mpf(10) ** -15:
        raise _TooLarge  # so near to 0 that what was added may have been lost
    return total


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _power(base: Any, exponent: Any, context: Any) -> Any:
    if isinstance(base, Fraction) and not base:
        raise _TooLarge  # 0 to some power: a matter of convention
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        if isinstance(base, Fraction):
            if _bits(base) * abs(exponent) > _MOST_BITS:
                raise _TooLarge
            return base ** int(exponent)
        if abs(exponent) > _LARGEST_ARGUMENT:
            raise _TooLarge
        return base ** int(exponent)
    base, exponent = _floated(base, context), _floated(exponent, context)
    if abs(exponent) > _LARGEST_ARGUMENT or abs(context.mag(base)) > _LARGEST_ARGUMENT:
        raise _TooLarge
    return base**exponent


def _root(value: Any, index: Any, context: Any) -> Any:
    if not isinstance(index, Fraction) or index.denominator != 1 or not 2 <= index <= 100:
        raise _TooLarge
    value = _floated(value, context)
    if index == 2:
        return context.sqrt(value)
    if not _is_real(value) or value < 0:
        raise _TooLarge  # which of the roots is meant is a matter of convention
    return context.nthroot(value, int(index)) if value else value


def _apply(name: str, values: list[Any], context: Any) -> Any:
    value = _floated(values[0], context)
    if abs(value) > _LARGEST_ARGUMENT and name not in ("ln", "log"):
        raise _TooLarge
    if name == "ln":
        return context.ln(value)
    if name == "log":
        return context.ln(value) / context.ln(_floated(values[1], context))
    if name in ("cot", "sec", "csc"):
        under = {"cot": context.tan, "sec": context.cos, "csc": context.sin}[name](value)
        return 1 / under
    return getattr(context, {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(name, name))(value)


def _is_real(value: Any) -> bool:
    return not hasattr(value, "_mpc_") or not value.imag


def _as_fraction(value: Any) -> Fraction:
    sign, mantissa, exponent, _ = value.real._mpf_
    size = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size
