"""
Scripts and the signs between words: cutting a text into tokens, and saying of each what it is.
"""

import itertools
import re
from functools import lru_cache

from .prose import GAP


UNDETERMINED = "und"

# Languages told apart by word lists, by script. The first is the one assumed where nothing speaks for another.
SHARED_SCRIPTS: dict[str, tuple[str, ...]] = {
    "Latn": ("en", "fr", "de", "es", "pt", "it", "vi", "nl", "pl", "tr", "id", "sv"),
    "Cyrl": ("ru", "uk", "bg"),
    "Arab": ("ar", "fa", "ur"),
    "Hani": ("zh", "ja"),
}

# Languages that have their script to themselves, as far as this module goes.
OWN_SCRIPTS = {
    "ko": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3",
    "hi": "\u0900-\u0963\u0970-\u097f",
    "el": "\u0370-\u03ff\u1f00-\u1fff",
    "he": "\u0590-\u05ff",
    "th": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "bn": "\u0980-\u09e5\u09f0-\u09ff",
    "ta": "\u0b80-\u0be5",
    "te": "\u0c00-\u0c65",
    "gu": "\u0a80-\u0ae5",
    "kn": "\u0c80-\u0ce5",
    "ml": "\u0d00-\u0d65",
    "pa": "\u0a00-\u0a65\u0a70-\u0a7f",
    "si": "\u0d80-\u0dff",
    "ka": "\u10a0-\u10ff",
    "hy": "\u0530-\u058f",
    "am": "\u1200-\u137f",
    "km": "\u1780-\u17d3",
    "lo": "\u0e81-\u0ece",
    "my": "\u1000-\u103f\u1050-\u109f",
}
# Letters of the other scripts, and those that look like letters of a script of their own (`𝐚`): of no known language.
_OTHERS = (
    "\u0700-\u08ff\u0b00-\u0b7f\u0f00-\u0f14\u0f40-\u0fbc\u13a0-\u167f\u1681-\u171f\u1800-\u18af\u1900-\u1c7f\u2c00-\u2d7f"
    "\u3100-\u312f\ua000-\ua4fd\ua500-\ua6ef\ua840-\uabff\U00010000-\U00016fff\U0001d400-\U0001d7cb\U0001e000-\U0001e95f"
)
UNSPACED = {"th": 4, "lo": 4, "km": 5, "my": 5}  # letters to a word, where no blanks part the words

LANGUAGES: tuple[str, ...] = tuple(sorted({*OWN_SCRIPTS, *(x for group in SHARED_SCRIPTS.values() for x in group)}))

_HAN = "\u3005\u3006\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"
RANGES = {
    "Latn": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0250-\u02af\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
    "Cyrl": "\u0400-\u04ff\u0500-\u052f",
    "Arab": "\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "Hani": _HAN + _KANA,
    **OWN_SCRIPTS,
    UNDETERMINED: _OTHERS,
}
_MARKS = "\u0300-\u036f"
_JOINERS = "\u200c\u200d"
# What stands before a token: nothing but a blank, a comma, the end of a sentence; or what a token is, if it is no word.
PLAIN, CLAUSE, SENTENCE, FORMULA, OPERATOR = "", "clause", "sentence", "formula", "operator"
_ENDS = ".!?;…。！？；؟۔।\n"
_OPERATORS = "=+*/^<>~%&\\×÷≤≥≠≈±→⇒∈∑∫√"

_TOKEN = re.compile(
    "|".join(
        [
            rf"[{RANGES['Latn']}][{RANGES['Latn']}{_MARKS}]*(?:['’ʼ][{RANGES['Latn']}{_MARKS}]+)*['’]?",
            rf"[{RANGES['Cyrl']}][{RANGES['Cyrl']}{_MARKS}]*(?:['’ʼ][{RANGES['Cyrl']}]+)*",
            *(rf"[{ranges}][{ranges}{_JOINERS}]*" for name, ranges in RANGES.items() if name not in ("Latn", "Cyrl")),
            rf"[{re.escape(_ENDS)}]+",
            r"[,:()\[\]\"“”„«»‹›—–|，、：（）「」『』《》【】،؛]+",
            rf"[{re.escape(_OPERATORS)}]+|[0-9{GAP}]+",
        ]
    )
)
_SCRIPT_OF = re.compile("|".join(rf"(?P<{name}>[{ranges}])" for name, ranges in RANGES.items()))


def tokens_of(text: str) -> list[str]:
    """Cut prose into words (of Han and kana: runs) and the signs between them."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=65536)
def script_of(letter: str) -> str | None:
    """Return the script of a letter: a key of `RANGES`, or `None` for what is no letter."""
    found = _SCRIPT_OF.match(letter)
    return found.lastgroup if found else None


@lru_cache(maxsize=4096)
def kind_of(first: str) -> str:
    """Say by its first character what a token is: a word (`PLAIN`), a number or a gap (`FORMULA`), ..."""
    if script_of(first):
        return PLAIN
    if first in _ENDS:
        return SENTENCE
    if first in _OPERATORS:
        return OPERATOR
    return FORMULA if first.isdigit() or first == GAP else CLAUSE


def breaks_before(tokens: list[str], positions: list[int]) -> list[str]:
    """Say for each chosen token what stands between it and the chosen one before: `PLAIN`, `CLAUSE` or `SENTENCE`."""
    breaks = [SENTENCE]
    for previous, position in itertools.pairwise(positions):
        if position == previous + 1:
            breaks.append(PLAIN)
        elif any(kind_of(token[0]) == SENTENCE for token in tokens[previous + 1 : position]):
            breaks.append(SENTENCE)
        else:
            breaks.append(CLAUSE)
    return breaks


def normalize_language(code: str) -> str:
    """Reduce a language tag to its first part: `zh-CN`, `zh_Hans` and `ZH` are all `zh`."""
    return re.split(r"[-_]", code.strip().lower(), maxsplit=1)[0]
