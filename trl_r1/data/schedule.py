"""
The order of prompts in training, where sources have a share or a first step.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from .source import DataSource, parse_sources


if TYPE_CHECKING:
    from datasets import Dataset


def schedule_prompts(
    dataset: "Dataset",
    sources: Sequence[DataSource | Mapping[str, Any]],
    steps: int,
    prompts_per_step: int,
    seed: int = 0,
) -> list[int]:
    """
    Return the order of rows in training, step by step, where sources have a `share` or a `from_step`.

    At each step the sources that are offered then divide the step's prompts: those with a `share` in its proportion,
    those without one what the shares leave, by their numbers of rows. Shares are of what is offered: a source that is
    alone fills the step whatever its share. Fractions of a prompt are carried over to the next step, so that the
    shares hold over the steps even where a step has few prompts. A source is passed through in a new seeded order each
    time it has been used up.

    Args:
        dataset (`datasets.Dataset`):
            Rows of [`load_prompts`].
        sources (`Sequence[DataSource]`):
            The sources of which it was made.
        steps (`int`):
            Number of training steps; the first is step 0.
        prompts_per_step (`int`):
            Number of different prompts in a step.
        seed (`int`, *optional*, defaults to `0`):
            Seed of all orders.

    Returns:
        `list[int]`: `steps * prompts_per_step` indices into `dataset`, to be used in this order
        (`dataset.select(order)`, with the trainer's own shuffle off).

    Raises:
        [`~errors.DataError`]: if at step 0 no source is offered, or if shares leave nothing for a source without one.
    """
    known = parse_sources(sources)
    rows: dict[str, list[int]] = {source.label: [] for source in known}
    for i, label in enumerate(dataset["source"]):
        if label in rows:
            rows[label].append(i)
    # A source all of whose prompts another one has already brought in has nothing to offer.
    known = [source for source in known if rows[source.label]]
    streams = {source.label: _endless(rows[source.label], f"{seed}:{source.label}") for source in known}
    credit = dict.fromkeys(streams, 0.0)
    order: list[int] = []
    for step in range(steps):
        offered = [source for source in known if (source.from_step or 0) <= step]
        if not offered:
            raise DataError(f"no source is offered at step {step}", key="data[0].from_step")
        shares = _shares(offered, rows)
        for label, share in shares.items():
            credit[label] += share * prompts_per_step
        counts = {label: max(0, int(credit[label])) for label in shares}
        for label in sorted(shares, key=lambda label: counts[label] - credit[label]):
            if sum(counts.values()) >= prompts_per_step:
                break
            counts[label] += 1
        picked: list[int] = []
        for label, count in counts.items():
            count = min(count, prompts_per_step - len(picked))
            credit[label] -= count
            picked += [next(streams[label]) for _ in range(count)]
        random.Random(f"{seed}:{step}").shuffle(picked)
        order += picked
    return order


def _shares(offered: list[DataSource], rows: Mapping[str, list[int]]) -> dict[str, float]:
    fixed = sum(source.share or 0.0 for source in offered)
    free = sum(len(rows[source.label]) for source in offered if source.share is None)
    if free and fixed >= 1 - 1e-9:
        name = next(source.label for source in offered if source.share is None)
        raise DataError(
            f"the other sources' shares add up to {fixed:g} and leave nothing for it", file=name, key="share"
        )
    if not free:
        return {source.label: (source.share or 0.0) / fixed for source in offered}
    return {
        source.label: source.share if source.share is not None else (1 - fixed) * len(rows[source.label]) / free
        for source in offered
    }


def _endless(rows: list[int], seed: str) -> Iterator[int]:
    for epoch in itertools.count():
        order = list(rows)
        random.Random(f"{seed}:{epoch}").shuffle(order)
        yield from order
