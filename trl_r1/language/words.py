"""
Cutting a text into words and naming the language of each.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from . import romanized
from .han import STATES, han_scores
from .lexicon import NOWHERE, RARE, best_path, lexicon_of
from .prose import prose
from .scripts import (
    CLAUSE,
    OPERATOR,
    PLAIN,
    SENTENCE,
    SHARED_SCRIPTS,
    UNDETERMINED,
    UNSPACED,
    breaks_before,
    kind_of,
    normalize_language,
    script_of,
    tokens_of,
)


# A Latin word with a capital between words of another script is a name or a symbol (`Alice`, `ABC`) unless it is one of
# these, which start a remark in English.
_OPENERS_TEXT = """
I A The This That These Those It There Here We You He She They Let So Now Then Next First Second Third Finally
Also And But Or If When While Since Because As For From With By In On At To Of Thus Hence Therefore However
Moreover Actually Wait Okay Ok Hmm Well Yes No Not Maybe Perhaps Alternatively Check Verify Recall Note Suppose
Assume Given Is Are Was Does Do Did Can Could Should Would What Which Why How Where Who Answer Step Sum Total
Each Every All Both My Your Our Their His Her Its Just Let's I'm I'll It's That's Right Good Great Sorry Please
Thanks Hello Hi Using Similarly After Before Only Still Yet Again Subtract Add Multiply Divide Compute Calculate
"""
_OPENERS = frozenset(_OPENERS_TEXT.split())
_NEAR = 3  # sentences on either side of a suspect one that are suspect with it
_FULL_WIDTH = {0xFF01 + i: 0x21 + i for i in range(94) if chr(0x21 + i).isalnum()}

# Words of one letter. Any other single letter is a symbol.
_LETTER_WORDS = {
    "en": "ai",
    "fr": "aày",
    "es": "aeouy",
    "pt": "aeoàéóá",
    "it": "aeioèàì",
    "pl": "aiouwz",
    "sv": "iåö",
    "nl": "u",
    "tr": "o",
    "ru": "авикосуяеvksiouayx",
    "uk": "авзійоуєяіеvzioyu",
    "bg": "авсиое",
    "ar": "و",
    "fa": "و",
    "ur": "و",
    "ja": "oe",
    "zh": "ae",
}
# What no language writes: letters struck at random. All that can be told apart without a word list.
_KEYSTROKES = re.compile(r"(?![Hh]m+$)[B-DF-HJ-NP-TV-XZb-df-hj-np-tv-xz][b-df-hj-np-tv-xz]{3,}")
# Words of English without a, e, i, o or u; any other such word between words of another script is a symbol (`dp`, `xy`).
_VOWELLESS = frozenset(("my", "by", "try", "why", "fly", "dry", "cry", "sky", "shy", "spy", "hmm", "nth"))


def tag_words(text: str, languages: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """
    Split a text into words and name the language of each.

    Args:
        text (`str`):
            Any text; markdown, LaTeX and code within it are left out.
        languages (`Iterable[str]`, *optional*):
            The languages that may occur (ISO 639-1), to choose from where several share a script. A script none of
            whose languages is named keeps all of its own. With one language to a script, such as `("en", "zh")`, the
            script alone decides and no word list is loaded. `None`: all of [`LANGUAGES`].

    Returns:
        `list[tuple[str, str]]`: words in their order, each with an ISO 639-1 code, or `"und"` for a word of no known
        language.
    """
    allowed = None if languages is None else frozenset(map(normalize_language, languages))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_FULL_WIDTH)
    tokens = tokens_of(prose(text))
    tagged: list[list[tuple[str, str]]] = [[] for _ in tokens]
    runs: dict[str, list[int]] = {}
    for position, token in enumerate(tokens):
        script = script_of(token[0])
        if script in SHARED_SCRIPTS:
            if len(token) > 1 or script == "Hani" or _may_be_word(tokens, position):
                runs.setdefault(script, []).append(position)
        elif script in UNSPACED:
            step = UNSPACED[script]
            tagged[position] = [(token[start : start + step], script) for start in range(0, len(token), step)]
        elif script and (len(token) > 1 or script not in ("el", "he")):
            tagged[position] = [(token, script)]
    among_others = "Latn" in runs and len(runs) + any(tagged) > 1
    if among_others:
        runs["Latn"] = [position for position in runs["Latn"] if not _is_symbol(tokens, position)]
    for script, positions in runs.items():
        if script == "Hani":
            _tag_han(tokens, positions, tagged)
        elif positions:
            for position, language in zip(positions, _languages_of(tokens, positions, script, allowed)):
                token = tokens[position]
                if len(token) == 1 and not _is_word(token, language):
                    continue
                if language == UNDETERMINED and among_others and _stands_alone(tokens, position):
                    continue
                tagged[position] = [(token, language)]
    return [word for words in tagged for word in words]


def _languages_of(tokens: list[str], positions: list[int], script: str, allowed: frozenset[str] | None) -> list[str]:
    candidates = SHARED_SCRIPTS[script]
    if allowed is not None:
        candidates = tuple(x for x in candidates if x in allowed) or candidates
    if len(candidates) == 1:
        return [UNDETERMINED if _KEYSTROKES.fullmatch(tokens[i]) else candidates[0] for i in positions]
    lexicon = lexicon_of(candidates)
    names = (*candidates, UNDETERMINED)
    breaks = breaks_before(tokens, positions)
    scores = [lexicon.scores(tokens[position], gap == SENTENCE) for position, gap in zip(positions, breaks)]
    if script == "Latn" and (romanized_words := _maybe_romanized(scores, breaks)):
        others = [i for i, x in enumerate(romanized.LANGUAGES) if allowed is None or x in allowed]
        names = (*candidates, *(romanized.LANGUAGES[i] for i in others), UNDETERMINED)
        unlikely = (romanized.UNSEEN,) * len(others)
        for i, score in enumerate(scores):
            extra = unlikely
            if i in romanized_words:
                row = _romanizer().scores(tokens[positions[i]])
                extra = tuple(row[j] for j in others)
            scores[i] = (*score[:-1], *extra, score[-1])
    return [names[state] for state in best_path(scores, breaks)]


@lru_cache(maxsize=1)
def _romanizer() -> romanized.Romanized:
    return romanized.Romanized()


def _maybe_romanized(scores: list[tuple[float, ...]], breaks: list[str]) -> set[int]:
    """
    Return the words of those sentences that may be of a language not written in Latin letters, and of their neighbours.

    A sentence is suspect where at least two words, and a fifth of all, are in no list; or where six words and more are
    rare even in the language in which each is likeliest.
    """
    starts = [i for i, gap in enumerate(breaks) if gap == SENTENCE] + [len(scores)]
    suspects = []
    for number, (start, end) in enumerate(itertools.pairwise(starts)):
        tops = [max(score) for score in scores[start:end]]
        unknown = tops.count(NOWHERE)
        if (unknown > 1 and 5 * unknown >= len(tops)) or (len(tops) > 5 and sum(tops) < RARE * len(tops)):
            suspects.append(number)
    near = {other for number in suspects for other in range(max(number - _NEAR, 0), number + _NEAR + 1)}
    return {i for number in near if number + 1 < len(starts) for i in range(starts[number], starts[number + 1])}


def _tag_han(tokens: list[str], positions: list[int], tagged: list[list[tuple[str, str]]]) -> None:
    letters = [han_scores(letter) for position in positions for letter in tokens[position]]
    if not any(simplified for simplified, _, _ in letters) or not any(traditional for _, traditional, _ in letters):
        names = iter(["zh"] * len(letters))
    else:
        breaks = [
            gap if first else PLAIN
            for position, gap in zip(positions, breaks_before(tokens, positions))
            for first in [True] + [False] * (len(tokens[position]) - 1)
        ]
        names = iter([STATES[state] for state in best_path(letters, breaks)])
    for position in positions:
        tagged[position] = [(letter, language) for letter, language in zip(tokens[position], names) if letter != "ー"]


def _is_word(letter: str, language: str) -> bool:
    if language in ("vi", UNDETERMINED) and not letter.isascii():
        return True
    return letter.lower() in _LETTER_WORDS.get(language, "")


def _may_be_word(tokens: list[str], position: int) -> bool:
    """Tell whether a single letter may be a word (`a pear`, `y luego`) and not a variable (`a = 5`, `point A`)."""
    letter = tokens[position]
    before = kind_of(tokens[position - 1][0]) if position else SENTENCE
    after = kind_of(tokens[position + 1][0]) if position + 1 < len(tokens) else SENTENCE
    if OPERATOR in (before, after):
        return False
    if letter == "I" or (letter.islower() and not letter.isascii() and letter != "х"):  # the Cyrillic one
        return True
    script = script_of(letter)
    has_neighbour = (before == PLAIN and position and script_of(tokens[position - 1][0]) == script) or (
        after == PLAIN and script_of(tokens[position + 1][0]) == script
    )
    if letter.isupper():
        return has_neighbour and before in (SENTENCE, CLAUSE) and after == PLAIN
    return bool(has_neighbour)


def _is_symbol(tokens: list[str], position: int) -> bool:
    """Tell whether a Latin word stands between words of other scripts and is a name (`Alice`, `ABC`) or a symbol."""
    token = tokens[position]
    if token in _OPENERS:
        return False
    if not token[0].isupper():
        return not set("aeiouAEIOU") & set(token) and token not in _VOWELLESS and _stands_alone(tokens, position)
    beside = tokens[max(position - 1, 0) : position] + tokens[position + 1 : position + 2]
    if token.isupper() and any(len(x) > 1 and x.isupper() and x.isalpha() for x in beside):
        return False  # SHOUTED WORDS
    for step in (-1, 1):
        for other in range(position + step, position + 12 * step, step):
            if not 0 <= other < len(tokens):
                break
            token = tokens[other]
            script = script_of(token[0])
            if script == "Latn" and (token[0].islower() or token in _OPENERS):
                return False
            if script not in (None, "Latn") or kind_of(token[0]) == SENTENCE:
                break
    return True


def _stands_alone(tokens: list[str], position: int) -> bool:
    """Tell whether no other Latin word stands in front of a word or behind it."""
    return not any(
        script_of(token[0]) == "Latn"
        for token in tokens[max(position - 1, 0) : position] + tokens[position + 1 : position + 2]
    )
