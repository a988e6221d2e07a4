"""
Start a stage in separate processes, and end it.
"""

import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..io import last_lines, read_json, write_text
from ..recipe import ResolvedStage
from ..recipe.records import now
from .configs import world_size
from .directory import CONFIG_FILE, STAGE_VARIABLE
from .node import PORT_VARIABLE
from .place import HERE, Place, command_of, free_port, stage_command, trains
from .servers import Servers, make_servers
from .supervisor import INTERRUPT, KILL, SAVE, TERMINATE


LOG_FILE = "log.txt"
PROGRESS_FILE = "progress.json"
GRACE_SECONDS = 10.0


def environment_of(item: ResolvedStage, folder: Path, place: Place = HERE) -> dict[str, str]:
    """
    Return the environment of a stage: the runner's, the config's `env:`, and the mark by which leftovers are found.

    The order of Python's sets is fixed, so that a resumed stage sees the order that it saw before.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.setdefault("PYTHONHASHSEED", "0")
    own = item.config.get("env")
    environment.update({key: str(value) for key, value in own.items()} if isinstance(own, dict) else {})
    environment[STAGE_VARIABLE] = str(folder.resolve())
    if item.tracked:  # what no key of a config says: one group for each run
        run_dir = folder.resolve().parent
        environment.setdefault("WANDB_PROJECT", item.project)
        environment.setdefault("WANDB_RUN_GROUP", run_dir.name)
        environment.setdefault("TENSORBOARD_LOGGING_DIR", str(run_dir / "tensorboard" / item.name))
        if item.kind and not item.kind.trains:  # its config has no such keys
            environment["TRL_R1_TRACKERS"] = json.dumps(item.tracking(run_dir))
    # The stage stops where it finds another number: several launches distribute nothing without a word.
    environment["TRL_R1_WORLD_SIZE"] = str(world_size(item))
    if place.nodes:
        environment[PORT_VARIABLE] = str(free_port())
        # The scheduler's SIGTERM reaches the launcher as well, which else kills its workers after 30 seconds.
        environment.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "86400")
    return environment


@dataclass
class RunningStage:
    """
    A stage that has been started; its servers first, where it has any.

    Args:
        item (`ResolvedStage`):
            Which.
        folder (`Path`):
            Its folder.
        command (`list[str]`):
            What it runs.
        environment (`dict[str, str]`):
            Its environment.
        servers ([`~runner.servers.Servers`]):
            Those beside it.
        process (`subprocess.Popen`, *optional*):
            Its supervisor; `None` while its servers do not answer.
        log_start (`int`):
            Where this attempt begins in the log, in bytes.
        started (`float`):
            When, by the monotonic clock.
        ended (`float`, *optional*):
            When it ended.
        trouble (`str`):
            What has ended it, where that is one of its servers.
    """

    item: ResolvedStage
    folder: Path
    command: list[str]
    environment: dict[str, str]
    servers: Servers
    process: subprocess.Popen[bytes] | None = None
    log_start: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    trouble: str = ""

    @property
    def name(self) -> str:
        return self.item.name

    @property
    def trains(self) -> bool:
        """Whether it saves a checkpoint when it gets SIGTERM."""
        return trains(self.item)

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started

    def poll(self) -> int | None:
        """See to the stage and its servers; return its exit code, or `None` while it runs."""
        if self.ended is None and not self.trouble and self.servers.several:
            ready = self.servers.poll()
            if self.servers.trouble:
                self.trouble = self.servers.trouble
                # What it asks for does not come: nothing is worth waiting for.
                self.ask(KILL) if self.process is not None else self._end()
            elif ready and self.process is None:
                self.launch()
        if self.process is None:
            return None if self.ended is None else 1
        code = self.process.poll()
        if code is not None and self.ended is None:
            with contextlib.suppress(OSError):
                if self.process.stdin is not None:
                    self.process.stdin.close()
            self._end()
        return code

    def _end(self) -> None:
        self.ended = time.monotonic()
        self.servers.end()

    def launch(self) -> None:
        """Start the stage itself."""
        supervisor = Path(__file__).with_name("supervisor.py")
        with open(self.folder / LOG_FILE, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(supervisor), *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, **self.servers.environment},
                bufsize=0,
                # A session of its own: what is sent to the runner's group (Ctrl-C, a closed terminal) stops at the runner.
                start_new_session=True,
            )

    def exit_code(self) -> int:
        """Return the code the stage ended with; behind `accelerate launch`, what it wrote about itself."""
        if self.process is None or self.trouble:
            return 1
        code = self.process.wait()
        if code:
            stated = read_progress(self.folder).get("exit_code")
            code = stated if isinstance(stated, int) and stated else code
        return code

    def ask(self, letter: bytes) -> None:
        """Ask the supervisor to interrupt, terminate or kill the stage; one that waits for its servers ends at once."""
        if self.process is None:
            self._end()
        elif self.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                os.write(self.process.stdin.fileno(), letter)

    def log_tail(self, lines: int = 20) -> list[str]:
        """Return the last lines that this attempt wrote; of a line that was overwritten, what was there last."""
        return self.servers.tail(lines) or last_lines(self.folder / LOG_FILE, lines, self.log_start)


def start(
    item: ResolvedStage, run_dir: Path, folder: Path, place: Place = HERE, say: Callable[[str], None] = print
) -> RunningStage:
    """
    Write a stage's config and start it.

    Args:
        item (`ResolvedStage`):
            The stage.
        run_dir (`Path`):
            The run.
        folder (`Path`):
            The stage's folder, which exists.
        place ([`~runner.place.Place`], *optional*):
            Where it runs; by default on this machine.
        say (`Callable`, *optional*):
            Where to say what becomes of its servers.

    Raises:
        [`~errors.MachineError`]: the allocation has too few nodes.
    """
    config_file = (folder / CONFIG_FILE).resolve()
    text = yaml.safe_dump(item.placed(run_dir.resolve()), sort_keys=False, allow_unicode=True)
    by_hand = shell(command_of(item, config_file))
    write_text(config_file, f"# Written by trl-r1. To run this stage by hand:\n#   {by_hand}\n{text}")
    (folder / PROGRESS_FILE).unlink(missing_ok=True)
    nodes, _ = place.divided(item)
    command, environment = stage_command(item, config_file, nodes), environment_of(item, folder, place)
    with open(folder / LOG_FILE, "a+b") as log:
        # What was killed may have left a line, such as a progress bar, without its end.
        log.seek(max(0, log.seek(0, os.SEEK_END) - 1))
        cut = log.read(1) not in (b"", b"\n")
        log.write(f"{chr(10) if cut else ''}=== {now()} {shell(command)}\n".encode())
        log.flush()
        log_start = log.tell()
    servers = make_servers(item, run_dir.resolve(), folder, place, environment, say)
    stage = RunningStage(item, folder, command, environment, servers, log_start=log_start)
    if servers.several:
        servers.start()
    else:
        stage.launch()
    return stage


def stop(running: list[RunningStage], grace_s: float | None, hurry: Callable[[], bool]) -> None:
    """
    End stages. A training is asked to save a checkpoint at the end of its optimizer step; others are interrupted, then
    terminated, then killed.

    Args:
        running (`list[RunningStage]`):
            What runs.
        grace_s (`float`, *optional*):
            Seconds until a stage is killed. By default 10, and for a training as long as it takes.
        hurry (`Callable[[], bool]`):
            Whether to kill at once: a second Ctrl-C.
    """
    saving = [stage for stage in running if stage.trains]
    others = [stage for stage in running if not stage.trains]
    for stage in saving:
        stage.ask(SAVE)
    begun = time.monotonic()
    for letter, share in ((INTERRUPT, 0.5), (TERMINATE, 1.0)):
        _end(others, letter, begun + share * (GRACE_SECONDS if grace_s is None else grace_s), hurry)
    _wait(saving, math.inf if grace_s is None else begun + grace_s, hurry)
    _end(running, KILL, time.monotonic() + 30.0, lambda: False)
    for stage in running:
        if stage.poll() is None and stage.process is not None:
            with contextlib.suppress(ProcessLookupError):
                stage.process.send_signal(signal.SIGKILL)


def _end(running: list[RunningStage], letter: bytes, until: float, hurry: Callable[[], bool]) -> None:
    """Ask for an end, and wait for it."""
    for stage in running:
        if stage.poll() is None:
            stage.ask(letter)
    _wait(running, until, hurry)


def _wait(running: list[RunningStage], until: float, hurry: Callable[[], bool]) -> None:
    while any(stage.poll() is None for stage in running) and time.monotonic() < until and not hurry():
        time.sleep(0.05)


def how_it_ended(code: int) -> str:
    """Return an exit code as a reader wants it: `was killed by SIGKILL (out of memory?)`."""
    number = -code if code < 0 else code - 128
    if number in list(signal.Signals):
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(number).name}{hint}"
    return f"ended with code {code}"


def read_progress(folder: Path) -> dict[str, Any]:
    """Return what a stage says about how far it is; empty where it has said nothing yet."""
    return read_json(folder / PROGRESS_FILE)


def shell(command: list[str]) -> str:
    """Return a command as it would be typed."""
    return shlex.join(["python" if part == sys.executable else part for part in command])
