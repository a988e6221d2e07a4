"""
What a run would do: for each stage, whether it is done, goes on, or runs (again), and why.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..errors import ConfigError
from ..recipe import Artifact, Recipe, ResolvedStage, fingerprints
from .directory import artifact_of, read_attempt


class State(str, Enum):
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
            Run these stages, and all that hangs on them, even where they are done.

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
        forced |= {item.name} & {name for name in names if set(item.parents) & forced}
        state, why = _state_of(item, prints, run_dir, forced, planned)
        if only and item.name not in only:
            state, why = (state, why) if state is State.DONE else (State.LEFT_OUT, f"it is {state.value}")
        planned[item.name] = PlannedStage(item, prints[item.name], state, why)
    for name in only or ():
        missing = [p for p in planned[name].item.parents if p not in only and planned[p].state is not State.DONE]
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
    if artifact is not None:
        if artifact.fingerprint != wanted:
            changed = [parent for parent in item.parents if artifact.parents.get(parent) != prints[parent]]
            return State.AGAIN, f"{', '.join(changed)} changed" if changed else "its config, data or packages changed"
        if waiting:
            return State.AGAIN, f"{', '.join(waiting)} runs first"
        return State.AGAIN, "files of it are missing"
    if attempt is not None:
        if attempt.fingerprint == wanted and not waiting:
            return State.RESUME, attempt.outcome or "interrupted"
        return State.AGAIN, "changed since it was started"
    return State.RUN, ""
