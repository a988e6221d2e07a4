"""
What a run would do: for each stage, whether it is done, goes on, or runs (again), and why.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..lineage import read_yaml
from ..recipe import Artifact, Recipe, ResolvedStage, contents, fingerprints, package_versions, shown
from ..recipe.references import RUN, with_texts
from .directory import CONFIG_FILE, artifact_of, read_attempt


_UNSET = "not set"


class State(StrEnum):
    """What becomes of a stage."""

    DONE = "done"
    RUN = "to run"
    RESUME = "to resume"
    AGAIN = "to run again"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class PlannedStage:
    """
    A stage in a plan.

    Args:
        item (`ResolvedStage`):
            The stage.
        fingerprint (`str`):
            What its outputs depend on.
        state (`State`):
            What becomes of it.
        why (`str`):
            The reason, where it is not plain.
    """

    item: ResolvedStage
    fingerprint: str
    state: State
    why: str = ""

    @property
    def name(self) -> str:
        return self.item.name


def make_plan(
    recipe: Recipe,
    stages: list[ResolvedStage],
    run_dir: Path,
    *,
    only: list[str] | None = None,
    again_from: list[str] | None = None,
) -> list[PlannedStage]:
    """
    Decide what becomes of each stage.

    Args:
        recipe (`Recipe`):
            The recipe.
        stages (`list[ResolvedStage]`):
            Its stages, parents before children.
        run_dir (`Path`):
            The run's directory, which may not exist yet.
        only (`list[str]`, *optional*):
            Run these stages and no others.
        again_from (`list[str]`, *optional*):
            Run these stages, and all that depend on them, even where they are done.

    Raises:
        `ConfigError`: a name is no stage, or a stage asked for by `only` has parents that are not done.
    """
    names = [item.name for item in stages]
    for option, given in (("--only", only), ("--from", again_from)):
        for name in given or ():
            if name not in names:
                raise ConfigError(
                    f"no stage `{name}` in `{recipe.name}`; expected one of {', '.join(names)}", key=option
                )
    prints = fingerprints(stages)
    forced = set(again_from or ())
    planned: dict[str, PlannedStage] = {}
    for item in stages:
        state, why = _state_of(item, prints, run_dir, forced, planned)
        if only and item.name not in only:
            state, why = (state, why) if state is State.DONE else (State.LEFT_OUT, f"it is {state.value}")
        planned[item.name] = PlannedStage(item, prints[item.name], state, why)
    for name in only or ():
        missing = [
            p for p in planned[name].item.parents if p not in (only or ()) and planned[p].state is not State.DONE
        ]
        if missing:
            raise ConfigError(
                f"`{name}` reads from {', '.join(f'`{p}` ({planned[p].why})' for p in missing)}; expected finished "
                "stages. Run without --only first",
                key="--only",
            )
    return list(planned.values())


def _state_of(
    item: ResolvedStage, prints: dict[str, str], run_dir: Path, forced: set[str], planned: dict[str, PlannedStage]
) -> tuple[State, str]:
    folder, wanted = run_dir / item.name, prints[item.name]
    waiting = [parent for parent in item.parents if planned[parent].state is not State.DONE]
    artifact = Artifact.read(folder)
    attempt = read_attempt(folder)
    if item.name in forced and (artifact is not None or attempt is not None):
        return State.AGAIN, "asked for by --from"
    if artifact_of(folder, wanted) is not None and not waiting:
        return State.DONE, ""
    if artifact is not None and artifact.fingerprint != wanted:
        changed = [parent for parent in item.parents if artifact.parents.get(parent) != prints[parent]]
        return State.AGAIN, f"{', '.join(changed) or what_changed(item, folder, artifact)} changed"
    if artifact is None and attempt is None:
        return State.RUN, ""
    if waiting:
        return State.AGAIN, f"{', '.join(waiting)} runs first"
    if artifact is not None or attempt is None:
        return State.AGAIN, "files of it are missing"
    if attempt.fingerprint == wanted:
        return State.RESUME, attempt.outcome or "interrupted"
    return State.AGAIN, f"{what_changed(item, folder)} changed since it was started"


def to_run(planned: Sequence[PlannedStage]) -> list[PlannedStage]:
    """Return the stages of a plan that are still to run."""
    return [stage for stage in planned if stage.state not in (State.DONE, State.LEFT_OUT)]


def counts(planned: Sequence[PlannedStage]) -> str:
    """Say how many stages of a plan are done."""
    done = sum(stage.state is State.DONE for stage in planned)
    return f"{done} of {len(planned)} stages are done, {len(to_run(planned))} to run."


def what_changed(item: ResolvedStage, folder: Path, artifact: Artifact | None = None) -> str:
    """
    Say what differs between a stage as it ran and as it is now.

    Args:
        item (`ResolvedStage`):
            The stage as it is now.
        folder (`Path`):
            Its folder, with the `config.yaml` that it ran with.
        artifact (`Artifact`, *optional*):
            What it made, with the versions of the packages.

    Returns:
        `str`: keys of its config with their former values where these are short, else packages with their versions,
        else the files and modules whose contents do, else what is left.
    """
    before = read_yaml(folder / CONFIG_FILE)
    if not before:
        return "its config, data or packages"
    root = str(Path(str(before.get("output_dir"))).parent)  # the run may have been moved
    named = {"report_to", "project", "run_name"} - item.config.keys() if item.tracked or "project" in before else set()
    then, now = (
        {key: _placed(value, root) for key, value in config.items() if key not in named}
        for config in (before, item.config)
    )
    changes = [text for key in {**then, **now} for text in _changes(key, then.get(key, _UNSET), now.get(key, _UNSET))]
    if changes:
        return f"its {', '.join(changes)}"
    versions = artifact.versions if artifact else {}
    packages = {
        name: version for name, version in package_versions().items() if versions.get(name, version) != version
    }
    if packages:
        return ", ".join(f"{name} {versions[name]} -> {version}" for name, version in packages.items())
    made_with = artifact.contents if artifact else {}
    others = [name for name, digest in contents(item).items() if made_with.get(name, digest) != digest]
    if others:
        return f"the contents of {', '.join(shown(Path(name)) if '/' in name else f'`{name}`' for name in others)}"
    return "the contents of its data, its code or its number of processes"


def _placed(value: Any, root: str) -> Any:
    """A value of a config as JSON gives it back, its paths those of any run."""
    return with_texts(json.loads(json.dumps(value, default=str)), lambda text: text.replace(root, RUN))


def _changes(key: str, then: Any, now: Any) -> list[str]:
    """Return what differs between two values under a key, each as `` `key` 4 -> 2``; nested ones down to what differs."""
    if then == now:
        return []
    inner: list[tuple[str, Any, Any]] = []
    if isinstance(then, dict) and isinstance(now, dict):
        inner = [(f"{key}.{name}", then.get(name, _UNSET), now.get(name, _UNSET)) for name in {**then, **now}]
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        inner = [(f"{key}.{i}", *pair) for i, pair in enumerate(zip(then, now))]
    if inner:
        return [text for one in inner for text in _changes(*one)]
    plain = all(isinstance(value, (int, float, str, type(None))) and len(str(value)) <= 40 for value in (then, now))
    return [f"`{key}` {then} -> {now}" if plain else f"`{key}`"]
