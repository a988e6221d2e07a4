"""Which groups cannot move the policy is told by their rewards."""

import pytest
import torch

from trl_r1.grpo.metrics import groups_of


NAN = float("nan")


def zero_std(
    rewards: list[list[float]], weights: list[float] | None = None, size: int = 4, **named: bool
) -> list[bool]:
    """Of each group, four rows unless told otherwise."""
    return [group.zero_std for group in groups_of(rewards, weights or [1.0] * len(rewards[0]), [0], size, **named)]


def test_a_group_without_variance():
    assert zero_std([[1], [1], [1], [1], [0], [1], [0], [0]]) == [True, False]


@pytest.mark.parametrize("reward", [0.1, 0.7, 1 / 3])
def test_equal_rewards_whose_float_advantage_is_not_zero(reward):
    rewards = torch.full((1, 8), reward)
    advantage = (rewards - torch.nanmean(rewards, dim=1)) / 1e-4
    assert advantage.abs().max() > 1e-5
    assert zero_std(rewards.view(8, 1).tolist(), size=8) == [True]
    assert zero_std([[reward, 2 * reward]] * 8, [0.3, 0.7], size=8) == [True]


def test_a_small_difference_counts():
    assert zero_std([[1e-6], [0], [0], [0]]) == [False]
    assert zero_std([[0.1], [0.1 + 1e-6]], size=2) == [False]


def test_what_counts_is_the_weighted_sum():
    rewards = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert zero_std(rewards) == [True]
    assert zero_std(rewards, [1.0, 0.5]) == [False]


def test_where_each_function_is_centred_by_itself_each_must_be_without_variance():
    rewards = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert zero_std(rewards, by_function=True) == [False]
    assert zero_std([[0.5, 2.0]] * 4, by_function=True) == [True]
    # A function without weight adds nothing.
    assert zero_std([[0.5, 0.0], [0.5, 1.0], [0.5, 1.0], [0.5, 1.0]], [1.0, 0.0], by_function=True) == [True]


def test_rows_that_no_function_could_score_are_left_out():
    assert zero_std([[NAN], [1], [0], [1]]) == [False]
    assert zero_std([[NAN], [1], [1], [NAN]]) == [True]
    assert zero_std([[0], [NAN], [NAN], [NAN]]) == [True]
    assert zero_std([[NAN]] * 4) == [True]
    assert zero_std([[NAN, 1], [NAN, 1], [NAN, NAN], [NAN, 1]], by_function=True) == [True]
    # A function that does not apply adds nothing, as in TRL's sum.
    assert zero_std([[NAN, 1], [0, 1], [NAN, 1], [0, 1]]) == [True]
    assert zero_std([[NAN, 1], [1, 1], [NAN, 1], [0, 1]]) == [False]
    assert zero_std([[NAN, 1], [0, 2], [NAN, 1], [0, 2]]) == [False]
