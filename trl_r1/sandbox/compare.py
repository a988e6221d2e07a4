"""
What the program gave, against what is expected. Outside the jail, and only here do the two meet.

A value of the program arrives as data (see [`~sandbox.inside.values`]) and is compared part by part with the expected
one, in time linear in its size. No set or dictionary is ever built of its parts: whoever chooses the members can make
that take the square of their number.
"""

import importlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError


@dataclass(frozen=True)
class Comparison:
    """
    How outputs are compared.

    Args:
        float_tolerance (`float`, *optional*):
            How far numbers may lie apart, absolutely or relative to the expected one, whichever is more. `None`: not at
            all. In the output of a program, numbers are then compared word by word, and white space only separates.
        checker (`str`, *optional*):
            Dotted path of a function `(given, output, expected) -> bool`, for problems with several right answers.
            `given` is the test's input, `expected` the data set's answer. It runs outside the jail, on data: for
            programs that read and write, `output` is their text; for calls it is the value, plain.
    """

    float_tolerance: float | None = None
    checker: str | None = None

    def __post_init__(self) -> None:
        tolerance = self.float_tolerance
        if tolerance is not None and (isinstance(tolerance, bool) or not 0 <= tolerance < math.inf):
            raise ConfigError(f"expected a number of at least 0, got {tolerance!r}", key="float_tolerance")

    def checking(self) -> Callable[[Any, Any, Any], bool] | None:
        """
        Return the checker.

        Raises:
            [`~errors.ConfigError`]: if it does not import.
        """
        if self.checker is None:
            return None
        return imported(self.checker, "checker")


