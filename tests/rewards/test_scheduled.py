"""A reward that applies to some rows or steps only passes on what the reward says of itself and what it logs."""

import asyncio
from types import SimpleNamespace

from trl_r1.rewards.scheduled import AsyncScheduled, Scheduled


class Length:
    __name__ = "length"
    is_accuracy = True
    reads_group_tokens = True

    def __call__(self, *, completions, log_metric=None, **columns):
        if log_metric:
            log_metric("mean", 1.5)
        return [float(len(completion)) for completion in completions]


class Plain:
    __name__ = "plain"

    async def __call__(self, *, completions, **columns):
        return [1.0] * len(completions)


def at(step):
    return SimpleNamespace(global_step=step)


def test_it_says_of_itself_what_the_reward_says():
    assert (Scheduled(Length()).is_accuracy, Scheduled(Length()).reads_group_tokens) == (True, True)
    assert (Scheduled(Plain()).is_accuracy, Scheduled(Plain()).reads_group_tokens) == (False, False)


def test_with_a_last_step_alone_it_applies_from_the_first():
    reward = Scheduled(Length(), until_step=2)
    assert [reward(completions=["ab"], trainer_state=at(step)) for step in (0, 1, 2, 3)] == [
        [2.0],
        [2.0],
        [None],
        [None],
    ]


def test_with_a_first_step_it_applies_from_there():
    reward = Scheduled(Length(), from_step=2)
    assert [reward(completions=["ab"], trainer_state=at(step)) for step in (0, 1, 2, 3)] == [
        [None],
        [None],
        [2.0],
        [2.0],
    ]


def test_of_two_rewards_of_one_name_each_logs_under_its_own():
    logged = {}
    Scheduled(Length(), name="length_2")(completions=["ab"], log_metric=logged.__setitem__)
    assert logged == {"mean_2": 1.5}


def test_a_reward_that_is_awaited_is_none_where_it_does_not_apply():
    reward = AsyncScheduled(Plain(), domains=("math",))
    assert asyncio.run(reward(completions=["a", "b"], domain=["code", "code"])) == [None, None]
    assert asyncio.run(reward(completions=["a", "b"], domain=["code", "math"])) == [None, 1.0]
