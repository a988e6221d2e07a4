"""
What the builders do alike: read and check everything first, then sample, select and write.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..data import load_prompts, load_rows, parse_sources
from ..errors import DataError, StageError
from ..io import whole_file, write_json
from ..rewards import LanguageConsistency
from ..sampling import Engine, SamplingConfig, check_columns, sample
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
from ..trace import Trace
from .config import BuilderConfig
from .outputs import SFT_COLUMNS


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
        self.rows = load(config.data, seed=sampling.seed)
        check_columns(rewards, self.rows.column_names, self.rows.unique("domain"))
        self.held_out: HeldOut | None = None
        self.contamination: dict[str, Any] = {}
        if config.held_out:
            self.held_out = _held_out(config)
            self._leave_out_contaminated(self.held_out)
        self.seen = _seen(config) if config.against else None

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

    def select(self, traces: Iterable[Trace], rules: Rules | None = None) -> Selection:
        """Apply the rules, the job's own by default, to traces in memory."""
        return select(traces, rules or self.rules, self.held_out, self.seen)

    def select_shards(self, shards: Sequence[Path]) -> ShardSelection:
        """Apply the rules to shards of traces; what is found in each is stored in `selection/`."""
        return select_shards(
            shards,
            self.rules,
            self.held_out,
            folder=Path(self.config.output_dir) / "selection",
            seen=self.seen,
            on_progress=self.on_shard,
        )

    def _leave_out_contaminated(self, held_out: HeldOut) -> None:
        """Leave prompts of evaluations out before they cost a sample."""
        prompts = dict(zip(self.rows["prompt_id"], self.rows["prompt"]))
        ids, self.contamination = contaminated(prompts, held_out)
        clean = [i for i, prompt_id in enumerate(self.rows["prompt_id"]) if prompt_id not in ids]
        if not clean:
            raise DataError("every prompt overlaps with a held-out one; expected others", key="held_out")
        if ids:
            self.rows = self.rows.select(clean)

    def write(
        self,
        rows: Iterable[Mapping[str, Any]],
        report: Mapping[str, Any],
        columns: tuple[str, ...] = SFT_COLUMNS,
    ) -> None:
        """
        Write the report and the data set, each whole or not at all; the data set last.

        Args:
            rows (`Iterable[Mapping[str, Any]]`):
                The data set's rows.
            report (`Mapping[str, Any]`):
                What `selection.json` holds.
            columns (`tuple[str, ...]`, *optional*):
                The data set's columns, all text.

        Raises:
            [`~errors.StageError`]: if nothing was kept; `selection.json`, which says why, is written all the same.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        output_dir = Path(self.config.output_dir)
        if self.contamination:
            report = {**report, "contamination": self.contamination}
        write_json(output_dir / "selection.json", report)
        rows = [{column: row.get(column) for column in columns} for row in rows]
        if not rows:
            reasons = ", ".join(f"{reason} {count}" for reason, count in report.get("rejected", {}).items())
            raise StageError(
                f"{output_dir}: none of {report.get('seen', 0)} was kept: {reasons or 'nothing was seen'}"
            )
        table = pa.Table.from_pylist(rows, schema=pa.schema([(column, pa.string()) for column in columns]))
        with whole_file(output_dir / "data" / "train.parquet") as partial:
            pq.write_table(table, partial)


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
