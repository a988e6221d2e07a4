"""
Keeping training data clear of the prompts that an evaluation asks (paper, v2 D.1: a 10-gram filter). Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from ..errors import expect
from .words import normalized, runs_of, words_of


# What prompts of many data sets have in common without being the same problem: what they ask for an answer's form.
BOILERPLATE = (
    "Let's think step by step and output the final answer within \\boxed{}.",
    "Please reason step by step, and put your final answer within \\boxed{}.",
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer "
    "(without quotes) where $Answer is the answer to the problem.",
    'Remember to put your answer on its own line after "Answer:".',
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.",
    "You will be given a question (problem specification) and will generate a correct Python program that matches the "
    "specification and passes all tests.",
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs).",
    "where $m$ and $n$ are relatively prime positive integers. Find $m+n$.",
    "where $p$ and $q$ are relatively prime positive integers. Find $p+q$.",
    "where $a$ and $b$ are relatively prime positive integers. Find $a+b$.",
    "请逐步推理，并将最终答案放在 \\boxed{} 中。",
    "请通过逐步推理来解答问题，并把最终答案放置于 \\boxed{} 中。",
)
_EXAMPLES = 5  # prompts of each set that a report quotes


@dataclass(frozen=True)
class Overlap:
    """
    What a prompt shares with a set of held-out prompts.

    Args:
        name (`str`):
            The set's name.
        share (`float`):
            Share of the prompt's runs of words that occur in the set.
        words (`str`):
            The shared words, as the filter reads them; where they do not follow each other, ` ... ` is between them.
    """

    name: str
    share: float
    words: str


class HeldOut:
    """
    The prompts of evaluations.

    Args:
        prompts (`Iterable[str]` or `Mapping[str, Iterable[str]]`):
            Held-out prompts, or those of each evaluation by its name.
        n (`int`, *optional*, defaults to `10`):
            Length of a run of words that counts as contamination. Words are compared in lower case and without
            punctuation; operators count as words, and so do single Han characters. A prompt of fewer words is found by
            equality only.
        min_share (`float`, *optional*, defaults to `0.0`):
            Least share of a prompt's runs that must occur in a set. By default a single one is enough, as in the paper.
        boilerplate (`Sequence[str]`, *optional*, defaults to `BOILERPLATE`):
            Sentences that do not count, wherever they stand: what data sets write around every problem.

    Raises:
        [`~errors.ConfigError`]: if `n` or `min_share` is out of its range.
    """

    def __init__(
        self,
        prompts: Iterable[str] | Mapping[str, Iterable[str]],
        n: int = 10,
        min_share: float = 0.0,
        boilerplate: Sequence[str] = BOILERPLATE,
    ):
        self.n, self.min_share = n, min_share
        expect(self, "n", n >= 1, "a whole number above 0")
        expect(self, "min_share", 0 <= min_share <= 1, "a share between 0 and 1")
        # Longest first: a sentence that holds a shorter one is taken out as a whole.
        self._boilerplate = sorted({_joined(_words(text)) for text in boilerplate} - {""}, key=len, reverse=True)
        sets = prompts if isinstance(prompts, Mapping) else {"held_out": prompts}
        self._runs = {
            name: np.unique(np.concatenate([np.empty(0, np.uint64), *map(self._runs_in, texts)]))
            for name, texts in sets.items()
        }

    def overlaps(self, text: str) -> bool:
        """Tell whether a text shares a run of `n` words with a held-out prompt, or is one."""
        return bool(self.matches(text))

    def matches(self, text: str) -> list[Overlap]:
        """Return what a text shares with each set with which it shares enough."""
        words = self._words(text)
        runs = runs_of(words, self.n)
        found = []
        for name, held in self._runs.items():
            # Sorted once, so that a prompt costs no more than its own runs.
            place = np.minimum(np.searchsorted(held, runs), len(held) - 1)
            where = np.flatnonzero(held[place] == runs) if len(held) else ()
            if len(where) and len(where) / len(runs) >= self.min_share:
                found.append(Overlap(name, len(where) / len(runs), _told(words, where, self.n)))
        return found

    @property
    def key(self) -> str:
        """What its answers depend on, as a digest."""
        digest = blake2b(f"{self.n} {self.min_share} {self._boilerplate}".encode(), digest_size=16)
        for name, held in self._runs.items():
            digest.update(name.encode() + b"\0" + held.tobytes())
        return digest.hexdigest()

    def _words(self, text: str) -> list[str]:
        words = _words(text)
        joined = _joined(words)
        for sentence in self._boilerplate:
            if sentence in joined:
                joined = joined.replace(sentence, "")
        return joined.split()

    def _runs_in(self, text: str) -> Any:
        return runs_of(self._words(text), self.n)


def _words(text: str) -> list[str]:
    return words_of(normalized(text))


def _joined(words: Sequence[str]) -> str:
    # Each word has both its blanks, so that a sentence is found between whole words, and next to itself.
    return "".join(f" {word} " for word in words)


def _told(words: Sequence[str], where: Any, n: int) -> str:
    pieces: list[list[int]] = []
    for start in map(int, where):
        end = min(start + n, len(words))
        if pieces and start <= pieces[-1][1]:
            pieces[-1][1] = end
        else:
            pieces.append([start, end])
    return " ... ".join(" ".join(words[start:end]) for start, end in pieces)


def contaminated(prompts: Mapping[str, str], held_out: HeldOut) -> tuple[set[str], dict[str, Any]]:
    """
    Find the prompts that share too much with held-out ones.

    Args:
        prompts (`Mapping[str, str]`):
            Prompts by their id.
        held_out ([`HeldOut`]):
            Those of evaluations.

    Returns:
        `tuple[set[str], dict[str, Any]]`: their ids, and what a report says of them: how many there are, in all and by
        set, and of each set a few with the words that they share.
    """
    ids: set[str] = set()
    by_set: dict[str, dict[str, Any]] = {}
    for prompt_id, prompt in prompts.items():
        for match in held_out.matches(prompt):
            ids.add(prompt_id)
            told = by_set.setdefault(match.name, {"prompts": 0, "examples": []})
            told["prompts"] += 1
            if len(told["examples"]) < _EXAMPLES:
                example = {"prompt_id": prompt_id, "share": round(match.share, 4), "words": match.words[:300]}
                told["examples"].append(example)
    return ids, {"prompts": len(prompts), "contaminated": len(ids), "by_set": by_set}
