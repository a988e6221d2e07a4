"""
A training that learns nothing is stopped.

Where no group of completions has variance in its rewards, no advantage differs from 0 and the policy does not move. Now
and then that is so with hard or easy prompts; `max_steps_without_variance` optimizer steps running it is a mistake in the
data (no reference answer can be read), in the rewards, or in the form that the model answers in.

Groups that are solved whole do not count, nor those to which no reward applies at this step (`from_step`, `until_step`,
`domains`). A step on whose rollouts no group counts is none without variance. Of dynamic sampling all rounds count: one
group with variance is enough. Steps on one rollout share its verdict.

Every rank sees the rewards of all, so all stop at the same step: with a checkpoint, as at any other step. The count is
part of each checkpoint.
"""

import math
from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..data import question_of_row
from ..errors import StalledError
from ..rewards.scheduled import applies
from .rollout import Rollout


_EXAMPLES = 3
_SHOWN = 200  # characters of a text


class StallCheck(TrainerCallback):
    """
    Stop a training whose groups have no variance, `max_steps_without_variance` steps running.

    Args:
        args ([`~grpo.config.R1GRPOConfig`]):
            The trainer's config; one without this key stops nothing.
        rewards (`Sequence[Callable]`):
            The reward functions.
        names (`Sequence[str]`):
            Their names.
        weights (`Sequence[float]`):
            Their weights. A reward that weighs 0 is only measured.
    """

    def __init__(self, args: Any, rewards: Sequence[Any], names: Sequence[str], weights: Sequence[float]):
        self.steps = 0
        self.rollouts: list[Rollout] = []
        self._limit: int | None = getattr(args, "max_steps_without_variance", None)
        self._rewards = rewards
        self._names = names
        self._weights = weights
        self._reason = "no group had variance"
        self._examples: list[str] = []

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count the step; before `on_step_end`, so that every callback there sees that a checkpoint is to be saved."""
        rollouts, self.rollouts = self.rollouts, []
        if not self._limit:
            return
        without_variance = self.steps > 0  # of a step on an earlier rollout
        if rollouts:
            counted = [
                (rollout, number) for rollout in rollouts for number in self._counted(rollout, state.global_step)
            ]
            without_variance = bool(counted) and all(rollout.groups[number].zero_std for rollout, number in counted)
            if without_variance:
                self._describe(counted, args.process_index)
        self.steps = self.steps + 1 if without_variance else 0
        if self.steps >= self._limit:
            control.should_training_stop = True
            control.should_save = control.should_save or args.save_strategy != "no"

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """
        Say why it was stopped.

        Raises:
            [`~errors.StalledError`]: on every rank; the examples are the rank's own.
        """
        if self._limit and self.steps >= self._limit:
            raise StalledError(
                f"stopped at step {state.global_step}: {self.steps} steps running {self._reason}, "
                "so that nothing was learned. Expected rewards that differ within groups: look at the reference answers "
                "(`trl-r1 plan --data` counts those that cannot be read), at the form that the rewards ask for, and at how "
                "hard the prompts are. `max_steps_without_variance: null` goes on all the same."
                + "".join(self._examples)
            )

    def _counted(self, rollout: Rollout, step: int) -> list[int]:
        """The groups that say whether anything can be learned."""
        paying = [reward for reward, weight in zip(self._rewards, self._weights, strict=True) if weight]
        return [
            number
            for number, (group, domain) in enumerate(zip(rollout.groups, rollout.domains, strict=True))
            if not (group.judged and group.solved == group.judged)
            and any(applies(one, domain, step) for one in paying)
        ]

    def _describe(self, counted: Sequence[tuple[Rollout, int]], rank: int) -> None:
        """Keep the reason, and examples among this rank's rows, of different groups as far as there are some."""
        scored = False
        rows: list[tuple[int, Rollout, int]] = []
        for rollout, number in counted:
            size = len(rollout.rewards) // len(rollout.groups)
            of_group = range(number * size, (number + 1) * size)
            scored = scored or not bool(rollout.rewards[of_group.start : of_group.stop].isnan().all())
            rows += [(i - of_group.start, rollout, i - rank * len(rollout)) for i in of_group]
        ours = [row for row in rows if 0 <= row[2] < len(row[1])]
        ours.sort(key=lambda row: row[0])
        self._reason = "the rewards of each group were all equal" if scored else "every reward was `None`"
        self._examples = [self._example(rollout, i, rank * len(rollout) + i) for _, rollout, i in ours[:_EXAMPLES]]

    def _example(self, rollout: Rollout, i: int, of_all: int) -> str:
        row, rewards = rollout[i], rollout.rewards[of_all].tolist()
        said = [
            f"{name} {'None' if math.isnan(reward) else f'{reward:g}'}"
            for name, reward in zip(self._names, rewards, strict=True)
        ]
        return (
            f"\n  prompt: {_shown(question_of_row(row))}"
            f"\n    reference answer: {_shown(row.get('solution'))}"
            f"\n    completion: {_shown(rollout.texts[i])}"
            f"\n    rewards: {', '.join(said)}"
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
