r"""
Values of plain expressions, without computer algebra: the fast path for roots, polynomials, logarithms and the like.

[`compare_values`] reads two expressions in a small grammar (numbers, letters, `+ - * /`, powers, fractions, roots,
trigonometric functions, logarithms, brackets) and compares them at the very points, to the very precision, and by the
very rule of the workers. What it decides they would decide the same way, and a test holds it to that; whatever lies
outside the grammar, or is read in two ways (`2(3)`, `f(x)`, `1/2x`), or is too near to call, is [`Undecided`] and goes
to them. Linear in the text, and every operation is bounded, so that it may run in the caller's process: powers and
exponentials too large for that are left to the workers, which can be killed.

Numbers are exact fractions as long as the operations allow, and else floating-point numbers of 60 digits, checked
against 90: where the two disagree in the first 40, or a sum cancels, nothing is decided.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any
from zlib import crc32

import mpmath

from .exact import within_rounding


DIGITS = 40
POINTS = 4
_CONTEXTS: list[Any] = []
for _digits in (DIGITS + 20, DIGITS + 50):
    _context = mpmath.MPContext()  # of our own, and never changed: safe among threads, and from other users of mpmath
    _context.dps = _digits
    _CONTEXTS.append(_context)

_LONGEST = 400
_DEEPEST = 40
_MOST_BITS = 4_000
_LARGEST_ARGUMENT = 10_000
_FUNCTIONS = "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log exp"
_GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.\d+|\.\d+|\d+(?!\.))|"
    rf"\\(?P<function>{'|'.join(_FUNCTIONS.split())})(?![A-Za-z])|"
    rf"\\(?P<greek>{'|'.join(_GREEK.split())})(?![A-Za-z])(?P<lower>_(?:\w|\{{\w+\}}))?|"
    r"(?P<command>\\(?:frac|sqrt|pi|cdot|times)(?![A-Za-z]))|"
    r"(?P<letter>[A-DF-HJ-Za-z])(?P<below>_(?:[A-Za-z0-9]|\{[A-Za-z0-9]+\}))?|"
    r"(?P<sign>[-+*/^(){}\[\]_]))"
)


class Undecided(Exception):
    """The fast path cannot tell; computer algebra must."""


def point(name: str, attempt: int) -> Fraction:
    """
    Return the value that a letter takes at one of the points at which expressions are compared.

    Args:
        name (`str`):
            The letter, in lower case, its index without braces.
        attempt (`int`):
            Which point. Letters are positive at the odd ones, negative at the others.
    """
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
    gold_tree, answer_tree = _read(gold), _read(answer)
    if gold_tree is None or answer_tree is None:
        raise Undecided
    (_, gold_names, gold_decimal), (_, answer_names, answer_decimal) = gold_tree, answer_tree
    decimal = gold_decimal or answer_decimal
    for attempt in range(POINTS if gold_names or answer_names else 1):
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
        if verdict is None:
            raise Undecided
        if not verdict:
            return False
    return True


@lru_cache(maxsize=16384)
def _value(text: str, attempt: int) -> Any:
    """Return the value at one point, `None` where it has none that can be relied on."""
    tree = _read(text)[0]
    try:
        first = _evaluate(tree, attempt, _CONTEXTS[0])
        if isinstance(first, Fraction):
            return first
        second = _evaluate(tree, attempt, _CONTEXTS[1])
        if second and abs(second - first) <= abs(second) * _CONTEXTS[1].mpf(10) ** -DIGITS:
            return second
    except (_TooLarge, ZeroDivisionError, ValueError, OverflowError):
        pass
    return None


class _TooLarge(Exception):
    pass


class _Unread(Exception):
    pass


@lru_cache(maxsize=16384)
def _read(text: str) -> tuple[tuple, frozenset[str], bool] | None:
    """Return the tree of an expression, its letters, and whether a decimal point occurs; `None` if it cannot be read."""
    if len(text) > _LONGEST:
        return None
    try:
        reader = _Reader(text)
        tree = reader.sum(0)
        if reader.at != len(reader.tokens):
            return None
    except _Unread:
        return None
    names = frozenset(name.lower() for name in reader.names)
    if len(names) < len(reader.names):
        return None  # the parser of the workers takes `X` and `x` for one
    return tree, names, reader.decimal


class _Reader:
    """Recursive descent over `sum -> product -> power -> atom` into tuples; gives up on all that is not plain."""

    def __init__(self, text: str):
        self.tokens: list[tuple[str, str]] = []
        self.names: set[str] = set()
        self.decimal = False
        self.at = 0
        position, text = 0, text.strip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                raise _Unread
            kind = found.lastgroup
            if kind in ("letter", "below", "greek", "lower"):
                name = found["letter"] or found["greek"]
                index = (found["below"] or found["lower"] or "").replace("{", "").replace("}", "")
                self.tokens.append(("name", name + index))
            elif kind == "command":
                self.tokens.append((found["command"], ""))
            else:
                self.tokens.append((found[kind] if kind == "sign" else kind, found[kind]))
            position = found.end()

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead][0] if self.at + ahead < len(self.tokens) else ""

    def take(self, kind: str | None = None) -> str:
        if not self.peek() or (kind is not None and self.peek() != kind):
            raise _Unread
        self.at += 1
        return self.tokens[self.at - 1][1]

    def sum(self, depth: int) -> tuple:
        if depth > _DEEPEST:
            raise _Unread
        negative = False
        if self.peek() in ("+", "-"):
            negative = self.peek() == "-"
            self.take()
        terms = [("-", self.product(depth)) if negative else self.product(depth)]
        while self.peek() in ("+", "-"):
            negative = self.peek() == "-"
            self.take()
            terms.append(("-", self.product(depth)) if negative else self.product(depth))
        return terms[0] if len(terms) == 1 else ("+", *terms)

    def product(self, depth: int) -> tuple:
        factors = [self.power(depth)]
        divided = False
        while True:
            kind = self.peek()
            if kind in ("*", "\\cdot", "\\times"):
                self.take()
                factors.append(self.power(depth))
                divided = False
            elif kind == "/":
                if divided:
                    raise _Unread
                self.take()
                factors.append(("1/", self.power(depth)))
                divided = True
            elif kind in ("", "+", "-", ")", "}", "]"):
                return factors[0] if len(factors) == 1 else ("*", *factors)
            elif divided or not self._may_stand_beside():
                raise _Unread  # `1/2x`, `x 2`, `2(3)` are read in two ways
            else:
                factors.append(self.power(depth))

    def _may_stand_beside(self) -> bool:
        """Tell whether the next atom is a factor of what stands before it without a sign between them."""
        before, after = self.peek(-1), self.peek()
        if after in ("number", "[", "^", "_", "{"):
            return False
        if before == ")" and self.peek(-2) == "number" and self.peek(-3) == "(":
            return False  # a bracket around one number, or behind the name of a function, may mean something else
        if after == "(":
            plain = self.peek(1) == "number" and self.peek(2) == ")"
            called = before == "name" and (self.tokens[self.at - 1][1].lower() in "fgh" or self.peek(2) == ")")
            return not (plain or called)
        # A whole number in front of a fraction of numbers is a mixed number.
        return not (after == "\\frac" and before == "number" and self.peek(2) == "number" and self.peek(3) == "}")

    def power(self, depth: int) -> tuple:
        if self.peek() == "function":
            return self.function(depth)
        base = self.atom(depth)
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.exponent(depth)
        if self.peek() == "^":
            raise _Unread
        return ("^", base, exponent)

    def exponent(self, depth: int) -> tuple:
        if self.peek() == "{":
            return self.group("{", "}", depth)
        if self.peek() not in ("number", "name", "\\pi"):
            raise _Unread
        found = self.atom(depth)
        if found[0] == "number" and (found[1].denominator != 1 or self.peek() == "number"):
            raise _Unread
        return found

    def atom(self, depth: int) -> tuple:
        kind = self.peek()
        if kind == "number":
            digits = self.take()
            self.decimal = self.decimal or "." in digits
            return ("number", Fraction(digits))
        if kind == "name":
            name = self.take()
            if name in ("e", "i"):
                return (name,)
            if name == "d" or name[:2] in ("e_", "i_"):
                raise _Unread
            self.names.add(name)
            return ("name", name.lower())
        if kind == "\\pi":
            self.take()
            return ("pi",)
        if kind == "(":
            return self.group("(", ")", depth)
        if kind == "\\frac":
            self.take()
            above = self.group("{", "}", depth)
            return ("*", above, ("1/", self.group("{", "}", depth)))
        if kind == "\\sqrt":
            self.take()
            index = ("number", Fraction(2))
            if self.peek() == "[":
                index = self.group("[", "]", depth)
            return ("root", self.group("{", "}", depth), index)
        raise _Unread

    def group(self, opening: str, closing: str, depth: int) -> tuple:
        self.take(opening)
        inside = self.sum(depth + 1)
        self.take(closing)
        return inside

    def function(self, depth: int) -> tuple:
        name = self.take("function")
        base = exponent = None
        if self.peek() == "_" and name == "log":
            self.take()
            base = self.group("{", "}", depth) if self.peek() == "{" else self.exponent(depth)
        if self.peek() == "^":
            self.take()
            exponent = self.exponent(depth)
            if exponent[0] != "number" or exponent[1] < 1 or name in ("ln", "log", "exp"):
                raise _Unread  # `\sin^{-1}` is another function
        inside = self.argument(depth)
        value = (name, inside) if base is None else ("log", inside, base)
        if name == "log" and base is None:
            value = ("log", inside, ("number", Fraction(10)))
        return value if exponent is None else ("^", value, exponent)

    def argument(self, depth: int) -> tuple:
        """
        Read what a function is of: a bracket; or one atom, or a number with letters behind it, and then nothing more.
        """
        if self.peek() == "(":
            inside = self.group("(", ")", depth)
            if self.peek() == "^":
                raise _Unread
            return inside
        if self.peek() == "function" or (self.peek() == "number" and self.peek(-1) == "}"):
            raise _Unread  # digits behind an index in braces: the parser of the workers may take them for several numbers
        if self.peek() == "{":
            inside = self.group("{", "}", depth)
        elif self.peek() in ("\\sqrt", "\\frac") or self._is_named("e", "i"):
            inside = self.power(depth)
        else:
            factors = [self.power(depth)]
            while factors[0][0] != "^" and self.peek() in ("name", "\\pi") and not self._is_named("e", "i"):
                factors.append(self.atom(depth))
            inside = ("*", *factors)
        if self.peek() not in ("", "+", "-", ")", "}", "]", "function"):
            raise _Unread
        return inside

    def _is_named(self, *names: str) -> bool:
        return self.peek() == "name" and self.tokens[self.at][1] in names


def _floated(value: Any, context: Any) -> Any:
    if isinstance(value, Fraction):
        return context.mpf(value.numerator) / value.denominator
    return value


def _evaluate(tree: tuple, attempt: int, context: Any) -> Any:
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
