"""
Rewards that wait, beside the passes that compute log-probabilities.

TRL samples, then computes the log-probabilities of the old policy and of the reference, then calls the rewards one after
another. A reward that mostly waits (a judge behind a server, a sandbox, a pool of workers) can do so meanwhile: here it
is called as soon as the completions are there, in a thread of its own, or on TRL's event loop where its call is a
coroutine; and TRL's own `_calculate_rewards` finds a stand-in in its place that hands over what came out. So the order
of rewards, the checks, the gathering and the errors are TRL's; what a reward logs is held back until its turn.

Which rewards: those whose call is a coroutine, and those that say so by `waits = True`, with which they also say that
they may be called from another thread than the trainer's. Never one that is a model of the trainer, and none with
`reads_group_tokens`. It does not pay for a reward that computes in Python itself: it would take turns with the trainer.

It pays where there is something beside it: a pass for the old policy or the reference (`beta` above 0, inner epochs,
rollouts for several steps), or another reward that waits.

What is logged: `reward_time_share`, the share of a step's time in which the trainer did nothing but wait for rewards,
whether they are overlapped or not.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch import nn

from ..errors import ConfigError
from ..rewards.schedule import is_async


# What TRL hands over anew at each call; all else must be what the early call had. Groups' tokens are for rewards that
# are never called early.
_HANDED = frozenset(("trainer_state", "log_extra", "log_metric", "group_tokens"))
# Columns of a row that TRL hands over in another way.
_OWN = frozenset(("prompt", "completion", "completion_ids"))


class EarlyCall:
    """
    A reward, called before its turn.

    Args:
        reward (`Callable`):
            The reward.
        given (`Mapping[str, Any]`):
            What it is called with, but for `log_extra` and `log_metric`.
        start (`Callable[[Callable, dict], Future]`):
            Calls it elsewhere.
    """

    def __init__(self, reward: Callable[..., Any], given: Mapping[str, Any], start: Callable[..., Future]):
        self.reward = reward
        self.given = given
        self.logged: list[tuple[str, str, Any]] = []
        self.future = start(
            reward,
            {
                **given,
                "log_extra": lambda column, values: self.logged.append(("log_extra", column, list(values))),
                "log_metric": lambda name, value: self.logged.append(("log_metric", name, value)),
            },
        )

    def stand_in(self) -> Callable[..., Any]:
        """Return what takes the reward's place when its turn comes, a coroutine function where the reward is one."""
        if is_async(self.reward):

            async def called(**given: Any) -> Any:
                if not self._fits(given):
                    return await self.reward(**given)
                return self._hand_over(await asyncio.wrap_future(self.future), given)
        else:

            def called(**given: Any) -> Any:
                if not self._fits(given):
                    return self.reward(**given)
                return self._hand_over(self.future.result(), given)

        return called

    def _fits(self, given: Mapping[str, Any]) -> bool:
        """Whether the reward was called with what it is to be called with now: a subclass may have changed it."""
        columns = given.keys() - _HANDED
        return columns == self.given.keys() - _HANDED and all(given[name] == self.given[name] for name in columns)

    def _hand_over(self, rewards: Any, given: Mapping[str, Any]) -> Any:
        for kind, name, value in self.logged:
            given[kind](name, value)
        return rewards


class OverlapRewards:
    """Early calls of rewards in a GRPO trainer. To stand before the trainer in a list of bases."""

    _early_rewards: frozenset[int] = frozenset()
    _rows: Sequence[Mapping[str, Any]] = ()
    _threads: ThreadPoolExecutor | None = None
    _reward_seconds = 0.0

    def __init__(self, model, reward_funcs, args, *rest, **named):
        super().__init__(model, reward_funcs, args, *rest, **named)
        self._early_calls: dict[int, EarlyCall] = {}
        wanted = getattr(args, "overlap_rewards", False)
        hinders = next(
            (name for name in ("rollout_func", "environment_factories") if getattr(self, name, None) is not None), None
        )
        if wanted and hinders:
            raise ConfigError(
                f"with `{hinders}` rewards read what is known only when their turn comes", key="overlap_rewards"
            )
        if wanted is False or hinders:
            return
        self._early_rewards = frozenset(i for i, reward in enumerate(self.reward_funcs) if may_be_early(reward))

    def _generate_and_score_completions(self, inputs):
        self._rows = inputs
        try:
            return super()._generate_and_score_completions(inputs)
        finally:
            # Empty, unless something went wrong in between.
            for call in self._early_calls.values():
                call.future.cancel()
            self._early_calls = {}

    def _call_early(
        self,
        prompts: Sequence[Any],
        rows: Sequence[Mapping[str, Any]],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
    ) -> None:
        """
        Call the rewards that wait, once the completions are there.

        Args:
            prompts (`Sequence`):
                The prompts.
            rows (`Sequence[Mapping[str, Any]]`):
                The data set's rows, as rewards are to see them.
            completions (`Sequence`):
                The completions.
            completion_ids (`Sequence[Sequence[int]]`):
                Their tokens.
        """
        columns = {name: [row[name] for row in rows] for name in rows[0] if name not in _OWN}
        given = {"prompts": prompts, "completions": completions, "completion_ids": completion_ids, **columns}
        given["trainer_state"] = self.state
        self._early_calls = {i: EarlyCall(self.reward_funcs[i], given, self._start) for i in self._early_rewards}

    def _start(self, reward: Callable[..., Any], given: dict[str, Any]) -> Future:
        if is_async(reward):
            return asyncio.run_coroutine_threadsafe(reward(**given), self.async_loop)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(len(self._early_rewards), thread_name_prefix="reward")
        return self._threads.submit(reward, **given)

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        begun = time.perf_counter()
        rewards = self.reward_funcs
        self.reward_funcs = [
            self._early_calls[i].stand_in() if i in self._early_calls else reward for i, reward in enumerate(rewards)
        ]
        try:
            scored = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            self._early_calls = {}
            return scored
        finally:
            self.reward_funcs = rewards
            if self.model.training:
                self._reward_seconds += time.perf_counter() - begun

    def training_step(self, model, inputs, num_items_in_batch):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self._step % self.current_gradient_accumulation_steps == 0:
            seconds = self._metrics["train"]["step_time"][-1]
            self._metrics["train"]["reward_time_share"].append(self._reward_seconds / seconds)
            self._reward_seconds = 0.0
        return loss


def may_be_early(reward: Any) -> bool:
    """
    Tell whether a reward may be called before its turn, beside the trainer's own work.

    Args:
        reward (`Callable`):
            The reward.
    """
    if isinstance(reward, nn.Module) or getattr(reward, "reads_group_tokens", False) is True:
        return False
    return is_async(reward) or getattr(reward, "waits", False) is True
