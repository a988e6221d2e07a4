"""
A recipe that builds on other files: `include: [../data.yaml, recipe.yaml]`.

```yaml
name: r1_zero-4gpu
include: [recipe.yaml]
num_processes: 4
stages:
  - {name: r1-zero, set: {save_steps: 32}}   # the stage of that name, with what is given here in place of what it had
```

What the included files hold comes first, in their order: data by name, stages by name and in their order, every other
key as it is, `name` left out. What the file itself says takes its place; a stage's `set` is merged key by key. Paths in
a file are relative to that file.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .document import Document, read_document, shown


_Origins = dict[tuple[str | int, ...], tuple[Document, tuple[str | int, ...]]]

# Keys of a stage that may name a file beside the recipe.
_FILES = ("config", "accelerate")


def read_with_includes(path: str | Path, within: tuple[Path, ...] = ()) -> Document:
    """
    Read a recipe with the files that it includes.

    Args:
        path (`str` or `Path`):
            The recipe's file.
        within (`tuple[Path, ...]`, *optional*):
            The files that include it.

    Returns:
        `Document`: the merged mapping. Errors about a key name the file and the line that give it.

    Raises:
        `ConfigError`: a file cannot be read, includes itself, or gives `include` another value than names of files.
    """
    document = read_document(path)
    if "include" not in document.data:
        return document
    place = document.path.resolve()
    names = document.data["include"]
    names = [names] if isinstance(names, str) else names
    at = document.at("include")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"is {names!r}; expected a list of YAML files, relative to this one", file=at, key="include")
    merged: dict[str, Any] = {}
    origins: _Origins = {}
    for name in names:
        other = (place.parent / Path(name).expanduser()).resolve()
        if not other.is_file():
            raise ConfigError(f"`{name}`: no such file; expected one at {shown(other)}", file=at, key="include")
        if other in (*within, place):
            raise ConfigError(f"`{name}` includes itself; expected files without a cycle", file=at, key="include")
        included = read_with_includes(other, (*within, place))
        found = {key: value for key, value in deepcopy(included.data).items() if key != "name"}
        _merge(merged, _placed(found, other.parent), included, origins)
    own = {key: value for key, value in deepcopy(document.data).items() if key != "include"}
    _merge(merged, own, document, origins)
    return Document(document.path, merged, document.lines, origins)


def _merge(merged: dict[str, Any], found: dict[str, Any], document: Document, origins: _Origins) -> None:
    """Put what `document` holds into `merged`, and note from where each key is."""
    for key, value in found.items():
        if key in ("data", "env") and isinstance(merged.get(key), dict) and isinstance(value, dict):
            merged[key] |= value
            origins |= {(key, name): (document, (key, name)) for name in value}
        elif key == "stages" and isinstance(merged.get(key), list) and isinstance(value, list):
            for i, stage in enumerate(value):
                _merge_stage(merged[key], stage, document, i, origins)
        else:
            merged[key] = value
            inner = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
            origins |= {(key,): (document, (key,)), **{(key, one): (document, (key, one)) for one in inner}}


def _merge_stage(stages: list[Any], stage: Any, document: Document, i: int, origins: _Origins) -> None:
    """Put a stage in the place of the one of its name, or at the end."""
    names = [each.get("name") if isinstance(each, dict) else None for each in stages]
    name = stage.get("name") if isinstance(stage, dict) else None
    here: tuple[str | int, ...] = ("stages", i)
    if name is None or name not in names:
        origins["stages", len(stages)] = (document, here)
        stages.append(stage)
        return
    at = names.index(name)
    before = stages[at]
    stages[at] = {**before, **stage}
    for key in stage:
        origins["stages", at, key] = (document, (*here, key))
    if isinstance(before.get("set"), dict) and isinstance(stage.get("set"), dict):
        stages[at]["set"] = {**before["set"], **stage["set"]}
        origins.pop(("stages", at, "set"), None)
        origins |= {("stages", at, "set", key): (document, (*here, "set", key)) for key in stage["set"]}


def _placed(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what an included file holds with its relative paths made whole."""

    def whole(mapping: Any, keys: tuple[str, ...]) -> None:
        for key in keys if isinstance(mapping, dict) else ():
            if isinstance(mapping.get(key), str) and (folder / mapping[key]).exists():
                mapping[key] = str(folder / mapping[key])

    whole(found, ("base_model",))
    for stage in found.get("stages") or ():
        whole(stage, _FILES)
    data = found.get("data")
    for sources in data.values() if isinstance(data, dict) else ():
        for source in sources if isinstance(sources, list) else [sources]:
            whole(source, ("path",))
    return found
