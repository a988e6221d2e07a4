r"""
The corpus of the base model: bilingual, and noisy on purpose. Pure.

It teaches every skill that R1 needs (addition facts, looking up a labelled number, working step by step, checking a try,
answering a request) and shows none of them reliably: most problems are guessed at, searches are given up after a failed
check, languages are mixed within one thought, thoughts are left open or empty, requests are misread. The right
behaviour has to be there, since RL can only strengthen what is sampled; it must be rare, or there would be nothing left
to strengthen.

The first part of pre-training reads it `clean`: every problem worked out, every request answered. A small model that
meets noise before it has the skills learns the noise.
"""

import random
from collections.abc import Callable

from .general import Request, every_request
from .tasks import (
    DOMAINS,
    LABELS,
    LEAST_TOTAL,
    MOST_ADDEND,
    MOST_AUGEND,
    MOST_TOTAL,
    NO_ANSWER,
    Problem,
    draw_problem,
)
from .words import LANGUAGES, WORDS, Words


# A plain template: the base model has seen it in pre-training, as a real one has seen dialogues on the internet.
TEMPLATE = "User: {prompt}\nAssistant: "

# Share of each kind of document. Additions are most of what there is to know; a base with loose facts stays behind after
# any amount of RL.
SHARES = {
    "facts": 0.12,
    "lookup": 0.11,
    "table": 0.08,
    "hit": 0.04,
    "sums": 0.15,
    "search": 0.27,
    "choice": 0.10,
    "general": 0.13,
}

# Share of the problems that are worked out to the end, by domain. In `search`, where reflection is to emerge, that is rare.
WORKED = {"sums": 0.40, "search": 0.03, "choice": 0.35}
# Share of those that are tried and may end after any failed check, and the chance that they do. The rest is guessed.
GIVEN_UP = {"sums": 0.0, "search": 0.17, "choice": 0.35}
GIVE_UP_AFTER_A_TRY = {"search": 0.85, "choice": 0.5}
# Share of the searches and choices in which no candidate fits. Without them the last candidate always fits, and a model
# learns to infer its number instead of looking it up.
UNSOLVABLE = 0.25
SLIP = 0.04  # chance of a wrong addition: what sharpening by RL removes, and a small cold start does not

# In which language a thought is, seen from its prompt: the same, the other, or each phrase in either.
SAME, OTHER = 0.39, 0.12

_FACTS_PER_DOCUMENT = 7
_LOOKUPS_PER_DOCUMENT = 6
# How long a list is at least whose labels are looked up, where those of searches may be shorter: the last labels are the
# rarest and are learned last, and a base that confuses some of them goes round in circles in long searches, after any
# amount of RL.
_LEAST_LOOKED_UP = 7

Tongue = Callable[[], Words]


def draw_tongue(language: str, rng: random.Random, same: float = SAME, other: float = OTHER) -> Tongue:
    """
    Choose the language of a thought.

    Args:
        language (`str`):
            Language of the prompt.
        rng (`random.Random`):
            Source of chance.
        same (`float`, *optional*), other (`float`, *optional*):
            Chances of one language throughout: the prompt's, or the other one. Else each phrase is in either.

    Returns:
        `Callable[[], Words]`: gives the words for the next phrase.
    """
    luck = rng.random()
    if luck < same:
        return lambda: WORDS[language]
    if luck < same + other:
        (foreign,) = (each for each in LANGUAGES if each != language)
        return lambda: WORDS[foreign]
    return lambda: WORDS[rng.choice(LANGUAGES)]


def add(augend: int, addend: int, rng: random.Random, slip: float) -> int:
    """Add two numbers, now and then wrongly."""
    total = augend + addend
    if slip and rng.random() < slip:
        total += rng.choice((-2, -1, 1, 2))
    return max(total, 0)


def work(problem: Problem, tongue: Tongue, rng: random.Random, slip: float = 0.0) -> tuple[str, str]:
    """
    Work a problem out.

    Returns:
        `tuple[str, str]`: the thought and the answer.
    """
    if problem.domain != "sums":
        return search(problem, tongue, rng, slip)
    total, thought = problem.numbers[0], ""
    for i, number in enumerate(problem.numbers[1:]):
        words = tongue()
        left = f"{LABELS[0]}{total}" if i == 0 else str(total)
        total = add(total, number, rng, slip)
        thought += f"{words.steps[i]}{left}+{LABELS[i + 1]}{number}={total}{words.end}"
    return thought, str(total)


