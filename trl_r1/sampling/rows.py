"""
The rows of a job by their prompts ([`~sampling.units.identity`]), of which no more is in memory than is worked on.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .key import digest
from .units import identity


logger = logging.getLogger(__name__)

CANONICAL = ("prompt_id", "prompt", "solution", "domain", "language")


class Rows:
    """
    Prompt rows.

    Args:
        rows (`datasets.Dataset` or `Iterable[Mapping[str, Any]]`):
            As [`~data.load_prompts`] gives them. Of rows with one prompt the first counts.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        given: Any = rows
        self._dataset: Any = given if hasattr(given, "select_columns") else None
        self._rows: list[Mapping[str, Any]] = [] if self._dataset is not None else list(given)
        columns = ("prompt_id", "prompt")
        both: Iterable[tuple[Any, Any]] = (
            zip(*(self._dataset[column] for column in columns))
            if self._dataset is not None
            else (tuple(row[column] for column in columns) for row in self._rows)
        )
        self._places: dict[str, int] = {}
        n = 0
        for n, (prompt_id, question) in enumerate(both, start=1):
            self._places.setdefault(identity(prompt_id, question), n - 1)
        if n > len(self._places):
            logger.warning(
                "%d of %d rows have the prompt of another row: each is sampled once", n - len(self._places), n
            )
        self._questions: Any = self._dataset.select_columns(["prompt"]) if self._dataset is not None else self._rows

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, prompt: str) -> bool:
        return prompt in self._places

    @property
    def ids(self) -> list[str]:
        """The prompts, in the order of the rows."""
        return list(self._places)

    def questions(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the questions of some prompts."""
        return {prompt: self._questions[self._places[prompt]]["prompt"] for prompt in prompts}

    def read(self, prompts: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the rows of some prompts, as fields of a trace: the canonical columns, and the others in `extra`."""
        places = [self._places[prompt] for prompt in prompts]
        if self._dataset is not None:
            columns = self._dataset[places]
            rows: list[Mapping[str, Any]] = [dict(zip(columns, cells)) for cells in zip(*columns.values())]
        else:
            rows = [self._rows[place] for place in places]
        return {prompt: _fields(row) for prompt, row in zip(prompts, rows)}

    def digests(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return what stands for each row: another digest, another row."""
        return {prompt: digest(row) for prompt, row in self.read(prompts).items()}


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    extra = {name: value for name, value in row.items() if name not in CANONICAL and value is not None}
    return {**{name: row.get(name) for name in CANONICAL}, "extra": extra}
