"""
Does a value from a YAML file fit a type that was read from source?

As `argparse` would take it: text that reads as a number fits a number (`3e-6` is text in YAML 1.1), and nothing else is
bent.
"""

import ast
from typing import Any

from .fields import Field, find_class


class Misfit(Exception):
    """The value does not fit; the message says what was expected."""


_NUMBER_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_LISTS = ("list", "List", "Sequence", "tuple", "Tuple", "set", "Set", "frozenset", "Iterable")
_MAPPINGS = ("dict", "Dict", "Mapping", "OrderedDict")


def fit(value: Any, field: Field) -> Any:
    """
    Return `value` as its field takes it.

    Args:
        value (`Any`):
            What the YAML file holds.
        field (`Field`):
            The key's type.

    Raises:
        `Misfit`: with what was expected.
    """
    if value is None and field.default is None:
        return value
    if field.choices is not None and value not in field.choices:
        raise Misfit(f"one of {', '.join(f'`{choice}`' for choice in field.choices)}")
    alternatives = _alternatives(field.annotation, field.module)
    expected = []
    for bend in (False, True):
        for alternative in alternatives:
            try:
                return _fit_one(value, alternative, field.module, bend)
            except Misfit as misfit:
                expected.append(str(misfit))
    hint = ""
    if isinstance(value, bool) and any(isinstance(a, ast.Name) and a.id not in ("int", "float") for a in alternatives):
        hint = " (YAML reads no, off, yes and on as false and true: write them in quotes)"
    raise Misfit(" or ".join(dict.fromkeys(expected)) + hint)


def _alternatives(node: ast.expr, module: str) -> list[ast.expr]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _alternatives(ast.parse(node.value, mode="eval").body, module)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        found = [*_alternatives(node.left, module), *_alternatives(node.right, module)]
    elif isinstance(node, ast.Subscript) and _name(node.value) in ("Union", "Optional", "Annotated"):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        inner = inner[:1] if _name(node.value) == "Annotated" else inner
        found = [alternative for item in inner for alternative in _alternatives(item, module)]
        if _name(node.value) == "Optional":
            found.append(ast.Constant(None))
    else:
        return [node]
    # `SchedulerType | str`: the text must still be one of the enumeration's values.
    if any(_enumeration(item, module) for item in found):
        found = [item for item in found if _name(item) != "str"]
    return found


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _enumeration(node: ast.expr, module: str) -> list[str]:
    """Return the values of an enumeration of texts, or nothing where the type is none."""
    name = _name(node)
    if not name or name in _NUMBER_WORDS or name in (*_LISTS, *_MAPPINGS):
        return []
    found = find_class(module, name)
    if found is None or not any("Enum" in _name(base) for base in found[1].bases):
        return []
    values = [s.value for s in found[1].body if isinstance(s, ast.Assign)]
    return [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]


def _fit_one(value: Any, node: ast.expr, module: str, bend: bool) -> Any:
    if isinstance(node, ast.Constant) and node.value is None:
        if value is None:
            return value
        raise Misfit("null")
    if isinstance(node, ast.Subscript):
        return _fit_generic(value, node, module, bend)
    name = _name(node)
    if name in ("Any", "object", ""):
        return value
    if name in _NUMBER_WORDS:
        return _fit_plain(value, name, bend)
    if name == "Path":
        return _fit_plain(value, "str", bend)
    if name in _LISTS:
        if isinstance(value, list):
            return value
        raise Misfit("a list")
    if name in _MAPPINGS:
        if isinstance(value, dict):
            return value
        raise Misfit("a mapping")
    values = _enumeration(node, module)
    if values:
        if value in values:
            return value
        raise Misfit(f"one of {', '.join(f'`{v}`' for v in values)}")
    return value


def _fit_plain(value: Any, name: str, bend: bool) -> Any:
    if name == "str" and isinstance(value, str):
        return value
    if name == "bool" and isinstance(value, bool):
        return value
    number = not isinstance(value, bool)
    if name == "int" and isinstance(value, int) and number:
        return value
    if name == "float" and isinstance(value, (int, float)) and number:
        return value
    if bend and isinstance(value, str):
        try:
            if name == "int":
                return int(value)
            if name == "float":
                return float(value)
        except ValueError:
            pass
        if name == "bool" and value.lower() in ("true", "false", "yes", "no", "1", "0"):
            return value.lower() in ("true", "yes", "1")
    raise Misfit(_NUMBER_WORDS[name])


def _fit_generic(value: Any, node: ast.Subscript, module: str, bend: bool) -> Any:
    name = _name(node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        values = [item.value for item in inner if isinstance(item, ast.Constant)]
        if any(value == known and type(value) is type(known) for known in values):
            return value
        raise Misfit(f"one of {', '.join(f'`{v}`' for v in values)}")
    if name in _LISTS:
        inner = [item for item in inner if not (isinstance(item, ast.Constant) and item.value is ...)]
        if not isinstance(value, list):
            raise Misfit("a list")
        return [_fit_any(item, inner[0], module, bend, "a list of ") for item in value]
    if name in _MAPPINGS:
        if not isinstance(value, dict):
            raise Misfit("a mapping")
        return {key: _fit_any(item, inner[-1], module, bend, "a mapping to ") for key, item in value.items()}
    return value


def _fit_any(value: Any, node: ast.expr, module: str, bend: bool, prefix: str) -> Any:
    expected = []
    for alternative in _alternatives(node, module):
        try:
            return _fit_one(value, alternative, module, bend)
        except Misfit as misfit:
            expected.append(str(misfit))
    raise Misfit(prefix + " or ".join(dict.fromkeys(expected)))
