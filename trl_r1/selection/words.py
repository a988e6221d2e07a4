"""
What selection compares texts by: words, and runs of them as numbers. Pure.

A run of `n` words is one 64-bit number, the same in every process and on every machine, so that a million texts can be
compared by columns of numbers. Two different runs share a number once in 10^19.
"""

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray


_HAN = "぀-ヿ㐀-䶿一-鿿"
_WORD = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+|[=+\-*/^<>%×÷]")
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing
_MOST_KNOWN = 500_000  # words whose numbers are remembered


def words_of(text: str) -> list[str]:
    """Return the words of a text: words, numbers, operators and single Han characters; punctuation is left out."""
    return _WORD.findall(text)


def normalized(text: str) -> str:
    """Return a text without what makes equal texts look different: case, white space, form of characters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def number_of(text: str) -> int:
    """Return a number of 64 bits that is the text's own, the same everywhere."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class _Numbers(dict[str, int]):
    def __missing__(self, word: str) -> int:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[word] = number = number_of(word)
        return number


_numbers = _Numbers()


def runs_of(words: Sequence[str], n: int) -> "NDArray[np.uint64]":
    """
    Number the runs of `n` words of a text.

    Args:
        words (`Sequence[str]`):
            The words.
        n (`int`):
            Length of a run. Fewer words than that are one run, no words none.

    Returns:
        `NDArray[np.uint64]` of shape `(max(len(words) - n, 0) + 1,)`: the runs in their order.
    """
    numbers = np.fromiter(map(_numbers.__getitem__, words), np.uint64, len(words))
    count, length = max(len(words) - n, 0) + 1, min(n, len(words))
    if not length:
        return numbers
    found = numbers[:count].copy()
    for k in range(1, length):
        found *= FACTOR
        found += numbers[k : k + count]
    return found


def repetition(text: str, n: int = 10) -> float:
    """
    Share of a text's words that only repeat: those that end a run of `n` words which occurred before.

    Args:
        text (`str`):
            Any text. Words, numbers, operators and single Han characters count; punctuation does not.
        n (`int`, *optional*, defaults to `10`):
            Length of a run, in words.

    Returns:
        `float` in `[0, 1)`: 0.0 for a text of no more than `n` words.
    """
    words = words_of(text)
    total = len(words) - n + 1
    if total < 2:
        return 0.0
    return (total - len(np.unique(runs_of(words, n)))) / len(words)


def has_line_longer_than(text: str, words: int) -> bool:
    """Tell whether a line of a text has more words than so many."""
    # A word has a letter at least, so that most lines need no count.
    return any(len(line) > words and len(words_of(line)) > words for line in text.splitlines())
