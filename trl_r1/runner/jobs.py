"""
A run whose stages are jobs of Slurm: from outside, where they are submitted and watched, and from inside each job.
"""

import os
import time
from dataclasses import replace

from ..errors import Interrupted
from ..recipe import shown
from ..scores import show_duration
from .directory import (
    read_attempt,
    retire,
)
from .finish import finish
from .launch import shell
from .plan import PlannedStage, State, make_plan, to_run
from .slurm import QueuedStage, ended, queue, requeue_this, submit
from .work import Run


_QUEUE_SECONDS = 2.0


class JobRun(Run):
    """The run of one stage in the job that was submitted for it: in a directory that other jobs use as well."""

    def prepare(self) -> None:
        """Move aside outputs that are to be made again; whoever has submitted the job has claimed the directory."""
        self.done = {stage.name for stage in self.planned if stage.state is State.DONE}
        for stage in to_run(self.planned):
            if stage.state is not State.RESUME:
                retire(self.run_dir, stage.name, stage.item.kind.paid if stage.item.kind else ())

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


class QueuedRun(Run):
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
