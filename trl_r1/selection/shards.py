"""
Selection of a data set that does not fit into memory: shards in, shards out, a few numbers of each trace between.

First the rules that look at one trace are applied shard by shard, in several processes, and what they find is stored,
so that a killed selection goes on where it was and a changed target costs seconds. Then one pass over the stored columns
compares traces with each other. The texts of what is kept are read once more, when they are asked for.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cores import usable_cores
from ..errors import DataError, StageError
from ..io import whole_file
from ..trace import Trace, read_traces
from .columns import KEPT, Columns, Seen, describe
from .decide import decide
from .held_out import HeldOut
from .near import version
from .reasons import VERSION
from .report import report
from .rules import REASONS, Rules


if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_KEY = b"trl_r1.selection"
_BYTES_PER_PROCESS = 8_000_000  # of shards: a process of its own takes a second to start


@dataclass(frozen=True)
class ShardSelection:
    """
    What [`select_shards`] kept and why it dropped the rest.

    Args:
        shards (`Sequence[Path]`):
            The shards, in their order.
        reasons (`NDArray[np.uint8]` of shape `(traces,)`):
            Of each trace the position in `REASONS` of its reason, or `KEPT`.
        report (`dict[str, Any]`):
            What `selection.json` holds: see [`~selection.report.report`].
    """

    shards: Sequence[Path]
    reasons: "NDArray[np.uint8]"
    report: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """Rejected traces by reason, in the order of `REASONS`; reasons that never applied are left out."""
        found: dict[str, int] = self.report["rejected"]
        return found

    @property
    def n_kept(self) -> int:
        """How many traces are kept."""
        return int((self.reasons == KEPT).sum())

    def kept(self) -> Iterator[Trace]:
        """Read the kept traces, one at a time, in the order of the shards."""
        return (trace for trace, reason in self._read() if reason == KEPT)

    def rejected(self) -> Iterator[tuple[Trace, str]]:
        """Read the others in the same way, each with its reason."""
        return ((trace, REASONS[reason]) for trace, reason in self._read() if reason != KEPT)

    def _read(self) -> Iterator[tuple[Trace, int]]:
        position = 0
        for shard in self.shards:
            for trace in read_traces(shard):
                yield trace, int(self.reasons[position])
                position += 1


def select_shards(
    shards: Sequence[Path],
    rules: Rules,
    held_out: HeldOut | None = None,
    *,
    folder: Path,
    seen: Seen | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> ShardSelection:
    """
    Keep the traces of shards that satisfy the rules.

    It starts processes, where the shards are large: a script that calls it has its own code under
    `if __name__ == "__main__":`.

    Args:
        shards (`Sequence[Path]`):
            Parquet files of traces, in their order; no two of one name.
        rules ([`Rules`]):
            The rules.
        held_out ([`HeldOut`], *optional*):
            Prompts of evaluations: a trace whose prompt overlaps with them is `contaminated`.
        folder (`Path`):
            Where the reasons found in each shard are stored, under the shard's name. What was found with other rules or
            in another file is found again.
        seen ([`Seen`], *optional*):
            Rows of other data sets, of which nothing is kept a second time.
        on_progress (`Callable[[int, int], None]`, *optional*):
            Called with the numbers of traces done and in all.
        workers (`int`, *optional*):
            Number of processes. By default one per core that this process may use, and no more than it is worth.

    Returns:
        [`ShardSelection`]: the same for the same traces in the same order, and the same as [`~selection.select`]'s.

    Raises:
        [`~errors.DataError`]: if a file is not a shard of traces, or two have one name.
        [`~errors.StageError`]: if a process was killed; what the others found is stored.
    """
    shards = [Path(shard) for shard in shards]
    stored = [Path(folder) / shard.name for shard in shards]
    if len(set(stored)) < len(stored):
        twice = next(path.name for i, path in enumerate(stored) if path in stored[:i])
        raise DataError("expected shards of different names, found two of this one", file=twice)
    keys = [_key(shard, rules, held_out) for shard in shards]
    missing = [i for i, key in enumerate(keys) if _stored_key(stored[i]) != key]
    counts = [_rows_of(shard) for shard in shards]
    done, count = sum(counts) - sum(counts[i] for i in missing), sum(counts)
    tell = on_progress or (lambda done, total: None)
    tell(done, count)
    for i in _described([(i, shards[i], stored[i], keys[i]) for i in missing], rules, held_out, workers):
        done += counts[i]
        tell(done, count)
    import pyarrow.parquet as pq

    columns = Columns.of((pq.read_table(path) for path in stored), count)
    reasons, told = decide(columns, rules, seen)
    return ShardSelection(shards, reasons, report(columns, reasons, told))


def _described(
    tasks: list[tuple[int, Path, Path, str]], rules: Rules, held_out: HeldOut | None, workers: int | None
) -> Iterator[int]:
    """Describe shards and store the tables, several at a time; yield the number of each that is done."""
    worth = sum(shard.stat().st_size for _, shard, _, _ in tasks) // _BYTES_PER_PROCESS
    processes = min(workers if workers is not None else min(usable_cores(), worth), len(tasks))
    if processes < 2:
        _start(rules, held_out)
        for number, shard, path, key in tasks:
            _store(shard, path, key)
            yield number
        return
    # Not forked: the process that calls may have threads (an engine's, a server's client) that would be lost.
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (rules, held_out)) as pool:
        try:
            running = {pool.submit(_store, shard, path, key): number for number, shard, path, key in tasks}
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BrokenProcessPool as error:
            raise StageError(
                "a process that selects was killed, most likely for want of memory; the shards that are done are stored"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_given: tuple[Rules, HeldOut | None]


def _start(rules: Rules, held_out: HeldOut | None) -> None:
    global _given  # sent to a process once, not with every shard
    _given = rules, held_out


def _store(shard: Path, path: Path, key: str) -> None:
    import pyarrow.parquet as pq

    table: pa.Table = describe(read_traces(shard), *_given)
    with whole_file(path) as partial:
        pq.write_table(table.replace_schema_metadata({_KEY: key}), partial, compression="zstd")


def _key(shard: Path, rules: Rules, held_out: HeldOut | None) -> str:
    """What the stored table of a shard depends on."""
    file = shard.stat()
    parts = [file.st_size, file.st_mtime_ns, rules.of_one_trace, held_out and held_out.key, VERSION]
    if rules.near_duplicates is not None:
        parts.append(version())
    return blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _rows_of(shard: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(shard).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"expected a shard of traces, could not read it: {error}", file=str(shard)) from error


def _stored_key(path: Path) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return ((pq.read_schema(path).metadata or {}).get(_KEY) or b"").decode()
    except (OSError, pa.ArrowInvalid):
        return None
