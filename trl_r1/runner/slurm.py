"""
Stages as jobs of Slurm: submitted all at once, each after those that it reads from.

A job runs this very runner for one stage (`trl-r1 run RECIPE --only STAGE`, inside its allocation), so what is checked,
resumed, retried and written down is what a run on one machine does. What is known of the jobs is in `RUN/.slurm/`:
`jobs.json`, the script of each stage, and what the runner in the job said.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MachineError
from ..io import last_lines, read_json, write_json, write_text
from ..recipe import Artifact, Recipe, ResolvedStage, shown
from .directory import read_attempt
from .launch import LOG_FILE, read_progress
from .place import nodes_of
from .plan import PlannedStage


if TYPE_CHECKING:
    from .run import RunOptions

FOLDER = ".slurm"
_JOBS = "jobs.json"
# Seconds before the end of its time at which a job is told to save and to queue again; at most a tenth of it.
_BEFORE_THE_END = 600
# As `sbatch --time` takes it: minutes, minutes:seconds, hours:minutes:seconds, or days-hours and so on.
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_LIVE = re.compile(r"PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED|REQUEUE.*|RESIZING|SIGNALING|STAGE_OUT|STOPPED")


@dataclass(frozen=True)
class Job:
    """
    A job in the queue.

    Args:
        number (`str`):
            Its number.
        state (`str`):
            As `squeue` has it: `RUNNING`. Empty where Slurm does not know it any more.
        reason (`str`):
            Why it waits, or on which nodes it runs.
    """

    number: str
    state: str = ""
    reason: str = ""

    @property
    def live(self) -> bool:
        return bool(_LIVE.fullmatch(self.state))


@dataclass
class QueuedStage:
    """
    A stage whose job has been submitted: what the display and the report of a failure ask of a stage that runs.

    Args:
        item ([`~recipe.ResolvedStage`]):
            Which.
        folder (`Path`):
            Its folder.
        job ([`Job`]):
            Its job.
    """

    item: ResolvedStage
    folder: Path
    job: Job
    started: float = field(default_factory=time.monotonic)
    gone: int = 0

    @property
    def name(self) -> str:
        return self.item.name

    @property
    def seconds(self) -> float:
        attempt = read_attempt(self.folder)
        return max(0.0, time.time() - attempt.begun) if attempt and self.job.state == "RUNNING" else 0.0

    def log_tail(self, lines: int = 20) -> list[str]:
        """Return the last lines of the stage's log, or where it has none of what its job said."""
        if read_attempt(self.folder) is not None and (found := last_lines(self.folder / LOG_FILE, lines)):
            return found
        return last_lines(self.folder.parent / FOLDER / f"{self.name}.txt", lines)


