"""
What is decided by comparing traces: pass rates, duplicates, near duplicates, the share of a prompt, targets. Pure.
"""

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import KEPT, Columns, Seen
from .near import clusters
from .rules import REASONS, Rules
from .targets import beyond
from .words import number_of


if TYPE_CHECKING:
    from numpy.typing import NDArray


def decide(columns: Columns, rules: Rules, seen: Seen | None = None) -> tuple["NDArray[np.uint8]", dict[str, Any]]:
    """
    Give every trace its reason.

    Args:
        columns ([`Columns`]):
            What is known of all traces, with the reasons of those that are rejected by themselves.
        rules ([`Rules`]):
            The rules.
        seen ([`Seen`], *optional*):
            Rows of other data sets: what equals one of them is a `duplicate`, what is similar to one a
            `near_duplicate` (where the rules ask for these).

    Returns:
        `tuple`: the reasons, of shape `(traces,)`, as positions in `REASONS` or `KEPT`; and what a report says of
        contamination (by evaluation), near duplicates and targets.
    """
    reasons = columns.reason.copy()
    told: dict[str, Any] = {}
    if len(columns.held_out.names):
        by_set = np.bincount(columns.held_out.codes[columns.held_out.codes >= 0])
        told["contaminated"] = dict(sorted(zip(columns.held_out.names, by_set.tolist())))

    def reject(positions: "NDArray[np.int64]", reason: str) -> None:
        reasons[positions] = REASONS.index(reason)

    def left() -> "NDArray[np.int64]":
        return np.flatnonzero(reasons == KEPT)

    if rules.min_pass_rate is not None or rules.max_pass_rate is not None:
        reject(_of_wrong_pass_rate(columns, left(), rules), "pass_rate")
    if rules.drop_duplicates:
        reject(_duplicates(columns.text, left(), seen), "duplicate")
    if rules.near_duplicates is not None:
        near, told["near_duplicates"] = _near_duplicates(columns, reasons == KEPT, rules.near_duplicates, seen)
        reject(near, "near_duplicate")
    if rules.max_per_prompt is None and not rules.targets:
        return reasons, told
    candidates = left()
    ranks = _ranks(columns, candidates, rules, among=0 if rules.targets else rules.max_per_prompt or 0)
    if rules.max_per_prompt is not None:
        reject(candidates[ranks >= rules.max_per_prompt], "capped")
        candidates, ranks = candidates[ranks < rules.max_per_prompt], ranks[ranks < rules.max_per_prompt]
    if rules.targets:
        order = candidates[_in_rounds(columns, candidates, ranks, rules)]
        over, told["targets"] = beyond(columns, order, rules.targets)
        reject(over, "over_target")
    return reasons, told


def _of_wrong_pass_rate(columns: Columns, positions: "NDArray[np.int64]", rules: Rules) -> "NDArray[np.int64]":
    prompts = columns.prompt_id.codes
    judged = np.bincount(prompts[columns.solved >= 0], minlength=len(columns.prompt_id.names))
    solved = np.bincount(prompts[columns.solved == 1], minlength=len(judged))
    rate = solved / np.maximum(judged, 1)
    least, most = rules.min_pass_rate or 0.0, 1.0 if rules.max_pass_rate is None else rules.max_pass_rate
    # Where nothing was judged there is no rate, and nothing to be outside of.
    wrong = (judged > 0) & ((rate < least) | (rate > most))
    found: NDArray[np.int64] = positions[wrong[prompts[positions]]]
    return found


def _duplicates(texts: "NDArray[np.uint64]", positions: "NDArray[np.int64]", seen: Seen | None) -> "NDArray[np.int64]":
    """All but the first of each text, and those that were seen."""
    _, first = np.unique(texts[positions], return_index=True)
    again = np.ones(len(positions), bool)
    again[first] = False
    if seen is not None:
        again |= np.isin(texts[positions], seen.texts)
    return positions[again]


def _near_duplicates(
    columns: Columns, left: "NDArray[np.bool_]", threshold: float, seen: Seen | None
) -> tuple["NDArray[np.int64]", dict[str, Any]]:
    """All but the first of each cluster, and clusters with a row that was seen; and what a report says of them."""
    rows = np.flatnonzero(left[columns.signed])
    before = 0 if seen is None else len(seen.signatures)
    signed = columns.signatures if len(rows) == len(columns.signatures) else columns.signatures[rows]
    if seen is not None and before:
        signed = np.concatenate([seen.signatures, signed])  # those that were seen are the first ones
    first = clusters(signed, threshold)
    again = first[before:] != np.arange(before, len(first))
    sizes = np.bincount(first) if len(first) else np.zeros(0, np.int64)
    sizes = sizes[sizes > 1]
    told = {
        "clusters": len(sizes),
        "largest": int(sizes.max(initial=0)),
        "like_seen": int((first[before:] < before).sum()),
    }
    return columns.signed[rows[again]], told


def _ranks(columns: Columns, positions: "NDArray[np.int64]", rules: Rules, among: int) -> "NDArray[np.int64]":
    """
    Return of each candidate its place among those of its prompt, the preferred one's being 0.

    Args:
        columns, positions, rules:
            What is known of all traces, the candidates, and what is preferred.
        among (`int`):
            Where a prompt has no more candidates than this, their places are in order of position, whatever is preferred.
    """
    prompts = columns.prompt_id.codes[positions]
    preferred = columns.n_tokens[positions] if rules.prefer == "shortest" else positions
    order = np.lexsort((positions, preferred, prompts))
    prompts = prompts[order]
    begins = np.flatnonzero(np.concatenate([[True], prompts[1:] != prompts[:-1]])) if len(order) else order
    counts = np.diff(np.concatenate([begins, [len(order)]]))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - np.repeat(begins, counts)
    if rules.prefer == "random":
        for group in np.flatnonzero(counts > max(among, 1)):
            members = order[begins[group] : begins[group] + counts[group]]
            places = members.tolist()
            random.Random(f"{rules.seed}:{columns.prompt_id.names[prompts[begins[group]]]}").shuffle(places)
            ranks[places] = np.arange(len(places))
    return ranks


def _in_rounds(
    columns: Columns, positions: "NDArray[np.int64]", ranks: "NDArray[np.int64]", rules: Rules
) -> "NDArray[np.int64]":
    """The order in which targets are filled: the preferred completion of every prompt, then the second, ..."""
    if rules.prefer != "random":
        return np.lexsort([positions, ranks])
    codes = columns.prompt_id.codes[positions]
    prompts, inverse = np.unique(codes, return_inverse=True)
    drawn = np.array([number_of(f"{rules.seed}:{columns.prompt_id.names[code]}") for code in prompts], np.uint64)
    return np.lexsort([positions, drawn[inverse], ranks])
