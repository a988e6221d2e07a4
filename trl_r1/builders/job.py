"""
What the builders do alike: read and check everything first, then sample, select and write.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from ..data import load_prompts, parse_sources
from ..errors import StageError
from ..io import whole_file, write_json
from ..sampling import (
    Engine,
    SamplingConfig,
    Worker,
    accuracy_of,
    check_columns,
    sample_to_shards,
    write_pass_rates,
)
from ..sampling.progress import OnProgress
from ..select import HeldOut, Selection, read_rules, select
from ..trace import Trace, read_traces
from .config import BuilderConfig
from .outputs import SFT_COLUMNS


class Hooks(TypedDict, total=False):
    """
    How a caller takes part in sampling.

    Args:
        on_progress (`Callable`, *optional*):
            Told how far sampling is: [`~sampling.progress.OnProgress`].
        engine ([`~sampling.Engine`], *optional*):
            What samples; by default the engine that [`~sampling.SamplingConfig`] names.
    """

    on_progress: OnProgress | None
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
        on_progress, engine:
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
        on_progress: OnProgress | None = None,
        engine: Engine | None = None,
        **rules: Any,
    ) -> None:
        self.sampling, self.config, self.rewards = sampling, config, rewards
        self.on_progress, self.engine = on_progress, engine
        self.rules = read_rules(config.rules, **{"right_by": (), "seed": sampling.seed, **rules})
        self.rows = load(config.data, seed=sampling.seed)
        check_columns(rewards, self.rows.column_names, self.rows.unique("domain"))
        self.held_out = None
        if config.held_out:
            self.held_out = HeldOut(load_prompts(parse_sources(config.held_out, key="held_out"))["prompt"])

    def sample(self, *, last: bool = True, **changes: Any) -> Iterator[Trace]:
        """
        Sample from the config's model, and yield the traces in the order of their shards.

        Where several workers share the stage, the first one goes on when all are done; the others end here.

        Args:
            last (`bool`, *optional*, defaults to `True`):
                Whether nothing more is sampled that the other workers have a part in.
            **changes:
                Arguments of [`~sampling.sample_to_shards`] in place of the builder's.
        """
        for shard in self.sample_to_shards(last=last, **changes):
            yield from read_traces(shard)

    def sample_to_shards(self, *, last: bool = True, **changes: Any) -> list[Path]:
        """Sample as [`sample`], and return the shards."""
        accuracy = accuracy_of(self.rewards)
        arguments = {
            "model": self.config.model_name_or_path or "",
            "rows": self.rows,
            "config": self.sampling,
            "out_dir": f"{self.config.output_dir}/traces",
            "on_progress": self.on_progress,
            "engine": self.engine,
            "accuracy": accuracy,
        }
        shards = sample_to_shards(**{**arguments, **changes})
        if Worker.of_environment().rank:
            if last:
                raise SystemExit(0)
            return []
        if accuracy and changes.get("finish"):
            model = str(changes.get("model", arguments["model"]))
            write_pass_rates(Path(self.config.output_dir) / "pass_rates.parquet", {model: shards}, accuracy)
        return shards

    def select(self, traces: Iterable[Trace]) -> Selection:
        """Apply the rules."""
        return select(traces, self.rules, self.held_out)

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
