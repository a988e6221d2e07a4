"""
A reward that applies to some domains or steps only, and what a reward says about itself: name, columns, whether it waits.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ._columns import HANDED


# What TRL and our trainer hand to every reward, so that it is no column of the data set.
_HANDED = HANDED | {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric"}


@dataclass(frozen=True)
class Scheduled:
    """
    A reward that applies to some domains or steps only, and is `None` elsewhere.

    The reward itself is called with the rows that it applies to, and not at all where there is none.

    Args:
        reward (`Callable`):
            The reward.
        domains (`tuple[str, ...]`, *optional*):
            Domains it applies to, by the column `domain`.
        from_step (`int`, *optional*):
            First step at which it applies.
        until_step (`int`, *optional*):
            First step at which it applies no more.
        name (`str`, *optional*):
            Name under which it is logged. Defaults to the reward's own.
    """

    reward: Callable[..., Any]
    domains: tuple[str, ...] | None = None
    from_step: int | None = None
    until_step: int | None = None
    name: str | None = None

    @property
    def __name__(self) -> str:
        return self.name or name_of(self.reward)

    @property
    def requires(self) -> tuple[str, ...]:
        columns = required_columns(self.reward)
        return (*columns, "domain") if self.domains is not None and "domain" not in columns else columns

    @property
    def is_accuracy(self) -> bool:
        return getattr(self.reward, "is_accuracy", False) is True

    @property
    def reads_group_tokens(self) -> bool:
        return getattr(self.reward, "reads_group_tokens", False) is True

    def __call__(self, *, completions: list[Any], trainer_state: Any = None, **handed: Any) -> list[float | None]:
        rows = self._rows(completions, trainer_state, handed)
        if not rows:
            return [None] * len(completions)
        rewards = self.reward(**self._chosen(rows, completions, trainer_state, handed))
        return _scattered(rewards, rows, len(completions))

    def applies_at(self, step: int) -> bool:
        """Tell whether the reward applies at a training step."""
        return step >= (self.from_step or 0) and (self.until_step is None or step < self.until_step)

    def _rows(self, completions: list[Any], trainer_state: Any, handed: dict[str, Any]) -> list[int]:
        """Return the positions of the rows that the reward applies to."""
        if self.from_step is not None or self.until_step is not None:
            step = getattr(trainer_state, "global_step", None)
            if step is None:
                raise ConfigError(
                    f"the reward `{self.__name__}` depends on the training step, which this trainer does not hand to "
                    f"rewards; expected no `from_step` and no `until_step`",
                    key="from_step",
                )
            if not self.applies_at(step):
                return []
        if self.domains is None:
            return list(range(len(completions)))
        if handed.get("domain") is None:
            raise ConfigError(
                f"the reward `{self.__name__}` has `domains` and needs the column `domain`", key="domain"
            )
        return [i for i, domain in enumerate(handed["domain"]) if domain in self.domains]

    def _chosen(
        self, rows: list[int], completions: list[Any], trainer_state: Any, handed: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the reward is called with: the chosen rows of every column, and loggers that put them back."""
        size = len(completions)
        everything = {"completions": completions, **handed}
        chosen = {
            name: [value[i] for i in rows] if isinstance(value, list) and len(value) == size else value
            for name, value in everything.items()
        }
        if trainer_state is not None:
            chosen["trainer_state"] = trainer_state
        suffix = self.name.removeprefix(name_of(self.reward)) if self.name else ""
        if log_extra := handed.get("log_extra"):
            chosen["log_extra"] = lambda column, values: log_extra(column + suffix, _scattered(values, rows, size))
        if (log_metric := handed.get("log_metric")) and suffix:
            chosen["log_metric"] = lambda name, value: log_metric(name + suffix, value)
        return chosen


@dataclass(frozen=True)
class AsyncScheduled(Scheduled):
    """[`Scheduled`] for a reward whose call is a coroutine, so that trainers see that it is one."""

    async def __call__(  # type: ignore[override]
        self, *, completions: list[Any], trainer_state: Any = None, **handed: Any
    ) -> list[float | None]:
        rows = self._rows(completions, trainer_state, handed)
        if not rows:
            return [None] * len(completions)
        rewards = await self.reward(**self._chosen(rows, completions, trainer_state, handed))
        return _scattered(rewards, rows, len(completions))


def applies(reward: Any, domain: Any, step: int) -> bool:
    """Tell whether a reward applies to rows of a domain at a training step; one without a schedule always does."""
    if not isinstance(reward, Scheduled):
        return True
    return reward.applies_at(step) and (reward.domains is None or domain in reward.domains)


def required_columns(reward: Any) -> tuple[str, ...]:
    """
    Tell which columns of the data set a reward reads: its `requires`, or a function's parameters without default.

    Args:
        reward (`Callable` or `type`):
            A reward, or a class of rewards.
    """
    declared = getattr(reward, "requires", None)
    if isinstance(declared, (tuple, list)):
        return tuple(declared)
    target = reward.__call__ if inspect.isclass(reward) else reward
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return ()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(
        p.name
        for p in parameters
        if p.kind in named and p.default is inspect.Parameter.empty and p.name not in _HANDED and p.name != "self"
    )


def missing_columns(reward: Any, columns: Iterable[str], domains: Iterable[str | None]) -> list[str]:
    """
    Tell which columns that a reward reads the rows lack.

    Args:
        reward (`Callable`):
            The reward.
        columns (`Iterable[str]`):
            Columns of the rows.
        domains (`Iterable[str | None]`):
            Domains of the rows: a reward for others is not called, and lacks nothing.
    """
    own = getattr(reward, "domains", None)
    if own is not None and not {*own} & {*domains}:
        return []
    there = {*columns}
    return [column for column in required_columns(reward) if column not in there]


def gold_columns(reward: Any, columns: Iterable[str]) -> list[str]:
    """Return those of the rows' columns that a reward may read to find a reference answer (`reads_gold`)."""
    used = {*required_columns(reward), "prompt", "domain", "options", "entry_point", "metadata"}
    return [column for column in columns if column in used]


def name_of(reward: Any) -> str:
    """Return the name under which TRL logs a reward."""
    while hasattr(reward, "func") and not hasattr(reward, "__name__"):  # functools.partial
        reward = reward.func
    return getattr(reward, "__name__", type(reward).__name__)


def is_async(reward: Any) -> bool:
    """Tell whether calling a reward gives a coroutine, as TRL tells it."""
    while hasattr(reward, "func") and not hasattr(reward, "__name__"):
        reward = reward.func
    return inspect.iscoroutinefunction(reward) or inspect.iscoroutinefunction(getattr(reward, "__call__", None))  # noqa: B004


def _scattered(values: Sequence[Any], rows: list[int], size: int) -> list[Any]:
    everywhere: list[Any] = [None] * size
    for row, value in zip(rows, values, strict=True):
        everywhere[row] = value
    return everywhere
