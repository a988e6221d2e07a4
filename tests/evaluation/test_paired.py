"""Two models on the same problems: the difference, its error and its p-value."""

import math
import random
import statistics

import pytest

from trl_r1.paired import compare, compare_all, sign_flip_p


def test_the_difference_and_its_error_are_those_of_the_pairs():
    first, second = {"a": 0.0, "b": 0.5, "c": 1.0, "only": 1.0}, {"c": 1.0, "b": 1.0, "a": 0.75, "other": 0.0}
    found = compare(first, second)
    differences = [0.75, 0.5, 0.0]
    assert found["n_prompts"] == 3
    assert found["difference"] == pytest.approx(statistics.mean(differences))
    assert found["difference_stderr"] == pytest.approx(statistics.stdev(differences) / math.sqrt(3))
    assert found["p_value"] == 0.5  # of the four choices of signs, the one that is there and its opposite
    assert compare({"a": 1.0}, {"b": 1.0}) is None


@pytest.mark.parametrize("n", [5, 14])
def test_where_all_signs_agree_the_exact_test_says_two_of_them_all(n):
    assert sign_flip_p([0.1] * n) == 2 / 2**n
    assert sign_flip_p([]) == 1.0


def test_the_drawn_test_agrees_with_the_exact_one_and_is_never_zero():
    drawn = random.Random(3)
    values = [drawn.gauss(0.1, 0.3) for _ in range(14)]
    zeros = [1e-9, -1e-9]  # two more, which change no sum: 16 are too many to go through all signs
    assert sign_flip_p([*values, *zeros]) == pytest.approx(sign_flip_p(values), abs=0.01)
    assert sign_flip_p([1.0] * 300) == 1 / 20_001


def test_chance_alone_is_seldom_significant():
    """At 5 %, of 400 comparisons of equal models about 20."""
    drawn = random.Random(1)
    values = [[drawn.choice((-0.25, 0.25)) * drawn.random() for _ in range(12)] for _ in range(400)]
    assert 8 <= sum(sign_flip_p(each) <= 0.05 for each in values) <= 34


def test_every_two_models_are_compared_in_their_order():
    rates = {"base": {"x": 0.0, "y": 0.0}, "mid": {"x": 0.5, "y": 0.0}, "last": {"x": 1.0, "y": 1.0}}
    found = compare_all(rates)
    assert [each["models"] for each in found] == [["base", "mid"], ["base", "last"], ["mid", "last"]]
    assert [each["difference"] for each in found] == [0.25, 1.0, 0.75]
