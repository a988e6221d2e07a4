"""
Rewards for traces: the same reward objects that training calls, called on what was sampled.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from ..rewards.schedule import call, load_rewards
from ..rewards.scheduled import missing_columns, name_of
from ..solved import accuracy_rewards
from ..trace import Trace


# The columns that rewards are given whatever the data set has.
_FROM_TRACES = ("question", "prompt_id", "solution", "domain", "language", "finish_reason")


def named_rewards(rewards: Sequence[Callable[..., Any]], taken: Iterable[str] = ()) -> dict[str, Callable[..., Any]]:
    """Return rewards by the names under which traces hold their values; of two with one name, the later gets a number."""
    named: dict[str, Callable[..., Any]] = {}
    for reward in rewards:
        name, number = name_of(reward), 2
        while name in named or name in taken:
            name, number = f"{name_of(reward)}_{number}", number + 1
        named[name] = reward
    return named


def load_named(
    declared: Sequence[Any], where: str = "rewards", taken: Iterable[str] = ()
) -> dict[str, Callable[..., Any]]:
    """
    Return the rewards that a config declares under the key `where`, by name; none where it declares none.

    Raises:
        [`~errors.ConfigError`]: see [`~rewards.schedule.load_rewards`].
    """
    return named_rewards(load_rewards(declared, where=where)[0], taken) if declared else {}


def accuracy_of(rewards: Mapping[str, Callable[..., Any]]) -> list[str]:
    """Return the names of the accuracy rewards among named ones (see [`~solved.accuracy_rewards`])."""
    names = list(rewards)
    return [names[i] for i in accuracy_rewards(list(rewards.values()), names)]


def check_columns(
    rewards: Mapping[str, Callable[..., Any]], columns: Iterable[str], domains: Iterable[str | None]
) -> None:
    """
    Check before anything is sampled that the rows have what the rewards read.

    Args:
        rewards (`Mapping[str, Callable[..., Any]]`):
            The rewards by name.
        columns (`Iterable[str]`):
            Columns of the rows.
        domains (`Iterable[str | None]`):
            Domains of the rows: a reward for others is not called, and reads nothing.

    Raises:
        [`~errors.ConfigError`]: with the reward and the column that the rows lack.
    """
    there, domains = {*columns, *_FROM_TRACES}, {*domains}
    for name, reward in rewards.items():
        for column in missing_columns(reward, there, domains):
            raise ConfigError(
                f"the reward `{name}` reads the column {column!r}; the rows have {', '.join(sorted(there))}",
                key="rewards",
            )


def score_traces(traces: Sequence[Trace], rewards: Mapping[str, Callable[..., Any]]) -> list[Trace]:
    """
    Give each trace its rewards.

    Args:
        traces (`Sequence[Trace]`):
            What was sampled.
        rewards (`Mapping[str, Callable[..., Any]]`):
            Reward functions as TRL calls them, by name. They get the completions and, as columns, `question`,
            `solution`, `domain`, `language`, `finish_reason`, `truncated` and what the traces have in `extra`; `prompts` are
            the questions. Traces hold whole completions, `<think>` included, so a prefilled one needs no word.

    Returns:
        `list[Trace]`: the traces, each with the rewards' values by name; `None` where one does not apply.

    Raises:
        [`~errors.ConfigError`]: if a reward gives another number of values than it got completions.
    """
    if not traces:
        return []
    questions = [trace.prompt for trace in traces]
    extra = sorted({key for trace in traces for key in trace.extra} - {"prompt", "completion", "question"})
    # What TRL hands to rewards in training, and the columns of the data set from which the traces came.
    handed: dict[str, Any] = dict.fromkeys(("completion_ids", "trainer_state", "log_extra", "log_metric"))
    handed |= {"prompts": questions, "question": questions, "completions": [trace.completion for trace in traces]}
    handed |= {name: [getattr(trace, name) for trace in traces] for name in _FROM_TRACES[1:]}
    handed["truncated"] = [trace.finish_reason == "length" for trace in traces]  # as in training: a cut answer is none
    handed |= {key: [trace.extra.get(key) for trace in traces] for key in extra}
    scores = [dict(trace.rewards) for trace in traces]
    for name, reward in rewards.items():
        values = call(reward, **handed)
        if len(values) != len(traces):
            message = f"the reward `{name_of(reward)}` gave {len(values)} values for {len(traces)} completions"
            raise ConfigError(message, key="rewards")
        for score, value in zip(scores, values):
            score[name] = None if value is None else float(value)
    return [dataclasses.replace(trace, rewards=score) for trace, score in zip(traces, scores)]
