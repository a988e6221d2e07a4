"""
What selection keeps of a trace when it has read it: a few numbers, by which traces are compared without their texts.

Of a shard they are a small table, which can be stored beside it; of a data set they are columns of numpy and pyarrow,
some 400 bytes a trace with signatures and 100 without.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..solved import is_solved
from ..trace import Trace
from .held_out import HeldOut
from .near import FEWEST_WORDS, RUN, VALUES, signatures
from .reasons import reason_of
from .rules import REASONS, Rules
from .words import normalized, number_of, runs_of, words_of


if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

KEPT = 255  # in a column of reasons: none
LABELS = ("prompt_id", "domain", "language", "source", "held_out")
_RUNS_AT_A_TIME = 1_000_000  # whose signatures are computed together


def schema() -> "pa.Schema":
    """Return the schema of a shard's table."""
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in LABELS),  # held_out: the evaluation whose prompt it contains
            ("sample", pa.int64()),
            ("reason", pa.uint8()),  # position in REASONS, or KEPT
            ("solved", pa.int8()),  # -1: not judged
            ("n_tokens", pa.int64()),
            ("characters", pa.int64()),  # of the completion
            ("text", pa.uint64()),  # the same for equal texts; of what is not rejected only, as is
            ("signature", pa.binary(2 * VALUES)),  # the MinHash signature
        ]
    )


def describe(traces: Iterable[Trace], rules: Rules, held_out: HeldOut | None = None) -> "pa.Table":
    """
    Apply the rules that look at one trace by itself, and keep what the others need.

    Args:
        traces (`Iterable[Trace]`):
            Traces, read once.
        rules ([`Rules`]):
            The rules.
        held_out ([`HeldOut`], *optional*):
            Prompts of evaluations.

    Returns:
        `pa.Table`: one row per trace, in their order.
    """
    import pyarrow as pa

    found: dict[str, list[Any]] = {name: [] for name in schema().names}
    signed = _Signatures(found["signature"])
    prompt, overlaps = None, ""
    for trace in traces:
        if held_out is not None and trace.prompt != prompt:  # the samples of a prompt follow each other
            prompt = trace.prompt
            overlaps = next((match.name for match in held_out.matches(prompt)), "")
        reason = "contaminated" if overlaps else reason_of(trace, rules)
        solved = is_solved((trace.rewards.get(name) for name in rules.right_by), at_least=rules.min_reward)
        text = "" if reason else normalized(trace.completion)
        row = {
            **_facts(trace),
            "held_out": overlaps or None,
            "reason": KEPT if reason is None else REASONS.index(reason),
            "solved": -1 if solved is None else int(solved),
            "text": None if reason else _number(trace.prompt, text),
        }
        for name, value in row.items():
            found[name].append(value)
        signed.add(None if reason or rules.near_duplicates is None else text)
    signed.flush()
    return pa.table(found, schema=schema())


def _facts(trace: Trace) -> dict[str, Any]:
    """What needs no rule to be known."""
    return {
        "prompt_id": trace.prompt_id,
        "sample": trace.sample,
        "domain": trace.domain or "none",
        "language": trace.language or "none",
        "source": trace.extra.get("source") or "none",
        "n_tokens": trace.n_tokens,
        "characters": len(trace.completion),
    }


def facts(traces: Sequence[Trace]) -> "Columns":
    """Return what a report needs of traces on which has been decided."""
    import pyarrow as pa

    return Columns.of([pa.Table.from_pylist([_facts(trace) for trace in traces], schema=schema())], len(traces))


def _number(prompt: str, completion: str) -> int:
    return number_of(f"{normalized(prompt)}\0{completion}")


class _Signatures:
    """Signatures of texts that come one by one, computed many at a time."""

    def __init__(self, into: list[Any]):
        self._into = into
        self._waiting: list[int] = []
        self._runs: list[NDArray[np.uint64]] = []
        self._count = 0

    def add(self, text: str | None) -> None:
        words = words_of(text) if text is not None else []
        if len(words) >= FEWEST_WORDS:
            self._waiting.append(len(self._into))
            self._runs.append(runs_of(words, RUN))
            self._count += len(words)
        self._into.append(None)
        if self._count > _RUNS_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        for position, values in zip(self._waiting, signatures(self._runs)):
            self._into[position] = values.tobytes()
        self._waiting, self._runs, self._count = [], [], 0


@dataclass(frozen=True)
class Labels:
    """
    A column of names.

    Args:
        codes (`NDArray[np.int32]` of shape `(traces,)`):
            Of each trace the position of its name.
        names (`Sequence[str]`):
            The names.
    """

    codes: "NDArray[np.int32]"
    names: Sequence[Any]


