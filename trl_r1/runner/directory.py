"""
The directory of a run: whose it is, what each stage has left there, and where old outputs go.

```
RUN/
  run.json  recipe.yaml  run.lock
  STAGE/  started.json (fingerprint of the attempt)  config.yaml  log.txt  ...  artifact.json (written last)
  .old/STAGE-<time>/     outputs that a changed recipe has replaced; nothing is deleted, and what a stage that samples has
                         sampled stays with the stage, which uses what is still right
```
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from ..errors import ConfigError, MachineError
from ..io import read_json, write_json
from ..recipe import Artifact, Recipe, shown
from ..recipe.records import ARTIFACT_FILE, now, read_record
from .machine import surroundings


RUN_FILE = "run.json"
STARTED_FILE = "started.json"
CONFIG_FILE = "config.yaml"
LOCK_FILE = "run.lock"
OLD_FOLDER = ".old"

# Every process of a stage inherits this variable; by it, what a killed run has left behind is found and ended.
STAGE_VARIABLE = "TRL_R1_STAGE_DIR"


@dataclass(frozen=True)
class Attempt:
    """
    What is known of a stage that has been started: the contents of its `started.json`.

    Args:
        fingerprint (`str`):
            Of the stage when it was started.
        started (`str`):
            When it was started first.
        attempts (`int`):
            How often.
        wall_seconds (`float`):
            Time spent in attempts that have ended.
        outcome (`str`, *optional*):
            `"failed"` or `"interrupted"` where the last attempt ended so and could still say it.
        begun (`float`):
            When the last attempt began, in seconds since the epoch.
    """

    fingerprint: str
    started: str = ""
    attempts: int = 1
    wall_seconds: float = 0.0
    outcome: str | None = None
    begun: float = 0.0


def read_attempt(folder: Path) -> Attempt | None:
    """Return what is known of a started stage, or `None`."""
    return read_record(Attempt, folder / STARTED_FILE)


def write_attempt(folder: Path, attempt: Attempt) -> None:
    """Write `started.json`."""
    write_json(folder / STARTED_FILE, dict(vars(attempt)))


def check_owner(run_dir: Path, recipe: Recipe) -> ConfigError | None:
    """
    Return what is wrong with running `recipe` in `run_dir`, or `None`.

    A directory that holds files and no run, or the run of another recipe, is not touched.
    """
    if not run_dir.exists():
        return None
    if not run_dir.is_dir():
        return ConfigError("is a file; expected a directory or nothing", file=shown(run_dir), key="--output-dir")
    found = read_json(run_dir / RUN_FILE)
    if not found:
        others = [entry for entry in os.listdir(run_dir) if entry != LOCK_FILE]
        if not others:
            return None
        return ConfigError(
            f"holds {len(others)} files and folders that are no run of trl-r1 (no {RUN_FILE}); expected an empty or "
            "a new directory",
            file=shown(run_dir),
            key="--output-dir",
        )
    if found.get("recipe") == recipe.name and (
        found.get("path") == str(recipe.path.resolve())
        or set(found.get("stages") or ()) & {stage.name for stage in recipe.stages}
    ):
        return None
    return ConfigError(
        f"holds a run of the recipe `{found.get('recipe')}` ({found.get('path')}); expected one of `{recipe.name}` "
        f"({shown(recipe.path)}). Choose another --output-dir",
        file=shown(run_dir / RUN_FILE),
        key="recipe",
    )


def claim(run_dir: Path, recipe: Recipe, command: list[str]) -> None:
    """Write `run.json`: this directory belongs to this recipe."""
    found = read_json(run_dir / RUN_FILE)
    write_json(
        run_dir / RUN_FILE,
        {
            "recipe": recipe.name,
            "path": str(recipe.path.resolve()),
            "seed": recipe.seed,
            "stages": [stage.name for stage in recipe.stages],
            "created": found.get("created") or now(),
            "last_started": now(),
            "command": command,
            **surroundings(recipe.path),
        },
    )


@contextmanager
def locked(run_dir: Path, name: str = LOCK_FILE, patience_s: float = 0.0) -> Iterator[None]:
    """
    Hold a run directory for one runner.

    Args:
        run_dir (`Path`):
            The run.
        name (`str`, *optional*, defaults to `"run.lock"`):
            File that is locked: one of a stage's own where each stage has a job of its own.
        patience_s (`float`, *optional*, defaults to `0.0`):
            Seconds to wait for another runner to go.

    Raises:
        `MachineError`: another runner holds it, or it cannot be written to.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        opened = open(run_dir / name, "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise MachineError(
            f"{shown(run_dir)}: `--output-dir`: cannot be written to ({error.strerror}); expected a directory in which this "
            "user may write"
        ) from None
    with opened as file:
        until = time.monotonic() + patience_s
        while not (held := _lock(file)) and time.monotonic() < until:
            time.sleep(0.5)
        if not held:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise MachineError(
                f"{shown(run_dir)}: another trl-r1 (process {pid}) is running in this directory; expected to be the only "
                f"one. `trl-r1 status {shown(run_dir)}` shows how far it is"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def runner_of(run_dir: Path) -> int | None:
    """Return the process that runs in this directory now, 0 where its number is unknown, or `None` for none."""
    try:
        with open(run_dir / LOCK_FILE, "r+", encoding="utf-8") as file:
            if _lock(file):
                return None
            text = file.read().strip()
            return int(text) if text.isdigit() else 0
    except OSError:
        return None


def _lock(file: TextIO) -> bool:
    """Lock a file until it is closed; return whether that was possible."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def retire(run_dir: Path, stage: str, stay: Sequence[str] = ()) -> Path | None:
    """
    Move what a stage has left aside, to `.old/STAGE-<time>`.

    Args:
        run_dir (`Path`):
            The run.
        stage (`str`):
            The stage's name.
        stay (`Sequence[str]`, *optional*):
            Names of what stays in its folder, for the stage to use again.

    Returns:
        `Path`, *optional*: the new place; `None` where there was nothing.
    """
    folder = run_dir / stage
    entries = sorted(entry.name for entry in folder.iterdir() if entry.name not in stay) if folder.exists() else []
    if not entries:
        return None
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    place, count = run_dir / OLD_FOLDER / f"{stage}-{stamp}", 1
    while place.exists():
        count += 1
        place = place.with_name(f"{stage}-{stamp}-{count}")
    place.parent.mkdir(exist_ok=True)
    if not any((folder / name).exists() for name in stay):
        os.rename(folder, place)
        return place
    place.mkdir()
    # What says that the stage was begun or is done goes first: a killed runner leaves one that is still to run.
    for name in sorted(entries, key=lambda name: (name != STARTED_FILE, name != ARTIFACT_FILE, name)):
        os.rename(folder / name, place / name)
    return place


def end_leftovers(run_dir: Path, patience_s: float = 10.0) -> list[int]:
    """
    End every process that a former runner has left in this directory, and wait until it is gone.

    Processes are known by the variable that all processes of a stage inherit, so that one whose parents are dead, or
    that has a session of its own, is found as well.

    Args:
        run_dir (`Path`):
            The run, whose lock must be held: what is found then is nobody's. Or the folder of a stage that has ended.
        patience_s (`float`, *optional*, defaults to `10.0`):
            Seconds to wait for them to go.

    Returns:
        `list[int]`: the processes that were ended.

    Raises:
        `MachineError`: one would not go.
    """
    import psutil

    place = str(run_dir.resolve())
    ended: dict[int, Any] = {}

    def found() -> list[Any]:
        processes = []
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            try:
                mark = process.environ().get(STAGE_VARIABLE, "")
                if (mark == place or mark.startswith(place + os.sep)) and process.status() != "zombie":
                    processes.append(process)
            except (psutil.Error, OSError):
                continue  # gone meanwhile, or another user's
        return processes

    left = found()
    while left:
        for process in left:
            ended[process.pid] = process
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
        _, alive = psutil.wait_procs(left, timeout=patience_s)
        if alive:
            raise MachineError(
                f"{shown(run_dir)}: processes {', '.join(str(p.pid) for p in alive)} of a former run would not end; "
                "expected none. End them by hand, then run again"
            )
        left = found()
    return sorted(ended)


def artifact_of(folder: Path, fingerprint: str) -> Artifact | None:
    """Return a finished stage's artifact where it has this fingerprint and all of its files, else `None`."""
    artifact = Artifact.read(folder)
    return artifact if artifact and artifact.fingerprint == fingerprint and artifact.whole(folder) else None
