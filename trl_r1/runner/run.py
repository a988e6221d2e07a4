"""
Run a recipe: its stages in their order, as many at once as allowed, each in separate processes.

What is done is not done again; what was interrupted goes on; what has changed runs again, and its old outputs are moved
aside. A run may be killed at any moment and started again by the same command.
"""

import contextlib
import errno
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, Interrupted, MachineError
from ..io import write_text
from ..recipe import Artifact, Recipe, ResolvedStage, shown
from ..recipe.records import now
from ..scores import show_duration
from .check import Checked, check
from .configs import world_size
from .directory import (
    LOCK_FILE,
    Attempt,
    check_owner,
    claim,
    end_leftovers,
    locked,
    read_attempt,
    retire,
    write_attempt,
)
from .display import Display, clock, data_table, table
from .figures import as_json, figures_text
from .finish import finish
from .launch import LOG_FILE, RunningStage, how_it_ended, read_progress, shell, start, stop
from .needs import lacking, refuse_lacking, to_run, unchecked
from .place import HERE, Place, command_of, place_of
from .plan import PlannedStage, State, make_plan
from .record import is_there, lost_seconds, make_artifact, recipe_text
from .sizes import Sizing, make_sizing
from .slurm import FOLDER, QueuedStage, ended, queue, refuse_beside_jobs, requeue_this, submit


_POLL_SECONDS = 0.1
_DRAW_SECONDS = 0.5
_QUEUE_SECONDS = 2.0


@dataclass
class RunOptions:
    """
    What `trl-r1 run` is asked for.

    Args:
        recipe (`str`):
            Path or name.
        output_dir (`Path`, *optional*):
            The run's directory; `runs/NAME` by default.
        seed (`int`, *optional*):
            In place of the recipe's.
        again_from (`list[str]`):
            Stages to run again, with all stages that depend on them.
        only (`list[str]`):
            Stages to run, and no others.
        overrides (`list[str]`):
            `stage.key=value`.
        dry_run (`bool`):
            Say what would run, and change nothing.
        data (`bool`):
            Of `trl-r1 plan`: fetch configs, tokenizers and data, and read data whole.
        gpus (`int`, *optional*), gpu_memory (`float`, *optional*, defaults to `80`), throughput (`Path`, *optional*):
            Of `trl-r1 plan`: GPUs of the machine, GiB of each, and a file of assumptions ([`~sizes.throughput`]).
        as_json (`bool`):
            Of `trl-r1 plan`: print the figures alone, in JSON.
        parallel (`int`, *optional*):
            How many stages at once, in place of the recipe's.
        launcher (`str`, *optional*):
            `"local"` or `"slurm"`, in place of the recipe's.
        detach (`bool`):
            Under Slurm: submit the stages and leave.
        job (`bool`):
            Whether this is the runner inside a job that another has submitted, for the one stage of `only`.
        mirror (`str`, *optional*):
            Folder or URL to which the run's directory is copied at every checkpoint, and from which it is taken first.
        grace_s (`float`, *optional*):
            Seconds that an interrupted stage has to end by itself. By default 10, and for a training as long as it takes
            to save a checkpoint at the end of its optimizer step.
        command (`list[str]`):
            The command, for the record and for the hint on how to go on.
        variant (`str`, *optional*):
            Name of a variant of the recipe, whose run is another run, in `runs/NAME-VARIANT` by default.
        change (`Callable`, *optional*):
            Makes a stage of the variant of one of the recipe.
    """

    recipe: str
    output_dir: Path | None = None
    seed: int | None = None
    again_from: list[str] = field(default_factory=list)
    only: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    dry_run: bool = False
    data: bool = False
    gpus: int | None = None
    gpu_memory: float = 80.0
    throughput: Path | None = None
    as_json: bool = False
    parallel: int | None = None
    launcher: str | None = None
    detach: bool = False
    job: bool = False
    mirror: str | None = None
    grace_s: float | None = None
    command: list[str] = field(default_factory=list)
    variant: str | None = None
    change: Callable[[ResolvedStage], ResolvedStage] | None = None


