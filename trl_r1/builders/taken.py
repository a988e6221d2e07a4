"""
Samples that other stages have taken: rollouts that a training kept, traces of another builder or an evaluation.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..data import parse_sources
from ..io import read_json, write_json
from ..sampling import check_columns
from ..trace import Trace, read_traces, shards_of, write_traces
from .config import BuilderConfig


class Taken:
    """
    The samples of a config's `samples_from`.

    Args:
        config ([`BuilderConfig`]):
            The builder's config.
        rewards (`Mapping[str, Callable]`):
            What scores them, by name.

    Raises:
        [`~errors.DataError`]: if there are none.
        [`~errors.ConfigError`]: if they lack what a reward reads.
    """

    def __init__(self, config: BuilderConfig, rewards: Mapping[str, Callable[..., Any]]) -> None:
        self.folder = Path(config.output_dir) / "traces"
        sources = parse_sources(config.samples_from, key="samples_from") if config.samples_from else []
        self.shards = [shard for source in sources for shard in shards_of(Path(source.path).expanduser())]
        for shard in self.shards:
            first = next(read_traces(shard), None)
            if first is not None:
                check_columns(rewards, first.extra, [first.domain])

    def scored(self, finish: Callable[[list[Trace]], list[Trace]], finish_key: Any) -> list[Path]:
        """
        Score them, shard by shard, and return the shards that hold them with their rewards: `traces/taken-00000.parquet`.

        Args:
            finish (`Callable`):
                Called with a shard's traces, to add rewards.
            finish_key:
                What `finish` depends on, as JSON. A shard that was scored with it before is not scored again.
        """
        found = []
        for i, shard in enumerate(self.shards):
            place = self.folder / f"taken-{i:05d}.parquet"
            note = self.folder / f".{place.stem}.json"
            state = shard.stat()
            made_of = {"shard": shard.name, "size": state.st_size, "time": state.st_mtime_ns, "scored": finish_key}
            if not place.is_file() or read_json(note) != made_of:
                note.unlink(missing_ok=True)
                write_traces(place, finish([dataclasses.replace(trace, rewards={}) for trace in read_traces(shard)]))
                write_json(note, made_of)
            found.append(place)
        return found
