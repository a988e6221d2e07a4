"""
What is sampled as one piece, and with which seed: a completion by itself, or a batch of them. Pure functions.

A unit is a prompt and the number of a sample; a prompt is known by its id and its question, so that another question under
the same id is another prompt. Its seed hangs on these and on the config's seed alone, so that it is
the same whoever samples it, in whatever company, and however often the job was killed before.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


Unit = tuple[str, int]


def identity(prompt_id: str, question: str) -> str:
    """Return by what a prompt is known."""
    return f"{prompt_id}-{hashlib.sha256(question.encode('utf-8', 'replace')).hexdigest()[:12]}"


@dataclass(frozen=True)
class Batch:
    """
    Units that a batch engine samples in one call: each prompt with the same samples.

    Args:
        prompts (`tuple[str, ...]`):
            The prompts, by [`identity`].
        samples (`tuple[int, ...]`):
            Numbers of the samples.
    """

    prompts: tuple[str, ...]
    samples: tuple[int, ...]

    def seed(self, seed: int) -> int:
        """Return the batch's seed, made of the config's: 31 bits."""
        if len(self.prompts) == len(self.samples) == 1:
            return unit_seed(seed, (self.prompts[0], self.samples[0]))
        return _bits(f"{seed}:{self.prompts}:{self.samples}")


def unit_seed(seed: int, unit: Unit) -> int:
    """Return the seed of a unit, made of the config's: 31 bits."""
    return _bits(f"{seed}:{unit[0]}:{unit[1]}")


def batches(missing: Mapping[str, Sequence[int]], size: int, length: Callable[[str], int]) -> list[Batch]:
    """
    Divide units into batches, always in the same way.

    Args:
        missing (`Mapping[str, Sequence[int]]`):
            Which samples each prompt lacks.
        size (`int`):
            Most units of a batch.
        length (`Callable[[str], int]`):
            The length of a prompt: those of similar length share a batch, which then has less padding.
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for prompt, samples in missing.items():
        for start in range(0, len(samples), size):
            alike.setdefault(tuple(samples[start : start + size]), []).append(prompt)
    found = []
    for some, prompts in alike.items():
        each = max(1, size // len(some))
        prompts = sorted(prompts, key=length)
        found += [Batch(tuple(prompts[i : i + each]), some) for i in range(0, len(prompts), each)]
    return found


def divide(prompts: Sequence[str], most: int, workers: int) -> list[list[str]]:
    """
    Divide prompts into blocks of at most `most`; of few prompts smaller ones, so that each of several workers has some.
    """
    if workers > 1:
        most = max(1, min(most, -(-len(prompts) // (4 * workers))))
    return [list(prompts[i : i + most]) for i in range(0, len(prompts), most)]


def lacking(wanted: Iterable[Unit], there: Iterable[Unit]) -> dict[str, list[int]]:
    """Return which of the wanted samples each prompt lacks."""
    there = set(there)
    found: dict[str, list[int]] = {}
    for prompt, sample in wanted:
        if (prompt, sample) not in there:
            found.setdefault(prompt, []).append(sample)
    return found


def _bits(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
