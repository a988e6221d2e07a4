r"""
Plain expressions as trees: numbers, letters, `+ - * /`, powers, fractions, roots, functions, brackets. Pure.

Gives up on all that lies outside the grammar or is read in two ways: `2(3)`, `f(x)`, `1/2x`, `\sin^{-1} x`. A tree is a
tuple of an operation and its operands: `("+", a, b)`, `("^", base, exponent)`, `("sin", a)`, `("number", Fraction)`.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any


_LONGEST = 400
_DEEPEST = 40
_FUNCTIONS = "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log exp"
_GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi omega"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.\d+|\.\d+|\d+(?!\.))|"
    rf"\\(?P<function>{'|'.join(_FUNCTIONS.split())})(?![A-Za-z])|"
    rf"\\(?P<greek>{'|'.join(_GREEK.split())})(?![A-Za-z])(?P<lower>_(?:\w|\{{\w+\}}))?|"
    r"(?P<command>\\(?:frac|sqrt|pi|cdot|times)(?![A-Za-z]))|"
    r"(?P<letter>[A-DF-HJ-Za-z])(?P<below>_(?:[A-Za-z0-9]|\{[A-Za-z0-9]+\}))?|"
    r"(?P<degree>\^\s*\\circ(?![A-Za-z]))|"
    r"(?P<sign>[-+*/^(){}\[\]_]))"
)


class _Unread(Exception):
    pass


@lru_cache(maxsize=16384)
def read_tree(text: str) -> tuple[tuple[Any, ...], frozenset[str], bool] | None:
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

    def sum(self, depth: int) -> tuple[Any, ...]:
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

    def product(self, depth: int) -> tuple[Any, ...]:
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
                if self.peek(-1) == "degree":
                    raise _Unread
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
        if before == "degree":
            return False
        if before == ")" and self.peek(-2) == "number" and self.peek(-3) == "(":
            return False  # a bracket around one number, or behind the name of a function, may mean something else
        if after == "(":
            plain = self.peek(1) == "number" and self.peek(2) == ")"
            called = before == "name" and (self.tokens[self.at - 1][1].lower() in "fgh" or self.peek(2) == ")")
            return not (plain or called)
        # A whole number in front of a fraction of numbers is a mixed number.
        return not (after == "\\frac" and before == "number" and self.peek(2) == "number" and self.peek(3) == "}")

    def power(self, depth: int) -> tuple[Any, ...]:
        if self.peek() == "function":
            return self.function(depth)
        base = self.atom(depth)
        if self.peek() == "degree" and base[0] == "number":
            self.take()
            return ("*", base, ("pi",), ("number", Fraction(1, 180)))
        if self.peek() != "^":
            return base
        self.take()
        exponent = self.exponent(depth)
        if self.peek() == "^":
            raise _Unread
        return ("^", base, exponent)

    def exponent(self, depth: int) -> tuple[Any, ...]:
        if self.peek() == "{":
            return self.group("{", "}", depth)
        if self.peek() not in ("number", "name", "\\pi"):
            raise _Unread
        found = self.atom(depth)
        if found[0] == "number" and (found[1].denominator != 1 or self.peek() == "number"):
            raise _Unread
        return found

    def atom(self, depth: int) -> tuple[Any, ...]:
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

    def group(self, opening: str, closing: str, depth: int) -> tuple[Any, ...]:
        self.take(opening)
        inside = self.sum(depth + 1)
        self.take(closing)
        return inside

    def function(self, depth: int) -> tuple[Any, ...]:
        # With more in front, the parser of the workers may take the digits behind a base for several numbers.
        in_front = self.at == 0 or (self.at == 1 and self.tokens[0][0] == "number")
        name = self.take("function")
        base = exponent = None
        if self.peek() == "_" and name == "log":
            self.take()
            if self.peek() == "number" and len(self.tokens[self.at][1]) == 1 and in_front:
                base = self.atom(depth)
            else:
                base = self.group("{", "}", depth) if self.peek() == "{" else self.exponent(depth)
            if self.peek() == "number" and (not in_front or "." in self.tokens[self.at][1]):
                raise _Unread
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

    def argument(self, depth: int) -> tuple[Any, ...]:
        """
        Read what a function is of: a bracket; or one atom, or a number with letters behind it, and then nothing more.
        """
        if self.peek() == "(":
            inside = self.group("(", ")", depth)
            if self.peek() == "^":
                raise _Unread
            return inside
        if self.peek() == "function":
            raise _Unread
        if self.peek() == "{":
            inside = self.group("{", "}", depth)
        elif self.peek() in ("\\sqrt", "\\frac") or self._is_named("e", "i"):
            inside = self.power(depth)
        else:
            factors = [self.power(depth)]
            while (
                factors[0][0] != "^"
                and self.peek(-1) != "degree"
                and self.peek() in ("name", "\\pi")
                and not self._is_named("e", "i")
            ):
                factors.append(self.atom(depth))
            inside = ("*", *factors)
        if self.peek() not in ("", "+", "-", ")", "}", "]", "function"):
            raise _Unread
        return inside

    def _is_named(self, *names: str) -> bool:
        return self.peek() == "name" and self.tokens[self.at][1] in names


_LONGEST_MATHEMATICS = 2_000
_DEEPEST_BRACES = 60
_BRACE = re.compile(r"\\[{}]|[{}]")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_ARGUMENTS = re.compile(r"\\(frac|binom|sqrt)(?![A-Za-z])(?!\s*\[[^\[\]]*\]?)\s*(\{?)|\\sqrt\s*\[")
_WORD = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]{5,}|(?<![\\A-Za-z])(?:the|and|not|for|are|was|has|you|can|so|is|it|we|of|no)(?![A-Za-z])"
)
# Two numbers beside each other, two points in one, several signs in a row, or a sign without an operand.
_UNCONNECTED = re.compile(r"(?<![_^\d.])\d+\s+\d|\d*\.\d*\.|(?:[-+]\s*){3}|[*/=]\s*[*/=]|[-+*/=^_<>]\s*$|^\s*[*/=^_]")
_STRAY = re.compile(r"[^\x20-\x7e\n]|[#@~?;`\"]|(?<![A-Za-z])'|\\(?![A-Za-z{}|])")
_PLAIN_WORDS = frozenset(["arcsin", "arccos", "arctan", "sqrt"])
_READ_BY_WORKERS = frozenset(
    (
        f"{_FUNCTIONS} {_GREEK} frac sqrt pi cdot times le ge ne lt gt pm mp circ infty cup cap in notin emptyset setminus mathbb "
        "mathrm begin end binom dbinom tbinom sum prod int iint oint lim limits max min gcd lcm lg mod pmod bmod det overline "
        "underline bar vec hat tilde lfloor rfloor lceil rceil langle rangle left right quad qquad equiv subset "
        "subseteq supset supseteq varepsilon vartheta varrho varsigma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi "
        "Omega upsilon omicron partial nabla infty ell hbar prime angle triangle parallel perp to mapsto forall exists neg "
        "operatorname sgn arcsec arccsc arccot coth sech csch mid colon vert Vert dagger top intercal approx sim cong "
        "propto lor text displaystyle stackrel oplus otimes div ast star bullet Re Im arg deg dim ker hom sup inf"
    ).split()
)


@lru_cache(maxsize=16384)
def looks_mathematical(text: str) -> bool:
    r"""
    Tell whether computer algebra may read a text: no prose, no malformed LaTeX, no unknown command. Linear in the text.

    `\frac{423}`, `x is 4`, `4 \text{or so}`, unbalanced braces, braces nested without an end and texts of more than 2,000
    characters are none.
    """
    if (
        not re.search(r"[0-9A-Za-z]", text)
        or len(text) > _LONGEST_MATHEMATICS
        or "\\text" in text
        or ("&" in text and "matrix}" not in text)
    ):
        return False
    if any(command not in _READ_BY_WORKERS for command in _COMMAND.findall(text)):
        return False
    if any(
        word.lower() not in _PLAIN_WORDS
        for word in _WORD.findall(re.sub(r"\\(?:mathbb|mathrm|begin|end|operatorname)\s*\{\w+\*?\}", "", text))
    ):
        return False
    if _UNCONNECTED.search(text):
        return False
    if _STRAY.search(text.replace("\\\\", " ")) or text.count("(") + text.count("[") != text.count(")") + text.count(
        "]"
    ):
        return False
    closing: dict[int, int] = {}
    stack: list[int] = []
    for found in _BRACE.finditer(text):
        if found[0] == "{":
            stack.append(found.start())
            if len(stack) > _DEEPEST_BRACES:
                return False
        elif found[0] == "}":
            if not stack:
                return False
            closing[stack.pop()] = found.start()
    return not stack and all(_has_arguments(text, found, closing) for found in _ARGUMENTS.finditer(text))


def _has_arguments(text: str, found: re.Match[str], closing: dict[int, int]) -> bool:
    if found[1] is None:  # a root with an index
        return "]" in text[found.end() :]
    if found[1] == "sqrt" or not found[2]:
        at = found.end() - len(found[2])
        return bool(text[at : at + 1].strip(" })]")) and (not found[2] or bool(text[at + 1 : closing[at]].strip()))
    first = found.end() - 1
    second = closing[first] + 1
    second += len(text[second:]) - len(text[second:].lstrip())
    if text[second : second + 1] != "{":
        return bool(text[second : second + 1].strip(" })]"))
    return bool(text[first + 1 : closing[first]].strip() and text[second + 1 : closing[second]].strip())
