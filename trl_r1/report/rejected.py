"""Samples that a builder rejected, to read: a few for each reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..data_files import parquet_files
from ..lineage import StageRecord
from ..scores import number
from .texts import Piece, pieces_of


PER_REASON = 3
# What the reasons of a selection say, for one who reads the page.
MEANING = {
    "contaminated": "Its prompt shares a run of words with a prompt of an evaluation.",
    "unsampled": "The engine could not complete its prompt.",
    "truncated": "It was cut at the maximum length.",
    "unjudged": "No reward that decides could judge it.",
    "wrong": "Its answer is wrong, or gets less than the reward asked for.",
    "malformed": "It has not exactly one thought and an answer after it.",
    "too_short": "It has fewer tokens than asked for.",
    "too_long": "It has more tokens than allowed.",
    "language": "Its thought mixes languages, or is in another than its prompt's.",
    "repetitive": "It says the same over and over.",
    "long_paragraph": "A paragraph of its thought is too long to read.",
    "code_block": "Its thought holds a block of code.",
    "pass_rate": "Its prompt is solved too often or too rarely.",
    "duplicate": "The same completion of the same prompt was kept before.",
    "near_duplicate": "A completion that is almost the same was kept before.",
    "capped": "Enough completions of its prompt were kept.",
    "over_target": "A target that it counts towards is reached.",
    "unanswered": "There was no answer.",
    "gap": "The scores of the two answers are too close.",
    "lopsided": "Left out so that chosen and rejected answers are about equally long.",
}
_COLUMNS = ["reason", "prompt", "completion", "solution", "domain", "language", "n_tokens"]


@dataclass(frozen=True)
class Rejected:
    """One rejected sample."""

    reason: str
    prompt: str
    pieces: tuple[Piece, ...]
    solution: str
    domain: str
    language: str
    tokens: int | None


def rejected_of(stage: StageRecord) -> dict[str, list[Rejected]]:
    """
    The first samples of each reason, in the order of how often the reason applied: from the data set `rejected/` that the
    builder left, else from the `examples` of its `selection.json`; none where it kept neither.
    """
    rows = _from_files(stage) or _from_selection(stage)
    counts = stage.selection.get("rejected")
    counts = counts if isinstance(counts, Mapping) else {}
    found: dict[str, list[Rejected]] = {}
    for row in rows:
        reason = str(row.get("reason") or "")
        tokens = number(row.get("n_tokens"))
        kept = found.setdefault(reason, [])
        if reason and len(kept) < PER_REASON:
            texts = {name: str(row.get(name) or "") for name in ("prompt", "solution", "domain", "language")}
            pieces = pieces_of(str(row.get("completion") or ""))
            kept.append(Rejected(reason=reason, pieces=pieces, tokens=int(tokens) if tokens else None, **texts))
    ordered = sorted(found, key=lambda reason: -(number(counts.get(reason)) or 0))
    return {reason: found[reason] for reason in ordered if found[reason]}


def _from_files(stage: StageRecord) -> list[Mapping[str, Any]]:
    """Rows of each reason, from a column store of which little is read."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows: list[Mapping[str, Any]] = []
    seen: dict[str, int] = {}
    for file in parquet_files(stage.directory / "rejected"):
        try:
            with pq.ParquetFile(file) as table:
                names = [name for name in _COLUMNS if name in table.schema_arrow.names]
                for group in range(table.num_row_groups):
                    reasons = table.read_row_group(group, columns=["reason"])["reason"]
                    wanted = [r for r in pc.unique(reasons).to_pylist() if seen.get(r, 0) < PER_REASON]
                    if not wanted:
                        continue
                    found = table.read_row_group(group, columns=names)
                    for reason in wanted:
                        first = found.filter(pc.equal(found["reason"], reason)).slice(0, PER_REASON).to_pylist()
                        seen[reason] = seen.get(reason, 0) + len(first)
                        rows += first
        except (OSError, ValueError, KeyError):
            continue
    return rows


def _from_selection(stage: StageRecord) -> list[Mapping[str, Any]]:
    examples = stage.selection.get("examples")
    if isinstance(examples, Mapping):  # by reason
        pairs = ((reason, rows) for reason, rows in examples.items() if isinstance(rows, list))
        return [{"reason": reason, **row} for reason, rows in pairs for row in rows if isinstance(row, Mapping)]
    return [row for row in examples if isinstance(row, Mapping)] if isinstance(examples, list) else []
