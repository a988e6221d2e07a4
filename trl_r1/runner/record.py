"""
What a run writes about itself: the artifact of a stage, and the copy of its recipe.
"""

import contextlib
from pathlib import Path
from typing import Any

import yaml

from ..data_files import data_files, is_place
from ..io import read_json
from ..kinds import kind_of
from ..recipe import Artifact, Recipe, contents, package_versions
from ..recipe.records import ARTIFACT_FILE, now
from .directory import OLD_FOLDER, RUN_FILE, Attempt
from .launch import LOG_FILE
from .plan import PlannedStage


def make_artifact(stage: PlannedStage, folder: Path, attempt: Attempt, parents: dict[str, str]) -> Artifact:
    """
    Return the artifact of a stage that has ended well.

    Args:
        stage (`PlannedStage`):
            The stage.
        folder (`Path`):
            Its folder, with its outputs.
        attempt (`Attempt`):
            How long it took.
        parents (`dict[str, str]`):
            Fingerprints of what it was made from.
    """
    outputs = stage.item.outputs
    return Artifact(
        stage=stage.name,
        kind=kind_of(stage.item.stage.kind).makes,
        path=outputs[0] if outputs else ".",
        fingerprint=stage.fingerprint,
        parents=parents,
        versions=package_versions(),
        contents=contents(stage.item),
        files=_sizes(folder, outputs),
        started=attempt.started,
        finished=now(),
        wall_seconds=attempt.wall_seconds,
    )


def former_seconds(run_dir: Path, name: str) -> float | None:
    """
    Return how long a stage took when it was last done: in this run before it was changed, or in another run of the recipe
    beside it. `None` where it never was.
    """
    recipe = read_json(run_dir / RUN_FILE).get("recipe")
    beside = [
        path
        for path in run_dir.absolute().parent.glob(f"*/{name}/{ARTIFACT_FILE}")
        if recipe is not None and read_json(path.parents[1] / RUN_FILE).get("recipe") == recipe
    ]
    before = run_dir.glob(f"{OLD_FOLDER}/{name}-*/{ARTIFACT_FILE}")  # those of `base-sft` too, where it is `base`
    found = [*(path for path in before if read_json(path).get("stage") == name), *beside]
    artifact = Artifact.read(max(found, key=lambda path: path.stat().st_mtime).parent) if found else None
    return artifact.wall_seconds if artifact is not None else None


def is_there(path: Path) -> bool:
    """Return whether an output has been made: a file, a data set, or a folder that holds something."""
    return any(path.iterdir()) if path.is_dir() else bool(data_files(path))


def _sizes(folder: Path, outputs: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for name in outputs:
        path = folder / name
        for file in sorted(path.rglob("*")) if path.is_dir() else data_files(path):
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = file.stat().st_size
    return found


def lost_seconds(attempt: Attempt, folder: Path) -> float:
    """Estimate how long an attempt ran that was killed before it could say so: until its last word in the log."""
    with contextlib.suppress(OSError):
        return max(0.0, (folder / LOG_FILE).stat().st_mtime - attempt.begun) if attempt.begun else 0.0
    return 0.0


def _absolute(place: Any, recipe: Recipe) -> Any:
    for folder in (recipe.path.resolve().parent, Path.cwd()):
        if isinstance(place, str) and is_place(folder / place) and not any(s.name == place for s in recipe.stages):
            return str((folder / place).resolve())
    return place


# The keys of a recipe and of its stages that the copy states, in their order.
KEYS = ("name", "base_model", "seed", "parallel", "disk_gb", "data", "hub")
STAGE_KEYS = ("name", "kind", "purpose", "model", "data", "accelerate", "num_processes")


def _stated(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value not in (None, {})}


def recipe_text(recipe: Recipe) -> str:
    """Return the recipe with its files read in: what `RUN/recipe.yaml` holds, and what cards and report read."""
    data = {
        name: [
            {**source, "path": _absolute(source["path"], recipe)} if "path" in source else source for source in sources
        ]
        for name, sources in recipe.data.items()
    }
    base_model = _absolute(recipe.base_model, recipe) if recipe.base_model else None
    stages = []
    for stage in recipe.stages:
        entry = {name: getattr(stage, name) or None for name in STAGE_KEYS}
        entry["accelerate"] = str(stage.accelerate) if stage.accelerate else None
        stages.append(_stated({**entry, "set": stage.config}))
    found = {name: getattr(recipe, name) for name in KEYS}
    # Without these a copy that names `server:judge` would be no recipe.
    found["servers"] = [
        {key: value for key, value in vars(server).items() if key != "at" and value is not None}
        for server in recipe.servers
    ] or None
    found["report_to"] = list(recipe.report_to) or None
    found |= {"base_model": base_model, "data": data, "stages": stages}
    if recipe.settled:
        found["without"] = list(recipe.without)
    head = f"# Written by trl-r1: {recipe.path.resolve()} with its configs read in, as it ran in this directory.\n"
    return head + yaml.safe_dump(_stated(found), sort_keys=False, allow_unicode=True)
