"""
A YAML file that remembers the line of each of its keys, so that an error can say where to look.

A key that is given twice in one mapping is refused: YAML would silently keep the last one.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def shown(path: str | Path) -> str:
    """Return `path` as a reader would type it: relative to the current folder where it is inside it."""
    path = os.path.abspath(path)
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


@dataclass(frozen=True)
class Document:
    """
    The contents of a YAML file.

    Args:
        path (`Path`):
            The file.
        data (`dict[str, Any]`):
            Its mapping.
        lines (`dict[tuple, int]`):
            Line of each key, counted from 1, by the path of keys and list positions that leads to it.
        origins (`dict[tuple, tuple[Document, tuple]]`, *optional*):
            Of what other files brought in: in which file, and where in it, each key stands.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict, repr=False)
    origins: dict[tuple[str | int, ...], tuple["Document", tuple[str | int, ...]]] = field(
        default_factory=dict, repr=False
    )

    def at(self, *keys: str | int) -> str:
        """Return `file:line` of the key that `keys` lead to, or of the nearest one around it that is known."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.origins:
                document, there = self.origins[keys[:length]]
                return document.at(*there, *keys[length:])
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return f"{shown(self.path)}:{self.lines[keys]}" if keys else shown(self.path)


def read_document(path: str | Path) -> Document:
    """
    Read a YAML file whose top level is a mapping.

    Args:
        path (`str` or `Path`):
            The file.

    Raises:
        `ConfigError`: the file is missing, unreadable, no YAML, no mapping, or names a key twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot be read ({reason}); expected a YAML file", file=shown(path)) from None
    reading = _Reading(path, _Loader(text))
    try:
        node = reading.loader.get_single_node()
        data = {} if node is None else reading.build(node, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{shown(path)}:{mark.line + 1}" if mark else shown(path)
        raise ConfigError(f"is no YAML: {getattr(error, 'problem', None) or error}", file=at) from None
    except RecursionError:
        raise ConfigError("an alias refers to itself", file=shown(path)) from None
    finally:
        reading.loader.dispose()
    if not isinstance(data, dict):
        raise ConfigError(f"holds a {type(data).__name__}; expected a mapping of keys to values", file=shown(path))
    return Document(path, data, reading.lines)


@dataclass
class _Reading:
    """One reading of one file: its loader, and the lines of the keys that were met."""

    path: Path
    loader: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def build(self, node: yaml.Node, at: tuple[str | int, ...]) -> Any:
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, i)) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self.loader.construct_object(node)
        written: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value != "<<":
                if key_node.value in written:
                    raise self.refusal("is given twice in one mapping; expected once", key_node, at)
                written.add(key_node.value)
        self.loader.flatten_mapping(node)  # merge keys, `<<: *defaults`
        built = {}
        for key_node, value_node in node.value:
            key = self.loader.construct_object(key_node)
            # Numbers may be keys of inner mappings (`{8200: 65536}`); a bare `no` or `null` was never meant as one.
            if not (isinstance(key, str) or (at and isinstance(key, int) and not isinstance(key, bool))):
                hint = f'; write "{key_node.value}" in quotes' if isinstance(key_node, yaml.ScalarNode) else ""
                raise self.refusal(f"a key is a {type(key).__name__}, expected text{hint}", key_node, at)
            self.lines[(*at, key)] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, (*at, key))
        return built

    def refusal(self, message: str, key: yaml.Node, at: tuple[str | int, ...]) -> ConfigError:
        named = dotted(*at, key.value if isinstance(key, yaml.ScalarNode) else "?")
        return ConfigError(message, file=f"{shown(self.path)}:{key.start_mark.line + 1}", key=named)


def dotted(*keys: str | int) -> str:
    """Return a path of keys as a reader writes it: `stages[2].data`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text
