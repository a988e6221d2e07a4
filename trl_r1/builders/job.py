"""
What the builders do alike: read and check everything first, then sample, select and write.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..data import load_prompts, load_rows, parse_sources
from ..errors import DataError, StageError
from ..io import read_json, whole_folder, write_json
from ..rewards import LanguageConsistency
from ..sampling import Engine, SamplingConfig, check_columns, sample, shard_count
from ..selection import (
    HeldOut,
    Rules,
    Seen,
    Selection,
    ShardSelection,
    contaminated,
    read_rules,
    select,
    select_shards,
)
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
        made = read_rules(config.rules, **{"right_by": (), "seed": sampling.seed, **rules})
        self.rules = dataclasses.replace(made, language_by=made.language_by or _counting_language(rewards, made))
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
        self.held_out: HeldOut | None = None
        self.contamination: dict[str, Any] = {}
        if config.held_out:
            self.held_out = _held_out(config)
            if len(self.rows):
                self._leave_out_contaminated(self.held_out)
        self.seen = _seen(config) if config.against else None
        self._pass_rates: dict[str, float] = {}

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
        """Do as [`shards`] does, and yield the traces."""
        for shard in self.shards(finish, finish_key, **changes):
            yield from read_traces(shard)

    def shards(self, finish: Callable[[list[Trace]], list[Trace]], finish_key: Any, **changes: Any) -> list[Path]:
        """
        Score the samples of `samples_from`, and sample and score those of the config's prompts.

        Args:
            finish (`Callable`), finish_key (*optional*), **changes:
                See [`~sampling.sample`].

        Returns:
            `list[Path]`: the shards in which they are.
        """
        folder = Path(self.config.output_dir) / "traces"
        shards = []
        for i, shard in enumerate(self._shards):
            place = folder / f"taken-{i:05d}.parquet"
            note = place.with_name(f".{place.stem}.json")
            state = shard.stat()
            made_of = {"shard": shard.name, "size": state.st_size, "time": state.st_mtime_ns, "scored": finish_key}
            if not place.is_file() or read_json(note) != made_of:
                note.unlink(missing_ok=True)
                write_traces(place, finish([dataclasses.replace(trace, rewards={}) for trace in read_traces(shard)]))
                write_json(note, made_of)
            shards.append(place)
        if len(self.rows):
            for _ in self.sample(finish=finish, finish_key=finish_key, **changes):
                pass
            shards += [folder / f"{i:05d}.parquet" for i in range(shard_count(len(self.rows), self.sampling))]
        return shards

    def select(self, traces: Iterable[Trace], rules: Rules | None = None) -> Selection:
        """Apply the rules, the job's own by default, to traces in memory."""
        selection = select(traces, rules or self.rules, self.held_out, self.seen)
        self._pass_rates |= selection.pass_rates
        return selection

    def select_shards(self, shards: Sequence[Path]) -> ShardSelection:
        """Apply the rules to shards of traces; what is found in each is stored in `selection/`."""
        selection = select_shards(
            shards,
            self.rules,
            self.held_out,
            folder=Path(self.config.output_dir) / "selection",
            seen=self.seen,
        )
        self._pass_rates |= selection.pass_rates
        return selection

    def _leave_out_contaminated(self, held_out: HeldOut) -> None:
        """Leave prompts of evaluations out before they cost a sample."""
        prompts = dict(zip(self.rows["prompt_id"], self.rows["prompt"]))
        ids, self.contamination = contaminated(prompts, held_out)
        clean = [i for i, prompt_id in enumerate(self.rows["prompt_id"]) if prompt_id not in ids]
        if not clean:
            raise DataError("every prompt overlaps with a held-out one; expected others", key="held_out")
        if ids:
            self.rows = self.rows.select(clean)

    def row(self, trace: Trace, form: str | None = None) -> dict[str, Any]:
        """Return a selected trace as a row for SFT, with the share of its prompt's samples that are solved."""
        return {**sft_row(trace, form, self.rules.style), "pass_rate": self._pass_rates.get(trace.prompt_id)}

    def write(
        self,
        rows: Iterable[Mapping[str, Any]],
        report: Mapping[str, Any],
        selection: Selection | ShardSelection,
        columns: tuple[str, ...] = SFT_COLUMNS,
    ) -> None:
        """
        Write the data set, a sample of what was rejected, and the report, each whole or not at all; the data set last.

        Args:
            rows (`Iterable[Mapping[str, Any]]`):
                The data set's rows.
            report (`Mapping[str, Any]`):
                What `selection.json` holds, besides statistics of the rows.
            selection ([`~selection.Selection`] or [`~selection.ShardSelection`]):
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
            contamination = {"contamination": self.contamination} if self.contamination else {}
            told = {**report, **contamination, "statistics": statistics.to_json()}
            write_json(output_dir / "selection.json", told)
            if not writer.rows:
                reasons = ", ".join(f"{reason} {count}" for reason, count in report.get("rejected", {}).items())
                raise StageError(
                    f"{output_dir}: none of {report.get('seen', 0)} was kept: {reasons or 'nothing was seen'}"
                )

    def _write_rejected(self, selection: Selection | ShardSelection, statistics: Statistics) -> None:
        most = self.config.rejected_per_reason
        counts, seen = selection.counts, defaultdict[str, int](int)
        path = Path(self.config.output_dir) / "rejected"
        with (
            whole_folder(path) as partial,
            DataSetWriter(partial / "train.parquet", schema_of(REJECTED_COLUMNS)) as writer,
        ):
            rejected = selection.rejected() if isinstance(selection, ShardSelection) else selection.rejected
            for trace, reason in rejected:
                statistics.reject(trace)
                # At even distances: the n-th is taken where a whole number of the sample falls on it.
                share = 1.0 if most is None else min(1.0, most / counts[reason])
                seen[reason] += 1
                if int(seen[reason] * share) > int((seen[reason] - 1) * share):
                    writer.add({**self.row(trace), "reason": reason, "finish_reason": trace.finish_reason})


def _with_messages(row: Mapping[str, Any]) -> dict[str, Any]:
    turns = (("user", row["prompt"]), ("assistant", row["completion"]))
    return {**row, "messages": [{"role": role, "content": text} for role, text in turns]}


def _held_out(config: BuilderConfig) -> HeldOut:
    """The prompts of the config's `held_out`, each source an evaluation of its own."""
    sources = parse_sources(config.held_out, key="held_out")
    prompts = {source.label: load_prompts([source])["prompt"] for source in sources}
    boilerplate = {} if config.boilerplate is None else {"boilerplate": config.boilerplate}
    return HeldOut(prompts, min_share=config.min_overlap, **boilerplate)


def _seen(config: BuilderConfig) -> Seen:
    """The rows of the config's `against`."""
    rows = load_rows(parse_sources(config.against, key="against"), kind="sft")
    return Seen.of((row["prompt"], row["completion"]) for row in rows)


def _counting_language(rewards: Mapping[str, Callable[..., Any]], rules: Rules) -> str | None:
    """The name of a reward that counts the words of the same thoughts by the same languages as the rules do."""
    for name, reward in rewards.items():
        inner = getattr(reward, "reward", reward)  # of one for some domains
        if isinstance(inner, LanguageConsistency) and (inner.languages, inner.style) == (rules.languages, rules.style):
            return name
    return None
