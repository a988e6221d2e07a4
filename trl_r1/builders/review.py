"""
The sheet on which people look through the cold start's samples, and what they say.

Paper, v1 2.3.1 and v2 B.3.2: the cold-start data are post-processed and verified by human annotators. A builder writes
`review.csv`, a line for each sample with empty cells for a verdict and for another text. Filled in, and named as
`reviewed`, it is read back by the next run; a file that somebody has filled in is never written over.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..io import write_text
from ..text import split_completion


FILE = "review.csv"
VERDICTS = ("", "accept", "reject")
_COLUMNS = ("id", "verdict", "edit", "prompt", "completion", "solution", "domain", "language", "model", "prompt_id")


def review_id(row: Mapping[str, Any]) -> str:
    """Return by what a sample is known on the sheet: its prompt and its text, as it was before any edit."""
    return f"{row['prompt_id']}-{hashlib.sha256(row['completion'].encode()).hexdigest()[:12]}"


@dataclass
class Reviews:
    """
    What people said about samples.

    Args:
        lines (`dict[str, dict[str, str]]`):
            Lines of sheets on which there is a verdict or an edit, by their id.
    """

    lines: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, *paths: str | Path | None) -> "Reviews":
        """
        Read sheets, of which the first has the last word.

        Args:
            *paths (`str` or `Path`, *optional*):
                CSV files with the columns `id`, `verdict` (`accept`, `reject` or nothing) and `edit` (the whole completion
                anew, or nothing). Further columns are not read.

        Raises:
            [`~errors.DataError`]: if one is no such file, or an edit is not one thought and an answer.
        """
        lines: dict[str, dict[str, str]] = {}
        for path in reversed(paths):
            if path is not None:
                lines |= {line["id"]: line for line in _read(Path(path))}
        return cls(lines)

    def apply(self, rows: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """
        Leave out what was rejected and put edits in place.

        Args:
            rows (`Iterable[Mapping[str, Any]]`):
                Rows for SFT.

        Returns:
            `tuple`: the rows that stay, and how many were `accepted`, `edited`, `rejected` and are `unreviewed`.
        """
        kept, counts = [], Counter(accepted=0, edited=0, rejected=0, unreviewed=0)
        for row in rows:
            line = self.lines.get(review_id(row))
            if line is None:
                counts["unreviewed"] += 1
            elif line["verdict"] == "reject":
                counts["rejected"] += 1
                continue
            else:
                counts["edited" if line["edit"] else "accepted"] += 1
            edit = line["edit"] if line else ""
            kept.append({**row, "completion": edit, "n_tokens": None} if edit else dict(row))
        return kept, dict(counts)

    def write(self, path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """
        Write the sheet of some rows, with what is known about them; then what was said about samples that are no more.

        Args:
            path (`str` or `Path`):
                The sheet.
            rows (`Iterable[Mapping[str, Any]]`):
                Rows for SFT, before any edit.
        """
        rest = dict(self.lines)
        out = io.StringIO()
        sheet = csv.DictWriter(out, _COLUMNS, restval="", extrasaction="ignore")
        sheet.writeheader()
        for row in rows:
            line = rest.pop(review_id(row), {})
            said = {key: line.get(key, "") for key in ("verdict", "edit")}
            sheet.writerow({**row, "id": review_id(row), **said})
        sheet.writerows(rest.values())
        write_text(path, "\ufeff" + out.getvalue())  # a spreadsheet takes a file without this mark for Latin-1


def _read(path: Path) -> Iterable[dict[str, str]]:
    csv.field_size_limit(1 << 30)  # of a whole line; by default 128 KB
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"expected a CSV file in UTF-8: {error}", file=str(path), key="reviewed") from error
    for line in lines:
        wanted = ("id", "verdict", "edit")
        if missing := [key for key in wanted if line.get(key) is None]:
            raise DataError(f"expected the columns id, verdict, edit; found no {missing[0]}", file=str(path))
        line["verdict"] = line["verdict"].strip().lower()
        if line["verdict"] not in VERDICTS:
            told = f"expected `accept`, `reject` or nothing as the verdict, got {line['verdict']!r}"
            raise DataError(told, file=str(path), key=line["id"])
        if line["edit"].strip() and not split_completion(line["edit"]).well_formed:
            told = "expected an edit with one thought, <think>...</think>, and an answer after it"
            raise DataError(told, file=str(path), key=line["id"])
        line["edit"] = line["edit"].strip()
        if line["verdict"] or line["edit"]:
            yield line
