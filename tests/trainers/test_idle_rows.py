"""Which rows cannot move the policy is told by their rewards."""

import pytest
import torch

from trl_r1.trainers.idle_rows import without_advantage


NAN = float("nan")


def idle(rewards: list[list[float]], weights: list[float] | None = None, **named: bool) -> list[bool]:
    """Rows in groups of four."""
    table = torch.tensor(rewards)
    return without_advantage(table, torch.tensor(weights or [1.0] * table.size(1)), 4, **named).tolist()


def test_rows_of_a_group_without_variance():
    assert idle([[1], [1], [1], [1], [0], [1], [0], [0]]) == [True] * 4 + [False] * 4


@pytest.mark.parametrize("reward", [0.1, 0.7, 1 / 3])
def test_equal_rewards_whose_float_advantage_is_not_zero(reward):
    rewards = torch.full((1, 8), reward)
    advantage = (rewards - torch.nanmean(rewards, dim=1)) / 1e-4
    assert advantage.abs().max() > 1e-5
    assert without_advantage(rewards.view(8, 1), torch.ones(1), 8).all()


def test_a_small_difference_counts():
    assert idle([[1e-6], [0], [0], [0]]) == [False] * 4


def test_what_counts_is_the_weighted_sum():
    rewards = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert idle(rewards) == [True] * 4
    assert idle(rewards, [1.0, 0.5]) == [False] * 4


def test_where_each_function_is_centred_by_itself_each_must_be_without_variance():
    rewards = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert idle(rewards, by_function=True) == [False] * 4
    assert idle([[0.5, 2.0]] * 4, by_function=True) == [True] * 4
    # A function without weight adds nothing.
    assert idle([[0.5, 0.0], [0.5, 1.0], [0.5, 1.0], [0.5, 1.0]], [1.0, 0.0], by_function=True) == [True] * 4


def test_rows_that_no_function_could_score():
    assert idle([[NAN], [1], [0], [1]]) == [True, False, False, False]
    # What is left of the group has no variance.
    assert idle([[NAN], [1], [1], [NAN]]) == [True] * 4
    # A function that does not apply adds nothing, as in TRL's sum.
    assert idle([[NAN, 1], [0, 1], [NAN, 1], [0, 1]]) == [True] * 4
    assert idle([[NAN, 1], [1, 1], [NAN, 1], [0, 1]]) == [False] * 4
