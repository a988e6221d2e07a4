"""
Run untrusted programs against test cases, in a jail.

[`Sandbox`] runs and judges; [`read_row`] reads the tests of a data set's row. docs/sandbox.md says what isolates, what
is guaranteed, and what it costs.
"""

from .compare import Comparison
from .executor import Executor, Outcome, Program
from .judge import Sandbox, Submission
from .limits import VERDICTS, Limits, Result
from .rows import Calls, Row, Script, Stdio, read_row
from .toolchains import NAMES, language_of


__all__ = [
    "NAMES",
    "VERDICTS",
    "Calls",
    "Comparison",
    "Executor",
    "Limits",
    "Outcome",
    "Program",
    "Result",
    "Row",
    "Sandbox",
    "Script",
    "Stdio",
    "Submission",
    "language_of",
    "read_row",
]