def plan(options: RunOptions) -> list[PlannedStage]:
    """
    Check a recipe and print what would run, changing nothing.

    Raises:
        `ConfigErrors`: everything found wrong.
    """
    display = Display()
    sizing = None
    if not options.dry_run:  # which does not say what GPUs there are
        sizing = make_sizing(options.gpus, options.gpu_memory, options.throughput, options.only)
    checked = _checked(options, sizing)
    recipe, run_dir = checked.recipe, checked.run_dir
    planned = make_plan(recipe, checked.stages, run_dir, only=options.only, again_from=options.again_from)
    if options.as_json:
        display.say(as_json(checked.records))
        return planned
    display.say(f"{recipe.name} ({shown(recipe.path)}), seed {recipe.seed}, in {shown(run_dir)}\n")
    rows = []
    for stage in planned:
        state = f"{stage.state.value} ({stage.why})" if stage.why else stage.state.value
        parents = ", ".join(stage.item.parents) or "-"
        rows.append([stage.name, stage.item.stage.kind, parents, str(world_size(stage.item)), state])
    display.say(table(["stage", "kind", "reads from", "processes", "state"], rows, right=[3]))
    if options.dry_run:
        display.say()
        for stage in to_run(planned):
            display.say(shell(command_of(stage.item, run_dir / stage.name / "config.yaml")))
    if sizing is not None and (figures := figures_text(checked.records, sizing)):
        display.say(f"\n{figures}")
    if options.data:
        display.say("\n" + data_table(checked.records))
    for head, found in (
        ("Off, since what it needs is not there (docs/recipes.md)", checked.recipe.off),
        ("Needs, and is not here (`trl-r1 run` would refuse to start)", lacking(checked, planned)),
        ("Not checked, being neither here nor cached (`trl-r1 plan --data` fetches it)", unchecked(checked)),
    ):
        if found:
            display.say(f"\n{head}:\n" + "\n".join(f"  - {text}" for text in found))
    display.say(f"\nThe recipe is in order. {_counts(planned)}")
    return planned


def _checked(options: RunOptions, sizing: Sizing | None = None) -> Checked:
    found = check(
        options.recipe,
        # A variant's directory is no directory of the recipe's.
        options.output_dir if options.variant is None else None,
        overrides=options.overrides,
        seed=options.seed,
        only=options.only,
        fetch=options.data,
        sizing=sizing,
        launcher=options.launcher,
    )
    if options.variant is None:
        return found
    recipe = replace(found.recipe, name=f"{found.recipe.name}-{options.variant}")
    run_dir = options.output_dir or found.run_dir.with_name(f"{found.run_dir.name}-{options.variant}")
    if (owner := check_owner(run_dir, recipe)) is not None:
        raise owner
    stages = [options.change(item) for item in found.stages] if options.change else found.stages
    return replace(found, recipe=recipe, run_dir=run_dir, stages=stages)


def _counts(planned: list[PlannedStage]) -> str:
    done = sum(stage.state is State.DONE for stage in planned)
    return f"{done} of {len(planned)} stages are done, {len(to_run(planned))} to run."


def run(options: RunOptions) -> int:
    """
    Run a recipe.

    Args:
        options (`RunOptions`):
            What is asked for.

    Returns:
        `int`: 0 when all that was asked for is done; 1 when a stage failed, or 2 when it refused its config or data.

    Raises:
        `ConfigErrors`: the recipe is wrong; nothing was run.
        `MachineError`: this machine lacks what a stage needs, another runner is in the directory, or the disk is full.
        `Interrupted`: the user stopped the run.
    """
    if options.dry_run:
        plan(options)
        return 0
    display = Display()
    checked = _checked(options)
    recipe, stages, run_dir = checked.recipe, checked.stages, checked.run_dir
    place = place_of(checked.launcher)
    in_queue = checked.launcher == "slurm" and not place.nodes
    asked = make_plan(recipe, stages, run_dir, only=options.only, again_from=options.again_from)
    if not in_queue:  # what starts the jobs needs nothing of what they need
        refuse_lacking(checked, asked)
    if not options.job and checked.launcher == "local":
        refuse_beside_jobs(run_dir)
    try:
        # A job is one of several in the directory. It may find the one that it was before not quite ended.
        own = (f"{FOLDER}/{options.only[0]}.lock", 300.0) if options.job else (LOCK_FILE, 0.0)
        with locked(run_dir, *own):
            # Under Slurm what runs on this machine may be another job's.
            mine = [run_dir / name for name in options.only] if options.job else [] if in_queue else [run_dir]
            left = [process for folder in mine for process in end_leftovers(folder)]
            if left:
                display.say(f"Ended {len(left)} processes that an earlier run had left behind.")
            planned = make_plan(recipe, stages, run_dir, only=options.only, again_from=options.again_from)
            kind = _QueuedRun if in_queue else _JobRun if options.job else _Run
            return kind(recipe, planned, run_dir, options, display, place).run()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MachineError(
                f"{shown(run_dir)}: no space left on the disk ({error}); expected room for the run. Finished stages are "
                "whole: make room, then run the same command again"
            ) from None
        raise


