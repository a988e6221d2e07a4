"""
The keys that a kind of stage understands, read from source.

A stage's config classes live beside torch; importing them to learn the names of their fields would take seconds. So
their files are parsed instead: `CONFIG_CLASSES` of the stage's module names the classes, and annotations, defaults and
bases are followed from file to file, by import statements, into TRL and transformers.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..kinds import kind_of


class _Unknown:
    """The default of a field that is computed and so cannot be read from source."""

    def __repr__(self) -> str:
        return "<computed>"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Field:
    """
    One key of a config.

    Args:
        name (`str`):
            The key.
        annotation (`ast.expr`):
            Its type, as written.
        required (`bool`):
            Whether it has no default.
        default (`Any`):
            Its default, or `UNKNOWN` where that is computed.
        choices (`tuple`, *optional*):
            The values it is limited to by its metadata.
        module (`str`):
            Module of the class that it stands in: where the names in its annotation are looked up.
        owner (`str`):
            That class.
    """

    name: str
    annotation: ast.expr
    required: bool
    default: Any
    choices: tuple | None
    module: str
    owner: str


@dataclass(frozen=True)
class StageModule:
    """
    What a stage's module says about itself in constants.

    Args:
        path (`Path`):
            Its file.
        fields (`dict[str, Field]`, *optional*):
            Keys of its `CONFIG_CLASSES`; `None` without that constant.
        outputs (`tuple[str, ...]`):
            `OUTPUTS`: files and folders it leaves in its own folder.
        datasets (`dict[str, tuple[str, ...]]`):
            `DATASETS`: columns of each `data/NAME.parquet` that it writes, where it says.
    """

    path: Path
    fields: dict[str, Field] | None
    outputs: tuple[str, ...]
    datasets: dict[str, tuple[str, ...]]


@cache
def read_stage_module(module: str) -> StageModule:
    """
    Read what a stage's module says about itself, without importing it.

    Args:
        module (`str`):
            Dotted name.

    Raises:
        `ConfigError`: there is no such module, or a class it names is not to be found.
    """
    kind = kind_of(module)
    fields: dict[str, Field] = {}
    for name in kind.configs:
        fields.update(read_class(name))
    return StageModule(source_of(module), fields, kind.leaves, dict(kind.writes))


@cache
def read_class(name: str) -> dict[str, Field]:
    """
    Return the fields of a dataclass and its bases.

    Args:
        name (`str`):
            `package.module:Class`.

    Raises:
        `ConfigError`: no such class.
    """
    module, _, class_name = name.partition(":")
    found = find_class(module, class_name)
    if found is None:
        raise ConfigError(f"no class `{class_name}` in `{module}`")
    return _fields_of(*found, ())


def find_class(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Return where a class stands, following `from ... import` from the module in which its name is used."""
    return _find_class(module, name, ())


@cache
def source_of(module: str) -> Path | None:
    """Return the source file of a module, importing nothing but, at most, the finder of its top-level package."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = PathFinder.find_spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for place in spec.submodule_search_locations or ():
        path = Path(place, *rest)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


@cache
def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read as Python: {error}", file=str(path)) from None


def _constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and node.value is not None:
                value = _literal(node.value)
                if value is not UNKNOWN:
                    yield target.id, value


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError):
        return UNKNOWN


def _find_class(module: str, name: str, seen: tuple) -> tuple[str, ast.ClassDef] | None:
    path = source_of(module)
    if path is None or (module, name) in seen:
        return None
    tree = _tree(path)
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            imports += [(node, alias) for alias in node.names if name in (alias.asname or alias.name, "*")]
    for node, alias in imports:
        origin = _origin(node, module, path)
        found = _find_class(origin, alias.name, (*seen, (module, name))) if origin else None
        if found is not None:
            return found
    return None


def _origin(node: ast.ImportFrom, module: str, path: Path) -> str:
    """Return the absolute name of the module that a `from ... import` reads from."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def _fields_of(module: str, node: ast.ClassDef, trail: tuple[str, ...]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for base in reversed(node.bases):
        name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else None
        home = module
        if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            home = base.value.id  # `trl.GRPOConfig`, after `import trl`
        found = find_class(home, name) if name else None
        if found is not None and f"{found[0]}:{name}" not in trail:
            fields.update(_fields_of(*found, (*trail, f"{found[0]}:{name}")))
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found_field = _field(statement, module, node.name)
            if found_field is not None:
                fields[found_field.name] = found_field
    return fields


def _field(statement: ast.AnnAssign, module: str, owner: str) -> Field | None:
    name, annotation, value = statement.target.id, statement.annotation, statement.value
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    if "ClassVar" in (getattr(outer, "id", None), getattr(outer, "attr", None)):
        return None
    called = isinstance(value, ast.Call) and "field" in (
        getattr(value.func, "id", ""),
        getattr(value.func, "attr", ""),
    )
    if not called:
        default = UNKNOWN if value is None else _literal(value)
        return Field(name, annotation, value is None, default, None, module, owner)
    arguments = {keyword.arg: keyword.value for keyword in value.keywords}
    if "init" in arguments and _literal(arguments["init"]) is False:
        return None
    default = _literal(arguments["default"]) if "default" in arguments else UNKNOWN
    choices = None
    if isinstance(arguments.get("metadata"), ast.Dict):
        for key, item in zip(arguments["metadata"].keys, arguments["metadata"].values):
            if key is not None and _literal(key) == "choices" and isinstance(_literal(item), (list, tuple)):
                choices = tuple(_literal(item))
    required = not ({"default", "default_factory"} & arguments.keys())
    return Field(name, annotation, required, default, choices, module, owner)
