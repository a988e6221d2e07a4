"""
Values as a YAML file holds them, checked against the dataclasses whose fields they are.

A config is checked field by field first, so that all unknown keys and wrong types are reported together; then its
classes are made, and what they refuse is reported too. Text that reads as a number fits a number (`3e-6` is text in
YAML 1.1); nothing else is converted.
"""

import collections.abc
import contextlib
import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from .errors import ConfigError, ConfigErrors, did_you_mean


_PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "text"}
_LISTS = (
    *(list, tuple, set, frozenset),
    *(collections.abc.Sequence, collections.abc.Iterable, collections.abc.Set),
)
_MAPPINGS = (dict, collections.abc.Mapping)
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class _Mismatch(Exception):
    """The value is not of the type."""


def hints_of(cls: type) -> dict[str, Any]:
    """Return the type of each field with which a dataclass is made."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def typed(value: Any, hint: Any) -> Any:
    """
    Return a value of a YAML file as its type takes it.

    Args:
        value (`Any`):
            What the file holds.
        hint (`Any`):
            The type: a class, or what `typing` makes of classes.

    Raises:
        [`~errors.ConfigError`]: with the value and what was expected.
    """
    for convert in (False, True):
        try:
            return _typed(value, hint, convert)
        except _Mismatch:
            continue
    quotes = " (YAML reads no, off, yes and on as false and true: write them in quotes)"
    text = isinstance(value, bool) and any(a is str or _values(a) for a in _alternatives(hint))
    raise ConfigError(f"is {value!r}; expected {described(hint)}{quotes if text else ''}")


def check_fields(
    classes: Iterable[type], values: Mapping[str, Any], within: str = ""
) -> tuple[dict[str, Any], list[ConfigError]]:
    """
    Check the keys and types of a mapping against the fields of dataclasses.

    Args:
        classes (`Iterable[type]`):
            The dataclasses.
        values (`Mapping[str, Any]`):
            Values by key, each the name of a field of one of them.
        within (`str`, *optional*):
            The key under which the mapping is found, for messages.

    Returns:
        `tuple[dict[str, Any], list[ConfigError]]`: the values that are right, as their fields take them, and what is
        wrong with the others.
    """
    fields = {field.name: field for cls in classes for field in dataclasses.fields(cls) if field.init}
    hints = {name: hint for cls in classes for name, hint in hints_of(cls).items()}
    right: dict[str, Any] = {}
    problems = []
    for key, value in values.items():
        at = f"{within}.{key}" if within else str(key)
        if key not in hints:
            problems.append(ConfigError(f"unknown key{did_you_mean(str(key), hints)}", key=at))
            continue
        choices = fields[key].metadata.get("choices")
        try:
            if value is None and fields[key].default is None:
                right[key] = value
            elif choices is not None and value not in choices:
                raise ConfigError(f"is {value!r}; expected one of {', '.join(f'`{c}`' for c in choices)}")
            else:
                right[key] = typed(value, hints[key])
        except ConfigError as error:
            problems.append(ConfigError(error.message, key=at))
    return right, problems


def make(
    classes: Iterable[type], values: Mapping[str, Any], *, within: str = "", context: str = ""
) -> tuple[Any, ...]:
    """
    Make dataclasses of the values of a YAML file.

    Args:
        classes (`Iterable[type]`):
            The dataclasses.
        values (`Mapping[str, Any]`):
            Values by key, each the name of a field of one of them.
        within (`str`, *optional*):
            The key under which the mapping is found, for messages.
        context (`str`, *optional*):
            Where they are made, for messages: `" in 8 processes"`.

    Returns:
        `tuple`: an instance of each class.

    Raises:
        [`~errors.ConfigErrors`]: everything found wrong; a single problem as a [`~errors.ConfigError`] of its own.
    """
    classes = list(classes)
    right, problems = check_fields(classes, values, within)
    wrong = {key for key in values if key not in right}
    # What a class says of a key that is misspelt or left out for its type is not to the point.
    wrong |= {name for problem in problems for name in re.findall(r"did you mean `(\w+)`", problem.message)}
    made = []
    for cls in classes:
        try:
            made.append(_made(cls, right, context))
        except ConfigError as error:
            for problem in error.problems:
                words = re.findall(r"\w+", f"{problem.key} {problem.message}")
                if wrong & set(words):
                    continue
                key = f"{within}.{problem.key}" if within and problem.key else problem.key or within or None
                problems.append(type(problem)(problem.message, file=problem.file, key=key))
    if problems:
        raise problems[0] if len(problems) == 1 else ConfigErrors(problems)
    return tuple(made)


def _made(cls: type, values: Mapping[str, Any], context: str) -> Any:
    fields = [field for field in dataclasses.fields(cls) if field.init]
    given = {field.name: values[field.name] for field in fields if field.name in values}
    missing = {field.name for field in fields if default_of(field) is dataclasses.MISSING} - given.keys()
    if missing:
        hints = hints_of(cls).items()
        raise ConfigErrors(
            ConfigError(f"is missing; expected {described(hint)}", key=name) for name, hint in hints if name in missing
        )
    try:
        return cls(**given)
    except ConfigErrors:
        raise
    except ConfigError as error:
        empty = {field.name for field in fields if not default_of(field)} - given.keys()
        if error.key in empty and error.message.startswith("expected "):
            raise type(error)(f"is missing; {error.message}", file=error.file, key=error.key) from error
        raise
    except (ValueError, TypeError, ArithmeticError, LookupError, ImportError, OSError) as error:
        key = _key_named_in(str(error), given, [field.name for field in fields])
        value = f"is {given[key]!r}; " if key in given else ""
        raise ConfigError(f"{value}expected what `{cls.__name__}` accepts{context}: {error}", key=key) from error


def default_of(field: "dataclasses.Field[Any]") -> Any:
    """Return the default of a field, made where a function makes it; `dataclasses.MISSING` where it has none."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def inherited_default(cls: type, name: str) -> Any:
    """
    Return the default of a field in the package that defined it, where a class of another package has taken it over.

    Args:
        cls (`type`):
            A dataclass.
        name (`str`):
            The field.

    Returns:
        `Any`: the default in the nearest base class of another package; `dataclasses.MISSING` where the package of `cls`
        defined the field, or there is none.
    """

    def package(base: type) -> str:
        return base.__module__.split(".")[0]

    first = [base for base in cls.__mro__ if name in vars(base).get("__annotations__", {})][-1]
    if package(first) == package(cls):
        return dataclasses.MISSING
    other = next(base for base in cls.__mro__ if package(base) != package(cls))
    return default_of(next(field for field in dataclasses.fields(other) if field.name == name))


