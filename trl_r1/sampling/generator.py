"""What every backend of sampling gives, and is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Sample:
    """
    One completion.

    Args:
        text (`str`):
            The completion, with what the prompt had begun for it (`<think>`).
        finish_reason (`str`):
            `"stop"` or `"length"`.
        n_tokens (`int`):
            Its length, the end-of-sequence token included.
    """

    text: str
    finish_reason: str
    n_tokens: int


class Generator(Protocol):
    """What a backend offers: completions of questions, the same ones for the same seed."""

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """Return up to `n` completions of each question. Fewer: the backend could not complete it, and said so."""
        ...
