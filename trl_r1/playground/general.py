"""
General prompts: requests of courtesy, with a rule for what a good answer is, and pairs for a preference model. Pure.

A request is an act (greet, thank, apologise, ask, praise) with a name and mostly an item, in one of two languages: about
twelve hundred of them, of which a quarter are held out by hash. An answer can be of three qualities: not what was asked
(another name, item, act or language), what was asked but curt, and what was asked with a kind word. The rule plays the
part of the people whose preferences a reward model learns, and judges every model in the end.

The base model's answers are often wrong and seldom kind. Among the rejected of the pairs are answers that are kind but
wrong, and answers that pile kind words up: a preference model that never saw the former pays for kind words alone, one
that never saw the latter pays for each of them, and RL found out both.
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .words import LANGUAGES, TEXTS


NAMES: dict[str, list[str]] = TEXTS["names"]
ITEMS: dict[str, list[str]] = TEXTS["items"]
# By language and act: the request, the thought it deserves, the curt answer.
ACTS: dict[str, dict[str, list[str]]] = TEXTS["acts"]
KIND_WORDS: dict[str, list[str]] = TEXTS["kind_words"]
WRONG, CURT, KIND = 0.0, 0.5, 1.0


@dataclass(frozen=True)
class Request:
    """
    A general prompt.

    Args:
        language (`str`):
            Language of the request, and of a right answer.
        act (`str`):
            What is to be said.
        name (`str`):
            To whom.
        item (`str`, *optional*):
            About what. A greeting has none.
    """

    language: str
    act: str
    name: str
    item: str | None = None

    def _say(self, which: int) -> str:
        return ACTS[self.language][self.act][which].format(name=self.name, item=self.item)

    @property
    def prompt(self) -> str:
        """The request, as a user writes it."""
        return self._say(0)

    @property
    def thought(self) -> str:
        """What to think before the answer."""
        return self._say(1)

    @property
    def curt(self) -> str:
        """An answer that is right and no more."""
        return self._say(2)

    @property
    def simple(self) -> bool:
        """Whether it needs no thought: the paper gives simple queries such as "hello" none."""
        return self.act == "greet"

    @property
    def held_out(self) -> bool:
        """Whether the request is kept from training."""
        return zlib.crc32(self.prompt.encode()) % 4 == 0

    def kind(self, rng: random.Random) -> str:
        """Return an answer that is right and kind."""
        return self.curt + rng.choice(KIND_WORDS[self.language])

    def gushing(self, rng: random.Random) -> str:
        """Return an answer that piles up kind words, of either language. Once is kind; more is wrong."""
        more = [rng.choice(KIND_WORDS[rng.choice(LANGUAGES)]).strip() for _ in range(rng.randint(1, 3))]
        return self.kind(rng) + "".join(more)

    def slip(self, rng: random.Random) -> "Request":
        """Return the request that a careless reader would answer: another name, item, act or language."""
        changes = ["name", "act", "language"] + (["item"] if self.item else [])
        change = rng.choice(changes)
        if change == "language":
            (other,) = (language for language in LANGUAGES if language != self.language)
            item = rng.choice(ITEMS[other]) if self.item else None
            return Request(other, self.act, rng.choice(NAMES[other]), item)
        if change == "name":
            return replace(self, name=rng.choice([n for n in NAMES[self.language] if n != self.name]))
        if change == "item":
            return replace(self, item=rng.choice([i for i in ITEMS[self.language] if i != self.item]))
        act = rng.choice([act for act in ACTS[self.language] if act != self.act])
        return replace(self, act=act, item=self.item or rng.choice(ITEMS[self.language]))


def every_request(held_out: bool | None = None) -> Iterator[Request]:
    """
    Go through all requests, in a fixed order.

    Args:
        held_out (`bool`, *optional*):
            Only those of this part. `None`: of both.
    """
    for language in LANGUAGES:
        for act, (prompt, _, _) in ACTS[language].items():
            for name in NAMES[language]:
                for item in ITEMS[language] if "{item}" in prompt else (None,):
                    request = Request(language, act, name, item)
                    if held_out in (None, request.held_out):
                        yield request


def quality(request: Request, answer: str) -> float:
    """
    Judge an answer.

    Args:
        request ([`Request`]):
            What was asked.
        answer (`str`):
            What was said, without the thought.

    Returns:
        `float`: `WRONG`, `CURT` or `KIND`. Kind words do not make up for a wrong answer.
    """
    body = answer.strip()
    for words in KIND_WORDS[request.language]:
        if body.endswith(words.strip()):
            return KIND if body[: -len(words.strip())].strip() == request.curt else WRONG
    return CURT if body == request.curt else WRONG


def draw_pair(request: Request, rng: random.Random) -> tuple[str, str]:
    """
    Draw two answers to a request: a better and a worse one.

    Returns:
        `tuple[str, str]`: chosen and rejected. A right answer is preferred to a wrong one, however kind.
    """
    wrong = request.slip(rng)
    kind = rng.random()
    if kind < 0.25:
        return request.kind(rng), request.curt
    if kind < 0.50:
        return request.curt, wrong.kind(rng)
    if kind < 0.70:
        return request.kind(rng), wrong.kind(rng)
    if kind < 0.80:
        return request.curt, wrong.curt
    return request.kind(rng) if rng.random() < 0.5 else request.curt, request.gushing(rng)
