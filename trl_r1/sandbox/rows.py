"""
The tests of a data set's row, in the shapes that public data have.

| shape | data | read as |
|---|---|---|
| `{"functional": script}` | LeetCode: asserts that call `Solution()` | [`Calls`], else [`Script`] |
| `{"inputs": [...], "outputs": [...]}` (also `input`, `output`) | CodeContests, APPS, TACO | [`Stdio`] |
| the same with `fn_name` | APPS and TACO, call-based | [`Calls`] |
| `{"language": ..., "test_cases": [{"input", "output", "type", "fn_name"}]}` | open-r1's `verification_info` | either |
| a list of such cases | LiveCodeBench (with `testtype`, `metadata.func_name`) | either |
| a script, or a list of asserts | HumanEval's `test` with `entry_point`, MBPP | [`Calls`], else [`Script`] |

Each may be a dictionary or its JSON.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .asserts import Call, take_apart


@dataclass(frozen=True)
class Calls:
    """
    Calls of a program's functions; the values are compared outside.

    Args:
        calls (`tuple[Call, ...]`):
            The calls.
        bound (`tuple[tuple[str, str], ...]`):
            Names and the expressions that they stand for.
        prelude (`bool`):
            Whether LeetCode's names are taken for granted.
    """

    calls: tuple[Call, ...]
    bound: tuple[tuple[str, str], ...] = ()
    prelude: bool = False

    def __len__(self) -> int:
        return len(self.calls)


@dataclass(frozen=True)
class Stdio:
    """
    Texts for standard input and what is expected on standard output.

    Args:
        cases (`tuple[tuple[str, str], ...]`):
            Input and output of each test.
    """

    cases: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.cases)


@dataclass(frozen=True)
class Script:
    """
    A test script that runs as it is, in a jail of its own, where calls of the program go through a channel.

    Args:
        script (`str`):
            The script. It counts as one test.
        entry_point (`str`, *optional*):
            The function under test, handed to the script's `check`.
        given (`str`, *optional*, defaults to `""`):
            What the problem's prompt defines, and the script may use.
        prelude (`bool`, *optional*, defaults to `False`):
            Whether LeetCode's names are taken for granted.
    """

    script: str
    entry_point: str | None = None
    given: str = ""
    prelude: bool = False

    def __len__(self) -> int:
        return 1


Tests = Calls | Stdio | Script


@dataclass(frozen=True)
class Row:
    """
    The tests of a row.

    Args:
        tests (`Calls` or `Stdio` or `Script`):
            The tests.
        language (`str`, *optional*):
            The language that the row asks for, as the data call it.
    """

    tests: Tests = field()
    language: str | None = None


def read_row(tests: Any, entry_point: str | None = None, given: str = "", function: str | None = None) -> Row:
    """
    Read a row's tests.

    Args:
        tests (`Any`):
            What stands in the column, in one of the shapes above.
        entry_point (`str`, *optional*):
            HumanEval's column of that name.
        given (`str`, *optional*, defaults to `""`):
            What the problem's prompt defines.
        function (`str`, *optional*):
            The function that LiveCodeBench's functional cases call, where these do not name it themselves.

    Raises:
        `ValueError`: if it has none of these shapes, or holds no test; the message says what was found.
    """
    if isinstance(tests, str):
        tests = _document(tests.removeprefix("\ufeff"))
    if isinstance(tests, str):
        return Row(_script(tests, entry_point, given, prelude=False))
    language = None
    if isinstance(tests, Mapping):
        tests = {key: value for key, value in tests.items() if value is not None}
        language = tests.get("language") if isinstance(tests.get("language"), str) else None
        if tests.get("functional"):
            return Row(_script(_joined(tests["functional"]), entry_point, given, prelude=True), language)
        if "test_cases" in tests:
            tests = tests["test_cases"]
            tests = _document(tests) if isinstance(tests, str) else tests
        if isinstance(tests, Mapping):  # also how `datasets` hands over a list of cases
            inputs, outputs = (tests.get(f"{key}s", tests.get(key)) for key in ("input", "output"))
            return Row(_cases(inputs, outputs, _one_name(tests.get("fn_name"))), language)
    if isinstance(tests, Sequence) and len(tests):
        if all(isinstance(test, str) for test in tests):
            return Row(_script("\n".join(tests), entry_point, given, prelude=False), language)
        if all(isinstance(test, Mapping) and "input" in test and "output" in test for test in tests):
            name = _one_name([test.get("fn_name") or function_of(test.get("metadata")) for test in tests])
            if any(test.get("testtype") == "functional" for test in tests) and not (name := name or function):
                raise ValueError("expected the name of the function that functional cases call, got none")
            return Row(_cases([t["input"] for t in tests], [t["output"] for t in tests], name), language)
    raise ValueError(f"expected tests in a shape that is known, got {_shown(tests)}")


def _one_name(names: Any) -> Any:
    """Return the function's name, which may stand beside each case."""
    if not isinstance(names, list):
        return names
    if len(set(names)) > 1:
        raise ValueError("expected one function for all test cases, or none")
    return names[0] if names else None


def function_of(metadata: Any) -> str | None:
    """Return the function that LiveCodeBench's metadata name, of a case or of a problem."""
    metadata = _document(metadata) if isinstance(metadata, str) else metadata
    name = metadata.get("func_name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else None


def _document(text: str) -> Any:
    """Return what JSON says; the text itself where it is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _joined(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    raise ValueError(f"expected a test script, got {_shown(value)}")


def _script(script: str, entry_point: str | None, given: str, prelude: bool) -> Tests:
    apart = take_apart(script, entry_point)
    if apart is not None:
        calls, bound = apart
        return Calls(calls, tuple(bound.items()), prelude)
    if not any(word in script for word in ("assert", "AssertionError", "unittest", "pytest")):
        raise ValueError(f"expected a test script with asserts, got {_shown(script)}")
    try:
        ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"expected a test script in Python, got {_shown(script)}: {error}") from None
    if (
        entry_point is not None
        and re.search(r"^def check\(", script, re.MULTILINE)
        and not any(line.startswith("check(") for line in script.splitlines())
    ):
        script += f"\n\ncheck({entry_point})\n"
    return Script(script, entry_point, given, prelude)


def _cases(inputs: Any, outputs: Any, name: Any) -> Tests:
    for key, values in (("inputs", inputs), ("outputs", outputs)):
        if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
            raise ValueError(f"expected a list of {key}, got {_shown(values)}")
    if len(inputs) != len(outputs) or not len(inputs):
        raise ValueError(f"expected as many outputs as inputs and at least one, got {len(inputs)} and {len(outputs)}")
    if not name:
        return Stdio(tuple((_text(given), _text(wanted)) for given, wanted in zip(inputs, outputs, strict=True)))
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"expected the name of a function, got {_shown(name)}")
    calls = []
    for given, wanted in zip(inputs, outputs, strict=True):
        if isinstance(given, str):  # an argument a line, each as JSON
            given = [json.loads(line) for line in given.splitlines() if line.strip()]
        wanted = _document_or_text(wanted)
        if not isinstance(given, Sequence):
            raise ValueError(f"expected a list of arguments, got {_shown(given)}")
        calls.append(Call(f"__asked__({', '.join(map(repr, given))})", "one_of", wanted))
    asked = f"Solution().{name} if 'Solution' in globals() and {name!r} not in globals() else {name}"
    return Calls(tuple(calls), (("__asked__", asked),))


def _document_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):  # a line each
        return "\n".join(_text(line) for line in value)
    return str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
