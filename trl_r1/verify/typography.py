r"""
Signs of Unicode written as LaTeX: `×`, `½`, `√2`, `x²`, full-width and Chinese punctuation. Pure, and linear in the text.
"""

import re
import unicodedata


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
    "º": r"^\circ ",
    "˚": r"^\circ ",
    "∨": r"\lor ",
    "∧": ",",
    "∴": "",
    "⇒": r"\Rightarrow ",
    "≃": r"\approx ",
    "∖": r"\setminus ",
    "∠": r"\angle ",
    "△": r"\triangle ",
    "\u00ad": "",
    "\u200b": "",
}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"
_SYMBOLS |= {chr(0x3B1 + k): rf"\{name} " for k, name in enumerate(_GREEK.split())}
_SYMBOLS |= {"ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "φ": r"\phi ", "ω": r"\omega "}
_SYMBOL = re.compile("|".join(map(re.escape, _SYMBOLS)))
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT_RUN = re.compile("[₀-₉]+")
_VULGAR = re.compile("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_ROOT = re.compile(r"([√∛∜])\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]))")
_INDEX = {"√": "", "∛": "[3]", "∜": "[4]"}
_THIN_SPACE_GROUP = re.compile("(?<=\\d)[\u00a0\u2006-\u200a\u202f\u205f](?=\\d{3}(?!\\d))")


def typography(text: str) -> str:
    if text.isascii():
        return text
    text = _SUPERSCRIPT_RUN.sub(lambda found: f"^{{{found[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda found: f"_{{{found[0].translate(_SUBSCRIPTS)}}}", text)
    text = _VULGAR.sub(_vulgar_fraction, text)
    text = _ROOT.sub(lambda found: rf"\sqrt{_INDEX[found[1]]}{{{found[2] or found[3] or found[4]}}}", text)
    text = _THIN_SPACE_GROUP.sub(",", text)
    text = _SYMBOL.sub(lambda found: _SYMBOLS[found[0]], text)
    return unicodedata.normalize("NFKC", text)


def _vulgar_fraction(found: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", found[0]).partition("⁄")
    return rf"\frac{{{above}}}{{{below}}}"
