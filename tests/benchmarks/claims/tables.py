"""What the seeds say of each claim and each trick: the mean, its interval, and whether that shows what was expected."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


# Student's t, two-sided 95 %, by degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

Seeds = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Interval:
    """
    A mean over seeds and its 95 % interval.

    Args:
        values (`tuple[float, ...]`):
            Of each seed; of a ratio, its logarithm.
        ratio (`bool`):
            Whether it is one.
    """

    values: tuple[float, ...]
    ratio: bool = False

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def half(self) -> float:
        """Half the interval's length; of a single seed without end."""
        n = len(self.values)
        return T95[n - 2] * statistics.stdev(self.values) / math.sqrt(n) if n > 1 else math.inf

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def less(self, other: "Interval") -> "Interval":
        """Return the difference (of ratios, the ratio), made within each seed."""
        return Interval(tuple(a - b for a, b in zip(self.values, other.values, strict=True)), self.ratio)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{math.exp(self.mean):.2f}x" if self.ratio else f"{self.mean:+.3f}"
        if self.ratio:
            mean, low, high = (math.exp(min(each, 700)) for each in (self.mean, self.low, self.high))
            return f"{mean:.2f}x [{low:.2f}, {high:.2f}]"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def interval(text: str, seeds: Seeds) -> Interval | None:
    """
    Return what a measure of the protocol, `A - B` or `A / B`, is over the seeds that have both; `None` where none has.

    Args:
        text (`str`):
            The measure.
        seeds (`Mapping[str, Mapping[str, Any]]`):
            Measures by seed, and in it by name.
    """
    ratio, (one, other) = " / " in text, _measures(text)
    pairs = [(found[one], found[other]) for found in seeds.values() if one in found and other in found]
    if not pairs or (ratio and any(a <= 0 or b <= 0 for a, b in pairs)):
        return None
    return Interval(tuple(math.log(a / b) if ratio else a - b for a, b in pairs), ratio)


def _measures(text: str) -> list[str]:
    return re.split(" [-/] ", text) if text else []


def verdict(claim: Mapping[str, Any], effect: Interval, control: Interval | None) -> str:
    """Return what the intervals show of a claim: see `protocol.yaml`."""
    if claim["expected"] == "keeps":
        return "shown" if effect.low > -claim["margin"] else "not shown"
    sign = 1 if claim["expected"] == "rises" else -1
    against = [effect, *([effect.less(control)] if control else [])]
    if all((each.low if sign > 0 else -each.high) > 0 for each in against):
        return "shown"
    if all((-each.high if sign > 0 else each.low) > 0 for each in against):
        return "the contrary"
    return "no difference shown"


def _once_all_have_run(said: str, whole: int, ran: int, wanted: int) -> str:
    if whole >= wanted:
        return said
    return f"{whole} of {wanted} seeds {'so far' if ran < wanted else 'have all that it compares: not judged'}"


def claims_table(
    claims: Sequence[Mapping[str, Any]], results: Mapping[str, Seeds], wanted: Mapping[str, Sequence[int]]
) -> str:
    """Return the table of the claims, without a verdict before all `wanted` seeds of their part have run."""
    lines = ["| claim | paper | effect | control | less control | seeds | |", "|---|---|---|---|---|---|---|"]
    for claim in claims:
        part = claim.get("part", "world")
        seeds = results.get(part, {})
        measures = {name for key in ("effect", "control") for name in _measures(claim.get(key, ""))}
        whole = {seed: found for seed, found in seeds.items() if measures <= found.keys()}
        effect = interval(claim["effect"], whole or seeds)
        control = interval(claim["control"], whole) if "control" in claim else None
        if effect is None:
            lines.append(f"| {claim['claim']} | {claim['paper']} | - | - | - | 0 | not run |")
            continue
        against = f"{control or 'none'} ({claim['controlled_by']})" if "control" in claim else ""
        less = str(effect.less(control)) if control else ""
        n = len(effect.values)
        said = _once_all_have_run(verdict(claim, effect, control), n, len(seeds), len(wanted[part]))
        if "control" in claim and control is None:
            said = "not judged: no run had anything to control it by"
        lines.append(
            f"| {claim['claim']} | {claim['paper']} | `{claim['effect']}`: {effect} | {against} | {less} | "
            f"{n} | {said} ({claim['expected']}) |"
        )
    return "\n".join(lines)


def tricks_table(tricks: Sequence[Mapping[str, Any]], seeds: Seeds, wanted: int) -> str:
    """Return the table of the tricks, without a verdict before `wanted` seeds have run."""
    lines = ["| trick | against | pass@1 | of the searches | time | seeds | |", "|---|---|---|---|---|---|---|"]
    for trick in tricks:
        arm, against = trick["arm"], trick["against"]
        found = [
            interval(f"{arm}.pass@1 - {against}.pass@1", seeds),
            interval(f"{arm}.search.pass@1 - {against}.search.pass@1", seeds),
            interval(f"seconds.{arm} / seconds.{against}", seeds),
        ]
        if found[0] is None:
            lines.append(f"| {trick['trick']} | `{against}` | - | - | - | 0 | not run |")
            continue
        said = "better" if found[0].low > 0 else "worse" if found[0].high < 0 else "no difference shown"
        n = len(found[0].values)
        cells = " | ".join(str(each) for each in found)
        lines.append(
            f"| {trick['trick']} | `{against}` | {cells} | {n} | {_once_all_have_run(said, n, len(seeds), wanted)} |"
        )
    return "\n".join(lines)