@dataclass
class _Run:
    """One run in one directory, whose lock is held."""

    recipe: Recipe
    planned: list[PlannedStage]
    run_dir: Path
    options: RunOptions
    display: Display
    place: Place = HERE
    running: list[RunningStage] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    results: dict[str, tuple[str, float]] = field(default_factory=dict)
    failed: list[tuple[RunningStage | QueuedStage, int, str]] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    stops: int = 0
    queue_again: bool = False
    since: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        self.prepare()
        waiting = to_run(self.planned)
        worked = bool(waiting)
        self.work(waiting)
        self.summary(waiting)
        if self.failed:
            return self.report_failure()
        return self.finish(worked)

    def finish(self, worked: bool) -> int:
        left_out = any(stage.state is State.LEFT_OUT for stage in self.planned)
        return finish(self.recipe, self.run_dir, self.display, worked=worked, whole=not left_out)

    # --- before -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Claim the directory and move aside the outputs that are to be made again."""
        claim(self.run_dir, self.recipe, self.options.command)
        write_text(self.run_dir / "recipe.yaml", recipe_text(self.recipe))
        self.display.say(
            f"{self.recipe.name}, seed {self.recipe.seed}, in {shown(self.run_dir)}. {_counts(self.planned)}"
        )
        for line in self.recipe.off:
            self.display.say(f"off: {line}")
        for stage in self.planned:
            if stage.state is State.DONE:
                self.done.add(stage.name)
                artifact = Artifact.read(self.run_dir / stage.name)
                self.results[stage.name] = ("done before", artifact.wall_seconds if artifact else 0.0)
            elif stage.state in (State.AGAIN, State.RUN):
                stay = stage.item.kind.paid if stage.item.kind else ()
                place = retire(self.run_dir, stage.name, stay)
                if place is not None:
                    reason = f" ({stage.why})" if stage.why else ""
                    kept = [name for name in stay if (self.run_dir / stage.name / name).exists()]
                    stays = f"; {', '.join(f'{name}/' for name in kept)} stays" if kept else ""
                    self.display.say(
                        f"{clock()} {stage.name}: runs again{reason}; its old outputs are in {shown(place)}{stays}"
                    )

    def start(self, stage: PlannedStage) -> None:
        folder = self.run_dir / stage.name
        folder.mkdir(exist_ok=True)
        before = read_attempt(folder)
        attempt = Attempt(stage.fingerprint, now(), begun=time.time())
        if before is not None and before.fingerprint == stage.fingerprint:
            spent = before.wall_seconds + (lost_seconds(before, folder) if before.outcome is None else 0.0)
            attempt = replace(attempt, started=before.started, attempts=before.attempts + 1, wall_seconds=spent)
        write_attempt(folder, attempt)
        self.running.append(start(stage.item, self.run_dir, folder, self.place, self.note))
        how = f", goes on (attempt {attempt.attempts})" if attempt.attempts > 1 else ""
        self.display.say(f"{clock()} {stage.name}: started{how}; log: {shown(folder / LOG_FILE)}")

    def note(self, text: str) -> None:
        self.display.say(f"{clock()} {text}")

    # --- while ------------------------------------------------------------------------------------------------------

    def work(self, waiting: list[PlannedStage], *, keep_going: bool = False) -> None:
        """
        Run stages until none is left, or one has failed.

        Args:
            waiting (`list[PlannedStage]`):
                What is to run; each is taken out when it is started.
            keep_going (`bool`, *optional*, defaults to `False`):
                Whether a stage that has failed stops only those that depend on it.
        """
        # In an allocation each stage has all nodes.
        limit = 1 if self.place.nodes else max(1, self.options.parallel or self.recipe.parallel)
        with self.signals():
            try:
                drawn = 0.0
                while self.running or (waiting and (keep_going or not self.failed)):
                    while len(self.running) < limit and (keep_going or not self.failed) and not self.stops:
                        ready = next((s for s in waiting if set(s.item.parents) <= self.done), None)
                        if ready is None:
                            break
                        waiting.remove(ready)
                        self.start(ready)
                    if not self.running and not self.stops:
                        break  # what waits depends on what has failed
                    for stage in [stage for stage in self.running if stage.poll() is not None]:
                        self.end(stage)
                    if self.stops:
                        self.interrupt()
                    if time.monotonic() - drawn >= _DRAW_SECONDS:
                        self.display.update(self.running)
                        drawn = time.monotonic()
                    time.sleep(_POLL_SECONDS)
            finally:
                if self.running:  # an error of the runner's own: leave nothing behind
                    stop(self.running, self.options.grace_s, lambda: self.stops > 1)

    def end(self, stage: RunningStage) -> None:
        self.running.remove(stage)
        self.display.forget(stage.name)
        code = stage.exit_code()
        if code == Interrupted.exit_code:  # whoever asked it to end, with a checkpoint
            self.stops = max(1, self.stops)
        if code < 0:  # the supervisor itself was killed, and could not end its processes
            end_leftovers(stage.folder)
        planned = next(p for p in self.planned if p.name == stage.name)
        attempt = read_attempt(stage.folder) or Attempt(planned.fingerprint)
        attempt = replace(attempt, wall_seconds=round(attempt.wall_seconds + stage.seconds, 3))
        missing = [] if code else [name for name in stage.item.outputs if not is_there(stage.folder / name)]
        if code or missing:
            reason = stage.trouble or how_it_ended(code) if code else f"ended well, but left no {', '.join(missing)}"
            write_attempt(stage.folder, replace(attempt, outcome="interrupted" if self.stops else "failed"))
            if not self.stops and code != ConfigError.exit_code and self.tried[stage.name] < stage.item.stage.retries:
                self.tried[stage.name] += 1
                left = stage.item.stage.retries - self.tried[stage.name]
                self.note(f"{stage.name}: FAILED, {reason}; it is started again (`retries`: {left} left)")
                self.start(planned)
            elif not self.stops:
                self.failed.append((stage, code, reason))
                self.results[stage.name] = ("failed", attempt.wall_seconds)
                self.display.say(f"{clock()} {stage.name}: FAILED, {reason}")
            return
        prints = {p.name: p.fingerprint for p in self.planned}
        parents = {parent: prints[parent] for parent in stage.item.parents}
        make_artifact(planned, stage.folder, attempt, parents).write(stage.folder)
        write_attempt(stage.folder, attempt)
        self.done.add(stage.name)
        self.results[stage.name] = ("done", attempt.wall_seconds)
        self.display.say(f"{clock()} {stage.name}: done in {show_duration(attempt.wall_seconds)}")

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Count Ctrl-C and its like instead of dying of them; where they were switched off (`nohup`), leave them so."""
        before: dict[int, Any] = {}

        def count(number: int, frame: Any) -> None:
            self.stops += 1
            self.queue_again |= number == signal.SIGUSR1

        job = (signal.SIGUSR1,) if self.options.job else ()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *job):
            with contextlib.suppress(ValueError):  # not the main thread
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                before[number] = signal.signal(number, count)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def interrupt(self) -> None:
        names = ", ".join(stage.name for stage in self.running)
        if names:
            self.display.say(f"{clock()} stopping {names}; once more to kill at once")
        if self.options.grace_s is None and any(stage.trains for stage in self.running):
            self.display.say(
                f"{clock()} a training saves a checkpoint at the end of its step, however long that takes"
            )
        stop(self.running, self.options.grace_s, lambda: self.stops > 1)
        for stage in list(self.running):
            self.end(stage)
        again = [part for part in self.options.command if part]
        raise Interrupted(
            f"interrupted; nothing that was finished is lost. To go on, the same command again: {shell(again)}"
            if again and not self.options.again_from
            else "interrupted; nothing that was finished is lost. To go on, run it again (without --from)"
        )

    # --- after ------------------------------------------------------------------------------------------------------

    def summary(self, waiting: list[PlannedStage]) -> None:
        self.display.update([])
        rows = []
        for stage in self.planned:
            status = "not run" if stage in waiting else stage.state.value
            took = "-"
            if stage.name in self.results:
                status, seconds = self.results[stage.name]
                took = show_duration(seconds)
            rows.append([stage.name, stage.item.stage.kind, status, took])
        self.display.say("\n" + table(["stage", "kind", "status", "wall time"], rows, right=[3]))
        total = sum(seconds for _, seconds in self.results.values())
        took = show_duration(time.monotonic() - self.since)
        self.display.say(f"\nThis run took {took}; all stages together {show_duration(total)}.")

    def report_failure(self) -> int:
        for stage, _, reason in self.failed:
            tail = "\n".join(f"    {line}" for line in stage.log_tail())
            error = read_progress(stage.folder).get("error")
            reason = f"{reason}: {error}" if error else reason
            print(
                f"\nerror: stage `{stage.name}` {reason}\n  log: {shown(stage.folder / LOG_FILE)}\n  its last lines:\n{tail}",
                file=sys.stderr,
            )
        print("\nFix it, then run the same command again: what is finished stays.", file=sys.stderr)
        return 2 if all(code == 2 for _, code, _ in self.failed) else 1


class _JobRun(_Run):
    """The run of one stage in the job that was submitted for it: in a directory that other jobs use as well."""

    def prepare(self) -> None:
        """Move aside outputs that are to be made again; whoever has submitted the job has claimed the directory."""
        self.done = {stage.name for stage in self.planned if stage.state is State.DONE}
        for stage in to_run(self.planned):
            if stage.state is not State.RESUME:
                retire(self.run_dir, stage.name)

    def summary(self, waiting: list[PlannedStage]) -> None:
        """Nothing: whoever has submitted the job says what became of it."""

    def work(self, waiting: list[PlannedStage], *, keep_going: bool = False) -> None:
        try:
            super().work(waiting, keep_going=keep_going)
        except Interrupted:
            if self.queue_again:
                self.note(f"job {os.environ['SLURM_JOB_ID']} goes back into the queue")
                requeue_this()
            raise

    def finish(self, worked: bool) -> int:
        """Complete the run where this was its last stage."""
        planned = make_plan(self.recipe, [stage.item for stage in self.planned], self.run_dir)
        whole = all(stage.state is State.DONE for stage in planned)
        return finish(self.recipe, self.run_dir, self.display, worked=worked, whole=whole)


class _QueuedRun(_Run):
    """A run whose stages are jobs: submitted, watched until they have ended, never started here."""

    def work(self, waiting: list[PlannedStage], *, keep_going: bool = False) -> None:
        stages = submit(list(waiting), self.recipe, self.run_dir, self.options)
        for name, stage in stages.items():
            self.note(f"{name}: job {stage.job.number}")
        if self.options.detach:
            return
        prints = {stage.name: stage.fingerprint for stage in self.planned}
        with self.signals():
            while stages and not self.stops:
                jobs = queue(self.run_dir)
                for name, stage in list(stages.items()):
                    stage.job = jobs[name]
                    why = ended(stage, prints[name])
                    if why is None:
                        continue
                    del stages[name]
                    waiting[:] = [each for each in waiting if each.name != name]
                    self.say_how_it_ended(stage, why)
                running = [stage for stage in stages.values() if stage.job.state == "RUNNING"]
                self.display.update(running)
                time.sleep(_QUEUE_SECONDS if stages else 0.0)
        if self.stops:
            numbers = " ".join(stage.job.number for stage in stages.values())
            again = shell([part for part in self.options.command if part])
            raise Interrupted(
                f"no longer waiting; the jobs go on. `{again}` waits for them again, `scancel {numbers}` ends them"
            )

    def finish(self, worked: bool) -> int:
        """Show the evaluation; the job that was the last has written the report, and pushed."""
        if self.options.detach:
            self.display.say(f"\nSubmitted; `trl-r1 status {shown(self.run_dir)}` says how far it is.")
            return 0
        whole = not any(stage.state is State.LEFT_OUT for stage in self.planned)
        return finish(replace(self.recipe, hub=None), self.run_dir, self.display, worked=False, whole=whole)

    def say_how_it_ended(self, stage: QueuedStage, why: str) -> None:
        attempt = read_attempt(stage.folder)
        seconds = attempt.wall_seconds if attempt else 0.0
        self.display.forget(stage.name)
        if why:
            self.failed.append((stage, 1, why))
            self.results[stage.name] = ("failed", seconds)
            self.note(f"{stage.name}: FAILED, {why}")
        else:
            self.done.add(stage.name)
            self.results[stage.name] = ("done", seconds)
            self.note(f"{stage.name}: done in {show_duration(seconds)}")
