"""
Which words of a text belong to which language. Pure; no model, no torch.

The paper rewards a chain of thought for keeping to one language: the share of target-language words among its words
(arXiv 2501.12948 v2, eq. 7). It does not say how words are told apart. Here:

- **Scripts decide** where they can: Han, kana, Hangul, Greek, Hebrew, Thai, Devanagari, ...
- **Word lists with a cost for switching** decide among languages that share a script (Latin, Cyrillic, Arabic): the
  most probable sequence of languages (Viterbi) under each language's word frequencies, where changing the language
  costs much within a clause, less at a comma and little at the end of a sentence. The lists are those of `wordfreq`
  (data frozen in 2021, CC BY-SA 4.0), loaded when a text first needs them.
- **Nothing counts** that a reader would not call a word: formulas, digits, code, URLs, names of variables, units.
- **Chinese and Japanese** are counted by character: each Han character and each kana is a word. A run of Han is
  Japanese where kana or characters that only Japanese uses stand near it, Chinese otherwise.

Words of no known language count under `"und"`: they are words, and in the target language they are not.
"""

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from . import _romanized
from ._prose import GAP, prose


UNDETERMINED = "und"

# Languages told apart by word lists, by script. The first is the one assumed where nothing speaks for another.
SHARED_SCRIPTS: dict[str, tuple[str, ...]] = {
    "Latn": ("en", "fr", "de", "es", "pt", "it", "vi", "nl", "pl", "tr", "id", "sv"),
    "Cyrl": ("ru", "uk", "bg"),
    "Arab": ("ar", "fa", "ur"),
    "Hani": ("zh", "ja"),
}

