"""
A folder of samples: what lies where, whose they are, and which block a prompt belongs to.

```
traces/
  STEM-sampling.json             the key of the samples that are here
  STEM-00000.parquet ...         shards: each a block's samples, whole, with their rewards
  STEM-journal/blocks.json       the prompts of each block, in its order; more prompts make more blocks
  STEM-journal/worker-0-00000.jsonl ...   completions that are in no shard yet
  STEM-journal/unused-00000.parquet ...   samples of a block that are not asked for now
  STEM-3f0c9a.../                all of this, of samples with another key
```

Samples of another key are moved by renames, out of the way and back. What is in the folder always belongs to the key that
stands there: what goes is moved before its `sampling.json`, what comes back after it. So a kill between two renames loses
nothing, and the next start goes on where it was.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MachineError
from ..io import read_json, whole_file, write_json, write_text
from .former import adopted
from .key import differences, digest
from .units import divide, identity


@dataclass(frozen=True)
class Folder:
    """
    The samples of one model in a folder.

    Args:
        path (`Path`):
            The folder.
        prefix (`str`, *optional*, defaults to `""`):
            What the names of its files begin with, the hyphen included.
    """

    path: Path
    prefix: str = ""

    @classmethod
    def of(cls, path: str | os.PathLike[str], stem: str = "") -> "Folder":
        """Return the samples whose files' names begin with a stem."""
        return cls(Path(path), re.sub(r"[^\w.-]", "_", f"{stem}-") if stem else "")

    @property
    def note(self) -> Path:
        """Where the key stands."""
        return self.path / f"{self.prefix}sampling.json"

    @property
    def journal(self) -> Path:
        """What belongs to no single shard."""
        return self.path / f"{self.prefix}journal"

    def shard(self, block: int) -> Path:
        """The shard of a block, which may not be there."""
        return self.path / f"{self.prefix}{block:05d}.parquet"

    def unused(self, block: int) -> Path:
        """Samples of a block that are not asked for, where there are any."""
        return self.journal / f"unused-{block:05d}.parquet"

    def shards(self) -> dict[int, Path]:
        """Return the shards that are there, by their block."""
        name = re.compile(re.escape(self.prefix) + r"(\d{5,})\.parquet")
        found = ((name.fullmatch(path.name), path) for path in self.path.iterdir()) if self.path.is_dir() else ()
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def beside(self, name: str) -> "Folder":
        """Return the sub-folder for samples of another key."""
        return Folder(self.path / f"{self.prefix}{name}", self.prefix)

    @contextmanager
    def locked(self, name: str = "folder", wait: bool = True) -> Iterator[None]:
        """
        Hold a lock over all workers, which the system gives back when its holder is killed.

        Raises:
            [`~errors.MachineError`]: it is held by another, and `wait` is false.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / f".{self.prefix}{name}.lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            raise MachineError(
                f"{self.path}: another process is sampling here; expected to be the only one of its rank"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def take_over(self, other: "Folder") -> None:
        """Copy another folder's samples here where there are none yet: their key last, so that a kill leaves no half of it."""
        if self.note.exists() or not other.note.exists():
            return
        with self.locked():
            parts = [*other.shards().values(), *other.journal.glob("[!.]*"), other.note]
            for part in () if self.note.exists() else parts:
                with whole_file(self.path / part.relative_to(other.path)) as partial:
                    shutil.copyfile(part, partial)

    def claim(self, key: dict[str, Any], model: str) -> str:
        """
        Make the folder that of a key: samples of another one go into a sub-folder, those of this one come back.

        Args:
            key (`dict[str, Any]`):
                See [`~sampling.key.key_of`].
            model (`str`):
                The model, by which shards of an earlier version are known.

        Returns:
            `str`: what was moved, for the user; empty where nothing was.
        """
        before = read_json(self.note)
        said = []
        if before != key and not adopted(self, before, key, model):
            if self._holds_samples():
                aside = self.beside(digest(before) if before else f"unknown-{time.time_ns()}")
                n = len(self.shards())
                _move(self, aside)
                reason = f" ({differences(before, key)})" if before.get("settings") else ""
                said.append(f"{n} shards of other samples{reason} are kept in {aside.path}")
            else:
                shutil.rmtree(self.journal, ignore_errors=True)
                self.note.unlink(missing_ok=True)
        kept = self.beside(digest(key))
        if kept.note.exists() and not self.note.exists():
            kept.note.rename(self.note)
            said.append(f"samples of these settings are back from {kept.path}")
        if read_json(self.note) != key:
            write_json(self.note, key)
        if kept.path.is_dir():  # also where a kill has left some of it there
            _move(kept, self)
        return "; ".join(said)

    def _holds_samples(self) -> bool:
        journal = (path for path in self.journal.glob("*") if path.suffix in (".jsonl", ".parquet"))
        return bool(self.shards()) or any(path.stat().st_size for path in journal)

    def blocks_of_shards(self) -> list[list[str]]:
        """Return the prompts of each block as far as there is a shard of it, where nothing else says it."""
        import pyarrow.parquet as pq

        seen: set[str] = set()
        shards = self.shards()
        blocks: list[list[str]] = [[] for _ in range(max(shards, default=-1) + 1)]
        for number, path in shards.items():
            rows = pq.read_table(path, columns=["prompt_id", "prompt"]).to_pylist()
            found = dict.fromkeys(identity(row["prompt_id"], row["prompt"]) for row in rows)
            blocks[number] = [prompt for prompt in found if prompt not in seen]
            seen |= found.keys()
        return blocks

    def blocks(self, prompts: Sequence[str], most: int, workers: int) -> list[list[str]]:
        """
        Return the prompts of each block, new prompts in new blocks.

        Args:
            prompts (`Sequence[str]`):
                The prompts that are asked for.
            most (`int`):
                Prompts to a block, at most.
            workers (`int`):
                How many workers there are.
        """
        file = self.journal / "blocks.json"
        blocks = json.loads(file.read_text(encoding="utf-8")) if file.exists() else self.blocks_of_shards()
        known = {prompt for block in blocks for prompt in block}
        new = [prompt for prompt in prompts if prompt not in known]
        if new or not file.exists():
            blocks += divide(new, most, workers)
            self.write_blocks(blocks)
        return blocks

    def write_blocks(self, blocks: list[list[str]]) -> None:
        """Keep which prompts belong to which block."""
        write_text(self.journal / "blocks.json", "[\n" + ",\n".join(map(json.dumps, blocks)) + "\n]\n")


def _move(source: Folder, target: Folder) -> None:
    """Move samples by renames, their key last. What an interrupted move has left on either side is no hindrance."""
    target.path.mkdir(parents=True, exist_ok=True)
    parts = [*source.shards().values(), source.journal, source.note]
    for part in parts:
        if part.exists():
            part.rename(target.path / part.name)
    if source.path != target.path and not any(source.path.iterdir()):
        source.path.rmdir()
