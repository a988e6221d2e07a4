"""
Shards: the finished samples of a block, with their rewards, in one parquet file that appears whole or not at all.

A shard says in its metadata what it was made for: which rows, how many samples, and what its rewards depend on. Where that
is what is asked for, it is left as it is, and not even read. Else it is written anew, of what it held, what is not used now
and what stands in the journal: rewards that are still right are kept, samples that are not asked for are put aside.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..solved import is_solved
from ..trace import Trace, read_traces, write_traces
from .config import SamplingConfig
from .engine import FAILED
from .folder import Folder
from .journal import Journal
from .key import digest
from .rows import Rows
from .units import Unit, identity


_SAID = "trl_r1.sampling"

Finish = Callable[[list[Trace]], list[Trace]]


class Shards:
    """
    The shards of a job.

    Args:
        folder ([`~sampling.folder.Folder`]):
            Where they are.
        journal ([`~sampling.journal.Journal`]):
            What is in none of them yet.
        rows ([`~sampling.rows.Rows`]):
            The prompts that are asked for.
        config ([`SamplingConfig`]):
            How they are sampled.
        model (`str`):
            The model's name in the traces.
        finish (`Callable`, *optional*):
            Gives traces their rewards. Without it they keep what they have.
        finish_key (*optional*):
            What these depend on.
        accuracy (`Sequence[str]`, *optional*):
            Names of the rewards that say whether a sample is solved.
    """

    def __init__(
        self,
        folder: Folder,
        journal: Journal,
        rows: Rows,
        config: SamplingConfig,
        model: str,
        finish: Finish | None,
        finish_key: Any,
        accuracy: Sequence[str],
    ) -> None:
        self.folder, self.journal, self.rows, self.config, self.model = folder, journal, rows, config, model
        self.finish, self.accuracy = finish, list(accuracy)
        self.finish_key = digest(finish_key) if finish else None
        self.effort = [config.n_samples, config.until_accepted, config.until_accepted and config.samples_at_once]

    def is_current(self, block: int, prompts: Sequence[str]) -> dict[str, Any] | None:
        """Return what a block's shard says of itself where it is what is asked for, and all there is; else `None`."""
        said = read_said(self.folder.shard(block))
        if not said or said["failed"] or said["effort"] != self.effort:
            return None
        if self.finish is not None and said["finish"] != self.finish_key:
            return None
        if said["rows"] != self.rows.digests(prompts):
            return None
        places = self.journal.places.get(block)
        return said if not places or places.keys() <= self.stored_units(block).keys() else None

    def stored_units(self, block: int) -> dict[Unit, int]:
        """Return which samples of a block are in files, with their lengths in tokens; without what has failed."""
        import pyarrow.parquet as pq

        found: dict[Unit, int] = {}
        for path in (self.folder.shard(block), self.folder.unused(block)):
            if not path.exists():
                continue
            columns = [n for n in _UNIT_COLUMNS if n in pq.read_schema(path).names]
            rows = pq.read_table(path, columns=columns).to_pylist()
            for row, unit in zip(rows, _units(rows)):
                if row.get("finish_reason") != FAILED:
                    found.setdefault(unit, row.get("n_tokens") or 0)
        return found

    def failed_prompts(self, block: int) -> set[str]:
        """Return the prompts of which a sample has failed by what the block's shard says."""
        import pyarrow.parquet as pq

        shard = self.folder.shard(block)
        if not (read_said(shard) or {}).get("failed"):
            return set()
        rows = pq.read_table(shard, columns=["prompt_id", "prompt", "finish_reason"]).to_pylist()
        return {identity(row["prompt_id"], row["prompt"]) for row in rows if row["finish_reason"] == FAILED}

    def stored(self, block: int) -> dict[Unit, tuple[Trace, bool]]:
        """Return the samples of a block that are in files, and of each whether its rewards are still right."""
        found: dict[Unit, tuple[Trace, bool]] = {}
        for path in (self.folder.shard(block), self.folder.unused(block)):
            if not path.exists():
                continue
            said = read_said(path)
            traces = list(read_traces(path))
            # 0.1.0 did not number them.
            units = _units([{**vars(trace)} if said else {**vars(trace), "sample": None} for trace in traces])
            digests = self.rows.digests([p for p in dict.fromkeys(prompt for prompt, _ in units) if p in self.rows])
            for trace, unit in zip(traces, units):
                right = (
                    said is not None
                    and said["finish"] == self.finish_key
                    and said["rows"].get(unit[0]) == digests.get(unit[0], "")
                )
                if unit not in found or found[unit][0].finish_reason == FAILED:
                    found[unit] = (dataclasses.replace(trace, sample=unit[1]), right)
        return found

    def scored(self, block: int, units: Sequence[Unit], stored: Mapping[Unit, tuple[Trace, bool]]) -> list[Trace]:
        """Return samples of a block with their rewards. They are in the journal or among what is stored."""
        rows = self.rows.read(list(dict.fromkeys(prompt for prompt, _ in units)))
        traces = [self._trace(block, unit, rows[unit[0]], stored) for unit in units]
        right = [self._is_stored(block, unit, stored) and stored[unit][1] for unit in units]
        return self._finished(traces, right)

    def write(
        self,
        block: int,
        wanted: Mapping[str, Sequence[int]],
        scored: Mapping[Unit, Trace],
        by_prompt: bool,
    ) -> dict[str, Any]:
        """
        Write the shard of a block that is done, and put aside what is not asked for.

        Args:
            block (`int`):
                The block.
            wanted (`Mapping[str, Sequence[int]]`):
                The samples of each prompt that is asked for. At temperature 0 they are the first one.
            scored (`Mapping[Unit, Trace]`):
                Those that have their rewards, completions aside.
            by_prompt (`bool`):
                Whether rewards are made of all samples of a prompt anew where one of them is new.

        Returns:
            `dict[str, Any]`: what the shard says of itself.
        """
        stored = self.stored(block)
        rows = self.rows.read(list(wanted))
        greedy = self.config.temperature == 0
        traces, right = [], []
        for prompt, samples in wanted.items():
            fresh = False
            for sample in samples:
                unit = (prompt, 0 if greedy else sample)
                trace = dataclasses.replace(self._trace(block, unit, rows[prompt], stored), sample=sample)
                there = self._is_stored(block, unit, stored) and stored[unit][1]
                if unit in scored:
                    trace, there = (
                        dataclasses.replace(trace, rewards=scored[unit].rewards, extra=scored[unit].extra),
                        True,
                    )
                traces.append(trace)
                right.append(there)
                fresh |= not there
            if fresh and by_prompt:
                right[-len(samples) :] = [False] * len(samples)
        self._put_aside(block, {(prompt, sample) for prompt, samples in wanted.items() for sample in samples}, stored)
        shard = self.folder.shard(block)
        if not wanted:
            shard.unlink(missing_ok=True)
            return {}
        traces = self._finished(traces, right)
        verdicts = [self.verdict(trace) for trace in traces]
        said = {
            "finish": self.finish_key,
            "effort": self.effort,
            "rows": self.rows.digests(list(wanted)),
            "samples": len(traces),
            "failed": sum(trace.finish_reason == FAILED for trace in traces),
            "tokens": sum(trace.n_tokens for trace in traces if not greedy or trace.sample == 0),
            "judged": sum(verdict is not None for verdict in verdicts),
            "solved": sum(map(bool, verdicts)),
        }
        write_traces(shard, traces, {_SAID: json.dumps(said)})
        return said

    def verdict(self, trace: Trace) -> bool | None:
        """Tell whether a sample is solved; `None` where no reward judges it."""
        return is_solved(trace.rewards.get(name) for name in self.accuracy)

    def _is_stored(self, block: int, unit: Unit, stored: Mapping[Unit, tuple[Trace, bool]]) -> bool:
        """Whether a sample is taken from a file: the journal's is newer where that one has failed."""
        return unit in stored and (
            stored[unit][0].finish_reason != FAILED or unit not in self.journal.places.get(block, {})
        )

    def _trace(
        self, block: int, unit: Unit, row: Mapping[str, Any], stored: Mapping[Unit, tuple[Trace, bool]]
    ) -> Trace:
        if self._is_stored(block, unit, stored):
            trace, right = stored[unit]
            return trace if right else dataclasses.replace(trace, **{**row, "rewards": {}, "model": self.model})
        ((sample, seed, _),) = self.journal.read([self.journal.places[block][unit]])
        failed = sample.finish_reason == FAILED
        return Trace(
            **{**row, "extra": dict(row["extra"])},
            completion="" if failed else sample.text,
            model=self.model,
            sampling={**self.config.distribution, **({"failure": sample.text} if failed else {})},
            finish_reason=sample.finish_reason,
            n_tokens=sample.n_tokens,
            sample=unit[1],
            seed=seed,
        )

    def _finished(self, traces: list[Trace], right: Sequence[bool]) -> list[Trace]:
        if self.finish is None:
            return traces  # with the rewards that they have
        new = [dataclasses.replace(trace, rewards={}) for trace, there in zip(traces, right) if not there]
        finished = iter(self.finish(new) if new else [])
        return [trace if there else next(finished) for trace, there in zip(traces, right)]

    def _put_aside(self, block: int, wanted: set[Unit], stored: Mapping[Unit, tuple[Trace, bool]]) -> None:
        places = self.journal.places.get(block, {})
        left = {unit: trace for unit, (trace, _) in stored.items() if unit not in wanted}
        for unit, place in places.items():
            if unit not in wanted and not place.failed and unit not in left:
                ((sample, seed, question),) = self.journal.read([place])
                left[unit] = Trace(
                    prompt_id=unit[0].rpartition("-")[0],
                    prompt=question,
                    completion=sample.text,
                    model=self.model,
                    sampling=self.config.distribution,
                    finish_reason=sample.finish_reason,
                    n_tokens=sample.n_tokens,
                    sample=unit[1],
                    seed=seed,
                )
        unused = self.folder.unused(block)
        if left.keys() - (_units_in(unused) if unused.exists() else set()):
            # Its rewards are made anew when it is asked for: they may hang on what else there was.
            write_traces(unused, [dataclasses.replace(left[unit], rewards={}) for unit in sorted(left)], _NO_REWARDS)


