"""
The words in which the playground reasons, in both languages. Pure.

Each is one token of the tokenizer, with the space or the punctuation that belongs to it: a model of this size should
spend its tokens on steps, not on spaces.
"""

from dataclasses import dataclass


LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Words:
    """
    The words of one language.

    Args:
        steps (`tuple[str, ...]`):
            What begins each step of a sum. Tied to the step, so that the model never has to count.
        tries (`tuple[str, str]`), looks (`tuple[str, str]`):
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

    steps: tuple[str, ...]
    tries: tuple[str, str]
    looks: tuple[str, str]
    wrong: str
    right: str
    guess: str
    end: str
    answer: str
    opening: str

    def all(self) -> list[str]:
        """Return every word."""
        return [
            *self.steps,
            *self.tries,
            *self.looks,
            self.wrong,
            self.right,
            self.guess,
            self.end,
            self.answer,
            self.opening,
        ]


# `retry`, `wrong` and `check`, 重试, 不对 and 检查 are among the words whose growth the paper counts (v2 C.2).
WORDS: dict[str, Words] = {
    "en": Words(
        steps=("first add ", "then add ", "last add "),
        tries=("try ", "retry "),
        looks=("check ", "now check "),
        wrong=", wrong. ",
        right=", right. ",
        guess="i guess ",
        end=". ",
        answer="the answer is ",
        opening="ok. ",
    ),
    "zh": Words(
        steps=("先加", "再加", "最后加"),
        tries=("试", "重试"),
        looks=("检查", "再检查"),
        wrong="，不对。",
        right="，对。",
        guess="我猜",
        end="。",
        answer="答案是",
        opening="好。",
    ),
}