def imported(path: str, key: str) -> Callable[..., Any]:
    """
    Return the function or class at a dotted path.

    Args:
        path (`str`):
            The path.
        key (`str`):
            The argument that names it.

    Raises:
        [`~errors.ConfigError`]: if it does not import, or cannot be called.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"expected a dotted path, got {path!r}: {error}", key=key) from None
    if not callable(found):
        raise ConfigError(f"expected what can be called, `{path}` is a {type(found).__name__}", key=key)
    made: Callable[..., Any] = found
    return made


def same_text(output: str, expected: str, tolerance: float | None = None) -> bool:
    """
    Tell whether a program wrote what is expected.

    White space at the ends of lines and blank lines at the end do not count; all else does.

    Args:
        output (`str`), expected (`str`):
            The texts.
        tolerance (`float`, *optional*):
            As of [`Comparison`].
    """
    if _lines(output) == _lines(expected):
        return True
    if tolerance is None:
        return False
    given, wanted = output.split(), expected.split()
    return len(given) == len(wanted) and all(_same_word(a, b, tolerance) for a, b in zip(given, wanted, strict=True))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().replace("\r\n", "\n").split("\n")]


def _same_word(word: str, expected: str, tolerance: float) -> bool:
    if word == expected:
        return True
    if len(word) > 1000 or "_" in word:
        return False
    try:
        return close(float(word), float(expected), tolerance)
    except ValueError:
        return False


def close(number: float, expected: float, tolerance: float) -> bool:
    """Tell whether two numbers lie no further apart than the tolerance, absolutely or relative to the expected one."""
    if number == expected:
        return True
    try:
        return abs(number - expected) <= tolerance * max(1.0, abs(expected))
    except OverflowError:
        return False


def same_value(expected: Any, written: Any, tolerance: float | None = None) -> bool:
    """
    Tell whether a value equals the expected one, as Python's `==` does.

    Args:
        expected (`Any`):
            A value of plain types, from the data set.
        written (`Any`):
            What the program gave, as it was written in the jail.
        tolerance (`float`, *optional*):
            As of [`Comparison`].
    """
    if isinstance(expected, (list, tuple)):
        items = written if isinstance(expected, list) else _under("t", written)
        return (
            isinstance(items, list)
            and len(items) == len(expected)
            and all(same_value(a, b, tolerance) for a, b in zip(expected, items, strict=True))
        )
    if isinstance(expected, (set, frozenset)):
        items = _under("s", written)
        return isinstance(items, list) and len(items) == len(expected) == len(_members(items, expected))
    if isinstance(expected, dict):
        pairs = _under("d", written)
        if not isinstance(pairs, list) or len(pairs) != len(expected):
            return False
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            return False
        keys = _members([pair[0] for pair in pairs], expected)
        return len(keys) == len(expected) and all(
            same_value(expected[key], pair[1], tolerance) for key, pair in zip(keys, pairs, strict=True)
        )
    value = scalar(written)
    if value is _NOT_SCALAR:
        return False
    numbers = isinstance(expected, (int, float)) and isinstance(value, (int, float))
    if tolerance is not None and numbers and not isinstance(expected, bool):
        return close(value, expected, tolerance)
    return value == expected


_NOT_SCALAR = object()


def scalar(written: Any) -> Any:
    """Return a number, text, truth value or `None` that was written; a mark of its own for anything else."""
    if not isinstance(written, (list, dict)):
        return written
    key, inside = next(iter(written.items())) if isinstance(written, dict) and len(written) == 1 else ("", None)
    try:
        if key == "i":
            return int(inside, 16)
        if key == "b":
            return bytes.fromhex(inside)
        if key == "c":
            return complex(*inside)
    except (TypeError, ValueError):
        pass
    return _NOT_SCALAR


def _under(key: str, written: Any) -> Any:
    return written.get(key) if isinstance(written, dict) and len(written) == 1 else None


def _members(items: list[Any], expected: Any) -> list[Any]:
    """Return the members of what is expected that the items equal; fewer than items where one equals none, or two one."""
    keys: dict[Any, Any] = {}
    for item in items:
        value = _hashable(item)
        if value is _NOT_SCALAR or value not in expected or value in keys:
            break
        keys[value] = value  # equal to a member of `expected`, so no set of the program's own choosing grows here
    return list(keys)


def _hashable(written: Any) -> Any:
    items = _under("t", written)
    if isinstance(items, list):
        parts = [_hashable(item) for item in items]
        return _NOT_SCALAR if any(part is _NOT_SCALAR for part in parts) else tuple(parts)
    return scalar(written)


def plain(written: Any) -> Any:
    """Return a value for a checker: lists for lists and sets, tuples, text and numbers; pairs for a dictionary."""
    if isinstance(written, list):
        return [plain(item) for item in written]
    if isinstance(written, dict):
        key, inside = next(iter(written.items())) if len(written) == 1 else ("", None)
        if key in ("t", "s", "d", "L", "T") and isinstance(inside, list):
            items = [plain(item) for item in inside]
            return tuple(items) if key == "t" else items
        value = scalar(written)
        return None if value is _NOT_SCALAR else value
    return written


def same_nodes(expected: list[Any], written: Any, kind: str) -> bool:
    """
    Tell whether a linked list (`"L"`) or a binary tree (`"T"`) holds what is expected.

    Args:
        expected (`list`):
            Values of the list, or of the tree in level order with `None` for a missing child.
        written (`Any`):
            What the program gave, as it was written in the jail; `None` is the empty list or tree.
        kind (`str`):
            Which of the two.
    """
    given = [] if written is None else _under(kind, written)
    if not isinstance(given, list):
        return False
    if kind == "L":
        return same_value(expected, given)
    return same_value(_shape(expected), _shape([scalar(item) for item in given]))


def _shape(level_order: list[Any]) -> list[Any]:
    """Return a tree's nodes as (parent's position, side, value), in level order."""
    nodes: list[list[Any]] = []
    if not level_order or level_order[0] is None:
        return nodes
    nodes.append([-1, 0, level_order[0]])
    waiting, position = deque([0]), 1
    while waiting and position < len(level_order):
        parent = waiting.popleft()
        for side in (0, 1):
            if position < len(level_order) and level_order[position] is not None:
                nodes.append([parent, side, level_order[position]])
                waiting.append(len(nodes) - 1)
            position += 1
    return nodes


def truth(written: Any) -> bool:
    """Tell whether a value that was written is true, as Python has it."""
    if isinstance(written, dict):
        key, inside = next(iter(written.items())) if len(written) == 1 else ("", None)
        return bool(scalar(written)) if key in ("i", "b", "c") else key == "o" or bool(inside)
    return bool(written)


def same_for_apps(expected: Any, written: Any, tolerance: float | None) -> bool:
    """Compare as APPS and TACO have it: a tuple is a list, and what is expected may stand in a list of one."""
    written = _lists(written)
    candidates = [expected, *(expected[:1] if isinstance(expected, list) else ())]
    for wanted in list(candidates):
        if isinstance(wanted, dict) and all(isinstance(key, str) and key.lstrip("-").isdecimal() for key in wanted):
            candidates.append({int(key): value for key, value in wanted.items()})
    return any(same_value(wanted, written, tolerance) for wanted in candidates)


def _lists(written: Any) -> Any:
    if isinstance(written, dict) and len(written) == 1:
        ((key, inside),) = written.items()
        return _lists(inside) if key == "t" else {key: _lists(inside) if isinstance(inside, list) else inside}
    return [_lists(item) for item in written] if isinstance(written, list) else written
