"""
The problems of the playground: drawn, worded, solved, and split into training and held-out by hash. Pure.

Three domains:

- `sums`: `what is A4+B7+C2+D9?` The operands have labels, because a small model finds "the operand after B" where it
  does not find "the third operand".
- `search`: `which of A4 B7 C2 D9 E12 plus 3 makes a ten?`, with two to twelve candidates. Exactly one fits. Which one is
  not to be seen without trying, a guess is right one time in as many as there are, and a check is reliable: a try, a check
  and another try pay for their tokens, so reflection has something to grow from.
- `choice`: the same question with four candidates, but the answer is the letter.

A problem is held out if the hash of its canonical form says so. Problems that differ only in the order of their numbers
share that form, so that no held-out problem has a permutation in training, and so do the two languages. A split by
residues would not do: with operands held out by their sum modulo ten, exactly the additions that are tested would
never have been seen.
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .words import LANGUAGES, TEXTS


DOMAINS = ("sums", "search", "choice")
LABELS = "ABCDEFGHIJKL"
TERMS = 4  # operands of a sum, candidates of a multiple choice
LEAST_CANDIDATES = 2  # of a search; the most are as many as there are labels
NO_ANSWER = "none"

# Bounds within which every addition of a problem is one of the facts the corpus teaches, often enough to be learned:
# a total that hardly ever occurs is not copied rightly either.
LEAST_TOTAL, MOST_TOTAL = 8, 28
MOST_CANDIDATE = 24
MOST_ADDEND = 9
MOST_AUGEND = MOST_TOTAL - 1

_PROMPTS: dict[str, dict[str, str]] = TEXTS["prompts"]


@dataclass(frozen=True)
class Problem:
    """
    A problem, whatever the language in which it is put.

    Args:
        domain (`str`):
            One of `DOMAINS`.
        numbers (`tuple[int, ...]`):
            The operands of a sum, or the candidates, in the order of their labels.
        addend (`int`, *optional*):
            What is added to each candidate.
    """

    domain: str
    numbers: tuple[int, ...]
    addend: int | None = None

    @property
    def canonical(self) -> str:
        """The name that all permutations of the problem share."""
        return f"{self.domain} {sorted(self.numbers)} {self.addend}"

    @property
    def held_out(self) -> bool:
        """Whether the problem is kept from training."""
        return zlib.crc32(self.canonical.encode()) % 10 == 0

    @property
    def solution(self) -> str:
        """The right answer."""
        if self.domain == "sums":
            return str(sum(self.numbers))
        fitting = self.fitting()
        return self.name(fitting[0]) if fitting else NO_ANSWER

    def fitting(self) -> list[int]:
        """Return the positions of the candidates that fit."""
        return [i for i, number in enumerate(self.numbers) if self.fits(number + (self.addend or 0))]

    def name(self, i: int) -> str:
        """Return the answer that names candidate `i`: its number, or in a multiple choice its letter."""
        return LABELS[i] if self.domain == "choice" else str(self.numbers[i])

    @staticmethod
    def fits(total: int) -> bool:
        """Tell whether a candidate with this total is the one that was asked for."""
        return total % 10 == 0

    def prompt(self, language: str) -> str:
        """Return the question in a language, as a user writes it."""
        labelled = [f"{label}{number}" for label, number in zip(LABELS, self.numbers)]
        return _PROMPTS[self.domain][language].format(
            terms="+".join(labelled), listed=" ".join(labelled), addend=self.addend
        )


def draw_problem(
    domain: str, rng: random.Random, held_out: bool | None = None, solvable: bool = True, least: int = LEAST_CANDIDATES
) -> Problem:
    """
    Draw a problem.

    Args:
        domain (`str`):
            One of `DOMAINS`.
        rng (`random.Random`):
            Source of chance.
        held_out (`bool`, *optional*):
            Which part it must be of. `None`: either.
        solvable (`bool`, *optional*, defaults to `True`):
            Whether one of the candidates fits, or none. Every sum has an answer.
        least (`int`, *optional*, defaults to `2`):
            How many candidates a search has at least.
    """
    while True:
        problem = _draw(domain, rng, solvable, least)
        if problem is not None and held_out in (None, problem.held_out):
            return problem


def _draw(domain: str, rng: random.Random, solvable: bool, least: int) -> Problem | None:
    if domain == "sums":
        problem = Problem(domain, tuple(rng.randint(1, 9) for _ in range(TERMS)))
        return problem if LEAST_TOTAL <= sum(problem.numbers) <= MOST_TOTAL else None
    count = rng.randint(least, len(LABELS)) if domain == "search" else TERMS
    numbers = tuple(rng.sample(range(1, MOST_CANDIDATE + 1), count))
    problem = Problem(domain, numbers, rng.randint(1, MOST_ADDEND))
    return problem if len(problem.fitting()) == int(solvable) else None


def distinct_problems(shares: dict[str, float], rng: random.Random, held_out: bool) -> Iterator[tuple[Problem, str]]:
    """
    Draw problems with the language in which each is put, none twice in the same words, without end.

    Args:
        shares (`dict[str, float]`):
            Share of each domain.
        rng (`random.Random`):
            Source of chance.
        held_out (`bool`):
            Which part they are of.
    """
    seen = set()
    while True:
        (domain,) = rng.choices(list(shares), list(shares.values()))
        problem, language = draw_problem(domain, rng, held_out), rng.choice(LANGUAGES)
        if (problem, language) not in seen:
            seen.add((problem, language))
            yield problem, language
