"""
What `selection.json` says of a selection.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import KEPT, Columns, Labels
from .rules import REASONS


if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99}


def report(columns: Columns, reasons: "NDArray[np.uint8]", told: dict[str, Any]) -> dict[str, Any]:
    """
    Say what was kept, and why the rest was not.

    Args:
        columns ([`Columns`]):
            What is known of all traces.
        reasons (`NDArray[np.uint8]` of shape `(traces,)`):
            Why each is not kept, as a position in `REASONS`, or `KEPT`.
        told (`dict[str, Any]`):
            What [`~selection.decide.decide`] says besides.

    Returns:
        `dict[str, Any]`: `seen`, `kept`, `rejected` (by reason, in the order of `REASONS`), `kept_by_domain`,
        `rejected_by_domain`; `accepted` by domain, language and source; `lengths` of what was kept, in tokens;
        `contaminated` by evaluation, `near_duplicates` and `targets` where there are such.
    """
    kept = reasons == KEPT
    of_domain = _counts(columns.domain, reasons)
    found = {
        "seen": len(columns),
        "kept": int(kept.sum()),
        "rejected": _by_reason(np.bincount(reasons, minlength=KEPT + 1)),
        "kept_by_domain": {name: int(counts[KEPT]) for name, counts in of_domain.items() if counts[KEPT]},
        "rejected_by_domain": {
            name: by_reason for name, counts in of_domain.items() if (by_reason := _by_reason(counts))
        },
        "accepted": {
            key: {
                name: {"seen": int(counts.sum()), "kept": int(counts[KEPT])}
                for name, counts in _counts(getattr(columns, key), reasons).items()
            }
            for key in ("domain", "language", "source")
        },
        "prompts": {
            "seen": len(columns.prompt_id.names),
            "kept": len(np.unique(columns.prompt_id.codes[kept])),
        },
        "lengths": _lengths(columns.n_tokens[kept]),
    }
    return {**found, **told}


def _by_reason(counts: "NDArray[np.int64]") -> dict[str, int]:
    return {reason: int(counts[i]) for i, reason in enumerate(REASONS) if counts[i]}


def _counts(labels: Labels, reasons: "NDArray[np.uint8]") -> dict[str, "NDArray[np.int64]"]:
    """Return by name how many traces have which reason, in the order of the names."""
    found = labels.codes.astype(np.int64) * (KEPT + 1) + reasons
    table = np.bincount(found, minlength=len(labels.names) * (KEPT + 1)).reshape(-1, KEPT + 1)
    return {name: table[i] for i, name in sorted(enumerate(labels.names), key=lambda pair: pair[1])}


def _lengths(tokens: "NDArray[np.int64]") -> dict[str, Any]:
    if not len(tokens):
        return {}
    quantiles = {name: int(np.quantile(tokens, share)) for name, share in _QUANTILES.items()}
    return {
        "tokens": int(tokens.sum()),
        "mean": round(float(tokens.mean()), 1),
        **quantiles,
        "longest": int(tokens.max()),
    }