# Languages that have their script to themselves, as far as this module goes.
_OWN_SCRIPTS = {
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
_UNSPACED = {"th": 4, "lo": 4, "km": 5, "my": 5}  # letters to a word, where no blanks part the words

LANGUAGES: tuple[str, ...] = tuple(sorted({*_OWN_SCRIPTS, *(x for group in SHARED_SCRIPTS.values() for x in group)}))

_HAN = "\u3005\u3006\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"
_RANGES = {
    "Latn": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0250-\u02af\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
    "Cyrl": "\u0400-\u04ff\u0500-\u052f",
    "Arab": "\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "Hani": _HAN + _KANA,
    **_OWN_SCRIPTS,
}
_MARKS = "\u0300-\u036f"
_JOINERS = "\u200c\u200d"
_TOKEN = re.compile(
    "|".join(
        [
            rf"[{_RANGES['Latn']}][{_RANGES['Latn']}{_MARKS}]*(?:['’ʼ][{_RANGES['Latn']}{_MARKS}]+)*['’]?",
            rf"[{_RANGES['Cyrl']}][{_RANGES['Cyrl']}{_MARKS}]*(?:['’ʼ][{_RANGES['Cyrl']}]+)*",
            *(rf"[{ranges}][{ranges}{_JOINERS}]*" for name, ranges in _RANGES.items() if name not in ("Latn", "Cyrl")),
            r"[.!?;…。！？；؟۔।\n]+",  # ends a sentence
            r"[,:()\[\]\"“”„«»‹›—–|，、：（）「」『』《》【】،؛]+",  # ends a clause
            rf"[\d=+*/^<>~%&\\×÷≤≥≠≈±→⇒∈∑∫√{GAP}]+",  # a formula, or what stood for one
        ]
    )
)
_SCRIPT_OF = re.compile("|".join(rf"(?P<{name}>[{ranges}])" for name, ranges in _RANGES.items()))
_PLAIN, _CLAUSE, _SENTENCE, _FORMULA = "", "clause", "sentence", "formula"

# Natural logarithms. Tuned on texts of their own, which the benchmark does not contain.
_SWITCH = {_PLAIN: 7.5, _CLAUSE: 5.0, _SENTENCE: 2.5}
_UNSEEN = -16.5  # a word that the language's list lacks; the rarest listed word has -13.8
_FOREIGN_LETTER = -4.0
_NOWHERE = -14.5  # a word of no known language
_RARE = -8.8  # a sentence whose words are this improbable on average deserves a second look
_NAME_WEIGHT = 0.4  # a name says less about the language around it than another word does

# A Latin word with a capital between words of another script is a name or a symbol (`Alice`, `ABC`) unless it is one of
# these, which start a remark in English.
_OPENERS = frozenset(
    "I A The This That These Those It There Here We You He She They Let So Now Then Next First Second Third Finally Also "
    "And But Or If When While Since Because As For From With By In On At To Of Thus Hence Therefore However Moreover "
    "Actually Wait Okay Ok Hmm Well Yes No Not Maybe Perhaps Alternatively Check Verify Recall Note Suppose Assume Given "
    "Is Are Was Does Do Did Can Could Should Would What Which Why How Where Who Answer Step Sum Total Each Every All "
    "Both My Your Our Their His Her Its Just Let's I'm I'll It's That's Right Good Great Sorry Please Thanks Hello Hi "
    "Using Since Similarly After Before Only Still Yet Again Subtract Add Multiply Divide Compute Calculate".split()
)

_LETTERS = {
    "en": "éèïöçñ",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "de": "äöüßé",
    "es": "áéíñóúü",
    "pt": "áâãàçéêíóôõúü",
    "it": "àèéìíîòóùú",
    "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "nl": "éëïóöüèê",
    "pl": "ąćęłńóśźż",
    "tr": "çğıöşüâîû",
    "id": "é",
    "sv": "åäöéü",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя'’ʼ",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
}
_ASCII = frozenset("abcdefghijklmnopqrstuvwxyz'’ʼ")


def normalize_language(code: str) -> str:
    """Reduce a language tag to its first part: `zh-CN`, `zh_Hans` and `ZH` are all `zh`."""
    return re.split(r"[-_]", code.strip().lower(), maxsplit=1)[0]


@lru_cache(maxsize=65536)
def _script(letter: str) -> str | None:
    found = _SCRIPT_OF.match(letter)
    return found.lastgroup if found else None


class _Lexicon:
    """The log-probability of a word under each of several languages that share a script."""

    def __init__(self, languages: tuple[str, ...]):
        from wordfreq import get_frequency_list

        self.languages = languages
        self._lists = []
        for language in languages:
            words: dict[str, float] = {}
            for centibels, bucket in enumerate(get_frequency_list(language, "small")):
                value = -centibels * math.log(10) / 100
                for word in bucket:
                    words[word] = value
            self._lists.append(words)
        self._letters = [_ASCII | frozenset(_LETTERS.get(language, "")) for language in languages]
        self._memo: dict[str, tuple[float, ...]] = {}
        self._memo_of_starts: dict[str, tuple[float, ...]] = {}

    def scores(self, word: str, starts_sentence: bool = False) -> tuple[float, ...]:
        """Return one log-probability per language, and a last one for no known language."""
        memo = self._memo_of_starts if starts_sentence else self._memo
        found = memo.get(word)
        if found is None:
            if len(memo) > 200_000:
                memo.clear()
            found = self._score(word)
            if word[0].isupper() and (not starts_sentence or word[1:].isupper()):
                top = max(found)
                found = tuple(top + _NAME_WEIGHT * (score - top) for score in found)
            memo[word] = found
        return found

    def _score(self, word: str) -> tuple[float, ...]:
        word = word.replace("İ", "i").lower().replace("’", "'").replace("ʼ", "'")
        letters = frozenset(word)
        pieces = word.split("'") if "'" in word else None
        scores = []
        for words, alphabet in zip(self._lists, self._letters):
            score = words.get(word)
            if score is None and pieces:  # l'équation, dell'area, triangle's
                score = max((words.get(piece, _UNSEEN) for piece in pieces if len(piece) > 1), default=None)
            if score is None:
                score = _UNSEEN
                if len(alphabet) > len(_ASCII) and not letters <= alphabet:
                    score += _FOREIGN_LETTER
            scores.append(score)
        return (*scores, _NOWHERE)


@lru_cache(maxsize=8)
def _lexicon(languages: tuple[str, ...]) -> _Lexicon:
    return _Lexicon(languages)


@lru_cache(maxsize=1)
def _romanizer() -> _romanized.Romanized:
    return _romanized.Romanized()


def _looks_romanized(scores: list[tuple[float, ...]], breaks: list[str]) -> bool:
    """
    Tell whether some sentence may be of a language that is not written in Latin letters: at least two of its words,
    and a fifth of them, are in no list; or it has six words and more, and they are rare even where they are likeliest.
    """
    words, unknown, likelihood = 0, 0, 0.0
    for score, gap in zip((*scores, (0.0,)), (*breaks, _SENTENCE)):
        if gap == _SENTENCE:
            if (unknown > 1 and 5 * unknown >= words) or (words > 5 and likelihood < _RARE * words):
                return True
            words, unknown, likelihood = 0, 0, 0.0
        top = max(score)
        words += 1
        unknown += top == _NOWHERE
        likelihood += top
    return False


def _best_path(scores: list[tuple[float, ...]], breaks: list[str]) -> list[int]:
    """Viterbi with one cost for any change of state; `breaks[i]` says what stands before item `i`."""
    best = list(scores[0])
    came_from: list[list[int]] = []
    states = range(len(best))
    for score, gap in zip(scores[1:], breaks[1:]):
        top = max(best)
        source = best.index(top)
        floor = top - _SWITCH[gap]
        came = []
        new = []
        for state in states:
            stay = best[state]
            if stay >= floor:
                came.append(state)
                new.append(stay + score[state])
            else:
                came.append(source)
                new.append(floor + score[state])
        came_from.append(came)
        best = new
    state = best.index(max(best))
    path = [state]
    for came in reversed(came_from):
        state = came[state]
        path.append(state)
    path.reverse()
    return path


# What a Han character or a kana says, in nats: (zh, ja). Characters of the Chinese standard that the Japanese one lacks
# are Chinese, and the other way round; the codecs know both standards.
_CHINESE_ONLY = "你们这那吗呢吧啊没很么她它您咱怎哪啦嘛"
_CHINESE_LEANING = "的了是在我就都也和把被让着过给对但而且等于所以因为先再得"


@lru_cache(maxsize=32768)
def _han_scores(letter: str) -> tuple[float, float]:
    if "ぁ" <= letter <= "ヿ" or "ｦ" <= letter <= "ﾟ":
        return (-1.5, 0.0) if letter in "のー" else (-6.0, 0.0)
    if letter in _CHINESE_ONLY:
        return (0.0, -6.0)
    japanese, simplified, traditional = (_encodes(letter, codec) for codec in ("shift_jis", "gb2312", "big5"))
    if not japanese:
        return (0.0, -6.0)
    if not simplified and not traditional:
        return (-6.0, 0.0)
    return (0.0, -1.0) if letter in _CHINESE_LEANING else (0.0, -0.05)


def _encodes(letter: str, codec: str) -> bool:
    try:
        letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def tag_words(text: str, languages: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """
    Split a text into words and name the language of each.

    Args:
        text (`str`):
            Any text; markdown, LaTeX and code within it are left out.
        languages (`Iterable[str]`, *optional*):
            The languages that may occur (ISO 639-1), to choose from where several share a script. A script none of
            whose languages is named keeps all of its own. With one language to a script, such as `("en", "zh")`, no
            word list is loaded. `None`: all of [`LANGUAGES`].

    Returns:
        `list[tuple[str, str]]`: words in their order, each with an ISO 639-1 code, or `"und"` for a word of no known
        language.
    """
    allowed = None if languages is None else frozenset(map(normalize_language, languages))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    tokens = _TOKEN.findall(prose(text))
    tagged: list[tuple[str, str] | None] = [None] * len(tokens)
    runs: dict[str, list[int]] = {}
    for position, token in enumerate(tokens):
        script = _script(token[0])
        if script is None:
            continue
        if script in SHARED_SCRIPTS:
            if len(token) > 1 or script == "Hani" or _is_word(tokens, position):
                runs.setdefault(script, []).append(position)
        elif len(token) > 1 or script not in ("el", "he"):
            tagged[position] = (token, script)
    if "Latn" in runs and len(runs) + any(tagged) > 1:
        runs["Latn"] = [position for position in runs["Latn"] if not _is_name(tokens, position)]
    for script, positions in runs.items():
        candidates = SHARED_SCRIPTS[script]
        if allowed is not None:
            candidates = tuple(x for x in candidates if x in allowed) or candidates
        if script == "Hani":
            for position, language in zip(positions, _tag_han(tokens, positions)):
                tagged[position] = (tokens[position], language)
        elif len(candidates) == 1 or not positions:
            for position in positions:
                tagged[position] = (tokens[position], candidates[0])
        else:
            lexicon = _lexicon(candidates)
            names = (*candidates, UNDETERMINED)
            breaks = _breaks(tokens, positions)
            scores = [lexicon.scores(tokens[position], gap == _SENTENCE) for position, gap in zip(positions, breaks)]
            if script == "Latn" and _looks_romanized(scores, breaks):
                others = [i for i, x in enumerate(_romanized.LANGUAGES) if allowed is None or x in allowed]
                names = (*candidates, *(_romanized.LANGUAGES[i] for i in others), UNDETERMINED)
                rows = (_romanizer().scores(tokens[position]) for position in positions)
                scores = [(*score[:-1], *(row[i] for i in others), score[-1]) for score, row in zip(scores, rows)]
            for position, state in zip(positions, _best_path(scores, breaks)):
                tagged[position] = (tokens[position], names[state])
    return [word for entry in tagged if entry for word in _split(*entry)]


def _split(word: str, language: str) -> list[tuple[str, str]]:
    if language in ("zh", "ja") and _script(word[0]) == "Hani":
        return [(letter, language) for letter in word if letter != "ー"]
    if language in _UNSPACED:
        step = _UNSPACED[language]
        return [(word[start : start + step], language) for start in range(0, len(word), step)]
    return [(word, language)]


def _is_word(tokens: list[str], position: int) -> bool:
    """Tell whether a single letter is a word (`a pear`, `y luego`) and not a variable (`a = 5`, `point A`)."""
    letter = tokens[position]
    before = _kind(tokens[position - 1]) if position else _SENTENCE
    after = _kind(tokens[position + 1]) if position + 1 < len(tokens) else _SENTENCE
    if _FORMULA in (before, after) and not (letter in "aà" and before == _PLAIN):
        return False
    if not letter.isascii():
        return letter not in "xхХ"
    if letter == "I":
        return True
    if letter.isupper():
        return letter in "AEOYÀ" and before == _SENTENCE and after == _PLAIN
    return letter in "aeiouy" and after == _PLAIN and _script(tokens[position + 1][0]) == "Latn"


def _is_name(tokens: list[str], position: int) -> bool:
    """Tell whether a Latin word with a capital stands, alone or with others like it, between words of other scripts."""
    token = tokens[position]
    if not token[0].isupper() or token in _OPENERS:
        return False
    if token.isupper() and any(len(x) > 1 and x.isupper() and x.isalpha() for x in tokens[position + 1 : position + 2]):
        return False  # SHOUTED WORDS
    for step in (-1, 1):
        other = position + step
        while 0 <= other < len(tokens):
            token = tokens[other]
            script = _script(token[0])
            if script == "Latn" and (token[0].islower() or token in _OPENERS):
                return False
            if script not in (None, "Latn") or _kind(token) == _SENTENCE:
                break
            other += step
    return True


def _kind(token: str) -> str:
    if _script(token[0]):
        return _PLAIN
    if token[0] in ".!?;…。！？；؟۔।\n":
        return _SENTENCE
    return _FORMULA if token[0].isdigit() or token[0] in f"=+*/^<>~%&\\×÷≤≥≠≈±→⇒∈∑∫√{GAP}" else _CLAUSE


def _breaks(tokens: list[str], positions: list[int]) -> list[str]:
    """What stands between each token and the one before it: nothing, a comma, a formula, the end of a sentence."""
    breaks = [_SENTENCE]
    for previous, position in itertools.pairwise(positions):
        if position == previous + 1:
            breaks.append(_PLAIN)
            continue
        between = [_kind(token) for token in tokens[previous + 1 : position]]
        breaks.append(_SENTENCE if _SENTENCE in between else _CLAUSE)
    return breaks


def _tag_han(tokens: list[str], positions: list[int]) -> list[str]:
    letters = [_han_scores(letter) for position in positions for letter in tokens[position]]
    if all(japanese <= chinese for chinese, japanese in letters):
        return ["zh"] * len(positions)
    breaks = [
        gap if first else _PLAIN
        for position, gap in zip(positions, _breaks(tokens, positions))
        for first in [True] + [False] * (len(tokens[position]) - 1)
    ]
    path = _best_path(letters, breaks)
    tags, start = [], 0
    for position in positions:
        end = start + len(tokens[position])
        tags.append("ja" if 2 * sum(path[start:end]) >= end - start else "zh")
        start = end
    return tags


def word_counts(text: str, languages: Iterable[str] | None = None) -> dict[str, int]:
    """
    Count the words of a text by language.

    Args:
        text (`str`):
            Any text.
        languages (`Iterable[str]`, *optional*):
            The languages to choose from, as in [`tag_words`].

    Returns:
        `dict[str, int]`: words by ISO 639-1 code (`"und"`: of no known language), most frequent first. Formulas,
        digits, code, URLs and names of variables count for none.
    """
    counts: dict[str, int] = {}
    for _, language in tag_words(text, languages):
        counts[language] = counts.get(language, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def share(text: str, language: str, languages: Iterable[str] | None = None) -> float | None:
    """
    Share of one language's words among the words of a text (arXiv 2501.12948 v2, eq. 7).

    Args:
        text (`str`):
            Any text.
        language (`str`):
            The target language (ISO 639-1; a tag such as `zh-CN` counts as `zh`).
        languages (`Iterable[str]`, *optional*):
            The languages to choose from, as in [`tag_words`].

    Returns:
        `float` in `[0, 1]`, or `None` for a text without words.
    """
    counts = word_counts(text, languages)
    total = sum(counts.values())
    return counts.get(normalize_language(language), 0) / total if total else None


def detect(text: str, languages: Iterable[str] | None = None) -> str | None:
    """Return the language of most words of a text, or `None` where it has no word of a known language."""
    return next((x for x in word_counts(text, languages) if x != UNDETERMINED), None)


def is_mixed(text: str, minimum: float = 0.1, languages: Iterable[str] | None = None) -> bool:
    """
    Tell whether a text mixes languages: at least two of them hold at least `minimum` of its words each.

    Args:
        text (`str`):
            Any text.
        minimum (`float`, *optional*, defaults to `0.1`):
            The share that a language needs in order to count.
        languages (`Iterable[str]`, *optional*):
            The languages to choose from, as in [`tag_words`].
    """
    counts = word_counts(text, languages)
    total = sum(counts.values())
    return sum(count >= minimum * total for count in counts.values()) >= 2
