"""
The stages of one run at work: started in their order, watched, ended, written down.
"""

import contextlib
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, Interrupted
from ..io import write_text
from ..lineage import StageRecord
from ..recipe import Artifact, Recipe, shown
from ..recipe.records import now
from ..scores import show_duration
from ..signals import handled
from .directory import (
    Attempt,
    claim,
    end_leftovers,
    read_attempt,
    retire,
    write_attempt,
)
from .display import Display, clock, run_text, table
from .finish import finish, write_report
from .launch import LOG_FILE, RunningStage, how_it_ended, read_progress, shell, start, stop
from .mirror import Mirror
from .place import HERE, Place
from .plan import PlannedStage, State, counts, to_run
from .record import former_seconds, is_there, lost_seconds, make_artifact, recipe_text
from .slurm import QueuedStage


if TYPE_CHECKING:
    from .run import RunOptions

_POLL_SECONDS = 0.1
_DRAW_SECONDS = 0.5


@dataclass
class Run:
    """One run in one directory, whose lock is held."""

    recipe: Recipe
    planned: list[PlannedStage]
    run_dir: Path
    options: "RunOptions"
    display: Display
    place: Place = HERE
    mirror: Mirror | None = None
    running: list[RunningStage] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    results: dict[str, tuple[str, float]] = field(default_factory=dict)
    failed: list[tuple[RunningStage | QueuedStage, int, str]] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    stops: int = 0
    queue_again: bool = False
    since: float = field(default_factory=time.monotonic)
    former: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.former = {stage.name: former_seconds(self.run_dir, stage.name) for stage in to_run(self.planned)}

    def run(self) -> int:
        self.prepare()
        waiting = to_run(self.planned)
        worked = bool(waiting)
        try:
            self.work(waiting)
            self.summary(waiting)
            if self.failed:
                return self.report_failure()
            return self.finish(worked)
        finally:
            if self.mirror is not None:
                self.mirror.finish()

    def finish(self, worked: bool) -> int:
        left_out = any(stage.state is State.LEFT_OUT for stage in self.planned)
        return finish(self.recipe, self.run_dir, self.display, worked=worked, whole=not left_out)

    # --- before -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Claim the directory and move aside the outputs that are to be made again."""
        claim(self.run_dir, self.recipe, self.options.command)
        write_text(self.run_dir / "recipe.yaml", recipe_text(self.recipe))
        self.display.say(
            f"{self.recipe.name}, seed {self.recipe.seed}, in {shown(self.run_dir)}. {counts(self.planned)}"
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
                    kept = [name for name in stay if (self.run_dir / stage.name / name).exists()]
                    reason = f" ({stage.why})" if stage.why else ""
                    stays = f"; {', '.join(kept)} stays" if kept else ""
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
        place = f"stage {self.planned.index(stage) + 1} of {len(self.planned)}"
        self.display.say(f"{clock()} {stage.name}: started{how}, {place}; log: {shown(folder / LOG_FILE)}")

    def overall(self, left: list[float | None]) -> str:
        """Say how far the run is, of the seconds left of each stage that runs."""
        begun = {stage.name for stage in self.running} | self.done | self.results.keys()
        waiting = [self.former[stage.name] for stage in to_run(self.planned) if stage.name not in begun]
        return run_text(len(self.done), len(self.planned), time.monotonic() - self.since, left, waiting)

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
                drawn, ended = 0.0, False
                while self.running or (waiting and (keep_going or not self.failed)):
                    while len(self.running) < limit and (keep_going or not self.failed) and not self.stops:
                        ready = next((s for s in waiting if set(s.item.parents) <= self.done), None)
                        if ready is None:
                            break
                        waiting.remove(ready)
                        self.start(ready)
                    if ended:  # with the next stages at work
                        write_report(self.run_dir, self.display, quiet=True)
                        ended = False
                    if not self.running and not self.stops:
                        break  # what waits depends on what has failed
                    for stage in [stage for stage in self.running if stage.poll() is not None]:
                        self.end(stage)
                        ended = not self.stops and not keep_going  # a rehearsal has no page
                    if self.stops:
                        self.interrupt()
                    if time.monotonic() - drawn >= _DRAW_SECONDS:
                        self.display.update(self.running, self.overall)
                        if self.mirror is not None:
                            self.mirror.poll()
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
        if self.mirror is not None:
            self.mirror.push()
        self.results[stage.name] = ("done", attempt.wall_seconds)
        trains = stage.item.kind is not None and stage.item.kind.trains
        learned = StageRecord(stage.name, "", stage.folder).learned if trains else ""
        said = f"; {learned}" if learned else ""
        self.display.say(f"{clock()} {stage.name}: done in {show_duration(attempt.wall_seconds)}{said}")

    def signals(self) -> contextlib.AbstractContextManager[None]:
        """Count Ctrl-C and its like instead of dying of them; where they were switched off (`nohup`), leave them so."""

        def count(number: int, frame: Any) -> None:
            self.stops += 1
            self.queue_again |= number == signal.SIGUSR1

        hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        job = (signal.SIGUSR1,) if self.options.job else ()
        return handled(count, (signal.SIGINT, signal.SIGTERM, *hangup, *job))

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
        if self.stops == 1 and not self.options.job:  # whose time may be over at once
            write_report(self.run_dir, self.display, quiet=True)
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
        write_report(self.run_dir, self.display, quiet=True)
        for stage, _, reason in self.failed:
            tail = "\n".join(f"    {line}" for line in stage.log_tail())
            error = read_progress(stage.folder).get("error")
            reason = f"{reason}: {error}" if error else reason
            print(
                f"\nerror: stage `{stage.name}` {reason}\n  log: {shown(stage.folder / LOG_FILE)}\n  its last lines:\n{tail}",
                file=sys.stderr,
            )
        print(f"\nThe report so far: {shown(self.run_dir / 'report.html')}", file=sys.stderr)
        print("Fix it, then run the same command again: what is finished stays.", file=sys.stderr)
        return 2 if all(code == 2 for _, code, _ in self.failed) else 1
