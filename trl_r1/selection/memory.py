"""
Selection of traces that are in memory: the same rules as for shards, by the same code.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..trace import Trace
from .columns import KEPT, Columns, Seen, describe, facts
from .decide import decide
from .held_out import HeldOut
from .report import report
from .rules import REASONS, Rules, read_rules


@dataclass(frozen=True)
class Selection:
    """
    What [`select`] kept and why it dropped the rest; every trace it saw is in exactly one of the two.

    Args:
        kept (`list[Trace]`):
            The kept traces, in the order in which they came.
        rejected (`list[tuple[Trace, str]]`):
            The others, in the order in which they came, each with its reason.
        told (`dict[str, Any]`):
            What the report says of evaluations, near duplicates and targets.
    """

    kept: list[Trace] = field(default_factory=list)
    rejected: list[tuple[Trace, str]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def report(self) -> dict[str, Any]:
        """What `selection.json` holds: see [`~selection.report.report`]."""
        codes = [KEPT] * len(self.kept) + [REASONS.index(reason) for _, reason in self.rejected]
        columns = facts([*self.kept, *(trace for trace, _ in self.rejected)])
        return report(columns, np.array(codes, np.uint8), self.told)

    @property
    def counts(self) -> dict[str, int]:
        """Rejected traces by reason, in the order of `REASONS`; reasons that never applied are left out."""
        seen = Counter(reason for _, reason in self.rejected)
        return {reason: seen[reason] for reason in REASONS if reason in seen}


def select(
    traces: Iterable[Trace],
    rules: Rules | Mapping[str, Any] | None = None,
    held_out: HeldOut | Iterable[str] | None = None,
    seen: Seen | None = None,
) -> Selection:
    """
    Keep the traces that satisfy the rules.

    Args:
        traces (`Iterable[Trace]`):
            What was sampled.
        rules ([`Rules`] or `Mapping[str, Any]`, *optional*):
            The rules, or their arguments.
        held_out ([`HeldOut`] or `Iterable[str]`, *optional*):
            Prompts of evaluations: a trace whose prompt overlaps with them is `contaminated`.
        seen ([`Seen`], *optional*):
            Rows of other data sets, of which nothing is kept a second time.

    Returns:
        [`Selection`]: the same for the same traces in the same order.

    Raises:
        [`~errors.ConfigError`]: if the rules have an unknown key or a wrong value.
    """
    if not isinstance(rules, Rules):
        rules = read_rules(rules or {})
    if held_out is not None and not isinstance(held_out, HeldOut):
        held_out = HeldOut(held_out)
    traces = list(traces)
    columns = Columns.of([describe(traces, rules, held_out)], len(traces))
    reasons, told = decide(columns, rules, seen)
    pairs = list(zip(traces, reasons.tolist()))
    return Selection(
        kept=[trace for trace, reason in pairs if reason == KEPT],
        rejected=[(trace, REASONS[reason]) for trace, reason in pairs if reason != KEPT],
        told=told,
    )
