"""
The parser of a stage's config, which names the file and the key of whatever it refuses.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser

from ..errors import ConfigError, did_you_mean
from ..typed import hints_of, make


class StageParser(HfArgumentParser):
    """
    A parser of a stage's arguments: `--config FILE`, a YAML file as [`~trl.TrlParser`] reads it, and options.

    It names the file and the key of whatever it refuses, and makes the config classes as `trl-r1 plan` does.

    Args:
        dataclass_types (`Iterable[type]`):
            The dataclasses whose fields are the keys of the stage's config.
        **kwargs:
            Passed on to [`~transformers.HfArgumentParser`].
    """

    config_file: str | None = None

    def __init__(self, dataclass_types: Iterable[Any], **kwargs: Any) -> None:
        # An abbreviated option would be a key that only looks known.
        super().__init__(list(dataclass_types), allow_abbrev=False, **kwargs)
        self.add_argument("--config", metavar="FILE", help="a YAML file of further keys")

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
            [`~errors.ConfigError`]: if the file cannot be read, a key is unknown, a value is not what its key expects, or
                a dataclass refuses its values.
        """
        argv = list(sys.argv[1:] if argv is None else argv)
        if {"-h", "--help"} & set(argv):
            self.print_help()
            raise SystemExit(0)
        for action in self._actions:  # only what is given counts: the rest is in the file, or has the class's default
            action.default, action.required = argparse.SUPPRESS, False
        options, remaining = self.parse_known_args(argv)
        given = vars(options)
        self.config_file = given.pop("config", None)
        config = read_config(self.config_file) if self.config_file else {}
        env = config.pop("env", None) or {}
        if not isinstance(env, dict):
            raise ConfigError(f"is {env!r}; expected a mapping of variables", file=self.config_file, key="env")
        os.environ.update({key: str(value) for key, value in env.items()})
        if remaining:
            key = remaining[0].lstrip("-").split("=")[0].replace("-", "_")
            known = [name for cls in self.dataclass_types for name in hints_of(cls)]
            raise ConfigError(f"unknown key on the command line{did_you_mean(key, known)}", key=key)
        try:
            return make(self.dataclass_types, {**config, **given})
        except ConfigError as error:
            for problem in error.problems:
                problem.file = problem.file or self.config_file
            raise


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
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
