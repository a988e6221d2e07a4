"""How far a job is: what is counted, and what the workers of one job know of each other."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import StageError
from ..io import read_json, write_json
from .engine import FAILED, Sample


SECONDS_BETWEEN = 1.0
POLL_SECONDS = 0.2


class OnProgress(Protocol):
    """What is told how far a job is."""

    def __call__(self, done: int, total: int, /, **info: float) -> None:
        """
        Take note.

        Args:
            done (`int`), total (`int`):
                Samples done, and in all; fewer than `n_samples` for each prompt where `until_accepted` leaves some out.
            **info (`float`):
                `samples/s` and `tokens/s` since this start, `accepted` (the share of judged samples that are solved), `M
                tokens` (millions of tokens sampled by all starts), `failed` (where there are any).
        """


@dataclass
class Tally:
    """
    What a worker counts.

    Args:
        total (`int`), done (`int`):
            Samples in all, and those that are there.
        tokens (`int`):
            Their tokens.
        failed (`int`):
            Samples that have failed in this run.
        judged (`int`), solved (`int`):
            Of those that are scored, how many are judged, and how many of these are solved.
        new (`int`), new_tokens (`int`):
            Samples and tokens of this run.
        since (`float`):
            When this run began to sample, by the monotonic clock.
    """

    total: int = 0
    done: int = 0
    tokens: int = 0
    failed: int = 0
    judged: int = 0
    solved: int = 0
    new: int = 0
    new_tokens: int = 0
    since: float = field(default_factory=time.monotonic)

    def sampled(self, sample: Sample, copies: int = 1) -> None:
        """Count a sample that has been made, and stands for so many."""
        self.done += copies
        self.new += copies
        self.tokens += sample.n_tokens
        self.new_tokens += sample.n_tokens
        self.failed += sample.finish_reason == FAILED

    def scored(self, said: Mapping[str, Any]) -> None:
        """Count the verdicts of a shard."""
        self.judged += said.get("judged", 0)
        self.solved += said.get("solved", 0)

    def left_out(self, samples: int) -> None:
        """Count samples that are no longer needed."""
        self.total -= samples

    def counts(self) -> dict[str, float]:
        """Return what is counted, and the rates, as workers tell each other."""
        seconds = max(time.monotonic() - self.since, 1e-3)
        counted = {name: value for name, value in vars(self).items() if name not in ("since", "new", "new_tokens")}
        return {**counted, "rate": self.new / seconds, "token_rate": self.new_tokens / seconds}


@dataclass(frozen=True)
class Worker:
    """
    One of the processes that share a job.

    Args:
        rank (`int`, *optional*, defaults to `0`), world (`int`, *optional*, defaults to `1`):
            Which one, and of how many.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> "Worker":
        """Return what `RANK` and `WORLD_SIZE` say, which `accelerate launch` sets; alone where they say nothing."""
        return cls(int(os.environ.get("RANK") or 0), int(os.environ.get("WORLD_SIZE") or 1))

    def does(self, block: int) -> bool:
        """Whether it does a block."""
        return block % self.world == self.rank


class Report:
    """
    Tells how far a job is, and the first worker how far the others are.

    Args:
        folder (`Path`):
            Where workers leave their counts.
        worker ([`Worker`]):
            This one.
        job (`str`):
            What stands for the job: the counts of another one say nothing.
        tally ([`Tally`]):
            What this one counts.
        on_progress (`Callable`, *optional*):
            Who is told.
    """

    def __init__(self, folder: Path, worker: Worker, job: str, tally: Tally, on_progress: OnProgress | None) -> None:
        self.folder, self.worker, self.job, self.tally, self.on_progress = folder, worker, job, tally, on_progress
        self._told = float("-inf")
        self._begun = time.time()
        if worker.world > 1:
            self._write("sampling")

    def tell(self, now: bool = False) -> None:
        """Tell, at most once a second."""
        at = time.monotonic()
        if not now and at - self._told < SECONDS_BETWEEN:
            return
        self._told = at
        if self.worker.world > 1:
            self._write("sampling")
        if self.on_progress is None or self.worker.rank:
            return
        counts = self.tally.counts()
        for other in self._others().values():
            for name in counts:
                counts[name] += other["counts"].get(name, 0)
        info = {"samples/s": counts["rate"], "tokens/s": counts["token_rate"], "M tokens": counts["tokens"] / 1e6}
        if counts["judged"]:
            info = {"accepted": counts["solved"] / counts["judged"], **info}
        if counts["failed"]:
            info = {"failed": counts["failed"], **info}
        self.on_progress(int(counts["done"]), int(counts["total"]), **info)

    def end(self, error: str | None = None) -> None:
        """Say that this worker has done its part, or that it has failed."""
        if error is None:
            self.tell(now=True)
        if self.worker.world > 1:
            self._write("done" if error is None else "failed", error)

    def wait_for_others(self, finished: Callable[[], bool]) -> None:
        """
        Wait until all workers have done their parts.

        Raises:
            [`~errors.StageError`]: if one of them has failed.
        """
        while True:
            others = self._others()
            for rank, other in others.items():
                if other["state"] == "failed":
                    raise StageError(f"worker {rank}: {other['error']}")
            left = [rank for rank in range(1, self.worker.world) if others.get(rank, {}).get("state") != "done"]
            if not left and finished():
                self.tell(now=True)
                return
            self.tell()
            time.sleep(POLL_SECONDS)

    def _file(self, rank: int) -> Path:
        return self.folder / f"worker-{rank}.json"

    def _write(self, state: str, error: str | None = None) -> None:
        content = {"job": self.job, "state": state, "error": error, "counts": self.tally.counts()}
        write_json(self._file(self.worker.rank), content)

    def _others(self) -> dict[int, dict[str, Any]]:
        """What the other workers of this job have said; of a failure, only if it is newer than this worker's start."""
        found = {}
        for rank in range(self.worker.world):
            said = read_json(self._file(rank)) if rank != self.worker.rank else {}
            if said.get("job") != self.job:
                continue
            if said["state"] == "failed" and self._file(rank).stat().st_mtime < self._begun:
                continue
            found[rank] = said
        return found
