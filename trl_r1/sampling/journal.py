"""
The journal of a job: every completion is on disk as soon as it is there, and a killed process loses what is in flight.

A worker appends to a file of its own, one JSON line for what was sampled as one piece; a line that a kill has cut short is
none. A file is never changed, only followed by a next one when it is long, and deleted when all that it holds is in
shards. In memory stands where each completion is, not its text.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .engine import FAILED, Sample
from .units import Unit


FILE_BYTES = 64 * 2**20  # a longer file is followed by another
_NAME = re.compile(r"worker-(\d+)-(\d+)\.jsonl")


class Place(NamedTuple):
    """Where a completion stands: a file, a line of it, and which of the line's completions it is."""

    file: int
    offset: int
    length: int
    number: int
    n_tokens: int
    failed: bool


class Journal:
    """
    Completions that are in no shard yet.

    Args:
        folder (`Path`):
            Where its files are.
        rank (`int`):
            This worker's rank. No other process may write under it at the same time.
        mine (`Callable[[int], bool]`):
            Whether this worker does a block, by the block's number.

    Attributes:
        places (`dict[int, dict[Unit, Place]]`):
            Of each block of this worker, which completions there are. What has failed in an earlier run is not there.
    """

    def __init__(self, folder: Path, rank: int, mine: Callable[[int], bool]) -> None:
        self.folder, self.rank = folder, rank
        self.places: dict[int, dict[Unit, Place]] = {}
        self._files: list[Path] = []
        self._readers: list[int] = []
        self._blocks: list[set[int]] = []  # of each file, the blocks that keep it
        self._writer: int | None = None
        self._written = 0
        folder.mkdir(parents=True, exist_ok=True)
        names = [(found, path) for path in folder.iterdir() if (found := _NAME.fullmatch(path.name))]
        self._next = 1 + max((int(found[2]) for found, _ in names if int(found[1]) == rank), default=-1)
        for path in sorted(path for _, path in names):
            self._load(path, mine)

    def append(
        self, block: int, seed: int, samples: Iterable[tuple[Unit, Sample]], questions: Mapping[str, str]
    ) -> None:
        """Write what was sampled as one piece, and have the system hold it before this returns."""
        samples = list(samples)
        asked = {prompt: questions[prompt] for (prompt, _), _ in samples}
        # Half of a surrogate pair, which a server may give, is no text that a shard could hold.
        plain = [each.text.encode("utf-8", "replace").decode() for _, each in samples]
        said = [
            [prompt, number, text, each.finish_reason, each.n_tokens]
            for ((prompt, number), each), text in zip(samples, plain)
        ]
        line = json.dumps({"block": block, "seed": seed, "questions": asked, "samples": said}).encode() + b"\n"
        if self._writer is None or self._written >= FILE_BYTES:
            self._begin()
        assert self._writer is not None
        file, offset = len(self._files) - 1, self._written
        view = memoryview(line)
        while view:
            view = view[os.write(self._writer, view) :]
        self._written += len(line)
        self._blocks[file].add(block)
        places = self.places.setdefault(block, {})
        for i, (unit, each) in enumerate(samples):
            places[unit] = Place(file, offset, len(line), i, each.n_tokens, each.finish_reason == FAILED)

    def read(self, places: Iterable[Place]) -> list[tuple[Sample, int, str]]:
        """Return completions, their seeds and their questions. Any thread may call it."""
        found, last, line = [], None, {}
        for place in places:
            if last != place[:2]:
                line = json.loads(os.pread(self._readers[place.file], place.length, place.offset))
                last = place[:2]
            prompt, _, text, finish_reason, n_tokens = line["samples"][place.number]
            found.append((Sample(text, finish_reason, n_tokens), line["seed"], line["questions"][prompt]))
        return found

    def forget(self, block: int) -> None:
        """Delete what only held completions of blocks that are in shards, as this one now is."""
        self.places.pop(block, None)
        for file, blocks in enumerate(self._blocks):
            if block in blocks:
                blocks.discard(block)
                if not blocks and not (self._writer is not None and file == len(self._files) - 1):
                    self._files[file].unlink(missing_ok=True)

    def close(self) -> None:
        """Close its files, and delete the last one where all of it is in shards."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None
            if not self._blocks[-1]:
                self._files[-1].unlink(missing_ok=True)
        for reader in self._readers:
            os.close(reader)
        self._readers = []

    def _begin(self) -> None:
        if self._writer is not None:
            os.close(self._writer)
            if not self._blocks[-1]:
                self._files[-1].unlink(missing_ok=True)
        path = self.folder / f"worker-{self.rank}-{self._next:05d}.jsonl"
        self._next += 1
        self._writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        self._written = 0
        self._add(path)

    def _add(self, path: Path) -> int:
        self._files.append(path)
        self._readers.append(os.open(path, os.O_RDONLY))
        self._blocks.append(set())
        return len(self._files) - 1

    def _load(self, path: Path, mine: Callable[[int], bool]) -> None:
        try:
            file = self._add(path)
        except FileNotFoundError:  # another worker has just finished what it held
            return
        offset = 0
        with open(os.dup(self._readers[file]), "rb") as lines:
            for line in lines:
                block = self._load_line(line, file, offset, mine)
                if block is not None:
                    self._blocks[file].add(block)
                offset += len(line)
        if not self._blocks[file] and _NAME.fullmatch(path.name)[1] == str(self.rank):  # type: ignore[index]
            path.unlink(missing_ok=True)

    def _load_line(self, line: bytes, file: int, offset: int, mine: Callable[[int], bool]) -> int | None:
        try:
            found = json.loads(line) if line.endswith(b"\n") else {}
            block, samples = int(found["block"]), found["samples"]
        except (ValueError, KeyError, TypeError):  # cut short by a kill
            return None
        if mine(block):
            places = self.places.setdefault(block, {})
            for i, (prompt, number, _, finish_reason, n_tokens) in enumerate(samples):
                if finish_reason != FAILED:
                    places.setdefault((prompt, number), Place(file, offset, len(line), i, n_tokens, failed=False))
        return block
