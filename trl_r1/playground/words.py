"""
The words of the playground, in both languages: all of `words.yaml`, and those in which it reasons as [`Words`]. Torch-free.

Each is one token of the tokenizer, with the space or the punctuation that belongs to it: a model of this size should
spend its tokens on steps, not on spaces.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Words:
    """
    The words of one language.

    Args:
        steps (`list[str]`):
            What begins each step of a sum. Tied to the step, so that the model never has to count.
        tries (`list[str]`), looks (`list[str]`):
            What begins the first try, and each further one: of a search, and of a multiple choice.
        wrong (`str`), right (`str`):
            The verdict on a try.
        guess (`str`):
            What begins a guess.
        end (`str`):
            End of a sentence.
        answer (`str`):
            What precedes the answer.
        opening (`str`):
            A remark in front of everything, which makes a completion malformed.
    """

    steps: list[str]
    tries: list[str]
    looks: list[str]
    wrong: str
    right: str
    guess: str
    end: str
    answer: str
    opening: str

    def all(self) -> list[str]:
        """Return every word, in the order of the fields."""
        return [word for value in vars(self).values() for word in ([value] if isinstance(value, str) else value)]


TEXTS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))
WORDS = {language: Words(**words) for language, words in TEXTS["thoughts"].items()}
