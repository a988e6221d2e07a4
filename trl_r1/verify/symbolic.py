"""
The leaf of a worker: what plain arithmetic cannot decide, decided by math-verify and SymPy.

Only imported in worker processes. Numbers are compared by value to 40 digits, relative to their size (math-verify chops
small numbers to 0, so that 2^-98 passes for 2^-99). Expressions with letters are refuted at random points first, which
is cheap and settles most wrong answers; what agrees, and whatever is no expression (relations, sets, matrices), is for
`math_verify.verify(gold, answer)`, in that order: it is not symmetric.
"""

import logging
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

import sympy
from latex2sympy2_extended.latex2sympy2 import NormalizationConfig, latex2sympy, normalize_latex
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from sympy.core.function import AppliedUndef

from .compare import Unreadable, compare
from .exact import within_rounding
from .numeric import DIGITS, EQUAL_DIGITS, POINTS, point


# Units, boxes and equations are taken apart before, by rules of our own.
_NORMALISATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
)
_WARM_UP = (
    r"\frac{1}{2}",
    r"\sqrt{2} + 3\pi",
    "x^2 + 2x - 1",
    "y = 2x + 1",
    "1 < x \\le 2",
    r"(-\infty, 2) \cup [3, 4)",
    r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
    r"\cos(3x) e^{2i}",
    r"\log_2 8",
    "5!",
    "|a - b|",
    r"\binom{5}{2}",
    r"\sum_{k=0}^{n-1} a_k",
    r"x \ne 3",
    r"\{1, 2\}",
)


def warm_up() -> Iterator[None]:
    """Fill the parser's tables, in the process from which workers are forked, in steps of a few hundredths of a second."""
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
    logging.getLogger("sympy").setLevel(logging.CRITICAL)
    for text in _WARM_UP:
        expression = parse(text)
        verify(expression, expression, timeout_seconds=None)
        yield
    judge_pair(r"\sqrt{8}", r"2\sqrt{2}")
    yield
    judge_pair("x^2 - 1", "(x-1)(x+1)")


def judge_pair(gold: str, answer: str) -> bool | None:
    """
    Compare an answer with the gold.

    Returns:
        `bool` or `None`: `None` if the gold cannot be read.
    """
    try:
        return compare(gold, answer, leaf)
    except Unreadable:
        return None


def leaf(gold: str, answer: str, factor: Fraction) -> bool:
    """Tell whether `gold` equals `factor` times `answer`; both are single values or relations, without units."""
    gold_expression = _parse_or_none(gold)
    if gold_expression is None:
        raise Unreadable(gold)
    answer_expression = _parse_or_none(answer)
    if answer_expression is None:
        return False
    if factor != 1:
        answer_expression = sympy.Rational(factor.numerator, factor.denominator) * answer_expression
    try:
        return _compare_expressions(gold_expression, answer_expression, gold)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        try:
            _compare_expressions(gold_expression, gold_expression, gold)
        except Exception:
            raise Unreadable(gold) from None
        return False  # the answer is what cannot be compared with anything


def _compare_expressions(gold: sympy.Basic, answer: sympy.Basic, gold_text: str) -> bool:
    if _is_value(gold) and _is_value(answer):
        verdict = _compare_values(gold, answer)
        if verdict is not None:
            return verdict
    if any(_is_formal(expression) for expression in (gold, answer)):
        return bool(gold == answer or _rebuilt(gold) == _rebuilt(answer))
    as_sets = "\\infty" in gold_text or "\\cup" in gold_text or "\\cap" in gold_text
    return bool(verify(gold, answer, timeout_seconds=None, allow_set_relation_comp=as_sets))


def _is_formal(expression: sympy.Basic) -> bool:
    """Tell whether an expression sums, integrates or calls something unknown: then it equals what is written alike."""
    formal = expression.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, AppliedUndef)
    return formal and bool(expression.free_symbols)


def _rebuilt(expression: sympy.Basic) -> sympy.Basic:
    """Put the terms and factors of an expression, which the parser leaves as they were written, in order."""
    if not expression.args:
        return expression
    return expression.func(*(_rebuilt(part) for part in expression.args))


def parse(text: str) -> sympy.Basic:
    """
    Parse one expression, relation or set.

    Raises:
        `Exception`: whatever the parser raises where it cannot read the text.
    """
    if "^\\circ" in text:
        text = text.replace("^\\circ", r"\cdot\frac{\pi}{180}")
    normal = normalize_latex(text, config=_NORMALISATION)
    return latex2sympy(
        normal, is_real=not should_treat_as_complex(normal), convert_degrees=False, normalization_config=None
    )


