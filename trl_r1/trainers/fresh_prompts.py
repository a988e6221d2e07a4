"""
Prompts beside those that TRL's sampler brings: an endless seeded order of the data set, with its place in the checkpoint.

TRL's data loader fetches ahead and, on resumption, skips what was seen, so an order that depends on what the policy can
do cannot live in its sampler. What [`DynamicSampling`] and [`PromptCurriculum`] want beside the loader's prompts, they
therefore draw from here, at the moment they need it: what is drawn depends on the seed, on the place in the stream and
on their own saved state alone, and is the same on every rank.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset

from ..errors import ConfigError
from .rollouts import row_id


class PromptStream:
    """
    An endless order of a data set's rows: one permutation after another, each by the seed and its number.

    Args:
        n_rows (`int`):
            Rows of the data set.
        seed (`int`):
            Seed of the order.
    """

    def __init__(self, n_rows: int, seed: int):
        self.n_rows = n_rows
        self.seed = seed
        self.position = 0
        self._number = -1
        self._permutation: list[int] = []

    def next(self) -> int:
        """Return the next row's index and move on."""
        number, place = divmod(self.position, self.n_rows)
        if number != self._number:
            # A text as the seed: near numbers give unrelated orders, none of them TRL's.
            generator = torch.Generator().manual_seed(random.Random(f"prompts/{self.seed}/{number}").getrandbits(63))
            self._permutation = torch.randperm(self.n_rows, generator=generator).tolist()
            self._number = number
        self.position += 1
        return self._permutation[place]


class FreshPrompts:
    """The stream in a GRPO trainer. To stand before the trainer and [`~resume.ExactResume`] in a list of bases."""

    _stream: PromptStream | None = None

    def _open_stream(self, switch: str) -> None:
        """
        Make the stream ready.

        Args:
            switch (`str`):
                The switch that needs it, for messages.

        Raises:
            [`~errors.ConfigError`]: if the data cannot be drawn from.
        """
        if not isinstance(self.train_dataset, Dataset):
            raise ConfigError(
                "it draws prompts by their number, which a streamed data set does not have; expected one that is not "
                "streamed",
                key=switch,
            )
        if not self.shuffle_dataset:
            raise ConfigError(
                "the data are in the order of training (`shuffle_dataset` is off, as it is where a source has a "
                "`share` or a `from_step`), and prompts drawn at random would break it",
                key=switch,
            )
        if self._stream is None:
            self._stream = PromptStream(len(self.train_dataset), self.args.seed)

    def _ids_of_groups(self, inputs: Sequence[Mapping[str, Any]]) -> list[str]:
        """The prompt ids of the groups of all ranks, in the order of their gathered rewards."""
        return gather_object([row_id(row) for row in inputs])[:: self.num_generations]

    def _fresh_rows(self, n: int, taken: set[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """
        Draw rows, the same ones on every rank.

        Args:
            n (`int`):
                How many.
            taken (`set[str]`):
                Prompt ids that are in this generation already; those drawn are added. They come again only where the
                data set has no others.
            columns (`Sequence[str]`):
                The columns that the loader's rows have.
        """
        rows: list[dict[str, Any]] = []
        passed = 0
        while len(rows) < n:
            position = self._stream.position
            row = self.train_dataset[self._stream.next()]
            name = row_id(row)
            if passed < self._stream.n_rows and (name in taken or not self._is_offered(name, str(position))):
                passed += 1
                continue
            passed = 0
            taken.add(name)
            rows.append({column: row[column] for column in columns if column in row})
        return rows

    def _is_offered(self, name: str, occasion: str) -> bool:
        """Whether a prompt is offered, on an occasion that comes once in a run."""
        return True

    def _rank_state(self) -> dict[str, Any]:
        state = super()._rank_state()
        if self._stream is not None:
            state["prompts_drawn"] = self._stream.position
        return state

    def _load_rank_state(self, state: dict[str, Any]) -> None:
        super()._load_rank_state(state)
        if self._stream is not None:
            self._stream.position = state.get("prompts_drawn", 0)
