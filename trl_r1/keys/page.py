"""The keys of a kind as a page of the documentation, and in a terminal. Markdown, from the config classes alone."""

import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from ..errors import ConfigError, did_you_mean
from ..kinds import kind_of, module_of
from .read import Key, keys_of, keys_of_class


def explained(kind: str, name: str) -> str:
    """
    Return what there is to say about one key of a kind.

    Raises:
        [`~errors.ConfigError`]: the kind has no such key.
    """
    keys = {key.name: key for key in keys_of(kind)}
    if name not in keys:
        raise ConfigError(f"`{kind}` has no such key{did_you_mean(name, keys)}", key=name)
    key = keys[name]
    lines = [
        f"{name} ({kind}): {key.expected}",
        f"  default: {_default(key)}",
        f"  {_whose(key)}",
        "",
        f"  {_plain(key.meaning)}",
    ]
    return "\n".join(lines)


def listed_keys(kind: str) -> str:
    """Return the names of a kind's keys by owner, with types and defaults, a line each."""
    lines = []
    owner = ""
    for key in keys_of(kind):
        if key.owner != owner:
            owner = key.owner
            lines += ["", f"{owner}:"]
        lines.append(f"  {key.name}: {_default(key)}")
    return "\n".join(lines).lstrip("\n")


def keys_page(kind: str) -> str:
    """Return the page of a kind: what it does, and every key."""
    kind_of(kind)  # imports it
    about = sys.modules[module_of(kind)].__doc__ or ""
    lines = [f"# Keys of `{kind}`", "", _plain(about.strip()), ""]
    by_owner: dict[str, list[Key]] = {}
    for key in keys_of(kind):
        by_owner.setdefault(key.owner, []).append(key)
    for owner, keys in by_owner.items():
        lines += [f"## {owner}", "", *_table(keys), ""]
    return "\n".join(lines)


def classes_page(title: str, classes: Mapping[str, type]) -> str:
    """Return a page of what else has keys: dataclasses by heading, each with what its docstring says and its keys."""
    lines = [f"# {title}", ""]
    for heading, cls in classes.items():
        about = inspect.cleandoc(cls.__doc__ or "").partition("\nArgs:\n")[0].strip()
        lines += [f"## {heading}", "", _plain(about), "", *_table(keys_of_class(cls)), ""]
    return "\n".join(lines)


def _table(keys: Iterable[Key]) -> list[str]:
    rows = [f"| `{k.name}` | {_cell(k.expected)} | {_cell(_default(k, '`'))} | {_cell(k.meaning)} |" for k in keys]
    return ["| key | expected | default | meaning |", "|---|---|---|---|", *rows]


def defaults_table(kind: str) -> list[tuple[str, str, str, str]]:
    """Return every default of a kind that differs from its owner's: key, ours, theirs, and whose."""
    return [(k.name, _shown(k.default), _shown(k.default_there), k.owner) for k in keys_of(kind) if k.changed]


def changed_defaults(kind: str) -> str:
    """
    Return the part of docs/your-trainer.md on one kind: a table of [`defaults_table`] with the meaning of each key, and the
    keys that put the other defaults back.
    """
    meanings = {key.name: _cell(key.meaning) for key in keys_of(kind)}
    changed = defaults_table(kind)
    lines = ["| key | here | there | whose | what it is, and why |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | `{ours}` | `{there}` | {owner} | {meanings[name]} |" for name, ours, there, owner in changed
    ]
    return "\n".join([*lines, "", "```yaml", *(f"{name}: {there}" for name, _, there, _ in changed), "```"])


def _default(key: Key, quote: str = "") -> str:
    if key.required:
        return "must be given"
    ours = f"{quote}{_shown(key.default)}{quote}"
    return f"{ours} ({key.owner}: {quote}{_shown(key.default_there)}{quote})" if key.changed else ours


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value or '""'
    return str(value)


def _whose(key: Key) -> str:
    if key.owner == "trl_r1":
        return "a key of trl_r1"
    return f"a key of {key.owner}" + (f", whose default is {_shown(key.default_there)}" if key.changed else "")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """References between docstrings, [`~grpo.config.R1GRPOConfig`], as the name alone."""
    return re.sub(r"\[`~?(?:\w+\.)*(\w+)`\]", r"`\1`", text)