@dataclass(frozen=True)
class Columns:
    """
    What is known of all traces.

    Args:
        prompt_id, domain, language, source, held_out ([`Labels`]):
            Names of each.
        reason (`NDArray[np.uint8]`), solved (`NDArray[np.int8]`), n_tokens (`NDArray[np.int64]`), characters (`NDArray[np.int64]`), text (`NDArray[np.uint64]`):
            As in [`schema`], all of shape `(traces,)`.
        signed (`NDArray[np.int64]` of shape `(signatures,)`):
            The positions of the traces that have a signature.
        signatures (`NDArray[np.uint16]` of shape `(signatures, 128)`):
            Theirs.
    """

    prompt_id: Labels
    domain: Labels
    language: Labels
    source: Labels
    held_out: Labels
    reason: "NDArray[np.uint8]"
    solved: "NDArray[np.int8]"
    n_tokens: "NDArray[np.int64]"
    characters: "NDArray[np.int64]"
    text: "NDArray[np.uint64]"
    signed: "NDArray[np.int64]"
    signatures: "NDArray[np.uint16]"

    def __len__(self) -> int:
        return len(self.reason)

    @classmethod
    def of(cls, tables: Iterable["pa.Table"], count: int) -> "Columns":
        """
        Put the tables of shards together, in their order.

        Args:
            tables (`Iterable[pa.Table]`):
                The shards' tables, each let go of when it has been read.
            count (`int`):
                Number of their rows in all.
        """
        import pyarrow as pa

        numbers = {name: np.empty(count, kind) for name, kind in _NUMBERS.items()}
        labels: dict[str, list[Any]] = {name: [] for name in LABELS}
        signed = np.empty(count, np.int64)
        # Memory that is not written to is not taken: only as many rows as there are signatures.
        values = np.empty((count, VALUES), np.uint16)
        position, row = 0, 0
        for table in tables:
            end = position + len(table)
            for name, column in numbers.items():
                column[position:end] = table[name].fill_null(0).to_numpy()
            for name, parts in labels.items():
                parts.extend(table[name].chunks)
            for start, part in _of_signatures(table["signature"]):
                signed[row : row + len(part)] = position + start
                values[row : row + len(part)] = part
                row += len(part)
            position = end
        named: dict[str, Any] = {
            **{name: _labels(pa.chunked_array(parts, pa.string())) for name, parts in labels.items()},
            **numbers,
        }
        return cls(**named, signed=signed[:row], signatures=values[:row])


_NUMBERS = {"reason": np.uint8, "solved": np.int8, "n_tokens": np.int64, "characters": np.int64, "text": np.uint64}


def _labels(column: "pa.ChunkedArray") -> Labels:
    encoded = column.combine_chunks().dictionary_encode()
    return Labels(encoded.indices.fill_null(-1).to_numpy().astype(np.int32), _Names(encoded.dictionary))


class _Names(Sequence[str]):
    """Names in pyarrow's memory: of a million prompts, Python's own would take more than all the rest."""

    def __init__(self, names: Any):
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, position: Any) -> Any:
        return self._names[int(position)].as_py()


def _of_signatures(column: "pa.ChunkedArray") -> Iterator[tuple["NDArray[np.int64]", "NDArray[np.uint16]"]]:
    """Yield of each chunk the positions of its signatures within the column, and their values."""
    start = 0
    for chunk in column.chunks:
        there = np.flatnonzero(chunk.is_valid().to_numpy(zero_copy_only=False))
        values = chunk.drop_null()
        data = np.frombuffer(values.buffers()[1] or b"", np.uint16).reshape(-1, VALUES)
        yield start + there, data[values.offset : values.offset + len(values)]
        start += len(chunk)


@dataclass(frozen=True)
class Seen:
    """
    Rows of other data sets, of which nothing is kept a second time.

    Args:
        texts (`NDArray[np.uint64]` of shape `(rows,)`):
            Numbers of prompts with completions.
        signatures (`NDArray[np.uint16]` of shape `(signed rows, 128)`):
            Signatures of the completions that are long enough.
    """

    texts: "NDArray[np.uint64]"
    signatures: "NDArray[np.uint16]"

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> "Seen":
        """Make it of prompts and completions."""
        texts: list[int] = []
        signed: list[Any] = []
        waiting = _Signatures(signed)
        for prompt, completion in rows:
            text = normalized(completion)
            texts.append(_number(prompt, text))
            waiting.add(text)
        waiting.flush()
        data = b"".join(each for each in signed if each is not None)
        return cls(np.array(texts, np.uint64), np.frombuffer(data, np.uint16).reshape(-1, VALUES))
