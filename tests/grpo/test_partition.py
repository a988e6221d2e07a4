"""Rows are cut into micro-batches within a budget, with little padding."""

import random

import pytest

from trl_r1.grpo.partition import partition, width


def costs(lengths: list[tuple[int, int]], sizes: list[int], multiple: int | None = None) -> list[int]:
    found, start = [], 0
    for size in sizes:
        found.append(size * width(lengths[start : start + size], multiple))
        start += size
    assert start == len(lengths)
    return found


def ragged(rows: int, seed: int = 0) -> list[tuple[int, int]]:
    numbers = random.Random(seed)
    drawn = [(numbers.randint(3, 40), min(1024, int(numbers.lognormvariate(5, 1)))) for _ in range(rows)]
    return sorted(drawn, key=sum, reverse=True)


def test_a_width_is_the_longest_of_each_side():
    assert width([(3, 10), (7, 2)]) == 17
    assert width([(3, 10), (7, 2)], multiple=8) == 24
    assert width([(0, 0)]) == 2  # something is always computed


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("number", [1, 3, 8, 64])
def test_there_are_as_many_as_asked_for_and_none_is_empty(number, seed):
    sizes = partition(ragged(64, seed), number, exactly=True)
    assert len(sizes) == number
    assert min(sizes) >= 1
    assert sum(sizes) == 64


def test_there_are_no_more_than_rows():
    assert partition(ragged(3), 8, exactly=True) == [1, 1, 1]
    assert partition([], 8) == []


def test_short_rows_share_what_the_longest_takes_alone():
    assert partition([(1, 9), (1, 4), (1, 4), (1, 1)], 4) == [1, 2, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("multiple", [None, 16])
@pytest.mark.parametrize("budget", [1100, 2000, 9000])
def test_a_budget_is_kept(budget, multiple, seed):
    lengths = ragged(64, seed)
    sizes = partition(lengths, 4, budget, multiple)
    assert max(costs(lengths, sizes, multiple)) <= budget
    assert len(sizes) >= 4


def test_a_row_beyond_the_budget_stands_alone():
    assert partition([(5, 100), (5, 3), (5, 3)], 1, budget=20) == [1, 2]


def test_without_a_budget_the_dearest_costs_as_little_as_it_can():
    lengths = ragged(12)
    best = min(
        max(costs(lengths, [first, second - first, 12 - second]))
        for first in range(1, 11)
        for second in range(first + 1, 12)
    )
    assert max(costs(lengths, partition(lengths, 3))) == best


@pytest.mark.parametrize("seed", range(5))
def test_of_ragged_rows_little_is_padding(seed):
    lengths = ragged(64, seed)
    tokens = sum(map(sum, lengths))
    together = 64 * width(lengths)
    assert sum(costs(lengths, partition(lengths, 8))) < 1.3 * tokens < together / 2
    # And the dearest micro-batch is far below one of equally many rows at the longest width.
    assert max(costs(lengths, partition(lengths, 8))) < 0.5 * together / 8
