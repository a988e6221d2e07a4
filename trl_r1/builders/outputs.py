"""
The rows of the data sets that builders write.
"""

from typing import Any

from ..text import split_completion
from ..trace import Trace
from .instructions import fill


SFT_COLUMNS = ("prompt_id", "prompt", "completion", "solution", "domain", "language", "source")
PAIR_COLUMNS = ("prompt_id", "prompt", "chosen", "rejected", "domain", "language", "source")


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
    }
