"""Killed at random moments and resumed on another number of ranks, a training goes on as if it had not been."""

import pytest

from tests.integration.other_ranks import compared


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["sft-cpu_zero3", "reward-cpu_ddp"])
def test_losses_go_on_within_a_ten_thousandth(tmp_path, name):
    largest, _, resumed = compared(tmp_path, name, kills=2)
    assert resumed, "it was killed before its first checkpoint, or after its last"
    assert largest < 1e-4


def test_grpo_keeps_the_order_of_its_prompts(tmp_path):
    _, same, resumed = compared(tmp_path, "grpo-cpu_ddp", kills=1)
    assert same
    assert all(step % 2 == 0 for step in resumed)  # a rollout of two steps belongs to the ranks that sampled it
