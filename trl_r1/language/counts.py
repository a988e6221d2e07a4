"""
What is counted from the words of a text: words by language, the share of one, the language of most, whether it mixes.
"""

from collections.abc import Iterable

from .scripts import UNDETERMINED, normalize_language
from .words import tag_words


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
    Tell whether a text mixes languages: at least two of them hold at least `minimum` of its words each. Words of no
    known language are no language, but count among the words.

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
    return sum(x != UNDETERMINED and count >= minimum * total for x, count in counts.items()) >= 2