def tool(*command: str, given: str | None = None) -> str:
    """
    Run one of Slurm's programs, and return what it prints.

    Raises:
        [`~errors.MachineError`]: it is not there, or fails.
    """
    try:
        ran = subprocess.run(command, input=given, capture_output=True, text=True)
    except OSError as error:
        raise MachineError(f"`launcher: slurm` needs Slurm's `{command[0]}`: {error}") from None
    if ran.returncode:
        raise MachineError(f"`{shlex.join(command)}` ended with code {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout


def jobs_of(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Return what was submitted for a run: `id` and `fingerprint` by stage."""
    return read_json(run_dir / FOLDER / _JOBS)


def queue(run_dir: Path) -> dict[str, Job]:
    """
    Return the jobs of a run by stage, as Slurm knows them now.

    Raises:
        [`~errors.MachineError`]: Slurm does not answer.
    """
    submitted = {stage: str(job["id"]) for stage, job in jobs_of(run_dir).items()}
    if not submitted:
        return {}
    lines = tool("squeue", "--noheader", "--states=all", "--format=%i|%T|%r|%N", f"--user={os.getuid()}").splitlines()
    known = {}
    for line in lines:
        number, state, reason, nodes = (part.strip() for part in line.split("|", 3))
        known[number] = Job(number, state, nodes if state == "RUNNING" else reason)
    return {stage: known.get(number, Job(number)) for stage, number in submitted.items()}


def live_jobs(run_dir: Path) -> dict[str, Job]:
    """Return a run's jobs that wait or run, by stage; none where this machine has no Slurm."""
    try:
        return {stage: job for stage, job in queue(run_dir).items() if job.live}
    except MachineError:
        return {}


def submit(
    planned: list[PlannedStage], recipe: Recipe, run_dir: Path, options: "RunOptions"
) -> dict[str, QueuedStage]:
    """
    Submit the stages that are to run, and are not in the queue already.

    Args:
        planned (`list[PlannedStage]`):
            The stages that are to run, parents before children.
        recipe ([`~recipe.Recipe`]):
            The recipe.
        run_dir (`Path`):
            The run.
        options (`RunOptions`):
            What was asked for.

    Returns:
        `dict[str, QueuedStage]`: by name.
    """
    folder = run_dir.resolve() / FOLDER
    folder.mkdir(exist_ok=True)
    records, before = jobs_of(run_dir), queue(run_dir)
    found: dict[str, QueuedStage] = {}
    for stage in planned:
        job, after = (
            before.get(stage.name),
            [f"afterok:{found[p].job.number}" for p in stage.item.parents if p in found],
        )
        if job is not None and job.live and records[stage.name]["fingerprint"] == stage.fingerprint:
            found[stage.name] = QueuedStage(stage.item, run_dir / stage.name, job)
            continue
        if job is not None and job.live:  # it would make what the recipe does not ask for any more
            tool("scancel", job.number)
            after.append(f"afterany:{job.number}")
        script = folder / f"{stage.name}.sh"
        write_text(script, f"#!/bin/bash\nexec {shlex.join(job_command(stage.name, recipe, run_dir, options))}\n")
        depends = [f"--dependency={','.join(after)}"] if after else []
        head = [f"--job-name={recipe.name}-{stage.name}", f"--output={folder}/{stage.name}.txt"]
        command = ["sbatch", "--parsable", *head, *asked_for(stage.item), *depends, str(script)]
        number = tool(*command).strip().partition(";")[0]
        records[stage.name] = {"id": number, "fingerprint": stage.fingerprint}
        write_json(folder / _JOBS, records)
        found[stage.name] = QueuedStage(stage.item, run_dir / stage.name, Job(number, "PENDING"))
    return found


def job_command(stage: str, recipe: Recipe, run_dir: Path, options: "RunOptions") -> list[str]:
    """Return the command of a stage's job: this runner, for this stage alone."""
    command = [sys.executable, "-m", "trl_r1.cli", "run", str(recipe.path.resolve()), "--launcher", "slurm", "--job"]
    command += ["--output-dir", str(run_dir.resolve()), "--only", stage]
    command += [] if options.seed is None else ["--seed", str(options.seed)]
    command += [] if options.mirror is None else ["--mirror", options.mirror]
    return command + [word for text in options.overrides for word in ("--set", text)]


def asked_for(item: ResolvedStage) -> list[str]:
    """Return the options of `sbatch` for a stage."""
    slurm = item.stage.slurm
    nodes = nodes_of(item) + sum(server.nodes for server in item.servers)
    options = [
        f"--nodes={nodes}",
        "--ntasks-per-node=1",
        "--requeue",
        "--open-mode=append",
        "--kill-on-invalid-dep=yes",
    ]
    # To the batch script alone, which is the runner: it asks the ranks to save, and queues again.
    options.append(f"--signal=B:USR1@{int(min(_BEFORE_THE_END, seconds_of(slurm.get('time')) / 10))}")
    named = {"gpus_per_node": "gpus-per-node", "time": "time", "partition": "partition", "account": "account"}
    options += [f"--{option}={slurm[key]}" for key, option in named.items() if key in slurm]
    return options + [word for line in slurm.get("sbatch", ()) for word in shlex.split(line)]


def seconds_of(time: str | None) -> float:
    """Return a limit of time in seconds; without end where there is none, or it is said otherwise."""
    found = _TIME.fullmatch(time or "")
    if found is None:
        return float("inf")
    days, *parts = (int(part) if part else 0 for part in found.groups())
    several = sum(part is not None for part in found.groups()[1:])
    units = (3600, 60, 1) if found["days"] or several == 3 else (60, 1, 0)
    return days * 86400 + sum(part * unit for part, unit in zip(parts, units))


def requeue_this() -> None:
    """Put the job that this process is in back into the queue, which ends it."""
    tool("scontrol", "requeue", os.environ["SLURM_JOB_ID"])


def ended(stage: QueuedStage, fingerprint: str) -> str | None:
    """
    Return what a stage's job has ended as, or `None` while it is in the queue: nothing where the stage is done, else why not.
    """
    artifact = Artifact.read(stage.folder)
    if artifact is not None and artifact.fingerprint == fingerprint and artifact.whole(stage.folder):
        return ""
    stage.gone = 0 if stage.job.live else stage.gone + 1
    if stage.gone < 3:  # files of another machine may come late
        return None
    state = stage.job.state or "not in the queue any more"
    error = read_progress(stage.folder).get("error")
    return f"job {stage.job.number} is {state}{f': {error}' if error else ''}"


def refuse_beside_jobs(run_dir: Path) -> None:
    """
    Refuse to run stages here while jobs of the same run are in the queue.

    Raises:
        [`~errors.MachineError`]: with their numbers.
    """
    if live := [job.number for job in live_jobs(run_dir).values()]:
        raise MachineError(
            f"{shown(run_dir)}: jobs {', '.join(live)} of this run are in the queue; expected none. `--launcher slurm` goes "
            f"on with them, `scancel {' '.join(live)}` ends them"
        )
