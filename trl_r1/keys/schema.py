"""
JSON Schemas (draft 2020-12) of a stage's config and of a recipe, from the dataclasses that read them.

A schema takes what [`~typed.typed`] takes, so that what passes one passes the other: text that reads as a number fits a
number, as YAML 1.1 reads `3e-6` as text. What only a class can refuse (a value out of range) is left to `trl-r1 plan`.
"""

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from ..data.source import DataSource
from ..docstrings import arguments_of
from ..kinds import kind_of, known_kinds
from ..recipe.keys import RecipeKeys, ServerKeys, SlurmKeys, StageKeys
from ..rewards.schedule import RewardSpec
from ..sampling.config import SamplingConfig
from ..selection import Rules
from ..typed import default_of, hints_of
from .read import Key, keys_of


_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    Path: {"type": "string"},
    type(None): {"type": "null"},
}
_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+]?(\d|\.\d)[\d_.]*([eE][-+]?\d+)?$"}]}


def stage_schema(kind: str) -> dict[str, Any]:
    """
    Return the schema of a stage's YAML file.

    Args:
        kind (`str`):
            See [`keys_of`].
    """
    sources = {"data", *(name for name, what in kind_of(kind).references.items() if what == "data")}
    properties = {key.name: _of_key(key, sources) for key in keys_of(kind)}
    properties["env"] = {"type": "object", "description": "Environment variables, set before anything is imported."}
    return {
        "$schema": _DRAFT,
        "title": f"config of a `{kind}` stage",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def recipe_schema() -> dict[str, Any]:
    """Return the schema of a recipe. A stage's `set:` is checked against its kind by the runner."""
    recipe = _of_class(RecipeKeys)
    stage = _of_class(StageKeys, required=("name",))
    stage["properties"]["kind"] = {
        "description": stage["properties"]["kind"].get("description", ""),
        "anyOf": [{"enum": known_kinds()}, {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"}],
    }
    recipe["properties"]["data"] = {
        "type": "object",
        "additionalProperties": _any_of([_SOURCE, {"type": "array", "items": _SOURCE}]),
    }
    for properties in (recipe["properties"], stage["properties"]):
        properties["slurm"] = _of_class(SlurmKeys)
    recipe["properties"]["servers"] = {"type": "array", "items": _of_class(ServerKeys, required=("name",))}
    recipe["properties"]["stages"] = {"type": "array", "minItems": 1, "items": stage}
    recipe["properties"]["include"] = {"description": "Recipe files whose keys and stages this one takes over."}
    # A stage of an included recipe has its kind already.
    recipe |= {
        "if": {"not": {"required": ["include"]}},
        "then": {"properties": {"stages": {"items": {"required": ["kind"]}}}},
    }
    return {"$schema": _DRAFT, "title": "recipe of trl_r1", **recipe}


def _of_key(key: Key, sources: Collection[str] = ()) -> dict[str, Any]:
    found = _of_nested(key, sources) or _of_type(key.type)
    if key.default is None and found:
        found = _any_of([found, _PLAIN[type(None)]])
    found = dict(found)
    if key.meaning:
        found["description"] = key.meaning
    if not key.required and isinstance(key.default, (bool, int, float, str)) and not isinstance(key.default, Enum):
        found["default"] = key.default
    return found


def _of_nested(key: Key, sources: Collection[str]) -> dict[str, Any] | None:
    """Return the schema of a key whose values have keys of their own, which its type does not tell."""
    if key.owner != "trl_r1":
        return None
    if key.name in sources:
        one = _any_of([_PLAIN[str], _SOURCE])  # the name of a data set or of a stage, where a recipe holds the file
        return _any_of([one, {"type": "array", "items": one}])
    if key.name == "rewards":
        spec = {"anyOf": [{"type": "string", "pattern": r"\."}, _of_class(RewardSpec, required=("func",))]}
        return {"type": "array", "items": spec}
    if key.name in ("judge", "best_of_n", "general_scorer"):
        return _of_class(RewardSpec)
    if key.name == "rules":
        return _of_class(Rules)
    if key.name == "by_model":
        return {"type": "object", "additionalProperties": _of_class(SamplingConfig)}
    return None


def _of_class(cls: type, required: Iterable[str] = ()) -> dict[str, Any]:
    """Return the schema of a mapping whose keys are the fields of a dataclass."""
    explained = arguments_of(cls.__doc__ or "")
    hints = hints_of(cls)
    properties = {}
    for field in dataclasses.fields(cls):
        key = Key(field.name, hints[field.name], default_of(field), explained.get(field.name, ""), "")
        properties[field.name] = _of_key(key)
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _of_type(hint: Any) -> dict[str, Any]:
    """Return the schema of a type; that of what has none (`Any`) takes everything."""
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _any_of([_of_type(each) for each in arguments])
    if origin is float:
        return _NUMBER
    if origin in _PLAIN:
        return _PLAIN[origin]
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if isinstance(origin, type) and issubclass(origin, Enum):
        return {"enum": [each.value for each in origin]}
    if origin in (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable):
        return {"type": "array", **({"items": _of_type(arguments[0])} if arguments else {})}
    if origin in (dict, Mapping):
        return {"type": "object", **({"additionalProperties": _of_type(arguments[-1])} if arguments else {})}
    return {}


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    distinct = [each for i, each in enumerate(schemas) if each not in schemas[:i]]
    if {} in distinct:
        return {}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


_SOURCE = _any_of([_of_class(DataSource, required=("path",)), {"type": "object", "required": ["source"]}])
