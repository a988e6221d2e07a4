"""
Rollouts kept in training: what was sampled, with its rewards, as [`~trace.Trace`] shards that selection can read.

One shard per sampling and rank, named after both (`step000012-call00000024-rank000.parquet`), so that a resumed run
writes over what the interrupted one had sampled after its last checkpoint, and no completion is there twice.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data import prompt_id
from ..text import question_of
from ..trace import Trace


FOLDER = "rollouts"
_SHARD = re.compile(r"step(\d+)-call\d+(-round\d+)?-rank\d+\.parquet")
# What has a place of its own in a trace.
_FIELDS = {
    "prompt",
    "question",
    "prompt_id",
    "solution",
    "domain",
    "language",
    "truncated",
    "prefilled",
    "thought_style",
}


def shard_path(output_dir: str, step: int, call: int, rank: int, sampling_round: int = 0) -> Path:
    """
    Return the path of a shard.

    Args:
        output_dir (`str`):
            The trainer's.
        step (`int`):
            Updates done when it was sampled.
        call (`int`):
            Number of samplings, or of batches, done before: what tells apart two samplings in one step.
        rank (`int`):
            The process that sampled it.
        sampling_round (`int`, *optional*, defaults to `0`):
            The further round of dynamic sampling, counted from 1; 0 where it was none.
    """
    further = f"-round{sampling_round:02d}" if sampling_round else ""
    return Path(output_dir) / FOLDER / f"step{step:06d}-call{call:08d}{further}-rank{rank:03d}.parquet"


def remove_rollouts_from(output_dir: str, step: int) -> int:
    """
    Remove the shards of a step and of all that follow it, which a run that starts at this step will sample again.

    Returns:
        `int`: how many were removed.
    """
    found = [
        (match, path) for path in Path(output_dir, FOLDER).glob("*.parquet") if (match := _SHARD.fullmatch(path.name))
    ]
    stale = [path for match, path in found if int(match[1]) >= step]
    for path in stale:
        path.unlink()
    return len(stale)


def asked(row: Mapping[str, Any]) -> str:
    """Return a row's question as its user wrote it: its `question`, else what of its prompt is no template."""
    question = row.get("question")
    return question if isinstance(question, str) else question_of(row.get("prompt") or "")


def row_id(row: Mapping[str, Any]) -> str:
    """Return the stable identity of a row's prompt: its `prompt_id`, else made of its domain and question."""
    return str(row.get("prompt_id") or prompt_id(row.get("domain") or "", asked(row)))


def to_traces(
    rows: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    lengths: Sequence[int],
    rewards: Sequence[Mapping[str, float | None]],
    sampling: Mapping[str, Any],
    **common: Any,
) -> list[Trace]:
    """
    Make traces of sampled completions.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            The data set's row of each completion, with `truncated` and `prefilled`. `question`, `prompt_id`,
            `solution`, `domain` and `language` are used where there are any.
        texts (`Sequence[str]`):
            The completions.
        lengths (`Sequence[int]`):
            Their lengths in tokens.
        rewards (`Sequence[Mapping[str, float | None]]`):
            Their rewards by name.
        sampling (`Mapping[str, Any]`):
            How they were sampled.
        **common:
            Further fields of [`~trace.Trace`] that all have in common: `model`, `seed`, `step`.
    """
    traces = []
    for row, text, length, reward in zip(rows, texts, lengths, rewards, strict=True):
        traces.append(
            Trace(
                prompt_id=row_id(row),
                prompt=asked(row),
                completion=text,
                solution=_text(row.get("solution")),
                domain=_text(row.get("domain")),
                language=_text(row.get("language")),
                rewards=dict(reward),
                sampling={**sampling, **({"prefilled": True} if row["prefilled"] else {})},
                finish_reason="length" if row["truncated"] else "stop",
                n_tokens=length,
                extra={name: value for name, value in row.items() if name not in _FIELDS and _is_plain(value)},
                **common,
            )
        )
    return traces


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_plain(value: Any) -> bool:
    """Tell whether a value can stand in a shard; an image cannot."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
