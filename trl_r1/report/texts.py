"""Completions as the page shows them: cut into thought, answer and tags, with the words of reflection marked."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..text import find_reflection_words


HEAD, TAIL = 2400, 800


@dataclass(frozen=True)
class Piece:
    """
    A piece of a completion.

    Args:
        kind (`str`):
            `"thought"`, `"answer"` or `"tag"`.
        runs (`tuple[tuple[str, bool], ...]`):
            Its text in order, and whether it is a word of reflection.
    """

    kind: str
    runs: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.runs)


def pieces_of(completion: str, shorten: bool = True) -> tuple[Piece, ...]:
    """
    Cut a completion into thought, answer and the tags between them, malformed ones too: joined, they are the whole.

    A text before a `</think>` that nothing opened is a thought (the template opened it); what follows a `<think>` that
    nothing closes is one as well.

    Args:
        completion (`str`):
            What a model wrote.
        shorten (`bool`, *optional*, defaults to `True`):
            Whether the middle of very long pieces is left out.
    """
    return tuple(Piece(kind, tuple(_marked(_shorten(text) if shorten else text))) for kind, text in _parts(completion))


def _parts(completion: str) -> Iterable[tuple[str, str]]:
    parts = re.split(r"(</?think>)", completion)
    inside = re.match(r"(?s)(?:(?!<think>).)*?</think>", completion) is not None
    for part in parts:
        if part in ("<think>", "</think>"):
            yield "tag", part
            inside = part == "<think>"
        elif part:
            yield "thought" if inside else "answer", part


def _marked(text: str) -> Iterator[tuple[str, bool]]:
    at = 0
    for start, end in find_reflection_words(text):
        if start > at:
            yield text[at:start], False
        if start >= at:
            yield text[start:end], True
            at = end
    if at < len(text):
        yield text[at:], False


def _shorten(text: str) -> str:
    if len(text) <= HEAD + TAIL + 200:
        return text
    return f"{text[:HEAD]}\n[… {len(text) - HEAD - TAIL:,} characters left out …]\n{text[-TAIL:]}"
