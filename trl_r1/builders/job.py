"""
What the builders do alike: read and check everything first, then sample, select and write.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from ..data import load_prompts, parse_sources
from ..errors import StageError
from ..io import read_json, whole_folder, write_json
from ..sampling import Engine, SamplingConfig, check_columns, sample
from ..select import HeldOut, Rules, Selection, read_rules, select
from ..solved import is_solved
from ..trace import Trace, read_traces, shards_of, write_traces
from .config import BuilderConfig
from .dataset import DataSetWriter
from .outputs import REJECTED_COLUMNS, SFT_COLUMNS, Statistics, schema_of, sft_row


class Hooks(TypedDict, total=False):
    """
    How a caller takes part in sampling.

    Args:
        on_shard (`Callable`, *optional*):
            Called after each shard with the numbers of shards done and in all.
        engine ([`~sampling.Engine`], *optional*):
            What samples; by default the engine that [`~sampling.SamplingConfig`] names.
    """

    on_shard: Callable[[int, int], None] | None
    engine: Engine | None


class Job:
    """
    One run of a builder.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`BuilderConfig`]):
            The builder's config.
        rewards (`Mapping[str, Callable]`):
            What scores the samples, by name. The rows must have the columns that they read.
        load (`Callable`, *optional*, defaults to [`~data.load_prompts`]):
            Loads the rows, called with the sources and `seed`.
        on_shard, engine:
            See [`Hooks`].
        **rules:
            Rules where the config has none.

    Raises:
        [`~errors.ConfigError`]: if the rules or the data are wrong; nothing has been sampled then.
    """

    def __init__(
        self,
        sampling: SamplingConfig,
        config: BuilderConfig,
        rewards: Mapping[str, Callable[..., Any]],
        *,
        load: Callable[..., Any] = load_prompts,
        on_shard: Callable[[int, int], None] | None = None,
        engine: Engine | None = None,
        **rules: Any,
    ) -> None:
        self.sampling, self.config, self.rewards = sampling, config, rewards
        self.on_shard, self.engine = on_shard, engine
        self.rules = read_rules(config.rules, **{"right_by": (), "seed": sampling.seed, **rules})
        self.rows: Any = []
        if config.data:
            self.rows = load(config.data, seed=sampling.seed)
            check_columns(rewards, self.rows.column_names, self.rows.unique("domain"))
        self._shards = (
            [
                shard
                for source in parse_sources(config.samples_from, key="samples_from")
                for shard in shards_of(Path(source.path))
            ]
            if config.samples_from
            else []
        )
        for shard in self._shards:
            first = next(read_traces(shard), None)
            if first is not None:
                check_columns(rewards, first.extra, [first.domain])
        self.held_out = None
        if config.held_out:
            self.held_out = HeldOut(load_prompts(parse_sources(config.held_out, key="held_out"))["prompt"])
        self._judged: Counter[str] = Counter()
        self._solved: Counter[str] = Counter()

    def sample(self, **changes: Any) -> Iterator[Trace]:
        """Sample from the config's model. `changes` are arguments of [`~sampling.sample`] in place of the builder's."""
        arguments = {
            "model": self.config.model_name_or_path or "",
            "rows": self.rows,
            "config": self.sampling,
            "out_dir": f"{self.config.output_dir}/traces",
            "on_shard": self.on_shard,
            "engine": self.engine,
        }
        return sample(**{**arguments, **changes})

    def samples(
        self, finish: Callable[[list[Trace]], list[Trace]], finish_key: Any, **changes: Any
    ) -> Iterator[Trace]:
        """
        Score the samples of `samples_from`, and sample and score those of the config's prompts.

        Args:
            finish (`Callable`), finish_key (*optional*), **changes:
                See [`~sampling.sample`].
        """
        for i, shard in enumerate(self._shards):
            place = Path(self.config.output_dir) / "traces" / f"taken-{i:05d}.parquet"
            note = place.with_name(f".{place.stem}.json")
            state = shard.stat()
            made_of = {"shard": shard.name, "size": state.st_size, "time": state.st_mtime_ns, "scored": finish_key}
            if not place.is_file() or read_json(note) != made_of:
                note.unlink(missing_ok=True)
                write_traces(place, finish([dataclasses.replace(trace, rewards={}) for trace in read_traces(shard)]))
                write_json(note, made_of)
            yield from read_traces(place)
        if len(self.rows):
            yield from self.sample(finish=finish, finish_key=finish_key, **changes)

    def select(self, traces: Iterable[Trace], rules: Rules | None = None) -> Selection:
        """Apply the rules; the job's own by default."""
        return select(self._counted(traces), rules or self.rules, self.held_out)

    def _counted(self, traces: Iterable[Trace]) -> Iterator[Trace]:
        """Count of each prompt how many of its samples are judged, and how many solved."""
        for trace in traces:
            rewards = (trace.rewards.get(name) for name in self.rules.right_by)
            solved = is_solved(rewards, at_least=self.rules.min_reward)
            if solved is not None:
                self._judged[trace.prompt_id] += 1
                self._solved[trace.prompt_id] += solved
            yield trace

    def row(self, trace: Trace, form: str | None = None) -> dict[str, Any]:
        """Return a trace as a row for SFT, with the share of its prompt's samples that are solved."""
        row = sft_row(trace, form, self.rules.style)
        judged = self._judged[trace.prompt_id]
        return {**row, "pass_rate": self._solved[trace.prompt_id] / judged if judged else None}

    def write(
        self,
        rows: Iterable[Mapping[str, Any]],
        report: Mapping[str, Any],
        selection: Selection,
        columns: tuple[str, ...] = SFT_COLUMNS,
    ) -> None:
        """
        Write the data set, a sample of what was rejected, and the report, each whole or not at all; the data set last.

        Args:
            rows (`Iterable[Mapping[str, Any]]`):
                The data set's rows.
            report (`Mapping[str, Any]`):
                What `selection.json` holds, besides statistics of the rows.
            selection ([`~select.Selection`]):
                What was rejected, for `rejected/`: `rejected_per_reason` of the config of each reason, at even distances.
            columns (`tuple[str, ...]`, *optional*):
                The data set's columns.

        Raises:
            [`~errors.StageError`]: if nothing was kept; `selection.json`, which says why, is written all the same.
        """
        output_dir = Path(self.config.output_dir)
        statistics = Statistics()
        if getattr(self.config, "messages", False):
            columns, rows = (*columns, "messages"), map(_with_messages, rows)
        with whole_folder(output_dir / "data") as partial:
            with DataSetWriter(partial / "train.parquet", schema_of(columns)) as writer:
                for row in rows:
                    writer.add(row)
                    statistics.add(row)
            self._write_rejected(selection, statistics if "completion" in columns else Statistics())
            write_json(output_dir / "selection.json", {**report, "statistics": statistics.to_json()})
            if not writer.rows:
                reasons = ", ".join(f"{reason} {count}" for reason, count in report.get("rejected", {}).items())
                raise StageError(
                    f"{output_dir}: none of {report.get('seen', 0)} was kept: {reasons or 'nothing was seen'}"
                )

    def _write_rejected(self, selection: Selection, statistics: Statistics) -> None:
        most = self.config.rejected_per_reason
        counts, seen = selection.counts, defaultdict[str, int](int)
        path = Path(self.config.output_dir) / "rejected"
        with (
            whole_folder(path) as partial,
            DataSetWriter(partial / "train.parquet", schema_of(REJECTED_COLUMNS)) as writer,
        ):
            for trace, reason in selection.rejected:
                statistics.reject(trace)
                # At even distances: the n-th is taken where a whole number of the sample falls on it.
                share = 1.0 if most is None else min(1.0, most / counts[reason])
                seen[reason] += 1
                if int(seen[reason] * share) > int((seen[reason] - 1) * share):
                    writer.add({**self.row(trace), "reason": reason, "finish_reason": trace.finish_reason})


def _with_messages(row: Mapping[str, Any]) -> dict[str, Any]:
    turns = (("user", row["prompt"]), ("assistant", row["completion"]))
    return {**row, "messages": [{"role": role, "content": text} for role, text in turns]}