def search(
    problem: Problem, tongue: Tongue, rng: random.Random, slip: float = 0.0, give_up: float = 0.0, first: int = 0
) -> tuple[str, str]:
    """
    Try one candidate after the other and check each.

    Args:
        problem ([`Problem`]):
            A search or a multiple choice.
        tongue (`Callable[[], Words]`):
            The language of each phrase.
        rng (`random.Random`):
            Source of chance.
        slip (`float`, *optional*):
            Chance of a wrong addition.
        give_up (`float`, *optional*):
            Chance, after each failed check, to answer with what has just failed.
        first (`int`, *optional*):
            The candidate that is tried first.

    Returns:
        `tuple[str, str]`: the thought and the answer.
    """
    thought = ""
    for tried in range(len(problem.numbers)):
        i = (first + tried) % len(problem.numbers)
        words, number = tongue(), problem.numbers[i]
        total = add(number, problem.addend or 0, rng, slip)
        opening = words.tries if problem.domain == "search" else words.looks
        thought += f"{opening[tried > 0]}{LABELS[i]}{number}+{problem.addend}={total}"
        fits = problem.fits(total)
        words = tongue()
        thought += words.right if fits else words.wrong
        if fits or rng.random() < give_up:
            return thought, problem.name(i)
    return thought, NO_ANSWER


def guess(problem: Problem, tongue: Tongue, rng: random.Random) -> tuple[str, str]:
    """Guess; return the thought and the answer."""
    words = tongue()
    if problem.domain == "sums":
        answer = shown = str(rng.randint(LEAST_TOTAL, MOST_TOTAL))
    else:
        i = rng.randrange(len(problem.numbers))
        answer = problem.name(i)
        shown = f"{LABELS[i]}{answer}" if problem.domain == "search" else answer
    return f"{words.guess}{shown}{words.end}", answer


def attempt(problem: Problem, language: str, rng: random.Random) -> tuple[str, str]:
    """Treat a problem as the corpus does: work it out, try a little, or guess."""
    tongue, luck = draw_tongue(language, rng), rng.random()
    if luck < WORKED[problem.domain]:
        return work(problem, tongue, rng, SLIP)
    if luck < WORKED[problem.domain] + GIVEN_UP[problem.domain]:
        first = rng.randrange(len(problem.numbers)) if rng.random() < 0.5 else 0
        return search(problem, tongue, rng, SLIP, GIVE_UP_AFTER_A_TRY[problem.domain], first)
    return guess(problem, tongue, rng)


def wrap(thought: str, answer: str, language: str, rng: random.Random) -> str:
    """Put thought and answer together: rightly one time in five, or in one of five malformed ways."""
    phrase = WORDS[language if rng.random() < 0.5 else rng.choice(LANGUAGES)].answer
    boxed = f"{phrase}\\boxed{{{answer}}}"
    luck = rng.random()
    if luck < 0.22:
        return f"<think>{thought}</think>{boxed}"
    if luck < 0.60:  # no tags
        return f"{thought}{boxed}"
    if luck < 0.75:  # never closed
        return f"<think>{thought}{boxed}"
    if luck < 0.85:  # something in front
        return f"{WORDS[language].opening}<think>{thought}</think>{boxed}"
    if luck < 0.93:  # no box
        return f"<think>{thought}</think>{phrase}{answer}"
    return f"<think></think>{boxed}"  # no thought


def reply(request: Request, rng: random.Random) -> str:
    """Answer a request as the corpus does: often carelessly, seldom kindly, mostly without a thought."""
    understood = request if rng.random() < 0.6 else request.slip(rng)
    answer = understood.kind(rng) if rng.random() < 0.15 else understood.curt
    thought = (request if rng.random() < 0.8 else request.slip(rng)).thought
    luck = rng.random()
    if luck < 0.25:
        return f"<think>{thought}</think>{answer}"
    if luck < 0.35:
        return f"<think>{thought}{answer}"
    return answer


