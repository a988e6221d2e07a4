"""
What the builders do alike: read and check everything first, then sample, select and write.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..data import load_prompts, load_rows, parse_sources
from ..errors import DataError, StageError
from ..io import whole_folder, write_json
from ..pass_rates import FILE as PASS_RATES
from ..pass_rates import read_pass_rates, write_pass_rates
from ..rewards import LanguageConsistency
from ..sampling import Engine, SamplingConfig, Worker, check_columns, sample_to_shards
from ..sampling.progress import OnProgress
from ..selection import (
    BOILERPLATE,
    LOOSENED_BY,
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
from ..trace import Trace, read_traces
from .config import BuilderConfig
from .dataset import DataSetWriter
from .outputs import REJECTED_COLUMNS, SFT_COLUMNS, Statistics, schema_of, sft_row
from .taken import Taken


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
        made = read_rules(config.rules, **{"right_by": (), "seed": sampling.seed, **rules})
        self.rules = dataclasses.replace(made, language_by=made.language_by or _counting_language(rewards, made))
        # What says that a sample is solved, whatever the config's rules ask for; pairs and labels have no such reward.
        self.accuracy = [name for name in rules.get("right_by", ()) if name in rewards]
        self.rows: Any = []
        if config.data:
            self.rows = load(config.data, seed=sampling.seed)
            check_columns(rewards, self.rows.column_names, self.rows.unique("domain"))
        self.taken = Taken(config, rewards)
        self.held_out: HeldOut | None = None
        self.contamination: dict[str, Any] = {}
        if config.held_out:
            self.held_out = _held_out(config)
            if config.data:
                self._leave_out_contaminated(self.held_out)
        self.seen = _seen(config) if config.against else None
        self.pass_rates: dict[str, float] = {}

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
        arguments = {
            "model": self.config.model_name_or_path or "",
            "rows": self.rows,
            "config": self.sampling,
            "out_dir": f"{self.config.output_dir}/traces",
            "on_progress": self.on_progress,
            "engine": self.engine,
            "accuracy": self.accuracy,
        }
        shards = sample_to_shards(**{**arguments, **changes})
        if Worker.of_environment().rank:
            if last:
                raise SystemExit(0)
            return []
        return shards

    def shards(self, finish: Callable[[list[Trace]], list[Trace]], finish_key: Any, **changes: Any) -> list[Path]:
        """
        Score the samples of `samples_from`, sample and score those of the config's prompts, and return the shards of both.

        Args:
            finish (`Callable`), finish_key (*optional*), **changes:
                See [`~sampling.sample`].
        """
        other = Worker.of_environment().rank > 0
        if other and not len(self.rows):
            raise SystemExit(0)
        taken = [] if other else self.taken.scored(finish, finish_key)
        sampled = self.sample_to_shards(finish=finish, finish_key=finish_key, **changes) if len(self.rows) else []
        if self.accuracy:
            found = {self.config.model_name_or_path or "": sampled, "samples_from": taken}
            path = Path(self.config.output_dir) / PASS_RATES
            write_pass_rates(path, {name: shards for name, shards in found.items() if shards}, self.accuracy)
            self.pass_rates = read_pass_rates(path)
        return taken + sampled

    def take_part(self, finish: Callable[[list[Trace]], list[Trace]], finish_key: Any) -> None:
        """Sample and score this worker's part of the config's prompts."""
        if len(self.rows):
            self.sample_to_shards(finish=finish, finish_key=finish_key)

    def select(self, traces: Iterable[Trace], rules: Rules | None = None) -> Selection:
        """Apply the rules, by default the job's, to traces in memory."""
        return select(traces, rules or self.rules, self.held_out, self.seen)

    def select_shards(self, shards: Sequence[Path]) -> ShardSelection:
        """Apply the rules to shards of traces; what is found in each is stored in `selection/`."""
        import pyarrow.parquet as pq

        samples = sum(pq.read_metadata(shard).num_rows for shard in shards)

        def tell(done: int, total: int) -> None:
            if self.on_progress is not None:
                self.on_progress(samples, samples, selected=done / max(total, 1))

        return select_shards(
            shards,
            self.rules,
            self.held_out,
            folder=Path(self.config.output_dir) / "selection",
            seen=self.seen,
            on_progress=tell,
        )

    def row(self, trace: Trace, form: str | None = None) -> dict[str, Any]:
        """Return a trace as a row for SFT, with the share of its prompt's samples that are solved."""
        return {**sft_row(trace, form, self.rules.style), "pass_rate": self.pass_rates.get(trace.prompt_id)}

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
        *selections: Selection | ShardSelection,
        columns: tuple[str, ...] = SFT_COLUMNS,
    ) -> None:
        """
        Write the data set, a sample of what was rejected, and the report, each whole or not at all; the data set last.

        Args:
            rows (`Iterable[Mapping[str, Any]]`):
                The data set's rows.
            report (`Mapping[str, Any]`):
                What `selection.json` holds, besides statistics of the rows.
            *selections ([`~selection.Selection`] or [`~selection.ShardSelection`]):
                What was rejected, for `rejected/`: `rejected_per_reason` of the config of each reason, at even distances.
            columns (`tuple[str, ...]`, *optional*):
                The data set's columns.

        Raises:
            [`~errors.StageError`]: if nothing was kept; `selection.json`, which says why, is written all the same.
        """
        if Worker.of_environment().rank:  # where nothing was left to sample
            raise SystemExit(0)
        output_dir = Path(self.config.output_dir)
        statistics = Statistics()
        if getattr(self.config, "messages", False):
            columns, rows = (*columns, "messages"), map(_with_messages, rows)
        if self.contamination:
            report = {**report, "contamination": self.contamination}
        with whole_folder(output_dir / "data") as partial:
            with DataSetWriter(partial / "train.parquet", schema_of(columns)) as writer:
                for row in rows:
                    writer.add(row)
                    statistics.add(row)
            self._write_rejected(selections)
            write_json(output_dir / "selection.json", {**report, "statistics": statistics.to_json()})
            if not writer.rows:
                raise StageError(f"{output_dir}: none of {report.get('seen', 0)} was kept: {_why(report, output_dir)}")

    def _write_rejected(self, selections: Iterable[Selection | ShardSelection]) -> None:
        most = self.config.rejected_per_reason
        counts = Counter[str]()
        for selection in selections:
            counts.update(selection.report["rejected"])
        seen = defaultdict[str, int](int)
        path = Path(self.config.output_dir) / "rejected"
        with (
            whole_folder(path) as partial,
            DataSetWriter(partial / "train.parquet", schema_of(REJECTED_COLUMNS)) as writer,
        ):
            for selection in selections if most != 0 else ():
                for trace, reason in (
                    selection.rejected() if isinstance(selection, ShardSelection) else selection.rejected
                ):
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
    boilerplate = BOILERPLATE if config.boilerplate is None else config.boilerplate
    return HeldOut(prompts, min_share=config.min_overlap, boilerplate=boilerplate)


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


def _why(report: Mapping[str, Any], output_dir: Path) -> str:
    """Say for which reasons samples were rejected, and which key lets more of each through."""
    rejected = report.get("rejected", {})
    if not rejected:
        return "nothing was seen"
    helps = "".join(f"\n  {reason}: {LOOSENED_BY[reason]}" for reason in rejected if reason in LOOSENED_BY)
    reasons = ", ".join(f"{reason} {count}" for reason, count in rejected.items())
    return f"{reasons}. What lets more through:{helps}\nSamples of each reason are in {output_dir / 'rejected'}"
