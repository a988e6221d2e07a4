"""Rewards that wait are called beside the log-probability passes, and nothing else is different."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from trl_r1 import R1GRPOTrainer
from trl_r1.errors import ConfigError
from trl_r1.rewards import code_accuracy, math_accuracy
from trl_r1.rewards.schedule import Scheduled
from trl_r1.trainers.overlap import may_be_early

from .test_resume import copy_checkpoint, differences, what_matters
from .tiny import DigitReward, grpo_config, sums


SECONDS = 20  # of patience
REFERENCE = {"beta": 0.1, "sync_ref_model": False}


class Waiting:
    """A reward that waits, and logs what it sees."""

    waits = True

    def __init__(self, name: str = "waiting", factor: float = 1.0):
        self.__name__, self.factor = name, factor

    def __call__(
        self, *, completions, prompts, completion_ids, truncated, trainer_state, log_extra, log_metric, **rest
    ):
        log_extra(f"{self.__name__}_words", [len(c.split()) for c in completions])
        log_metric(f"{self.__name__}_step", trainer_state.global_step)
        log_metric(f"{self.__name__}_columns", len(rest))
        rewards = DigitReward()(completions=completions)
        return [
            None if i % 4 == 3 else self.factor * r - 0.1 * cut for i, (r, cut) in enumerate(zip(rewards, truncated))
        ]


class Awaited(Waiting):
    """The same, as a coroutine."""

    waits = False

    async def __call__(self, **given):
        return super().__call__(**given)


class Patient(R1GRPOTrainer):
    """In the pass of the reference, waits until a reward has begun."""

    begun: threading.Event
    found: list[bool]
    seconds = float(SECONDS)

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        if model is self.ref_model:
            self.found.append(self.begun.wait(self.seconds))
        return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)


def run(model: str, folder: Path, rewards: Any, trainer: type = R1GRPOTrainer, resume: Path | None = None, **changes):
    made = trainer(model, rewards, grpo_config(folder, **{**REFERENCE, "max_steps": 3, **changes}), sums())
    made.train(resume_from_checkpoint=str(resume) if resume else None)
    return made


class TestBeside:
    def began_early(self, model: str, folder: Path, reward: Any, seconds: float, **changes: Any) -> bool:
        class Watched(Patient):
            begun, found = threading.Event(), []

        Watched.seconds = seconds
        call = type(reward).__call__

        class Announced(type(reward)):
            if isinstance(reward, Awaited):

                async def __call__(self, **given):
                    Watched.begun.set()
                    return await call(self, **given)
            else:

                def __call__(self, **given):
                    Watched.begun.set()
                    return call(self, **given)

        run(model, folder, Announced(), Watched, max_steps=1, **changes)
        assert len(Watched.found) == 1
        assert Watched.begun.is_set()
        return Watched.found[0]

    @pytest.mark.parametrize("reward", [Waiting(), Awaited()], ids=["thread", "coroutine"])
    def test_a_reward_that_waits_is_called_while_log_probabilities_are_computed(self, reward, model_path, tmp_path):
        assert self.began_early(model_path, tmp_path, reward, SECONDS)

    def test_not_where_it_is_switched_off(self, model_path, tmp_path):
        assert not self.began_early(model_path, tmp_path, Waiting(), 0.5, overlap_rewards=False)

    def test_nor_a_reward_that_does_not_say_that_it_waits(self, model_path, tmp_path):
        reward = Waiting()
        reward.waits = False
        type_before, Waiting.waits = Waiting.waits, False
        try:
            assert not self.began_early(model_path, tmp_path, reward, 0.5)
        finally:
            Waiting.waits = type_before

    def test_two_that_wait_wait_at_the_same_time(self, model_path, tmp_path):
        both = threading.Barrier(2, timeout=SECONDS)

        class Meeting(Waiting):
            def __call__(self, **given):
                both.wait()
                return super().__call__(**given)

        assert run(model_path, tmp_path, [Meeting("one"), Meeting("two")], max_steps=1).state.global_step == 1

    def test_who_may_be_called_early(self):
        assert may_be_early(Waiting())
        assert may_be_early(Awaited())
        assert may_be_early(Scheduled(Waiting(), domains=("math",)))
        assert may_be_early(code_accuracy)
        assert not may_be_early(math_accuracy)
        assert not may_be_early(DigitReward())
        assert not may_be_early(Scheduled(DigitReward()))
        assert not may_be_early(torch.nn.Linear(1, 1))
        compares = Waiting()
        compares.reads_group_tokens = True
        assert not may_be_early(compares)


class TestTheSame:
    REWARDS = staticmethod(lambda: [Waiting("one", 2.0), DigitReward(), Awaited("two"), Waiting("three", -1.0)])
    WEIGHTS = (1.0, 0.5, 0.3, 0.2)

    def outcome(self, trainer: Any) -> dict[str, Any]:
        return what_matters(trainer)

    def test_weights_and_logs_are_those_without_it(self, model_path, tmp_path):
        settings = {"reward_weights": list(self.WEIGHTS), "per_device_train_batch_size": 8}
        ours = run(model_path, tmp_path / "ours", self.REWARDS(), **settings)
        without = run(model_path, tmp_path / "without", self.REWARDS(), overlap_rewards=False, **settings)
        assert ours._early_rewards == {0, 2, 3}
        assert not without._early_rewards
        assert differences(self.outcome(ours), self.outcome(without)) == []
        assert {"one_step", "two_step", "three_columns"} <= set(ours.state.log_history[0])
        extra, twin = ours._logs["extra"], without._logs["extra"]
        assert {name: list(values) for name, values in extra.items()} == {n: list(v) for n, v in twin.items()}
        assert set(extra) == {"one_words", "two_words", "three_words"}

    def test_weights_are_those_of_stock_trl(self, model_path, tmp_path):
        class Untold(Waiting):
            """Stock TRL hands over no `truncated`."""

            def __call__(self, **given):
                return super().__call__(**{"truncated": [False] * len(given["completions"]), **given, **self.no_cuts})

            no_cuts = {"truncated": [False] * 4}  # noqa: RUF012

        ours = what_matters(run(model_path, tmp_path / "ours", Untold()))
        stock = what_matters(run(model_path, tmp_path / "stock", Untold(), GRPOTrainer))
        assert all(torch.equal(value, stock["policy"][name]) for name, value in ours["policy"].items())

    @pytest.mark.parametrize("kind", [Waiting, Awaited])
    @pytest.mark.parametrize("overlap", [True, False])
    def test_an_error_is_the_rewards_own(self, kind, overlap, model_path, tmp_path):
        class Broken(kind):
            if kind is Awaited:

                async def __call__(self, **given):
                    raise KeyError("a column that is not there")
            else:

                def __call__(self, **given):
                    raise KeyError("a column that is not there")

        with pytest.raises(KeyError, match="a column that is not there"):
            run(model_path, tmp_path, [Waiting("first"), Broken("second")], overlap_rewards=overlap)

    @pytest.mark.parametrize("overlap", [True, False])
    def test_too_few_rewards_are_seen_by_trl(self, overlap, model_path, tmp_path):
        class Short(Waiting):
            def __call__(self, **given):
                return super().__call__(**given)[:-1]

        with pytest.raises(ValueError, match="'short' returned 3 rewards, but 4 were expected"):
            run(model_path, tmp_path, Short("short"), overlap_rewards=overlap)

    def test_what_a_subclass_changes_afterwards_is_what_is_judged(self, model_path, tmp_path):
        class Changed(R1GRPOTrainer):
            def _generate(self, prompts):
                result = list(super()._generate(prompts))
                result[3] = [f"{i} {i}" if i > 4 else "so" for i in range(3, 7)]
                return tuple(result)

        judged = []

        class Judge(Waiting):
            def __call__(self, **given):
                judged.append(given["completions"])
                return super().__call__(**given)

        trainer = run(model_path, tmp_path, Judge(), Changed, max_steps=1)
        assert judged[-1] == ["so", "so", "5 5", "6 6"]
        assert trainer.state.log_history[0]["rewards/waiting/mean"] == pytest.approx((0 + 0 + 1) / 3 - 0.1)
        assert len(trainer._logs["extra"]["waiting_words"]) == 4

    def test_resumed_at_any_step_it_equals_the_uninterrupted_run(self, model_path, tmp_path):
        settings = {"num_iterations": 2, "max_steps": 4}
        rewards = [Waiting("one"), Awaited("two")]
        whole = what_matters(run(model_path, tmp_path / "whole", rewards, **settings))
        for step in range(1, 4):
            checkpoint = copy_checkpoint(tmp_path / "whole", tmp_path / f"from-{step}", step)
            resumed = run(model_path, checkpoint.parent, rewards, resume=checkpoint, **settings)
            assert differences(whole, what_matters(resumed)) == [], f"resumed at step {step}"

    def test_with_dynamic_sampling_each_round_is_judged(self, model_path, tmp_path):
        class Flat(Waiting):
            def __call__(self, **given):
                super().__call__(**given)
                return [0.5] * len(given["completions"])

        settings = {"dynamic_sampling": True, "max_sampling_rounds": 2, "max_steps": 2}
        ours = run(model_path, tmp_path / "ours", Flat(), **settings)
        without = run(model_path, tmp_path / "without", Flat(), overlap_rewards=False, **settings)
        assert ours.state.log_history[0]["dynamic_sampling/rounds"] == 2
        assert differences(what_matters(ours), what_matters(without)) == []


def test_the_share_of_a_step_that_waits_for_rewards_is_logged(model_path, tmp_path):
    nap = threading.Event()

    class Slow(Waiting):
        def __call__(self, **given):
            nap.wait(0.5)
            return super().__call__(**given)

    settings = {"beta": 0.0, "gradient_accumulation_steps": 2, "max_steps": 2}
    slow = run(model_path, tmp_path / "slow", Slow(), **settings).state.log_history[:2]
    for entry in slow:
        assert entry["reward_time_share"] * entry["step_time"] > 0.45
        assert entry["reward_time_share"] < 1
    assert 0 < run(model_path, tmp_path / "quick", DigitReward()).state.log_history[0]["reward_time_share"] < 1


def test_what_makes_it_impossible_is_said(model_path, tmp_path):
    def rollout(prompts, trainer):
        raise AssertionError

    config = grpo_config(tmp_path, overlap_rewards=True)
    with pytest.raises(ConfigError, match="`overlap_rewards`: with `rollout_func`"):
        R1GRPOTrainer(model_path, Waiting(), config, sums(), rollout_func=rollout)
    config = grpo_config(tmp_path)
    assert not R1GRPOTrainer(model_path, Waiting(), config, sums(), rollout_func=rollout)._early_rewards