def _key_named_in(message: str, given: Mapping[str, Any], known: Iterable[str]) -> str | None:
    """Return the key that a message names, or whose value it repeats; a word of English is no name of a key."""
    words: list[str] = re.findall(r"\w+", message)
    for names in (given, known):
        for word in words:
            if word in names and ("_" in word or not word.isalpha()):
                return word
    quoted = [key for key, value in given.items() if isinstance(value, str) and value in words]
    return quoted[0] if len(quoted) == 1 else None


def _alternatives(hint: Any) -> list[Any]:
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return [hint]
    found = [alternative for argument in typing.get_args(hint) for alternative in _alternatives(argument)]
    # `SchedulerType | str`: the text must still be one of the enumeration's values.
    return [each for each in found if each is not str] if any(map(_values, found)) else found


def _values(hint: Any) -> list[str]:
    """Return the values of an enumeration of texts, or nothing where the type is none."""
    if not (isinstance(hint, type) and issubclass(hint, Enum)):
        return []
    return [each.value for each in hint if isinstance(each.value, str)]


def _typed(value: Any, hint: Any, convert: bool) -> Any:
    *others, hint = _alternatives(hint)
    for other in others:
        with contextlib.suppress(_Mismatch):
            return _typed(value, other, convert)
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint) or (Any,)
    if origin in _PLAIN:
        return _plain(value, str if origin is Path else origin, convert)
    if origin in _LISTS and isinstance(value, (list, tuple)):
        return [_typed(item, arguments[0], convert) for item in value]
    if origin in _MAPPINGS and isinstance(value, Mapping):
        return {key: _typed(item, arguments[-1], convert) for key, item in value.items()}
    if origin is typing.Literal:
        right = any(value == each and type(value) is type(each) for each in arguments)
    elif origin is type(None):
        right = value is None
    elif values := _values(origin):
        right = value in values
    else:
        right = origin not in (*_LISTS, *_MAPPINGS)
    if not right:
        raise _Mismatch
    return value


def _plain(value: Any, kind: type, convert: bool) -> Any:
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if convert and isinstance(value, str) and kind is bool and value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    if convert and isinstance(value, str) and kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    raise _Mismatch


def described(hint: Any) -> str:
    """Return a type in words, as messages and pages have it: "a whole number or null"."""
    *others, hint = _alternatives(hint)
    if others:
        return " or ".join(dict.fromkeys(map(described, (*others, hint))))
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is typing.Literal or _values(origin):
        return "one of " + ", ".join(f"`{each}`" for each in arguments or _values(origin))
    if origin in _LISTS:
        of = arguments and arguments[0] is not Any
        return "a list" + (f" of which each is {described(arguments[0])}" if of else "")
    if origin in _MAPPINGS:
        of = arguments and arguments[-1] is not Any
        return "a mapping" + (f" in which each value is {described(arguments[-1])}" if of else "")
    if origin is type(None):
        return "null"
    return _PLAIN.get(origin, getattr(origin, "__name__", str(origin)))
