"""Change values of a YAML file, and leave its comments and its layout as they are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml


_ANCHOR = re.compile(r"&\S+\s+")

Keys = tuple[str | int, ...]


def edited(text: str, values: Mapping[Keys, Any]) -> str:
    """
    Return a YAML text with other values in some places.

    Args:
        text (`str`):
            A mapping in YAML.
        values (`Mapping[tuple[str | int, ...], Any]`):
            Values by the keys and positions that lead to them. One whose key the mapping lacks is added at its end, which
            takes a single key.

    Raises:
        `KeyError`: there is no such place.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    places = dict(_places(root, ())) if root is not None else {}
    added = ""
    replaced: dict[int, tuple[int, str]] = {}
    for keys, value in values.items():
        written = _flow(value)
        if keys in places:
            start = places[keys].start_mark.index
            if anchor := _ANCHOR.match(text, start):
                start = anchor.end()
            replaced[start] = (_end(places[keys]), written)
        elif len(keys) == 1:
            added += f"{keys[0]}: {written}\n"
        else:
            raise KeyError(keys)
    for start, (end, written) in sorted(replaced.items(), reverse=True):
        text = text[:start] + written + text[end:]
    return text + ("\n" if added and not text.endswith("\n") else "") + added


def _places(node: yaml.Node, keys: Keys) -> Iterator[tuple[Keys, yaml.Node]]:
    yield keys, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, (*keys, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _places(value, (*keys, i))


def _end(node: yaml.Node) -> int:
    """Where a node ends; a block's own mark stands behind the comments that follow it."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=1 << 20)
    return text.removesuffix("...\n").strip()
