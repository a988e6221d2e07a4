"""
The record of one prompt with one completion: what sampling writes, what selection reads, what the report shows.

Traces are stored as parquet shards with one fixed schema, so that rollouts kept in training, samples of a builder and
samples of an evaluation can be read by the same code.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .data_files import parquet_files
from .errors import DataError
from .io import whole_file
from .text import as_text


if TYPE_CHECKING:
    import pyarrow as pa


T = TypeVar("T")

SCHEMA_VERSION = "1"


@dataclass(frozen=True)
class Trace:
    """
    One prompt with one completion, its rewards, and where it came from.

    Args:
        prompt_id (`str`):
            Stable identity of the prompt: the same question has the same id in every data set.
        prompt (`str`):
            The question as a user writes it, without template.
        completion (`str`):
            What the model wrote, thought included, without the end-of-sequence token.
        solution (`str`, *optional*):
            Reference answer, where one is known.
        domain (`str`, *optional*):
            Kind of task: `math`, `code`, `general`, ...
        language (`str`, *optional*):
            ISO 639-1 code of the language in which the model was asked to think.
        rewards (`dict[str, float | None]`):
            Reward by name. `None`: does not apply, or could not be judged.
        model (`str`):
            Checkpoint that wrote the completion.
        sampling (`dict[str, Any]`):
            How it was sampled: temperature, top-p, maximum number of tokens, template. `failure`, where it has failed, is why.
        finish_reason (`str`):
            `"stop"` if the model ended by itself, `"length"` if it was cut. Anything else says why there is no
            completion (see [`~sampling.Sample`]).
        n_tokens (`int`):
            Length of the completion in tokens, the end-of-sequence token included.
        sample (`int`):
            Which of its prompt's samples it is, from 0.
        seed (`int`):
            Seed with which it was sampled: its own, or its batch's.
        step (`int`, *optional*):
            Training step at which it was sampled, for rollouts kept in training.
        extra (`dict[str, Any]`):
            The data set's further columns (`tests`, `options`, `reference`), as they came.
    """

    prompt_id: str
    prompt: str
    completion: str
    solution: str | None = None
    domain: str | None = None
    language: str | None = None
    rewards: dict[str, float | None] = field(default_factory=dict)
    model: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)
    finish_reason: str = "stop"
    n_tokens: int = 0
    sample: int = 0
    seed: int = 0
    step: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def was_sampled(self) -> bool:
        """Whether there is a completion."""
        return self.finish_reason in ("stop", "length")

    @classmethod
    def of_row(cls, row: Mapping[str, Any], **known: Any) -> "Trace":
        """
        Make the trace of a completion of a data set's row.

        Args:
            row (`Mapping[str, Any]`):
                The row. Its `solution`, `domain` and `language` are taken over as text; what has no field of its own goes
                into `extra`, unless JSON does not know it (an image).
            **known (`Any`):
                The other fields.
        """
        texts: dict[str, Any] = {name: as_text(row.get(name)) for name in ("solution", "domain", "language")}
        extra = {name: value for name, value in row.items() if name not in _IN_FIELDS and _is_json(value)}
        return cls(**texts, extra=extra, **known)


# Columns of a row that a trace has a field for; `question` is its `prompt`.
_IN_FIELDS = {"prompt", "question", "prompt_id", "solution", "domain", "language"}
_JSON_COLUMNS = ("rewards", "sampling", "extra")
_REQUIRED = ("prompt_id", "prompt", "completion")


def by_prompt(traces: Iterable[Trace]) -> dict[str, list[Trace]]:
    """Group traces by their prompt's id, in the order in which the prompts come."""
    return grouped(traces, lambda trace: trace.prompt_id)


def grouped(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """Group items by their key, in the order in which the keys come."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def trace_schema() -> "pa.Schema":
    """Return the parquet schema of a shard. Nested fields are JSON text: their keys differ from run to run."""
    import pyarrow as pa

    integers = {"n_tokens": pa.int64(), "sample": pa.int64(), "seed": pa.int64(), "step": pa.int64()}
    return pa.schema(
        [(f.name, integers.get(f.name, pa.string())) for f in fields(Trace)],
        metadata={"trl_r1.trace": SCHEMA_VERSION},
    )


def write_traces(path: str | Path, traces: Iterable[Trace], metadata: Mapping[str, str] | None = None) -> int:
    """
    Write one shard, whole or not at all: a reader never sees half a file.

    Args:
        path (`str` or `Path`):
            The shard, `*.parquet`. Its folder is made where it is missing.
        traces (`Iterable[Trace]`):
            What to write. Numpy's numbers and arrays in `rewards`, `sampling` and `extra` become plain ones, a reward
            of NaN becomes `None`, and what JSON does not know (a date) becomes text.
        metadata (`Mapping[str, str]`, *optional*):
            What else the file says of itself.

    Returns:
        `int`: number of traces written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, rows = trace_schema(), []
    for trace in traces:
        row = asdict(trace)
        row["rewards"] = {name: None if reward != reward else reward for name, reward in trace.rewards.items()}  # NaN
        for name in _JSON_COLUMNS:
            row[name] = json.dumps(row[name], ensure_ascii=False, sort_keys=True, default=_plain)
        rows.append(row)
    schema = schema.with_metadata({**schema.metadata, **(metadata or {})})
    with whole_file(path) as partial:
        # The samples of a prompt have one `extra`, megabytes of it where it holds a program's tests: it is stored once.
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, dictionary_pagesize_limit=1 << 30)
    return len(rows)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy, torch
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def read_traces(path: str | Path) -> Iterator[Trace]:
    """
    Read the traces of a shard, or of all shards of a folder in the order of their names.

    Args:
        path (`str` or `Path`):
            A `*.parquet` file or a folder of them. Columns that [`Trace`] does not have are left out.

    Raises:
        [`~errors.DataError`]: if the path does not exist, or a file is not a shard of traces.
    """
    for shard in shards_of(path):
        yield from _read_shard(shard)


def shards_of(path: str | Path) -> list[Path]:
    """
    Return the shards of a folder in the order of their names; a shard itself is its only one.

    Raises:
        [`~errors.DataError`]: if there is none.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("expected a parquet shard of traces or a folder of them, found nothing", file=str(path))
    return parquet_files(path) if path.is_dir() else [path]


def _read_shard(path: Path) -> Iterator[Trace]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            version = (file.schema_arrow.metadata or {}).get(b"trl_r1.trace", SCHEMA_VERSION.encode()).decode()
            if version != SCHEMA_VERSION:
                raise DataError(
                    f"expected traces of version {SCHEMA_VERSION}, found version {version}", file=str(path)
                )
            columns = [f.name for f in fields(Trace) if f.name in file.schema_arrow.names]
            missing = [name for name in _REQUIRED if name not in columns]
            if missing:
                raise DataError(f"expected a shard of traces, found no column {', '.join(missing)}", file=str(path))
            extra: dict[str, Any] = {}
            text = ""
            for batch in file.iter_batches(batch_size=64, columns=columns):
                for row in batch.to_pylist():
                    if (found := row.get("extra") or "") != text:
                        extra, text = json.loads(found) if found else {}, found
                    for name in ("rewards", "sampling"):
                        row[name] = json.loads(row[name]) if row.get(name) else {}
                    yield Trace(**{**row, "extra": dict(extra)})  # its values are those of the prompt's other samples
    except (pa.ArrowInvalid, json.JSONDecodeError) as error:
        raise DataError(f"expected a shard of traces, could not read it: {error}", file=str(path)) from error
