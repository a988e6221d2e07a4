"""
How much of what: limits by domain, language and length, in completions or in tokens. Pure.

R1's data are 600,000 reasoning samples and 200,000 others (paper, v1 2.3.3); how they were chosen among more is not
stated. Here completions are taken in rounds, the preferred one of each prompt first, then the second, so that a target
is reached with as many prompts as there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, expect
from ..language import normalize_language
from ..typed import make


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Columns


_BY = ("domain", "language", "source", "length")


@dataclass(frozen=True)
class Target:
    """
    A limit on completions of a kind: an entry of `targets:`.

    Args:
        domain (`str` or `list[str]`, *optional*), language (`str` or `list[str]`, *optional*), source (`str` or `list[str]`, *optional*):
            Which completions it counts: those of these domains, languages, sources. All by default.
        min_tokens (`int`, *optional*), max_tokens (`int`, *optional*):
            Of which length, both included.
        by (`list[str]`, *optional*):
            `domain`, `language`, `source`, `length`: the limit holds for each value of these, or combination of values,
            by itself.
        length_bins (`list[int]`, *optional*, defaults to `[1024, 2048, 4096, 8192, 16384]`):
            Where one length ends and the next begins, in tokens, for `by: [length]`.
        completions (`int`, *optional*):
            Most completions.
        tokens (`int`, *optional*):
            Most tokens, of completions.

    Raises:
        [`~errors.ConfigError`]: if there is no limit, or `by` names something else.
    """

    domain: str | list[str] | None = None
    language: str | list[str] | None = None
    source: str | list[str] | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    by: list[str] | None = None
    length_bins: list[int] | None = None
    completions: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for key in ("completions", "tokens"):
            value = getattr(self, key)
            expect(self, key, value is None or value >= 1, "a whole number above 0")
        if self.completions is None and self.tokens is None:
            raise ConfigError("expected a limit, `completions` or `tokens`", key="completions")
        expect(self, "by", not set(self.by or ()) - {*_BY}, f"some of {', '.join(_BY)}")

    def to_json(self) -> dict[str, Any]:
        """Return what was declared."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


def read_targets(declared: Sequence[Any]) -> tuple[Target, ...]:
    """
    Make the targets of a config.

    Raises:
        [`~errors.ConfigError`]: on an unknown key or a wrong value, under the key `targets[i]`.
    """
    found = []
    for i, entry in enumerate(declared):
        if not isinstance(entry, (Target, Mapping)):
            raise ConfigError(f"expected a mapping, got {entry!r}", key=f"targets[{i}]")
        found.append(entry if isinstance(entry, Target) else make([Target], entry, within=f"targets[{i}]")[0])
    return tuple(found)


def beyond(
    columns: "Columns", order: "NDArray[np.int64]", targets: Sequence[Target]
) -> tuple["NDArray[np.int64]", list[dict[str, Any]]]:
    """
    Say which completions are more than the targets ask for.

    Args:
        columns ([`Columns`]):
            What is known of all traces.
        order (`NDArray[np.int64]` of shape `(candidates,)`):
            Positions of those that would be kept, the preferred ones first.
        targets (`Sequence[Target]`):
            The limits. A completion that several of them count is kept where all have room.

    Returns:
        `tuple`: the positions that are not kept, and what a report says of each target: how much of it there was
        (`available`), how much of that is kept, and the same by group where it has groups.
    """
    tokens = columns.n_tokens[order]
    groups = [_groups(columns, order, target) for target in targets]
    room = [_Room(target, len(names)) for target, (_, names) in zip(targets, groups)]
    kept = np.ones(len(order), bool)
    step = 100_000  # as many at a time, so that a million positions are never Python's objects all at once
    for start in range(0, len(order), step):
        members = list(zip(*(group[start : start + step].tolist() for group, _ in groups)))
        for i, (own, length) in enumerate(zip(members, tokens[start : start + step].tolist()), start):
            if all(each.fits(group, length) for each, group in zip(room, own)):
                for each, group in zip(room, own):
                    each.take(group, length)
            else:
                kept[i] = False
    told = [
        {**target.to_json(), **_told(group, names, kept, tokens)} for target, (group, names) in zip(targets, groups)
    ]
    return order[~kept], told


class _Room:
    """What is left of a target, by group."""

    def __init__(self, target: Target, groups: int):
        self._completions = None if target.completions is None else [target.completions] * groups
        self._tokens = None if target.tokens is None else [target.tokens] * groups

    def fits(self, group: int, tokens: int) -> bool:
        if group < 0:
            return True
        enough = self._completions is None or self._completions[group] > 0
        return enough and (self._tokens is None or self._tokens[group] >= tokens)

    def take(self, group: int, tokens: int) -> None:
        if group >= 0 and self._completions is not None:
            self._completions[group] -= 1
        if group >= 0 and self._tokens is not None:
            self._tokens[group] -= tokens


def _groups(columns: "Columns", order: "NDArray[np.int64]", target: Target) -> tuple["NDArray[np.int64]", list[str]]:
    """Return of each candidate the number of its group, -1 where the target does not count it, and the groups' names."""
    tokens = columns.n_tokens[order]
    counted = np.ones(len(order), bool)
    if target.min_tokens is not None:
        counted &= tokens >= target.min_tokens
    if target.max_tokens is not None:
        counted &= tokens <= target.max_tokens
    for key in ("domain", "language", "source"):
        if (wanted := getattr(target, key)) is not None:
            wanted = [wanted] if isinstance(wanted, str) else list(wanted)
            if key == "language":
                wanted = [normalize_language(language) for language in wanted]
            labels = getattr(columns, key)
            counted &= np.isin(labels.codes[order], [i for i, name in enumerate(labels.names) if name in wanted])
    names, groups = [""], np.zeros(len(order), np.int64)
    for key in target.by or ():
        if key == "length":
            bounds = sorted(target.length_bins or _LENGTH_BINS)
            codes = np.searchsorted(bounds, tokens, side="right")
            own = [f"{low}-{high}" for low, high in zip([0, *bounds], [*(b - 1 for b in bounds), ""])]
        else:
            labels = getattr(columns, key)
            codes, own = labels.codes[order], labels.names
        groups = groups * len(own) + codes
        names = [f"{name} {each}".strip() for name in names for each in own]
    return np.where(counted, groups, -1), names


_LENGTH_BINS = (1024, 2048, 4096, 8192, 16384)


def _told(
    groups: "NDArray[np.int64]", names: list[str], kept: "NDArray[np.bool_]", tokens: "NDArray[np.int64]"
) -> dict[str, Any]:
    counted = groups >= 0

    def both(chosen: "NDArray[np.bool_]") -> dict[str, int]:
        return {"completions": int(chosen.sum()), "tokens": int(tokens[chosen].sum())}

    told: dict[str, Any] = {"available": both(counted), "kept": both(counted & kept)}
    if len(names) > 1:
        told["by_group"] = {names[i]: both((groups == i) & kept) for i in np.unique(groups[counted]).tolist()}
    return told
