"""
Every error that `trl_r1` raises on purpose.

```
TrlR1Error
├── ConfigError            a recipe, a stage config or an argument is wrong          exit code 2
│   ├── RecipeError        ... in the recipe's graph: a cycle, a missing parent
│   └── ConfigErrors       several of these, found together
├── DataError              a data set cannot be read, is empty or lacks a column     exit code 2
├── MachineError           the machine: world size, disk space, a missing program    exit code 2
├── StageError             a stage ran and failed                                    exit code 1
│   ├── ServerError        ... since a model's server gave no answer
│   ├── StalledError       ... since no reward told completions apart, on every rank at the same step
│   └── JudgeError         ... since a judge gave too few verdicts
├── Interrupted            the user stopped the run                                  exit code 130
└── HubError               a push or a download did not complete                     exit code 1
```

A message names the file, the key, and what was expected, so that the reader can fix it without a traceback.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class TrlR1Error(Exception):
    """Base of all errors raised on purpose; `exit_code` is what a command line program ends with."""

    exit_code = 1


class ConfigError(TrlR1Error):
    """
    A recipe, a stage config or an argument is wrong. Raised before anything runs.

    Args:
        message (`str`):
            What is wrong and what was expected.
        file (`str`, *optional*):
            The file that it is in.
        key (`str`, *optional*):
            The key, dotted where it is nested (`stages[2].data`).
    """

    exit_code = 2

    def __init__(self, message: str, *, file: str | os.PathLike[str] | None = None, key: str | None = None) -> None:
        self.message = message
        self.file = str(file) if file is not None else None
        self.key = key
        super().__init__(message)

    @property
    def problems(self) -> list["ConfigError"]:
        """The errors that it reports: itself, or those that were found together."""
        return [self]

    def __str__(self) -> str:
        where = [part for part in (self.file, f"`{self.key}`" if self.key else None) if part]
        return f"{': '.join(where)}: {self.message}" if where else self.message


class RecipeError(ConfigError):
    """The graph of a recipe is wrong: a cycle, a missing parent, two stages of one name."""


class ConfigErrors(ConfigError):
    """
    Everything that is wrong with a recipe and its configs, found together.

    Args:
        problems (`list[ConfigError]`):
            Each names file, key and what was expected.
    """

    def __init__(self, problems: Iterable[ConfigError]) -> None:
        self._problems = list(problems)
        super().__init__(str(self))

    @property
    def problems(self) -> list[ConfigError]:
        """The errors that it reports."""
        return self._problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self._problems)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.problems,))


class DataError(ConfigError):
    """A data set cannot be read, is empty, or lacks a column."""


class MachineError(TrlR1Error):
    """The machine is not what the run needs: world size, disk space, a missing program."""

    exit_code = 2


class StageError(TrlR1Error):
    """A stage ran and failed."""


class ServerError(StageError):
    """A model's server gave no answer, however often it was asked."""


class JudgeError(StageError):
    """A judge gave too few verdicts to go on with."""


class StalledError(StageError):
    """A training learned nothing for many steps, since no reward told completions apart. Every rank raises it."""


class Interrupted(TrlR1Error):
    """The user stopped the run."""

    exit_code = 130


class HubError(TrlR1Error):
    """A push to the Hub or a download from it did not complete. Nothing local is lost."""


def expect(config: Any, key: str, right: bool, expected: str) -> None:
    """
    Refuse a value of a config.

    Args:
        config (`Any`):
            What has the value.
        key (`str`):
            Its attribute's name.
        right (`bool`):
            Whether the value is right.
        expected (`str`):
            What is expected, for the message.

    Raises:
        [`ConfigError`]: where the value is not right.
    """
    if not right:
        raise ConfigError(f"expected {expected}, got {getattr(config, key)!r}", key=key)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean `this`?"`, or nothing where no known name is near."""
    near = get_close_matches(name, [str(each) for each in known], cutoff=0.6)
    # A slip rarely hits the first letter: `max_tokens` is nearer to `max_completion_tokens` than to `refine_max_tokens`.
    best = next((each for each in near if each[:1] == name[:1]), near[0] if near else None)
    return f"; did you mean `{best}`?" if best else ""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return names for a sentence: `a`, `b`, `c`, and how many more there are."""
    names = list(names)
    text = ", ".join(f"`{name}`" for name in names[:limit])
    return f"{text} and {len(names) - limit} more" if len(names) > limit else text or "none"
