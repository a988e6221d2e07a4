"""
A copy of the run's directory elsewhere: written at every checkpoint and at the end of each stage, taken first by a run that
starts on a machine without it.

For machines whose disk goes with them: a spot instance, a job of a hosted service. The place is a folder (a mounted bucket) or
a URL of `fsspec` (`s3://`, `hf://buckets/`). What says that something is whole (`trainer_state.json`, `artifact.json`)
is written last, so that a copy which was cut is a checkpoint that was.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import MachineError
from ..recipe import shown
from .directory import RUN_FILE, STARTED_FILE


# Written last, in this order.
_MARKS = ("trainer_state.json", STARTED_FILE, "artifact.json", RUN_FILE)
_LEFT_OUT = re.compile(r"(.*/)?(\.old|\.slurm|servers)/.*|.*\.(tmp|lock)(/.*)?")
_CHECKPOINT = re.compile(r"(.+/checkpoint-\d+)/.+")
# A file of the same size that is smaller than this is written anew by the first copy of a run: it may be another.
_SMALL = 1 << 20


class Mirror:
    """
    A copy of a run.

    Args:
        run_dir (`Path`):
            The run.
        place (`str`):
            Folder or URL of the copy.
        only (`Sequence[str]`, *optional*):
            The only stages that are copied: those of this job.
        say (`Callable`):
            Where to say that it failed: a run goes on without its copy.

    Raises:
        [`~errors.MachineError`]: there is nothing that reads such a URL.
    """

    def __init__(
        self, run_dir: Path, place: str, only: Sequence[str] = (), say: Callable[[str], None] = print
    ) -> None:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # it has no stubs

        try:
            self.files, self.place = url_to_fs(place if "://" in place else str(Path(place).absolute()))
        except (ValueError, ImportError) as error:
            raise MachineError(f"--mirror {place}: {error}") from None
        self.run_dir, self.only, self.say = run_dir, only, say
        self.copied: dict[str, tuple[int, int]] = {}
        self.checkpoints: set[Path] = set()
        self.thread: threading.Thread | None = None
        self.again = False
        self.trouble = ""

    def there(self) -> dict[str, int]:
        """Return the files of the copy with their sizes."""
        with contextlib.suppress(FileNotFoundError):
            found = self.files.find(self.place, detail=True)
            return {name[len(self.place) :].lstrip("/"): int(info["size"] or 0) for name, info in found.items()}
        return {}

    def pull(self) -> int:
        """
        Take what the directory lacks from the copy, where the directory has no run yet.

        Returns:
            `int`: how many files.

        Raises:
            [`~errors.MachineError`]: the copy cannot be read.
        """
        if (self.run_dir / RUN_FILE).exists():
            return 0
        try:
            names = _in_order(self.there())
            for name in names:
                target = self.run_dir / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(f"{self.place}/{name}", str(target))
        except Exception as error:  # whatever a file system of fsspec raises
            raise MachineError(f"{self.place}: the run could not be taken from it ({error})") from error
        return len(names)

    def poll(self) -> None:
        """Copy, beside what else goes on, where there is a new checkpoint."""
        found = set(self.run_dir.glob("*/checkpoint-*/trainer_state.json"))
        if found - self.checkpoints:
            self.push()
        self.checkpoints = found

    def push(self) -> None:
        """Copy what has changed, in a thread of its own."""
        if self.thread is not None and self.thread.is_alive():
            self.again = True
            return
        self.again = False
        self.thread = threading.Thread(target=self._push)
        self.thread.start()

    def finish(self) -> None:
        """Wait for the copy under way, and make the last one."""
        if self.thread is not None:
            self.thread.join()
        self._push()

    def _push(self) -> None:
        try:
            self._copy()
            while self.again:
                self.again = False
                self._copy()
        except Exception as error:  # whatever a file system of fsspec raises
            if self.trouble != str(error):  # once
                self.say(f"the copy at {self.place} failed ({type(error).__name__}: {error}); the run goes on")
            self.trouble = str(error)

    def _copy(self) -> None:
        local: dict[str, tuple[int, int]] = {}
        for path in self.run_dir.rglob("*"):
            name = path.relative_to(self.run_dir).as_posix()
            stage, inside, _ = name.partition("/")
            if _LEFT_OUT.fullmatch(name) or (inside and self.only and stage not in self.only):
                continue
            with contextlib.suppress(OSError):  # a checkpoint that was removed meanwhile
                if path.is_file():
                    stat = path.stat()
                    local[name] = (stat.st_size, stat.st_mtime_ns)
        there = self.there()
        for name in _in_order(local):
            size = local[name][0]
            if self.copied.get(name) == local[name] and there.get(name) == size:
                continue
            if name not in self.copied and there.get(name) == size >= _SMALL:
                self.copied[name] = local[name]
                continue
            target = f"{self.place}/{name}"
            self.files.makedirs(target.rpartition("/")[0], exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self.files.put_file(str(self.run_dir / name), target)
                self.copied[name] = local[name]
        # Checkpoints that the training has removed; nothing else is taken away.
        kept = {found[1] for name in local if (found := _CHECKPOINT.fullmatch(name))}
        gone = {found[1] for name in there if (found := _CHECKPOINT.fullmatch(name))} - kept
        for folder in gone:
            if not self.only or folder.partition("/")[0] in self.only:
                self.files.rm(f"{self.place}/{folder}", recursive=True)


def _in_order(names: Any) -> list[str]:
    """What says that something is whole, last."""
    return sorted(names, key=lambda name: (_rank(name.rpartition("/")[2]), name))


def _rank(name: str) -> int:
    return _MARKS.index(name) + 1 if name in _MARKS else 0


def make_mirror(
    run_dir: Path, place: str | None, only: Sequence[str], say: Callable[[str], None], *, pull: bool
) -> Mirror | None:
    """
    Return the copy that is asked for, the run taken from it where it is not here.

    Raises:
        [`~errors.MachineError`]: the copy cannot be read.
    """
    if place is None:
        return None
    mirror = Mirror(run_dir, place, only, say)
    if pull and (count := mirror.pull()):
        say(f"Took {count} files of {shown(run_dir)} from {mirror.place}.")
    return mirror
