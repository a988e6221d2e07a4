"""
Rewards for traces: the same reward objects that training calls, called on what was sampled.
"""

import asyncio
import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConfigError
from ..trace import Trace


def reward_names(rewards: Sequence[Callable]) -> list[str]:
    """Return a name for each reward; of two with the same name, the later one gets a number."""
    names: list[str] = []
    for reward in rewards:
        name = getattr(reward, "__name__", type(reward).__name__)
        same = sum(each == name or (each.startswith(f"{name}_") and each[len(name) + 1 :].isdigit()) for each in names)
        names.append(f"{name}_{same + 1}" if same else name)
    return names


def score_traces(traces: Sequence[Trace], rewards: Sequence[Callable]) -> list[Trace]:
    """
    Give each trace its rewards.

    Args:
        traces (`Sequence[Trace]`):
            What was sampled.
        rewards (`Sequence[Callable]`):
            Reward functions as TRL calls them. They get the completions and, as columns, `question`, `solution`,
            `domain`, `language` and what the traces have in `extra`; `prompts` are the questions. Traces hold whole
            completions, `<think>` included, so a prefilled one needs no word.

    Returns:
        `list[Trace]`: the traces, each with the rewards' values by name; `None` where one does not apply.

    Raises:
        [`~errors.ConfigError`]: if a reward gives another number of values than it got completions.
    """
    if not traces:
        return []
    columns = trace_columns(traces)
    scores: list[dict[str, float | None]] = [dict(trace.rewards) for trace in traces]
    for name, reward in zip(reward_names(rewards), rewards):
        values = call_reward(reward, [trace.completion for trace in traces], columns)
        for score, value in zip(scores, values):
            score[name] = None if value is None else float(value)
    return [dataclasses.replace(trace, rewards=score) for trace, score in zip(traces, scores)]


def call_reward(reward: Callable, completions: list[str], columns: dict[str, list[Any]]) -> list[float | None]:
    """Call one reward as TRL does, outside of training."""
    values = reward(
        prompts=columns["question"],
        completions=completions,
        completion_ids=None,
        trainer_state=None,
        log_extra=None,
        log_metric=None,
        **columns,
    )
    if inspect.isawaitable(values):
        values = asyncio.run(_wait(values))
    if len(values) != len(completions):
        raise ConfigError(
            f"reward {reward_names([reward])[0]!r} gave {len(values)} values for {len(completions)} completions",
            key="rewards",
        )
    return list(values)


async def _wait(values: Any) -> Any:
    return await values


def trace_columns(traces: Sequence[Trace]) -> dict[str, list[Any]]:
    """Return the columns that rewards are given: those of the data set from which the traces came."""
    extra = sorted({key for trace in traces for key in trace.extra} - {"prompt", "completion", "question"})
    return {
        "question": [trace.prompt for trace in traces],
        "prompt_id": [trace.prompt_id for trace in traces],
        "solution": [trace.solution for trace in traces],
        "domain": [trace.domain for trace in traces],
        "language": [trace.language for trace in traces],
        "finish_reason": [trace.finish_reason for trace in traces],
        **{key: [trace.extra.get(key) for trace in traces] for key in extra},
    }
