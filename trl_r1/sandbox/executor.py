"""
Another isolation in the place of the jail: a container runtime, a virtual machine, a remote sandbox.

What crosses to it is a program and its input, and what comes back is what the program wrote: expected values stay here, as
with the jail. Calls of Python functions are sent as a program of their own that writes each value as a record.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..errors import MachineError
from .lane import Ended, LaneFailure
from .limits import Limits


_DOES_NOT_COMPILE = 97
_INSIDE = Path(__file__).parent / "inside"
_MODULES = (
    "records",
    "values",
    "prelude",
    "pytest_subset",
    "checks",
    "test_runner",
    "programs",
)  # each after those it needs
_CALLS = """
import json, os, sys, types
results, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
os.dup2(null, 1)
for name, text in json.loads({modules!r}):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
prelude = sys.modules["prelude"].__dict__
os._exit(sys.modules["programs"].run(json.loads({job!r}), [results], prelude, os.dup(null)))
"""


@dataclass(frozen=True)
class Program:
    """
    A program to be run once.

    Args:
        language (`str`):
            One of [`NAMES`].
        source (`str`):
            Its text.
        stdin (`bytes`):
            Its standard input.
        limits ([`Limits`]):
            What it may use.
    """

    language: str
    source: str
    stdin: bytes
    limits: Limits


@dataclass(frozen=True)
class Outcome:
    """
    How a program ended.

    Args:
        code (`int`):
            Its exit code, negative the number of the signal that ended it.
        stdout (`bytes`), stderr (`bytes`):
            What it wrote; of a program that does not compile `stderr` is what the compiler says.
        limit (`str`, *optional*):
            `"time_limit"`, `"memory_limit"` or `"output_limit"` where it ran into one.
        compiled (`bool`, *optional*, defaults to `True`):
            Whether it could be compiled.
    """

    code: int
    stdout: bytes
    stderr: bytes = b""
    limit: str | None = None
    compiled: bool = True


class Executor(Protocol):
    """
    Runs programs in an isolation of its own. One is made for each program that runs at the same time.

    It is to hold the limits, to give a program nothing of what an earlier one left, and to keep it from the network and from
    the files of this machine.
    """

    def run(self, program: Program) -> Outcome:
        """
        Run a program once.

        Raises:
            `MachineError`: where it cannot run any, with what to install.
            `Exception`: where nothing was learned about this program. It is then run once more, and has no verdict if that
                fails too.
        """
        ...


class ExecutorLane:
    """
    A [`~sandbox.lane.Lane`] whose programs an executor runs.

    Args:
        executor ([`Executor`]):
            The executor.
    """

    runs_source: ClassVar[bool] = True

    def __init__(self, executor: Executor):
        self._executor = executor

    def run(
        self, job: dict[str, Any], limits: Limits, *, given: tuple[int, ...] = (), tests: int = 1, **_: Any
    ) -> Ended:
        """Run a job of the kinds `program` and `calls`, as [`~sandbox.lane.Lane.run`] does."""
        if job["kind"] == "calls":
            limits = replace(limits, cpu_seconds=limits.cpu_seconds * tests)
            program = Program("python", _calls(job), b"", limits)
        else:
            stdin = os.pread(given[0], os.fstat(given[0]).st_size, 0)
            program = Program(job["language"], job["source"], stdin, limits)
        try:
            found = self._executor.run(program)
        except MachineError:
            raise
        except Exception as error:
            raise LaneFailure(f"{type(self._executor).__name__}: {error}") from error
        code = found.code if found.compiled else _DOES_NOT_COMPILE
        return Ended(found.limit if found.compiled else None, code, 0.0, [found.stdout, found.stderr])

    def close(self) -> None:
        """Nothing is held between programs."""

    def forget(self) -> None:
        """Nothing is held between programs."""


def _calls(job: dict[str, Any]) -> str:
    modules = [(name, (_INSIDE / f"{name}.py").read_text()) for name in _MODULES]
    return _CALLS.format(modules=json.dumps(modules), job=json.dumps(job))
