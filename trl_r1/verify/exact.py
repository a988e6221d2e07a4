r"""
Exact arithmetic on what a person would call a number: the fast path in front of computer algebra. Pure.

Reads integers, decimals, fractions, mixed numbers, recurring decimals, powers, sums, products and quotients of them,
in plain text or LaTeX, into a `fractions.Fraction`. Whatever else it meets (a letter, a root, a huge power) it leaves
to the workers by returning `None`; it never guesses. Cost: microseconds.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial


_LONGEST = 400  # characters; longer texts are no plain numbers
_MOST_BITS = 20_000
_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?\\overline\{\d+\}|\d*\.\\overline\{\d+\}|\d+\.?\d*|\.\d+)|"
    r"(\\frac|\\cdot|\\times|[-+*/^(){}!\[\]])|(\\?%))"
)
_MIXED = re.compile(r"^([-+]?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)$")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_INTEGER = re.compile(r"[-+]?\d{1,18}")


@dataclass(frozen=True)
class Exact:
    """
    A rational number.

    Args:
        value (`Fraction`):
            Its value.
        decimal (`bool`):
            Whether a decimal point occurs in it, so that it may stand for a rounded value.
    """

    value: Fraction
    decimal: bool = False


def read_exact(text: str) -> Exact | None:
    """
    Read a normalised text as a rational number.

    Args:
        text (`str`):
            The text, without unit.

    Returns:
        [`Exact`] or `None`: `None` if the text is anything but a number, or one too large for the fast path.
    """
    return _read(text) if 0 < len(text) <= _LONGEST else None


@lru_cache(maxsize=16384)
def _read(text: str) -> Exact | None:
    if _INTEGER.fullmatch(text):
        return Exact(Fraction(int(text)))
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    if mixed := _MIXED.match(text):
        sign, whole, above, below = mixed.groups()
        if int(below) == 0:
            return None
        value = int(whole) + Fraction(int(above), int(below))
        return Exact(-value if sign == "-" else value)
    try:
        reader = _Reader(text)
        value = reader.sum()
        reader.expect_end()
    except (_NotExact, ZeroDivisionError, RecursionError, ValueError):
        return None
    return Exact(value, reader.decimal)


def close_enough(gold: Exact, answer: Exact) -> bool:
    """
    Compare two numbers.

    Two numbers without a decimal point are equal or not. A decimal may stand for a value that it cannot write: the two
    must then agree to six decimals, and to six significant digits where the value is below 1 (so that 2^-99 is not
    2^-98).
    """
    if gold.value == answer.value:
        return True
    if not (gold.decimal or answer.decimal):
        return False
    return within_rounding(gold.value, answer.value)


def within_rounding(gold: Fraction, answer: Fraction) -> bool:
    """Tell whether two values agree to six decimals, or six significant digits below 1."""
    size = min(abs(gold), abs(answer)) if gold and answer else Fraction(0)
    if not size or (gold > 0) != (answer > 0):
        return False
    scale = Fraction(1)
    while size < scale / 10 and scale > Fraction(1, 10**400):
        scale /= 10
    return abs(gold - answer) <= scale / 2_000_000


class _NotExact(Exception):
    pass


class _Reader:
    """Recursive descent over `sum -> product -> power -> atom`, refusing what is not plain arithmetic."""

    def __init__(self, text: str):
        self.tokens: list[str] = []
        self.decimal = False
        position = 0
        text = text.strip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found or found[3]:
                raise _NotExact
            self.tokens.append(found[1] or found[2])
            position = found.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, token: str | None = None) -> str:
        found = self.peek()
        if not found or (token is not None and found != token):
            raise _NotExact
        self.at += 1
        return found

    def expect_end(self) -> None:
        if self.at != len(self.tokens):
            raise _NotExact

    def sum(self) -> Fraction:
        value = self.product()
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            value = _bounded(value + sign * self.product())
        return value

    def product(self) -> Fraction:
        value = self.signed()
        divided = False
        while True:
            token = self.peek()
            if token in ("*", "\\cdot", "\\times"):
                self.take()
                value = _bounded(value * self.signed())
            elif token == "/":
                self.take()
                value = _bounded(value / self.signed())
                divided = True
            elif token in ("(", "\\frac"):
                if divided:
                    raise _NotExact  # `1/2(3)` is read in two ways
                value = _bounded(value * self.power())
            else:
                return value

    def signed(self) -> Fraction:
        if self.peek() in ("+", "-"):
            return self.signed() if self.take() == "+" else -self.signed()
        return self.power()

    def power(self) -> Fraction:
        base = self.atom()
        while self.peek() == "!":
            self.take()
            if base.denominator != 1 or not 0 <= base <= 200:
                raise _NotExact
            base = Fraction(factorial(int(base)))
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.signed() if self.peek() != "{" else self.group("{", "}")
        if exponent.denominator != 1 or abs(exponent) > _MOST_BITS or (not base and exponent <= 0):
            raise _NotExact
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if size * abs(int(exponent)) > _MOST_BITS:
            raise _NotExact
        return base ** int(exponent)

    def atom(self) -> Fraction:
        token = self.peek()
        if token in ("(", "{", "["):
            return self.group(token, {"(": ")", "{": "}", "[": "]"}[token])
        if token == "\\frac":
            return self.fraction()
        if not token or not (token[0].isdigit() or token[0] == "."):
            raise _NotExact
        self.take()
        value = self.number(token)
        if self.peek() == "\\frac" and "." not in token:
            # A mixed number: a whole number with a proper fraction right behind it.
            above_below = self.fraction()
            if not 0 < above_below < 1:
                raise _NotExact
            return value + above_below
        return value

    def fraction(self) -> Fraction:
        self.take("\\frac")
        above = self.group("{", "}")
        return above / self.group("{", "}")

    def group(self, opening: str, closing: str) -> Fraction:
        self.take(opening)
        value = self.sum()
        self.take(closing)
        return value

    def number(self, token: str) -> Fraction:
        if "\\overline" in token:
            plain, _, recurring = token.partition("\\overline{")
            recurring = recurring[:-1]
            places = len(plain.partition(".")[2])
            if "." not in plain:
                raise _NotExact
            head = Fraction(plain if plain.strip(".") else "0") if plain != "." else Fraction(0)
            return head + Fraction(int(recurring), (10 ** len(recurring) - 1) * 10**places)
        if "." in token:
            self.decimal = True
        return Fraction(token.rstrip(".") or "0")


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * _MOST_BITS:
        raise _NotExact
    return value