@lru_cache(maxsize=8192)
def _parse_or_none(text: str) -> sympy.Basic | None:
    try:
        return parse(text)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None


def _is_value(expression: sympy.Basic) -> bool:
    return isinstance(expression, sympy.Expr) and not expression.has(sympy.oo, sympy.zoo, sympy.nan)


def _compare_values(gold: sympy.Expr, answer: sympy.Expr) -> bool | None:
    """Compare two expressions by their values; `None` where they have none that can be computed."""
    gold, answer = _with_imaginary_unit(gold), _with_imaginary_unit(answer)
    if gold.atoms(AppliedUndef) or answer.atoms(AppliedUndef):
        return None
    if not gold.free_symbols and not answer.free_symbols:
        return _same_number(gold, answer)
    agreed = 0
    for attempt in range(3 * POINTS):
        verdict = _same_number(_at(gold, attempt), _at(answer, attempt))
        if verdict is False:
            return False
        agreed += verdict is True
        if agreed >= POINTS:
            return True
    return None


def _with_imaginary_unit(expression: sympy.Expr) -> sympy.Expr:
    """Put the imaginary unit for the letter *i*, which the parser reads as a variable."""
    return expression.subs({symbol: sympy.I for symbol in expression.free_symbols if symbol.name == "i"})


def _at(expression: sympy.Expr, attempt: int) -> sympy.Expr:
    values = {}
    for symbol in expression.free_symbols:
        value = point(symbol.name.replace("{", "").replace("}", "").lower(), attempt)
        values[symbol] = sympy.Rational(value.numerator, value.denominator)
    return expression.subs(values)


def _same_number(gold: sympy.Expr, answer: sympy.Expr) -> bool | None:
    if isinstance(gold, sympy.Rational) and isinstance(answer, sympy.Rational):
        return gold == answer
    gold_value, answer_value = _number(gold), _number(answer)
    if gold_value is None or answer_value is None:
        return None
    difference = abs(gold_value - answer_value)
    size = max(abs(gold_value), abs(answer_value))
    if difference <= size * sympy.Float(10) ** -(DIGITS - 10):
        exact = not (gold.has(sympy.Float, *_SLOW) or answer.has(sympy.Float, *_SLOW))
        return _same_to_the_end(gold, answer, _places(gold_value)) if exact else True
    if gold.has(sympy.Float) or answer.has(sympy.Float):
        if gold_value.is_real and answer_value.is_real:
            return within_rounding(_fraction(gold_value), _fraction(answer_value))
        return bool(difference <= sympy.Float("5e-7") * min(1, size))
    if size < sympy.Float(10) ** -(DIGITS - 10) or difference <= size * sympy.Float(10) ** -(DIGITS // 2):
        return None  # too near to call: cancellation may have eaten the digits
    return False


def _same_to_the_end(gold: sympy.Expr, answer: sympy.Expr, places: int) -> bool:
    """Compare, to many more digits, what agrees in the first 30: `1000! + 1` agrees with `1000!` to 2,000."""
    gold_value, answer_value = _number(gold, places + EQUAL_DIGITS), _number(answer, places + EQUAL_DIGITS)
    if gold_value is None or answer_value is None:
        return bool(gold == answer)
    size = max(abs(gold_value), abs(answer_value))
    return bool(abs(gold_value - answer_value) <= size * sympy.Float(10) ** (2 * DIGITS - places - EQUAL_DIGITS))


_SLOW = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit)  # to so many digits
_MOST_PLACES = 20_000


def _places(value: sympy.Expr) -> int:
    """Return about how many digits stand before the point."""
    size = abs(value)
    return int(sympy.log(size, 10)) if size > 1 else 0


def _number(expression: sympy.Expr, digits: int = DIGITS) -> sympy.Expr | None:
    if digits > _MOST_PLACES:
        return None
    value = expression.evalf(digits)
    if not value.is_number or value.has(sympy.nan, sympy.zoo, sympy.oo):
        return None
    real, imaginary = value.as_real_imag()
    if not (real.is_Float or real.is_Rational) or not (imaginary.is_Float or imaginary.is_Rational):
        return None
    return value


def _fraction(value: sympy.Expr) -> Fraction:
    rational = sympy.Rational(value)
    return Fraction(int(rational.p), int(rational.q))
