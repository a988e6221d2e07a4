r"""
One way of writing for each answer: typography, LaTeX wrappers and number formats removed. Pure, linear in the text.

What comes out is still LaTeX where the answer was LaTeX (`\frac{1}{3}`, `\sqrt{2}`), with every spelling that means
the same brought to one: `\dfrac13`, `\tfrac{1}{3}` and `\frac 13` are `\frac{1}{3}`; `1{,}080`, `1,\!080` are
`1,080`; full-width and Chinese punctuation is ASCII; `\left(` is `(`; `**` is `^`.
"""

import re
import unicodedata
from functools import lru_cache


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n")
_SYMBOLS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "÷": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "±": r"\pm ",
    "°": r"^\circ ",
    "∅": r"\emptyset ",
    "、": ",",
    "，": ",",
    "。": ".",
    "；": ";",
    "：": ":",
    "（": "(",
    "）": ")",
    "％": "%",
    "＝": "=",
    "《": "",
    "》": "",
    "“": "",
    "”": "",
    "≧": r"\ge ",
    "≦": r"\le ",
    "ℝ": r"\mathbb{R}",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
}
_SYMBOL = re.compile("|".join(map(re.escape, _SYMBOLS)))
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ]+")
_VULGAR = re.compile("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]))")

# Spaces and sizes that print nothing, and delimiters of math mode.
_INVISIBLE = re.compile(
    r"\\[hv]?phantom(?![A-Za-z])\s*(?:\{[^{}]*\}|\S)|"
    r"\\(?:left|right|middle|mleft|mright)(?![A-Za-z])(?:\s*\.(?!\d))?|"
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|qquad|quad|ensuremath|boldsymbol|strut|"
    r"[bB]igg?[lrm]?)(?![A-Za-z])|"
    r"(?<!\\)\\[!,;:>()]|(?<!\\)\\(?=\s)|~"
)
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=[A-Za-z])")
_MATH_DISPLAY = re.compile(r"\\\[|\\\]")
_FONT = re.compile(r"\\(?:mathbf|mathit|mathsf|mathtt|mathcal|bm|bf|it|rm)(?![A-Za-z])\s*\{([^{}]*)\}")
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|textup|mathrm|mbox|hbox|emph|underline|operatorname)"
    r"(?![A-Za-z])\s*\*?\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_BARE_FRACTION = re.compile(
    r"\\frac\s*(?:\{([^{}]*)\}|(\d|[A-Za-z]|\\[A-Za-z]+))\s*(?:\{([^{}]*)\}|(\d|[A-Za-z]|\\[A-Za-z]+))"
)
_BARE_ROOT = re.compile(r"\\sqrt\s*(?:(\d|[A-Za-z])|(\\pi))")
_PLAIN_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\})")
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])(pi|infinity|infty|inf|oo|theta|alpha|beta)(?![A-Za-z])")
_PLAIN_FUNCTION = re.compile(
    r"(?<![\\A-Za-z])(arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp)(?=\s*[\d(^\\]|\s+[a-z]\b)"
)
_STAR_PRODUCT = re.compile(r"(?<!\*)\*(?!\*)")
_THOUSANDS_MARK = re.compile(r"(?<=\d)\s*(?:\{,\}|,\\!|\\,(?=\d{3}(?!\d)))\s*(?=\d{3}(?!\d))")
_THIN_SPACE_GROUP = re.compile(r"(?<=\d)[    ](?=\d{3}(?!\d))")
_SPACES = re.compile(r"\s+")
_CIRCLE = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])")
_SYNONYMS = re.compile(
    r"\\(leq|geq|leqslant|geqslant|neq|cdotp|ast|div|lbrace|rbrace|dots|ldots|cdots|lt|gt|infin)(?![A-Za-z])"
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
    text = _typography(text)
    text = _without_math_delimiters(text)
    if "\\begin" not in text:
        text = _DOUBLED_BACKSLASH.sub(r"\\", text)  # a LaTeX text that was escaped once too often
    text = _THOUSANDS_MARK.sub(",", text)
    text = _INVISIBLE.sub(" ", text)
    text = _FRACTION.sub(r"\\frac", text)
    text = _CIRCLE.sub(r"^\\circ ", text)
    text = _SYNONYMS.sub(lambda found: _SYNONYM[found[1]] + " ", text)
    text = _FONT.sub(r"\1", text)
    text = _TEXT.sub(_text_group, text)
    text = _plain_mathematics(text)
    text = _BARE_FRACTION.sub(_braced_fraction, text)
    text = _BARE_ROOT.sub(lambda found: rf"\sqrt{{{found[1] or found[2]}}}", text)
    return _trimmed(_SPACES.sub(" ", text))


# A group of completions shares its gold and few answers.
_LONGEST_REMEMBERED = 1_000
_remembered = lru_cache(maxsize=8192)(_normalised)


def squeeze(text: str) -> str:
    """Drop every space that does not part two words, digits or a command from its letter: for comparing as strings."""
    return re.sub(r"\s*([^A-Za-z0-9\s])\s*", r"\1", text.strip())


def _typography(text: str) -> str:
    if text.isascii():
        return text
    text = _SUPERSCRIPT_RUN.sub(lambda found: f"^{{{found[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _VULGAR.sub(_vulgar_fraction, text)
    text = _ROOT.sub(lambda found: rf"\sqrt{{{found[1] or found[2] or found[3]}}}", text)
    text = _THIN_SPACE_GROUP.sub(",", text)
    text = _SYMBOL.sub(lambda found: _SYMBOLS[found[0]], text)
    return unicodedata.normalize("NFKC", text)


def _vulgar_fraction(found: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", found[0]).partition("⁄")
    return rf"\frac{{{above}}}{{{below}}}"


def _without_math_delimiters(text: str) -> str:
    r"""Drop `$`, `$$`, `\(` and `\[`; keep a dollar sign that stands for money, as `\$`."""
    text = _MATH_DISPLAY.sub(" ", text) if "matrix" not in text and "array" not in text else text
    parts = re.split(r"(?<!\\)\$\$?", text)
    if len(parts) == 2 and re.match(r"\s*-?[\d.]", parts[1]):
        return parts[0] + r"\$" + parts[1]  # one lone dollar sign before a number: money
    return " ".join(parts) if len(parts) > 1 else text


def _text_group(found: re.Match[str]) -> str:
    word = found[1].strip()
    if word.lower() in ("and", "or", ",", ", and", ", or", "和", "或"):
        return ","
    return rf"\text{{{word}}}" if word else " "


def _plain_mathematics(text: str) -> str:
    text = text.replace("**", "^")
    text = _STAR_PRODUCT.sub(r"\\cdot ", text)
    text = _PLAIN_ROOT.sub(lambda found: rf"\sqrt{{{found[1] or found[2] or ''}}}", text)
    text = _PLAIN_FUNCTION.sub(r"\\\1", text)
    return _PLAIN_WORD.sub(
        lambda found: r"\infty " if found[1] in ("infinity", "infty", "inf", "oo") else rf"\{found[1]} ", text
    )


def _braced_fraction(found: re.Match[str]) -> str:
    above = found[1] if found[1] is not None else found[2]
    below = found[3] if found[3] is not None else found[4]
    return rf"\frac{{{above}}}{{{below}}}"


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
