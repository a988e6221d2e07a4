r"""
One way of writing for each answer: typography, LaTeX wrappers and number formats removed. Pure, linear in the text.

What comes out is still LaTeX where the answer was LaTeX (`\frac{1}{3}`, `\sqrt{2}`), with every spelling that means
the same brought to one: `\dfrac13`, `\tfrac{1}{3}` and `\frac 13` are `\frac{1}{3}`; `1{,}080`, `1,\!080` are
`1,080`; full-width and Chinese punctuation is ASCII; `\left(` is `(`; `**` is `^`.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from .typography import typography
from .words import DENIAL, MULTIPLIERS, number_in_words


_Rule = tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]]
# Spaces and sizes that print nothing, and delimiters of math mode.
_INVISIBLE = re.compile(
    r"\\[hv]?phantom(?![A-Za-z])\s*(?:\{[^{}]*\}|\S)|"
    r"\\(?:left|right|middle|mleft|mright)(?![A-Za-z])(?:\s*\.(?!\d))?|"
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|ensuremath|boldsymbol|strut|[lL]arge|LARGE|[hH]uge|small|tiny|normalsize|"
    r"[bB]igg?[lrm]?)(?![A-Za-z])|\\q?quad|"
    r"(?<!\\)\\[!,;:>()]|(?<!\\)\\(?=\s)|~"
)
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[A-Za-z])")
_MATH_DISPLAY = re.compile(r"\\\[|\\\]")
_FONT = re.compile(
    r"\\(?:mathbf|mathit|mathsf|mathtt|mathcal|bm|bf|it|rm)(?![A-Za-z])\s*\{([^{}]*)\}|\\mathrm\s*\{\s*([eid])\s*\}"
)
# What parts two values outside of matrices: `1 & 2`, `x = 1 \quad y = 2`.
_COLUMN = re.compile(r"\s*\\?&\s*|(?<=[\w}])\s*\\q?quad\s*(?=[A-Za-z](?:_\{?\w\}?)?\s*=)")
_ALIGNED = re.compile(r"\s*&\s*(?==)|(?<==)\s*&\s*")  # `x &= 1` in a system
_PLAIN = re.compile(r"-?[0-9]{1,30}|[A-Za-z]")
_COMPARISON = re.compile(r"([<>!])=(?!=)")
_COLOUR = re.compile(r"\\(?:text)?color\s*\{[^{}]*\}|\\(?:bf|rm|it)(?=[\s\d\\])|\\tag\s*\{[^{}]*\}")
_LEADING = re.compile(
    r"^(?:[\s,]|\.(?!\d)|[=-]>|→|\\(?:therefore|because|implies|Rightarrow|Longrightarrow|iff|to)(?![A-Za-z])|"
    r"(?:解得|求得|所以|因此|于是|故|即|则)(?=[\s,:]*[-\w\\$(]))+"
)
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|textup|mathrm|mbox|hbox|emph|underline|operatorname)"
    r"(?![A-Za-z])\s*\*?\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_FRACTION_START = re.compile(r"\\frac(?![A-Za-z])\s*")
_ARGUMENT = re.compile(r"\s*(\d|[A-Za-z]|\\[A-Za-z]+)")
# `\mathrm{km\,h^{-1}}`
_RATE = re.compile(
    r"\\(?:text|mathrm)\s*\{\s*([A-Za-z]+)(?:\s|\\[,;:! ]|\\cdot(?![A-Za-z]))*([A-Za-z]+)\s*\^\s*\{\s*-\s*1\s*\}\s*\}"
)
_HALF_OF_DAY = re.compile(r"(?<=\d:\d\d) (?:in the (?:(morning)|afternoon|evening)|at night)\b", re.IGNORECASE)
_LOGARITHM = re.compile(r"\\lg(?![A-Za-z])")
_CHOOSE = re.compile(r"\{\s*([^{}]+?)\s*\\choose(?![A-Za-z])\s*([^{}]+?)\s*\}")
# `C_{10}^{3}`, `A_6^2`
_COUNTED = re.compile(
    r"(?<![A-Za-z\\])(\\text\{)?([AC])(?(1)\})\s*(?:_\s*\{?(\d{1,3})\}?\s*\^\s*\{?(\d{1,3})\}?|\^\s*\{?(\d{1,3})\}?\s*_\s*\{?(\d{1,3})\}?)(?![\dA-Za-z])"
)
_TIMES = re.compile(r"(?<=\d) x (?=(?:\\\$|\$)?\d)")
_CHOICES = re.compile(r"\^\s*\{?(\d+)\}?\s*C\s*_\s*\{?(\d+)\}?(?![\dA-Za-z])")
# `]2, 5]`, `[2, 5[`
_FRENCH_INTERVAL = re.compile(
    r"(?<![^\s=(])(?:(?=\])|(?=\[[^\[\]]*\[(?!\d)))([\[\]])([^\[\],]{1,40},[^\[\],]{1,40})([\[\]])(?=\s*(?:$|\.$|\\cup))"
)
_FRENCH = {"]": "(", "[": "[", "[ ": ")", "] ": "]"}
_PLAIN_FRACTION = re.compile(r"(?<![\w.)}])(\d+)/(\d+) (?=[a-z](?![a-z]))")  # `-1/2 x + 4`
# A slanted fraction, maybe of a mixed number: `^7/_{12}`, `3^{7}/_{12}`.
_SLANTED = re.compile(r"\^\s*(?:\{\s*(\d+)\s*\}|(\d))\s*/\s*_\s*(?:\{\s*(\d+)\s*\}|(\d))")
_PLAIN_SET_BUILDER = re.compile(r"^\s*\{(\s*[A-Za-z]\s*(?:\||:|\\mid(?![A-Za-z])).*)\}\s*\.?$")
_PLAIN_RATIO = re.compile(r"^\s*(\d+) to (\d+)\s*\.?$")
_PLAIN_SET = re.compile(r"(?<==)\s*\{([^{}\\]*,[^{}]*)\}$")
_OVER = re.compile(r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}|^([^{}]*)\\over(?![A-Za-z])([^{}]*)$")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,4})(?![\w.])")
# `0.\dot{1}2\dot{3}`, `0.\bar{3}`, `0.(3)`, `0.333...`
_DOTS = re.compile(r"(\d*\.\d*)\\dot\s*(?:\{(\d)\}|(\d))(?:(\d*)\\dot\s*(?:\{(\d)\}|(\d)))?")
_BAR = re.compile(r"(\d*\.\d*)\s*(?:\\(?:bar|overline)\s*(?:\{\s*(\d+)\s*\}|(\d))|\((\d+)\)(?!\d))")
_REPEATED = re.compile(r"(?<![\d.])(\d*\.\d{0,6}?)(\d{2,6}|\d(?=\d\d))\2+\s*(?:\.\.\.|\\ldots(?![A-Za-z]))")
_MULTIPLIED = re.compile(
    r"(?<=\d)\s*(?:\\text\{(hundred|thousand|million|billion|trillion|dozen)s?(?![A-Za-z])([^{}]*)\}|"
    r"(hundred|thousand|million|billion|trillion|dozen)s?(?![A-Za-z]))"
)
_MYRIADS = re.compile(r"(?<=\d)\s*(?:\\text\{)?([百千万亿]+)(?![米克瓦卡赫升])")
_PRIMES = re.compile(r"\^\s*(?:\{\s*((?:\\prime\s*)+)\}|(\\prime(?![A-Za-z])))")
_ORDINAL = re.compile(
    r"(?<=\d)\s*(?:\^\s*\{?\s*)?\\text\{\s*(?:st|nd|rd|th)\s*\}\s*\}?|(?<=\d)(?:st|nd|rd|th)(?![A-Za-z])"
)
_PERCENT_IN_CHINESE = re.compile(r"百分之\s*(\d+(?:\.\d+)?|[零一二三四五六七八九十百两]+)")
_NEGATIVE = re.compile(r"负(?=\s*[\d\\.])|\b(?:negative|minus)\s+(?=[\d\\.])", re.IGNORECASE)
_BARE_ROOT = re.compile(r"\\sqrt\s*(?:(\d|[A-Za-z])|(\\pi))")
_PLAIN_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\})")
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])(pi|infinity|infty|inf|oo|theta|alpha|beta)(?![A-Za-z])")
_PLAIN_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp)(?=\s*[\d(^_\\]|\s+[a-z]\b)"
)
_STAR_PRODUCT = re.compile(r"(?<!\*)\*(?!\*)")
_THOUSANDS_MARK = re.compile(r"(?<=\d)\s*(?:\{,\s*\}|,\\!|\\,(?=\d{3}(?!\d)))\s*(?=\d{3}(?!\d))")
_SPACES = re.compile(r"\s+")
_CIRCLE = re.compile(
    r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])|(?<=\d)\s*\^\s*(?:\{\s*o\s*\}|o(?![A-Za-z]))"
)
_SYNONYMS = re.compile(
    r"\\(leq|geq|leqslant|geqslant|neq|cdotp|ast|div|lbrace|rbrace|dots|ldots|cdots|lt|gt|infin|varnothing|vee|land|wedge|"
    r"simeq|backslash|lvert|rvert|vert|dotsc|dbinom|tbinom|langle|rangle)(?![A-Za-z])"
)
_SYNONYM = {
    "leq": r"\le",
    "leqslant": r"\le",
    "geq": r"\ge",
    "geqslant": r"\ge",
    "neq": r"\ne",
    "cdotp": r"\cdot",
    "ast": r"\cdot",
    "div": "/",
    "lbrace": r"\{",
    "rbrace": r"\}",
    "dots": r"\ldots",
    "ldots": r"\ldots",
    "cdots": r"\ldots",
    "lt": "<",
    "gt": ">",
    "infin": r"\infty",
    "varnothing": r"\emptyset",
    "vee": r"\lor",
    "land": ",",
    "wedge": ",",
    "simeq": r"\approx",
    "backslash": r"\setminus",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "dotsc": r"\ldots",
    "langle": "(",
    "rangle": ")",
    "dbinom": r"\binom",
    "tbinom": r"\binom",
}


def normalise(text: str) -> str:
    """
    Bring an answer to its one way of writing.

    Args:
        text (`str`):
            An expression, a number with or without unit, a word, a list; not a sentence. Delimiters of math mode may
            stand around it.

    Returns:
        `str`: the same answer. Applying the function twice changes nothing more.
    """
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _normalised(text)


def _normalised(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    text = typography(text.strip().strip("*") if text.strip().startswith("**") else text)
    text = _without_math_delimiters(text)
    text = text.replace("{:}", ":")
    if "\\begin" not in text:
        text = _rewritten(text, _OUTSIDE_OF_MATRICES)
    text = _LEADING.sub("", _rewritten(text, _LATEX))
    if "[" in text and "," in text:
        text = _FRENCH_INTERVAL.sub(lambda found: f"{_FRENCH[found[1]]}{found[2]}{_FRENCH[found[3] + ' ']}", text)
    if not text.isdecimal():
        text = _rewritten(text, _NUMBERS)
        text = _rewritten(text.replace("**", "^"), _PLAIN_MATHEMATICS)
        text = _rewritten(_braced_fractions(text), _ROOTS)
    return _trimmed(_SPACES.sub(" ", text))


def _rewritten(text: str, rules: tuple[_Rule, ...]) -> str:
    """Apply each rule of which a sign stands in the text."""
    for signs, pattern, replacement in rules:
        for sign in signs:
            if sign in text:
                text = pattern.sub(replacement, text)
                break
    return text


# A group of completions shares its gold and few answers.
_LONGEST_REMEMBERED = 1_000
_remembered = lru_cache(maxsize=8192)(_normalised)


def squeeze(text: str) -> str:
    """Drop every space that does not part two words, digits or a command from its letter: for comparing as strings."""
    return _squeezed(text) if len(text) <= _LONGEST_REMEMBERED else _without_spaces(text)


def _without_spaces(text: str) -> str:
    return _NEEDLESS.sub("", text.strip())


_NEEDLESS = re.compile(r"\s+(?![A-Za-z0-9\s])|(?<![A-Za-z0-9\s])\s+")
_squeezed = lru_cache(maxsize=8192)(_without_spaces)


def _without_math_delimiters(text: str) -> str:
    r"""Drop `$`, `$$`, `\(` and `\[`; keep a dollar sign that stands for money, as `\$`."""
    text = _MATH_DISPLAY.sub(" ", text) if "matrix" not in text and "array" not in text else text
    parts = re.split(r"(?<!\\)\$\$?", text)
    if len(parts) == 2 and re.match(r"\s*-?[\d.]", parts[1]):
        return parts[0] + r"\$" + parts[1]  # one lone dollar sign before a number: money
    return " ".join(parts) if len(parts) > 1 else text


def _text_group(found: re.Match[str]) -> str:
    """Write a text group as what it prints: a connector, mathematics, or words, with a number in front outside of them."""
    word = found[1].strip()
    if word.lower() in ("and", ",", ", and", "和", "与", "且"):
        return ","
    if word.lower() in ("or", ", or", "或", "or equivalently"):
        return r" \lor "
    if word.lower() == "to":
        return ":"
    if word == "i":
        return word
    if not re.search(r"[^\W\d_]", word) or _DIGITS_IN_TEXT.fullmatch(word):  # digits and signs alone, a time, a list
        return word
    if number := re.fullmatch(r"([-+]?(?:\\?\$)?\d[\d,.]*)\s*([^\W\d_][^\d]*)", word):
        return rf"{number[1]} \text{{{number[2]}}}"
    if re.fullmatch(r"[\u3400-\u9fff]+\s*\d[\d.,]*\s*[\u3400-\u9fff]*", word):  # `共90元`
        return word
    if bracketed := re.fullmatch(r"\(([\u3400-\u9fff]{1,6})\)", word):  # `90（元）`
        return rf"\text{{{bracketed[1]}}}"
    if (option := _OPTION_IN_TEXT.fullmatch(word)) and not DENIAL.search(word):
        return rf"\text{{({option[1]})}} \text{{{option[2]}}}"
    if ratio := re.fullmatch(r"(\d+)\s+to\s+(\d+)", word):
        return f"{ratio[1]}:{ratio[2]}"
    if equation := re.fullmatch(r"([A-Za-z])\s*=\s*([-+]?\d[\d,.]*)", word):
        return f"{equation[1]} = {equation[2]}"
    return rf"\text{{{word}}}"


_DIGITS_IN_TEXT = re.compile(r"\d{1,2}:\d\d\s*[ap]\.?\s?m\.?|-?\d+(?:, -?\d+)*(?:,? (?:and|or) -?\d+)", re.IGNORECASE)


# `\text{C. Parabola}`, and no two labels
_OPTION_IN_TEXT = re.compile(r"\(?([A-H])(?:[.:]|\)[.:]?)\s+((?=.*[^\W\d_]{3})(?!.*\b(?:[A-H]|and|or)\b)\S.*)")


def _multiplied(found: re.Match[str]) -> str:
    rest = (found[2] or "").strip()
    return rf" \cdot {MULTIPLIERS[found[1] or found[3]]} " + (rf"\text{{{rest}}}" if rest else "")


def _multiplied_in_chinese(found: re.Match[str]) -> str:
    product = 1
    for character in found[1]:
        product *= {"百": 100, "千": 10**3, "万": 10**4, "亿": 10**8}[character]
    return rf" \cdot {product} " + (r"\text{" if "{" in found[0] else "")


def _counted(found: re.Match[str]) -> str:
    """Write `C_n^k` or `A_n^k`, either index first, as what they count; a letter with an index and a power stays."""
    sort, n, k = found[2], int(found[3] or found[6]), int(found[4] or found[5])
    if not 2 <= n < 100 or k > n:
        return found[0]
    return rf"\binom{{{n}}}{{{k}}}" if sort == "C" else rf"\frac{{{n}!}}{{{n - k}!}}"


def _dotted(found: re.Match[str]) -> str:
    first, last = found[2] or found[3], found[5] or found[6]
    return rf"{found[1]}\overline{{{first}{(found[4] or '') + last if last else ''}}}{'' if last else found[4] or ''}"


def _digits(numeral: str) -> str:
    return numeral if numeral[0].isdecimal() and numeral.isascii() else str(number_in_words(numeral))


def _braced_fractions(text: str) -> str:
    r"""Put braces around the arguments of each `\frac` that has none."""
    if "\\frac" not in text:
        return text
    closing = _closing(text)
    marks: list[tuple[int, str]] = []
    for found in _FRACTION_START.finditer(text):
        at = found.end()
        for _ in range(2):
            while text[at : at + 1] == " ":
                at += 1
            if text[at : at + 1] == "{":
                if at not in closing:
                    break
                at = closing[at] + 1
            elif argument := _ARGUMENT.match(text, at):
                marks += [(argument.start(1), "{"), (argument.end(1), "}")]
                at = argument.end()
            else:
                break
    pieces, start = [], 0
    for at, brace in sorted(marks, key=lambda mark: mark[0]):
        pieces += [text[start:at], brace]
        start = at
    return "".join(pieces) + text[start:]


def _trimmed(text: str) -> str:
    text = text.strip().rstrip(".,;:。").strip() if not text.rstrip().endswith(("\\{", "\\ldots")) else text.strip()
    opened = len(text) - len(text.lstrip("{ "))
    if not opened or text[0] != "{":
        return text
    # Braces that hold the whole: as many as stand at the front, and close at the very end.
    closing = _closing(text)
    start, end = 0, len(text)
    while end - start > 2 and text[start] == "{" and closing.get(start) == end - 1:
        start, end = start + 1, end - 1
        while start < end and text[start] == " ":
            start += 1
        while end > start and text[end - 1] == " ":
            end -= 1
    return text[start:end]


def _closing(text: str) -> dict[int, int]:
    """For each opening brace, where the one stands that closes it."""
    closing: dict[int, int] = {}
    stack: list[int] = []
    for position, character in enumerate(text):
        if character in "{}" and not (position and text[position - 1] == "\\"):
            if character == "{":
                stack.append(position)
            elif stack:
                closing[stack.pop()] = position
    return closing


# Rules: what must stand in a text for one to apply, the pattern, what takes its place. Applied in this order.
_OUTSIDE_OF_MATRICES: tuple[_Rule, ...] = (
    (("&", "quad"), _COLUMN, ", "),
    (("\\\\",), _DOUBLED_BACKSLASH, r"\\"),  # a LaTeX text that was escaped once too often
)
_LATEX: tuple[_Rule, ...] = (
    ((",",), _THOUSANDS_MARK, ","),
    (("\\", "~"), _INVISIBLE, " "),
    (("<=", ">=", "!="), _COMPARISON, lambda found: {"<": r"\le ", ">": r"\ge ", "!": r"\ne "}[found[1]]),
    (("^", "degree"), _CIRCLE, r"^\\circ "),
    (("color", "\\bf", "\\rm", "\\it", "\\tag"), _COLOUR, " "),
    (("/",), _PLAIN_FRACTION, r"\\frac{\1}{\2} "),
    (("/",), _SLANTED, lambda found: rf"\frac{{{found[1] or found[2]}}}{{{found[3] or found[4]}}}"),
    (("|", ":", "mid"), _PLAIN_SET_BUILDER, r"\\{\1\\}"),
    ((" to ",), _PLAIN_RATIO, r"\1:\2"),
    (("{",), _PLAIN_SET, r"\\{\1\\}"),
    (("&",), _ALIGNED, ""),
    (("frac",), _FRACTION, r"\\frac"),
    (("\\",), _SYNONYMS, lambda found: _SYNONYM[found[1]] + " "),
    (("\\math", "\\b", "\\it", "\\rm"), _FONT, lambda found: found[1] or found[2] or ""),
    (("{",), _RATE, r"\\text{\1/\2}"),
    (("{",), _TEXT, _text_group),
    (("\\lg",), _LOGARITHM, r"\\log_{10}"),
    (("choose",), _CHOOSE, r"\\binom{\1}{\2}"),
    ((" x ",), _TIMES, r" \\times "),
    (("C",), _CHOICES, r"\\binom{\1}{\2}"),
    (("C", "A"), _COUNTED, _counted),
)
_NUMBERS: tuple[_Rule, ...] = (
    (("prime",), _PRIMES, lambda found: "'" * (found[1] or found[2]).count("prime")),
    (("st", "nd", "rd", "th"), _ORDINAL, ""),
    ((":",), _HALF_OF_DAY, lambda found: " a.m." if found[1] else " p.m."),
    (("百分之",), _PERCENT_IN_CHINESE, lambda found: rf"{_digits(found[1])}\%"),
    (("负", "inus", "egative"), _NEGATIVE, "-"),
    (("e", "E"), _SCIENTIFIC, lambda found: rf"{found[1]} \cdot 10^{{{int(found[2])}}}"),
    (("illion", "ousand", "undred", "ozen"), _MULTIPLIED, _multiplied),
    (("百", "千", "万", "亿"), _MYRIADS, _multiplied_in_chinese),
    ((".",), _DOTS, _dotted),
    ((".",), _BAR, lambda found: rf"{found[1]}\overline{{{found[2] or found[3] or found[4]}}}"),
    (("...", "\\ldots"), _REPEATED, r"\1\\overline{\2}"),
)
_PLAIN_MATHEMATICS: tuple[_Rule, ...] = (
    (("*",), _STAR_PRODUCT, r"\\cdot "),
    (("sqrt",), _PLAIN_ROOT, lambda found: rf"\sqrt{{{found[1] or found[2] or ''}}}"),
    (("s", "c", "t", "l", "exp"), _PLAIN_FUNCTION, r"\\\1"),
    (
        ("pi", "inf", "oo", "theta", "alpha", "beta"),
        _PLAIN_WORD,
        lambda found: r"\infty " if found[1] in ("infinity", "infty", "inf", "oo") else rf"\{found[1]} ",
    ),
    (("\\over",), _OVER, lambda found: rf"\frac{{{found[1] or found[3]}}}{{{found[2] or found[4]}}}"),
)
_ROOTS: tuple[_Rule, ...] = ((("\\sqrt",), _BARE_ROOT, lambda found: rf"\sqrt{{{found[1] or found[2]}}}"),)
