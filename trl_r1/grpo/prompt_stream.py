"""
Prompts beside those that TRL's sampler brings: an endless seeded order of the data set, with its position in the
checkpoint.

TRL's data loader fetches ahead and, on resumption, skips what was seen, so an order that depends on what the policy can
do cannot live in its sampler. What dynamic sampling and the curriculum want beside the loader's prompts, they therefore
draw from here, at the moment they need it: what is drawn depends on the seed, on the position and on their own saved
state alone, and is the same on every rank.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset

from ..errors import ConfigError


class PromptStream:
    """
    An endless order of a data set's rows: one permutation after another, each by the seed and its number.

    Args:
        rows (`Sequence[dict[str, Any]]`):
            The data set.
        seed (`int`):
            Seed of the order.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], seed: int):
        self.rows = rows
        self.seed = seed
        self.position = 0
        self._number = -1
        self._permutation: list[int] = []

    def next(self) -> int:
        """Return the next row's index and move on."""
        number, place = divmod(self.position, len(self.rows))
        if number != self._number:
            # A text as the seed: near numbers give unrelated orders, none of them TRL's.
            generator = torch.Generator().manual_seed(random.Random(f"prompts/{self.seed}/{number}").getrandbits(63))
            self._permutation = torch.randperm(len(self.rows), generator=generator).tolist()
            self._number = number
        self.position += 1
        return self._permutation[place]

    def draw(
        self,
        n: int,
        taken: set[str],
        identity: Callable[[dict[str, Any]], str],
        is_offered: Callable[[str, str], bool] = lambda name, occasion: True,
    ) -> list[dict[str, Any]]:
        """
        Draw rows.

        Args:
            n (`int`):
                How many.
            taken (`set[str]`):
                Prompts that are in this generation already; those drawn are added. They come again only where the data
                set has no others.
            identity (`Callable`):
                Returns the identity of a row's prompt.
            is_offered (`Callable`, *optional*):
                Whether a prompt is offered, on an occasion that comes once in a run. By default it always is.
        """
        rows: list[dict[str, Any]] = []
        passed = 0
        while len(rows) < n:
            occasion = str(self.position)
            row = self.rows[self.next()]
            name = identity(row)
            if passed < len(self.rows) and (name in taken or not is_offered(name, occasion)):
                passed += 1
                continue
            passed = 0
            taken.add(name)
            rows.append(row)
        return rows


def check_prompt_stream(rows: Any, shuffled: bool, switch: str) -> None:
    """
    Refuse data that prompts cannot be drawn from.

    Args:
        rows (`Any`):
            The data set.
        shuffled (`bool`):
            Whether it is trained on in no order of its own.
        switch (`str`):
            What needs the prompts, for the message.

    Raises:
        [`~errors.ConfigError`]: with the reason.
    """
    if not isinstance(rows, Dataset):
        raise ConfigError(
            "it draws prompts by their number, which a streamed data set does not have; expected one that is not "
            "streamed",
            key=switch,
        )
    if not shuffled:
        raise ConfigError(
            "the data are in the order of training (`shuffle_dataset` is off, as it is where a source has a `share` or "
            "a `from_step`), and prompts drawn at random would break it",
            key=switch,
        )
