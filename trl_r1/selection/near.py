"""
Completions that are almost the same, among a million: MinHash signatures, and clusters of those that agree. Pure.

A signature is the least value of each of 128 random orders over a text's runs of words; the share of values in which two
signatures agree estimates the Jaccard similarity of the two sets of runs, with a standard error of .035 at a similarity
of .8 (Broder 1997). The signatures are those of `rensa`, of which 16 bits each are kept: two different values agree once
in 65,536. So that not every pair is looked at, signatures are cut into bands, and only those that agree in a whole band
are compared; bands are sorted one after another, so that memory is that of the signatures and of one column.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .words import FACTOR


if TYPE_CHECKING:
    from numpy.typing import NDArray

VALUES = 128
RUN = 5  # words
FEWEST_WORDS = 20  # of a text that is compared at all
_FOUND = 0.95  # least probability with which two texts that are just as similar as the threshold are compared
_PAIRS = 50_000  # compared at a time


def signatures(texts: Sequence["NDArray[np.uint64]"]) -> "NDArray[np.uint16]":
    """
    Return the signatures of texts.

    Args:
        texts (`Sequence[NDArray[np.uint64]]`):
            Of each text the numbers of its runs of words (see [`~selection.words.runs_of`]).

    Returns:
        `NDArray[np.uint16]` of shape `(texts, 128)`.
    """
    from rensa import RMinHash

    if not texts:
        return np.empty((0, VALUES), np.uint16)
    ends = np.cumsum([0, *map(len, texts)]).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(texts), ends, VALUES, 1)
    return (np.array(matrix.to_rows(), np.uint32) & 0xFFFF).astype(np.uint16)


def version() -> int:
    """Return the version of the algorithm of signatures: those of different versions cannot be compared."""
    from rensa import RMinHash

    return int(RMinHash.ALGORITHM_VERSION)


def values_per_band(threshold: float) -> int:
    """Return the most values of a band with which texts that are just as similar as the threshold are found."""
    return max(
        (rows for rows in range(1, VALUES + 1) if 1 - (1 - threshold**rows) ** (VALUES // rows) >= _FOUND), default=1
    )


def clusters(signed: "NDArray[np.uint16]", threshold: float) -> "NDArray[np.int64]":
    """
    Find texts that are as similar as a threshold, or more.

    Args:
        signed (`NDArray[np.uint16]` of shape `(texts, 128)`):
            Their signatures.
        threshold (`float`):
            Least estimated Jaccard similarity.

    Returns:
        `NDArray[np.int64]` of shape `(texts,)`: of each text the first one of its cluster, itself where it is alone. A
        cluster is what chains of similar texts hold together.
    """
    first = np.arange(len(signed))
    rows = values_per_band(threshold)
    for start in range(0, VALUES - rows + 1, rows):
        key = np.zeros(len(signed), np.uint64)
        for value in range(start, start + rows):
            key *= FACTOR
            key += signed[:, value]
        order = np.argsort(key, kind="stable")
        key = key[order]
        same = np.flatnonzero(key[1:] == key[:-1]) + 1  # agree with the one before
        if not len(same):
            continue
        begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        leaders = order[begins[np.searchsorted(begins, same, side="right") - 1]]
        members, before = order[same], order[same - 1]
        for others in (leaders, before):
            _join(first, *_similar(signed, first, members, others, threshold))
    return first


def _similar(
    signed: "NDArray[np.uint16]",
    first: "NDArray[np.int64]",
    some: "NDArray[np.int64]",
    others: "NDArray[np.int64]",
    threshold: float,
) -> tuple["NDArray[np.int64]", "NDArray[np.int64]"]:
    """Of pairs that are not in one cluster yet, return those that are similar."""
    apart = first[some] != first[others]
    some, others = some[apart], others[apart]
    agree = np.zeros(len(some), bool)
    for start in range(0, len(some), _PAIRS):
        a, b = some[start : start + _PAIRS], others[start : start + _PAIRS]
        agree[start : start + _PAIRS] = (signed[a] == signed[b]).sum(axis=1) >= threshold * VALUES
    return some[agree], others[agree]


def _join(first: "NDArray[np.int64]", some: "NDArray[np.int64]", others: "NDArray[np.int64]") -> None:
    """Make one cluster of the two that each pair is in."""
    while len(some):
        low, high = np.minimum(first[some], first[others]), np.maximum(first[some], first[others])
        np.minimum.at(first, high, low)
        while not np.array_equal(first, first[first]):
            first[:] = first[first]
        apart = first[some] != first[others]
        some, others = some[apart], others[apart]
