"""
The rows of the data sets that builders write, and what is counted of them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..text import split_completion
from ..trace import Trace
from .instructions import fill


if TYPE_CHECKING:
    import pyarrow as pa

# Where a row comes from: the data set's name and license, the model that wrote it and with which seed, its length in tokens,
# its rewards (JSON), and the share of its prompt's samples that are solved.
PROVENANCE = ("source", "license", "model", "seed", "n_tokens", "rewards", "pass_rate")
SFT_COLUMNS = ("prompt_id", "prompt", "completion", "solution", "domain", "language", *PROVENANCE)
PAIR_COLUMNS = ("prompt_id", "prompt", "chosen", "rejected", "domain", "language", "source", "license", "model")
LABEL_COLUMNS = ("prompt_id", "prompt", "completion", "label", "domain", "language", *PROVENANCE)
REJECTED_COLUMNS = ("reason", "finish_reason", *SFT_COLUMNS)


def schema_of(columns: tuple[str, ...]) -> "pa.Schema":
    """Return the types of a data set's columns: text, but for what is a number or a conversation."""
    import pyarrow as pa

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    types = {
        "seed": pa.int64(),
        "n_tokens": pa.int64(),
        "pass_rate": pa.float64(),
        "label": pa.bool_(),
        "messages": pa.list_(turn),
    }
    return pa.schema([(column, types.get(column, pa.string())) for column in columns])


def sft_row(trace: Trace, form: str | None = None, style: str = "think") -> dict[str, Any]:
    """Return a trace as a row for SFT; with `form`, its thought and answer put together anew."""
    completion = trace.completion
    if form is not None:
        parts = split_completion(completion, style=style)
        completion = fill(form, thought=parts.thought or "", answer=parts.answer or "")
    return {
        "prompt_id": trace.prompt_id,
        "prompt": trace.prompt,
        "completion": completion,
        "solution": trace.solution,
        "domain": trace.domain,
        "language": trace.language,
        "source": trace.extra.get("source") or "",
        "license": trace.extra.get("license"),
        "model": trace.model or None,
        "seed": trace.seed if trace.model else None,
        "n_tokens": trace.n_tokens or None,
        "rewards": json.dumps(trace.rewards, ensure_ascii=False) if trace.rewards else None,
    }


class Statistics:
    """What `selection.json` and the card tell of the rows that were written, besides what selection tells."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._tokens: dict[str, list[int]] = defaultdict(list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        domain = row.get("domain") or "none"
        self._rows[domain] += 1
        if row.get("n_tokens"):
            self._tokens[domain].append(row["n_tokens"])

    def to_json(self) -> dict[str, Any]:
        """
        Return the counts.

        Returns:
            `dict[str, Any]`: `domains`: for each, and in all (`total`), `samples`, mean `rounds` and mean `tokens`, as in the
            paper's v2 Table 5; tokens of the rows whose length is known.
        """
        lengths = [tokens for of_domain in self._tokens.values() for tokens in of_domain]
        domains = {name: _domain(self._rows[name], self._tokens[name]) for name in sorted(self._rows)}
        return {"domains": {**domains, "total": _domain(self._rows.total(), lengths)}}


def _domain(rows: int, lengths: list[int]) -> dict[str, Any]:
    # Every row is one question with one answer.
    return {"samples": rows, "rounds": 1.0, "tokens": round(sum(lengths) / len(lengths), 1) if lengths else None}
