"""Ctrl-C and SIGTERM: a training saves a checkpoint, however long its step takes; everything else has some seconds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trl_r1.runner import launch
from trl_r1.runner.launch import stop
from trl_r1.runner.supervisor import INTERRUPT, KILL, SAVE, TERMINATE


class Clock:
    """Time that passes by sleeping alone."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Stage:
    """Ends so long after it was asked, or when it is killed."""

    def __init__(self, clock: Clock, trains: bool, seconds: float):
        self.clock, self.trains, self.seconds = clock, trains, seconds
        self.asked: list[tuple[bytes, float]] = []

    @property
    def letters(self) -> list[bytes]:
        return [letter for letter, _ in self.asked]

    def ask(self, letter: bytes) -> None:
        self.asked.append((letter, self.clock.now))

    def poll(self) -> int | None:
        ended = self.asked and (KILL in self.letters or self.clock.now >= self.asked[0][1] + self.seconds)
        return 130 if ended else None


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(launch, "time", clock := Clock())
    return clock


def test_a_training_has_as_long_as_its_step_takes_and_others_have_ten_seconds(clock):
    training, deaf = Stage(clock, trains=True, seconds=5000), Stage(clock, trains=False, seconds=1e9)
    stop([training, deaf], None, lambda: False)
    assert training.letters == [SAVE]
    assert deaf.letters == [INTERRUPT, TERMINATE, KILL]
    assert clock.now == pytest.approx(5000, abs=0.1)


def test_a_second_ctrl_c_kills_at_once(clock):
    training = Stage(clock, trains=True, seconds=5000)
    stop([training], None, lambda: clock.now >= 100)
    assert training.letters == [SAVE, KILL]
    assert clock.now == pytest.approx(100, abs=0.1)


def test_a_grace_that_is_asked_for_holds_for_all(clock):
    stages = [Stage(clock, trains, seconds=5000) for trains in (True, False)]
    stop(stages, 4.0, lambda: False)
    assert [stage.asked[-1][0] for stage in stages] == [KILL, KILL]
    assert [letter for letter, when in stages[1].asked if when < 3.9] == [INTERRUPT, TERMINATE]
    assert clock.now == pytest.approx(4, abs=0.1)


# A launcher that has started a rank in a session of its own, which has started a helper.
LAUNCHER = """
import os, signal, subprocess, sys, time

who, folder = sys.argv[1], sys.argv[2]

def got(number, frame):
    open(os.path.join(folder, who + ".got"), "w").close()
    os._exit(0)

signal.signal(signal.SIGTERM, got)
children = {"launcher": "rank", "rank": "helper"}
child = None
if who in children:
    command = [sys.executable, "-c", sys.argv[3], children[who], folder, sys.argv[3]]
    child = subprocess.Popen(command, start_new_session=who == "launcher")
open(os.path.join(folder, who + ".ready"), "w").close()
while child is None or child.poll() is None:
    time.sleep(0.05)
"""


def test_only_the_ranks_are_asked_to_save(tmp_path):
    """A launcher would kill its workers after 30 seconds; a helper is needed until its rank has ended."""
    supervisor = os.path.join(os.path.dirname(launch.__file__), "supervisor.py")
    stage = [sys.executable, "-c", LAUNCHER, "launcher", str(tmp_path), LAUNCHER, "accelerate.commands.launch"]
    process = subprocess.Popen([sys.executable, "-I", supervisor, *stage], stdin=subprocess.PIPE)
    while not all((tmp_path / f"{who}.ready").exists() for who in ("launcher", "rank", "helper")):
        assert process.poll() is None
        time.sleep(0.02)
    process.stdin.write(SAVE)
    process.stdin.flush()
    assert process.wait(60) == 0
    assert [path.name for path in tmp_path.glob("*.got")] == ["rank.got"]


def test_a_stage_that_was_ended_from_outside_interrupts_the_run(toys, capfd):
    toys.set("a", exit_code=130)
    assert toys.run() == 130
    said = capfd.readouterr()
    assert "FAILED" not in said.out
    assert "interrupted; nothing that was finished is lost. To go on" in said.err
    assert json.loads(Path(toys.run_dir, "a", "started.json").read_text())["outcome"] == "interrupted"
