"""
What a builder leaves behind: `data/train.parquet`, and `selection.json` with what was kept and why the rest was not.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import StageError
from ..io import whole_file, write_json
from ..text import split_completion
from ..trace import Trace


SFT_COLUMNS = ("prompt_id", "prompt", "completion", "solution", "domain", "language", "source")
PAIR_COLUMNS = ("prompt_id", "prompt", "chosen", "rejected", "domain", "language", "source")


def write_outputs(
    output_dir: str | os.PathLike[str],
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    selection: Mapping[str, Any],
) -> None:
    """
    Write the data set and what selection did, each whole or not at all; the data set last.

    Args:
        output_dir (`str` or `os.PathLike`):
            The stage's folder.
        rows (`Iterable[Mapping[str, Any]]`):
            The data set's rows.
        columns (`Sequence[str]`):
            Its columns, all text.
        selection (`Mapping[str, Any]`):
            What `selection.json` holds.

    Raises:
        [`~errors.StageError`]: if nothing was kept; `selection.json`, which says why, is written all the same.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    output_dir = Path(output_dir)
    write_json(output_dir / "selection.json", selection)
    rows = [{column: row.get(column) for column in columns} for row in rows]
    if not rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in selection.get("rejected", {}).items())
        raise StageError(f"{output_dir}: none of {selection.get('seen', 0)} was kept: {reasons or 'nothing was seen'}")
    table = pa.Table.from_pylist(rows, schema=pa.schema([(column, pa.string()) for column in columns]))
    with whole_file(output_dir / "data" / "train.parquet") as partial:
        pq.write_table(table, partial)


def sft_row(trace: Trace, form: str | None = None, style: str = "think") -> dict[str, Any]:
    """Return a trace as a row for SFT; with `form`, its thought and answer put together anew."""
    completion = trace.completion
    if form is not None:
        parts = split_completion(completion, style=style)
        completion = put_together(form, parts.thought or "", parts.answer or "")
    return {
        "prompt_id": trace.prompt_id,
        "prompt": trace.prompt,
        "completion": completion,
        "solution": trace.solution,
        "domain": trace.domain,
        "language": trace.language,
        "source": trace.extra.get("source") or "",
    }


def fill(instruction: str, **values: str) -> str:
    """Put values where an instruction has their names in braces, in one pass: a value may hold braces itself."""
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda match: values[match[1]], instruction)


def put_together(form: str, thought: str, answer: str) -> str:
    """Put a thought and an answer into a form. Braces within them stay as they are."""
    before, _, rest = form.partition("{thought}")
    between, _, after = rest.partition("{answer}")
    return f"{before}{thought}{between}{answer}{after}"
