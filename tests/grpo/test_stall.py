"""A training whose groups have no variance, or no reward at all, is stopped; one that learns is not."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerControl, TrainerState

from trl_r1 import R1GRPOConfig, R1GRPOTrainer
from trl_r1.errors import ConfigError, StalledError
from trl_r1.grpo.metrics import groups_of
from trl_r1.grpo.rollout import Rollout
from trl_r1.grpo.stall import StallCheck
from trl_r1.rewards.scheduled import Scheduled

from .lively import Lively, mixed_prompts
from .tiny import grpo_config, sums


NAN = math.nan
VARIED, EQUAL, SOLVED, NONE = [0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [NAN, NAN]


def rollout_of(*groups: list[float], domains: tuple = ()) -> Rollout:
    """Groups of two completions under one reward."""
    rewards = [[reward] for group in groups for reward in group]
    rollout = Rollout({"question": f"q{i}", "solution": str(i)} for i in range(len(rewards)))
    rollout.texts = [f"answer {i}" for i in range(len(rewards))]
    rollout.rewards = torch.tensor(rewards)
    rollout.groups = groups_of(rewards, [1.0], [0], 2)
    rollout.domains = list(domains or [None] * len(groups))
    return rollout


def counted(
    *steps: list[Rollout], reward=max, limit: int | None = 9, weight: float = 1.0, begun: int = 0
) -> list[int]:
    """After each step, how many have been without variance."""
    config = SimpleNamespace(max_steps_without_variance=limit)
    check = StallCheck(config, [reward], ["reward"], [weight])
    check.steps = begun
    found = []
    for step, rollouts in enumerate(steps):
        check.rollouts += rollouts
        control = TrainerControl()
        check.on_optimizer_step(
            SimpleNamespace(process_index=0, save_strategy="steps"), TrainerState(global_step=step), control
        )
        assert control.should_training_stop is (bool(limit) and check.steps >= limit)
        found.append(check.steps)
    return found


@pytest.mark.parametrize(
    ("groups", "stalled"),
    [
        ([EQUAL, EQUAL], True),
        ([NONE, NONE], True),
        ([EQUAL, NONE], True),
        ([EQUAL, SOLVED], True),
        ([SOLVED, SOLVED], False),
        ([EQUAL, VARIED], False),
        ([[0.5, 0.5]], True),
    ],
)
def test_what_is_a_step_without_variance(groups, stalled):
    assert counted([rollout_of(*groups)]) == [int(stalled)]


def test_steps_are_counted_running_and_share_the_verdict_of_their_rollout():
    equal, varied = [rollout_of(EQUAL)], [rollout_of(VARIED)]
    assert counted(equal, [], [], varied, [], equal, equal) == [1, 2, 3, 0, 0, 1, 2]
    assert counted([], begun=4) == [5]
    assert counted(equal, equal, equal, limit=2) == [1, 2, 3]


def test_one_group_with_variance_in_any_round_is_enough():
    assert counted([rollout_of(EQUAL), rollout_of(EQUAL, VARIED)]) == [0]


def test_a_reward_that_does_not_apply_does_not_count():
    nothing = [rollout_of(NONE, NONE, domains=("general", "general"))]
    assert counted(nothing, nothing, nothing, reward=Scheduled(max, from_step=2)) == [0, 0, 1]
    assert counted(nothing, nothing, reward=Scheduled(max, until_step=1)) == [1, 0]
    assert counted(nothing, reward=Scheduled(max, domains=("math",))) == [0]
    assert counted(
        [rollout_of(NONE, SOLVED, domains=("math", "general"))], reward=Scheduled(max, domains=("math",))
    ) == [1]
    assert counted(nothing, weight=0.0) == [0]


@pytest.mark.parametrize("limit", [None, 0])
def test_it_can_be_switched_off(limit):
    assert counted([rollout_of(EQUAL)], [rollout_of(EQUAL)], limit=limit) == [0, 0]


def test_the_default_and_what_is_refused():
    assert R1GRPOConfig(output_dir="out", use_cpu=True, bf16=False).max_steps_without_variance == 50
    with pytest.raises(ConfigError, match="`max_steps_without_variance`: expected a number of steps"):
        R1GRPOConfig(output_dir="out", use_cpu=True, bf16=False, max_steps_without_variance=-1)


class Unreadable:
    """A reward that can judge nothing."""

    __name__ = "unreadable"

    def __call__(self, *, completions, **columns):
        return [None] * len(completions)


class Hopeless:
    __name__ = "hopeless"

    def __call__(self, *, completions, **columns):
        return [0.25] * len(completions)


@pytest.mark.parametrize(
    ("reward", "reason", "shown"),
    [
        (Unreadable(), "every reward was `None`", "rewards: unreadable None"),
        (Hopeless(), "the rewards of each group were all equal", "rewards: hopeless 0.25"),
    ],
)
def test_a_training_ends_with_reason_examples_and_a_checkpoint(model_path, tmp_path, reward, reason, shown):
    def make(limit, **changes):
        config = grpo_config(tmp_path, max_steps_without_variance=limit, **changes)
        return R1GRPOTrainer(model_path, reward, config, sums())

    with pytest.raises(StalledError) as raised:
        make(3, save_steps=100).train()
    said = str(raised.value)
    assert f"stopped at step 3: 3 steps running {reason}" in said
    assert "max_steps_without_variance: null" in said
    assert said.count("prompt: 'sum of") == said.count("reference answer: '") == said.count("completion: '") == 3
    assert said.count(shown) == 3
    checkpoint = tmp_path / "checkpoint-3"
    assert checkpoint.is_dir()
    # It goes on from there once it may; and the steps before count.
    with pytest.raises(StalledError, match="stopped at step 5: 5 steps running"):
        make(5).train(resume_from_checkpoint=str(checkpoint))
    trainer = make(None)
    trainer.train(resume_from_checkpoint=str(checkpoint))
    assert trainer.state.global_step == 6


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_training_that_learns_now_and_then_is_not_stopped(model_path, tmp_path, dynamic):
    """Two of three prompts have no variance; dynamic sampling replaces them, and then no step is without."""
    limit = 1 if dynamic else 6
    config = grpo_config(
        Path(tmp_path),
        max_steps_without_variance=limit,
        dynamic_sampling=dynamic,
        max_sampling_rounds=8,
        beta=0.0,
        per_device_train_batch_size=8,
        max_steps=8,
    )
    trainer = R1GRPOTrainer(model_path, Lively(), config, mixed_prompts())
    trainer.train()
    assert trainer.state.global_step == 8
