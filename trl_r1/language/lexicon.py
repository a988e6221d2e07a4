"""
Word lists, and the most probable sequence of languages under them.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from .scripts import CLAUSE, PLAIN, SENTENCE


# Natural logarithms. Tuned on texts of their own, which the benchmark does not contain.
SWITCH = {PLAIN: 7.5, CLAUSE: 6.0, SENTENCE: 4.5}
_UNSEEN = -16.5  # a word that the language's list lacks; the rarest listed word has -13.8
_FOREIGN_LETTER = -4.0
NOWHERE = -14.5  # a word of no known language
RARE = -8.8  # a sentence whose words are this improbable on average deserves a second look
_FIRST_STATE = 2.0
_NAME_WEIGHT = 0.4  # a name says less about the language around it than another word does

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


class Lexicon:
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
        return (*scores, NOWHERE)


@lru_cache(maxsize=8)
def lexicon_of(languages: tuple[str, ...]) -> Lexicon:
    return Lexicon(languages)


def best_path(scores: Sequence[tuple[float, ...]], breaks: list[str]) -> list[int]:
    """
    Viterbi with one cost for any change of state; `breaks[i]` says what stands before item `i`. The first state is
    likelier at the start: without it, a lone `No` or `OK` would be anybody's.
    """
    if (state := _only_state(scores, breaks)) is not None:
        return [state] * len(scores)
    best = list(scores[0])
    best[0] += _FIRST_STATE
    steps: list[tuple[list[float], float]] = []  # before each item but the first: the scores, and what a change leaves
    for score, gap in zip(scores[1:], breaks[1:]):
        floor = max(best) - SWITCH[gap]
        steps.append((best, floor))
        best = [(stay if stay >= floor else floor) + new for stay, new in zip(best, score)]
    state = best.index(max(best))
    path = [state]
    for before, floor in reversed(steps):
        if before[state] < floor:
            state = before.index(max(before))
        path.append(state)
    path.reverse()
    return path


_SURE = 1e-6  # nats, far above what rounding does to sums
_SAMPLE = 25  # items by which the likeliest state is guessed


def _only_state(scores: Sequence[tuple[float, ...]], breaks: list[str]) -> int | None:
    """
    Return the state that the best path never leaves, or `None` where it may.

    Most texts are in one language. To see that no path beats the one that stays in a state, all other states are taken for
    one, in which each item has the best of their scores and among which changing costs nothing: if no stretch spent there
    gains more than the changes at its ends cost, no path does.
    """
    sums = [sum(column) for column in zip(*scores[:_SAMPLE])]
    sums[0] += _FIRST_STATE
    state = sums.index(max(sums))
    gains = _gains(state)
    gain = 0.0  # of the others over the state, up to here
    least = -_FIRST_STATE if state else _FIRST_STATE  # the same where a stretch could best begin, with its change
    for score, gap in zip(scores, breaks):
        cost = SWITCH[gap]
        if gain - cost > least - _SURE:
            return None
        if gain + cost < least:
            least = gain + cost
        gain += gains[score]
    return state if gain < least - _SURE else None


class _Gains(dict[tuple[float, ...], float]):
    """What the best of the other states has over one, by the scores of an item."""

    def __init__(self, state: int):
        self._state = state

    def __missing__(self, score: tuple[float, ...]) -> float:
        if len(self) > 200_000:
            self.clear()
        others = score[: self._state] + score[self._state + 1 :]
        self[score] = gain = max(others) - score[self._state]
        return gain


@lru_cache(maxsize=32)
def _gains(state: int) -> _Gains:
    return _Gains(state)