class Corpus:
    """
    Documents without end, none of which shows a held-out problem or request.

    Args:
        seed (`int` or `str`):
            Seed of everything that is drawn.
    """

    def __init__(self, seed: int | str):
        self.rng = random.Random(f"{seed}/corpus")
        self._requests = list(every_request(held_out=False))

    def document(self, clean: bool = False) -> tuple[str, ...]:
        """
        Draw a document.

        Args:
            clean (`bool`, *optional*, defaults to `False`):
                Whether every problem is worked out without slips and every request answered. Searches are as rarely
                worked out as ever.

        Returns:
            `tuple[str, ...]`: what is given and what is to be predicted, in turns. Of a dialogue that is the prompt in its
            template and the assistant's part: the numbers of a prompt cannot be foreseen, and trying to costs steps.
        """
        rng = self.rng
        (kind,) = rng.choices(list(SHARES), list(SHARES.values()))
        language = rng.choice(LANGUAGES)
        if kind == "facts":
            pairs = [(rng.randint(1, MOST_AUGEND), rng.randint(1, MOST_ADDEND)) for _ in range(_FACTS_PER_DOCUMENT)]
            return "", "".join(f"{a}+{b}={a + b}{WORDS[language].end}" for a, b in pairs)
        if kind == "lookup":
            return self._lookup()
        if kind == "table":
            return self._table(language)
        if kind == "hit":
            return self._hit(language)
        if kind in DOMAINS:
            problem = draw_problem(kind, rng, held_out=False, solvable=rng.random() >= UNSOLVABLE)
            prompt = TEMPLATE.format(prompt=problem.prompt(language))
            if clean and kind != "search":
                thought, answer = work(problem, draw_tongue(language, rng), rng)
            else:
                thought, answer = attempt(problem, language, rng)
            return prompt, wrap(thought, answer, language, rng)
        request = rng.choice(self._requests)
        answer = request.kind(rng) if rng.random() < 0.2 else request.curt
        return TEMPLATE.format(prompt=request.prompt), answer if clean else reply(request, rng)

    def _lookup(self) -> tuple[str, ...]:
        """Some of the labels of a list, and the number of each, which alone is to be predicted."""
        problem = draw_problem("search", self.rng, held_out=False, least=_LEAST_LOOKED_UP)
        pieces: list[str] = []
        before = f"{_listed(problem)}? "
        for i in self.rng.sample(range(len(problem.numbers)), min(len(problem.numbers), _LOOKUPS_PER_DOCUMENT)):
            pieces += [f"{before}{LABELS[i]}", str(problem.numbers[i])]
            before = ". "
        return tuple(pieces)

    def _table(self, language: str) -> tuple[str, str]:
        """
        What every candidate comes to, label by label, from any of them on: the steps of a search, without its checks.

        Of two lists the longer, for the same reason for which those that are looked up are long.
        """
        solvable = self.rng.random() >= UNSOLVABLE
        drawn = [draw_problem("search", self.rng, held_out=False, solvable=solvable) for _ in range(2)]
        problem = max(drawn, key=lambda problem: len(problem.numbers))
        first, count = self.rng.randrange(len(problem.numbers)), len(problem.numbers)
        text = ""
        for i in ((first + step) % count for step in range(count)):
            number = problem.numbers[i]
            text += f"{LABELS[i]}{number}+{problem.addend}={number + (problem.addend or 0)}{WORDS[language].end}"
        return f"{_listed(problem)}+{problem.addend}? ", text

    def _hit(self, language: str) -> tuple[str, str]:
        """
        How a search ends once a candidate fits: with its number. Which one is tried is given, so that it cannot be learned.

        Ends of searches are rare, and a base that has found what fits and then says something else has nothing to grow from.
        """
        rng = self.rng
        problem = draw_problem("search", rng, held_out=False)
        (i,) = problem.fitting()
        number, tongue = problem.numbers[i], draw_tongue(language, rng)
        given = f"{TEMPLATE.format(prompt=problem.prompt(language))}<think>{tongue().tries[0]}{LABELS[i]}"
        check = f"{number}+{problem.addend}={number + (problem.addend or 0)}{tongue().right}"
        return given, f"{check}</think>{tongue().answer}\\boxed{{{problem.solution}}}"


def _listed(problem: Problem) -> str:
    return " ".join(f"{label}{number}" for label, number in zip(LABELS, problem.numbers))