_UNIT_COLUMNS = ("prompt_id", "prompt", "sample", "finish_reason", "n_tokens")
_NO_REWARDS = {_SAID: json.dumps({"finish": "", "rows": {"": ""}, "failed": 1, "effort": None})}


def read_said(path: Path) -> dict[str, Any] | None:
    """
    Return what a shard says of itself; `None` where there is none, or one of 0.1.0, which says nothing.

    Raises:
        [`~errors.DataError`]: if the file is no shard.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        said = (pq.read_schema(path).metadata or {}).get(_SAID.encode())
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"expected a shard of traces, could not read it: {error}", file=str(path)) from error
    return json.loads(said) if said else None


def _units(rows: Iterable[Mapping[str, Any]]) -> list[Unit]:
    """The units of a shard's rows; where 0.1.0 did not number a prompt's samples, they are counted."""
    counts: dict[str, int] = {}
    found = []
    for row in rows:
        prompt = identity(row["prompt_id"], row["prompt"])
        number = row.get("sample")
        found.append((prompt, counts.get(prompt, 0) if number is None else number))
        counts[prompt] = counts.get(prompt, 0) + 1
    return found


def _units_in(path: Path) -> set[Unit]:
    import pyarrow.parquet as pq

    return set(_units(pq.read_table(path, columns=["prompt_id", "prompt", "sample"]).to_pylist()))
