"""
The parser of a stage's config, which names the file and the key of whatever it refuses.
"""

import dataclasses
import difflib
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from trl import TrlParser

from ..errors import ConfigError


class StageParser(TrlParser):
    """
    A [`~trl.TrlParser`] that names the file and the key of whatever it refuses.

    Args:
        dataclass_types (`Iterable[type]`):
            The dataclasses whose fields are the keys of the stage's config.
        **kwargs:
            Passed on to [`~trl.TrlParser`].
    """

    config_file: str | None = None

    def __init__(self, dataclass_types: Iterable[type], **kwargs: Any):
        # An abbreviated option would be a key that only looks known.
        super().__init__(list(dataclass_types), allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise [`~errors.ConfigError`] where argparse would print the usage of four hundred options and exit."""
        option = re.match(r"argument --([\w-]+)[^:]*: ", message)
        key = option[1].replace("-", "_") if option else None
        raise ConfigError(message[option.end() :] if option else message, file=self.config_file, key=key)

    def parse_stage(self, argv: Sequence[str] | None = None) -> tuple[Any, ...]:
        """
        Parse a stage's arguments, `--config FILE` among them.

        Args:
            argv (`Sequence[str]`, *optional*):
                The arguments; those of the process by default.

        Returns:
            `tuple`: an instance of each dataclass.

        Raises:
            [`~errors.ConfigError`]: if the file cannot be read, a key is unknown, or a value is not what its key expects.
        """
        argv = list(sys.argv[1:] if argv is None else argv)
        if {"-h", "--help"} & set(argv):
            self.print_help()
            raise SystemExit(0)
        argv = [part for arg in argv for part in (arg.split("=", 1) if arg.startswith("--config=") else [arg])]
        if "--config" in argv:
            position = argv.index("--config") + 1
            if position == len(argv):
                raise ConfigError("expected the path of a YAML file", key="config")
            self.config_file = argv[position]
            self.check_config(read_config(self.config_file))
        try:
            *configs, remaining = self.parse_args_and_config(argv, return_remaining_strings=True)
        except (ValueError, TypeError, ImportError, OSError) as error:
            # A dataclass refused its values (`__post_init__`); which of them it was stands in its message at best.
            raise ConfigError(str(error), file=self.config_file, key=self._key_named_in(str(error))) from error
        if remaining:
            key = remaining[0].lstrip("-").split("=")[0].replace("-", "_")
            raise ConfigError(f"unknown key on the command line{self._did_you_mean(key)}", key=key)
        return tuple(configs)

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Refuse a config with a key that no dataclass has, or a value of another type than the key's."""
        hints = self.type_hints()
        for key, value in config.items():
            if key == "env":  # TrlParser's own: environment variables to set
                continue
            if key not in hints:
                raise ConfigError(f"unknown key{self._did_you_mean(key)}", file=self.config_file, key=str(key))
            if not _fits(value, hints[key]):
                raise ConfigError(
                    f"expected {_describe(hints[key])}, got {value!r}", file=self.config_file, key=str(key)
                )

    def type_hints(self) -> dict[str, Any]:
        """Return the type of each key."""
        return {
            field.name: hints[field.name]
            for dataclass_type in self.dataclass_types
            for hints in [typing.get_type_hints(dataclass_type)]
            for field in dataclasses.fields(dataclass_type)
            if field.init
        }

    def _did_you_mean(self, key: str) -> str:
        close = difflib.get_close_matches(str(key), self.type_hints(), n=1)
        return f"; did you mean `{close[0]}`?" if close else ""

    def _key_named_in(self, message: str) -> str | None:
        words = re.findall(r"\w+", message)
        return next((word for word in words if word in self.type_hints() and "_" in word), None)


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """
    Read the YAML file of a stage.

    Raises:
        [`~errors.ConfigError`]: if it cannot be read or is no mapping.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from error
    if not isinstance(config, dict):
        raise ConfigError("expected a mapping of keys to values", file=path)
    return config


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a YAML value can become what a field is annotated with. Strings may stand for numbers (`1e-6`)."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool) or str(value).lower() in ("true", "false", "yes", "no", "1", "0")
    if hint in (int, float):
        if isinstance(value, bool):
            return False
        try:
            hint(value) if isinstance(value, str) else None
        except ValueError:
            return False
        return isinstance(value, (str, int) if hint is int else (str, int, float))
    if hint is str:
        return isinstance(value, str)
    if list in (hint, origin):
        return isinstance(value, list) and all(_fits(item, argument) for argument in arguments for item in value)
    if dict in (hint, origin):
        return isinstance(value, dict)
    return True


def _describe(hint: Any) -> str:
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if list in (hint, origin):
        return "a list" + (f" of which each is {_describe(arguments[0])}" if arguments else "")
    if dict in (hint, origin):
        return "a mapping"
    return names.get(hint, str(hint))
