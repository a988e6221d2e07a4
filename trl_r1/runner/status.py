"""
How far a run is, read from its directory, and for stages that are jobs from the queue.
"""

import time
from pathlib import Path

from ..errors import ConfigError
from ..lineage import read_run
from ..recipe import Artifact, shown
from ..scores import show_duration
from .directory import RUN_FILE, read_attempt, runner_of
from .display import Display, progress_text, table
from .launch import read_progress
from .slurm import live_jobs


_WATCH_SECONDS = 2.0


def status(run_dir: Path, watch: bool = False) -> int:
    """
    Print how far a run is.

    Args:
        run_dir (`Path`):
            The run.
        watch (`bool`, *optional*, defaults to `False`):
            Whether to say it again when it has changed, until nothing is at work or Ctrl-C; in a terminal, in the same place.

    Raises:
        `ConfigError`: it is no run.
    """
    display = Display()
    said = None
    while True:
        text, at_work = status_text(run_dir)
        if text != said:
            display.say(f"\x1b[H\x1b[2J{text}" if watch and display.live else text)
        said = text
        if not (watch and at_work):
            return 0
        try:
            time.sleep(_WATCH_SECONDS)
        except KeyboardInterrupt:
            return 0


def status_text(run_dir: Path) -> tuple[str, bool]:
    """Return how far a run is, and whether a runner or a job is at work."""
    record = read_run(run_dir)
    found = record.run
    if not found:
        raise ConfigError(f"no {RUN_FILE} in it; expected the directory of a run", file=shown(run_dir))
    runner = runner_of(run_dir)
    jobs = live_jobs(run_dir)
    who = "no runner is at work" if runner is None else f"process {runner or '?'} is at work"
    kinds = {stage.name: stage.kind for stage in record.stages}
    rows = []
    for name in found.get("stages") or kinds:
        folder = run_dir / name
        job = jobs.get(name)
        state, seconds = stage_state(folder, runner is not None or job is not None)
        if job is not None and state != "done":
            state = f"{job.state.lower()}, job {job.number} ({job.reason})"
        progress = "" if state in ("done", "waiting") else progress_text(read_progress(folder), None)
        rows.append([name, kinds.get(name) or "?", state, show_duration(seconds) if seconds else "-", progress])
    done = sum(row[2] == "done" for row in rows)
    head = f"{found.get('recipe')}, seed {found.get('seed')}, in {shown(run_dir)}: {who}, {done} of {len(rows)} stages done"
    lines = table(["stage", "kind", "status", "wall time", "progress"], rows, right=[3])
    return f"{head}\n\n{lines}", runner is not None or bool(jobs)


def stage_state(folder: Path, runner_at_work: bool) -> tuple[str, float]:
    """Return what a stage is (`done`, `running`, `failed`, `interrupted`, `waiting`) and the seconds it took."""
    artifact = Artifact.read(folder)
    if artifact is not None:
        return ("done" if artifact.whole(folder) else "done, but files are missing"), artifact.wall_seconds
    attempt = read_attempt(folder)
    if attempt is None:
        return "waiting", 0.0
    if attempt.outcome is None and runner_at_work:
        return "running", attempt.wall_seconds
    return attempt.outcome or "interrupted", attempt.wall_seconds
