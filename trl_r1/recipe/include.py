"""
A recipe that builds on other files: `include: [../data.yaml, recipe.yaml]`.

```yaml
name: r1_zero-4gpu
include: [recipe.yaml]
num_processes: 4
stages:
  - {name: r1-zero, set: {save_steps: 32}}   # the stage of that name, with what is given here in place of what it had
```

What the included files hold comes first, in their order: data by name, stages by name, every other key as it is, `name` left
out. What the file itself says takes its place; a stage's `set` is merged key by key. A stage that is new stands before the
next one of the file that is not, or at the end. Paths in a file are relative to that file.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data_files import is_place
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
    stages: list[_Stage] = []
    for name in names:
        other = (place.parent / Path(name).expanduser()).resolve()
        if not other.is_file():
            raise ConfigError(f"`{name}`: no such file; expected one at {shown(other)}", file=at, key="include")
        if other in (*within, place):
            raise ConfigError(f"`{name}` includes itself; expected files without a cycle", file=at, key="include")
        included = read_with_includes(other, (*within, place))
        found = {key: value for key, value in deepcopy(included.data).items() if key != "name"}
        _merge(merged, stages, _placed(found, other.parent), included, origins)
    own = {key: value for key, value in deepcopy(document.data).items() if key != "include"}
    _merge(merged, stages, own, document, origins)
    if stages and "stages" not in merged:  # where it is no list, the reading of the recipe says so
        merged["stages"] = [stage.data for stage in stages]
        origins |= {
            ("stages", i, *keys): found for i, stage in enumerate(stages) for keys, found in stage.origins.items()
        }
    return Document(document.path, merged, document.lines, origins)


@dataclass
class _Stage:
    """An entry of `stages`, and from where it and its keys are."""

    data: Any
    origins: _Origins

    @property
    def name(self) -> Any:
        return self.data.get("name") if isinstance(self.data, dict) else None


def _merge(
    merged: dict[str, Any], stages: list[_Stage], found: dict[str, Any], document: Document, origins: _Origins
) -> None:
    """Put what `document` holds into `merged` and `stages`, and note from where each key is."""
    for key, value in found.items():
        if key in ("data", "env") and isinstance(merged.get(key), dict) and isinstance(value, dict):
            merged[key] |= value
            origins |= {(key, name): (document, (key, name)) for name in value}
        elif key == "stages" and isinstance(value, list):
            _merge_stages(stages, [_Stage(each, {(): (document, ("stages", i))}) for i, each in enumerate(value)])
        else:
            merged[key] = value
            inner = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
            for place in ((key,), *((key, one) for one in inner)):
                origins[place] = (document, place)


def _merge_stages(stages: list[_Stage], own: list[_Stage]) -> None:
    """Put stages in the places of those of their names, and the others where they belong."""
    before = {stage.name: stage for stage in stages if stage.name is not None}
    for i, stage in enumerate(own):
        known = before.get(stage.name)
        if known is None:
            following = next((before[each.name] for each in own[i + 1 :] if each.name in before), None)
            stages.insert(stages.index(following) if following else len(stages), stage)
            continue
        document, here = stage.origins[()]
        inner = stage.data.get("set") if isinstance(known.data.get("set"), dict) else None
        for key, value in stage.data.items():
            if key == "set" and isinstance(inner, dict):
                known.data["set"] = {**known.data["set"], **inner}
                known.origins |= {("set", one): (document, (*here, "set", one)) for one in inner}
            else:
                known.data[key] = value
                known.origins[(key,)] = (document, (*here, key))


def _placed(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what an included file holds with its relative paths made whole."""

    def whole(mapping: Any, keys: tuple[str, ...]) -> None:
        for key in keys if isinstance(mapping, dict) else ():
            if isinstance(mapping.get(key), str) and is_place(folder / mapping[key]):
                mapping[key] = str(folder / mapping[key])

    whole(found, ("base_model",))
    for stage in found.get("stages") or ():
        whole(stage, _FILES)
    data = found.get("data")
    for sources in data.values() if isinstance(data, dict) else ():
        for source in sources if isinstance(sources, list) else [sources]:
            whole(source, ("path",))
    return found
