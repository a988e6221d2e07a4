"""A runner may be killed or interrupted at any moment: nothing is left running, and the same command goes on."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def at_work(toys, stage="a"):
    return wait_for((toys.run_dir / stage / "checkpoint.json").exists)


def test_a_killed_runner_leaves_no_process_behind(toys):
    toys.set("a", step_seconds=0.2, steps=100, workers=2, deaf=True)
    runner = toys.start()
    assert at_work(toys)
    assert len(toys.processes()) >= 4  # the supervisor, the stage and two workers in sessions of their own
    runner.kill()
    runner.wait()
    assert wait_for(lambda: not toys.processes(), 15), toys.processes()


def test_a_killed_group_leaves_no_process_behind(toys):
    toys.set("a", step_seconds=0.2, steps=100, workers=1)
    runner = toys.start()
    assert at_work(toys)
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait()
    assert wait_for(lambda: not toys.processes(), 15), toys.processes()


def test_what_a_killed_run_has_left_is_ended_before_the_next_begins(toys, capfd):
    """Runner and supervisor killed at once: the stage dies with its supervisor, workers in other sessions outlive both."""
    toys.set("a", step_seconds=0.05, steps=40, workers=2)
    runner = toys.start()
    assert at_work(toys)
    import psutil

    supervisor = psutil.Process(runner.pid).children()[0]
    runner.kill()
    supervisor.kill()
    runner.wait()
    assert wait_for(lambda: len(toys.processes()) == 2), toys.processes()
    assert toys.run() == 0
    assert "Ended 2 processes that an earlier run had left behind" in capfd.readouterr().out
    assert not toys.processes()


def test_a_supervisor_that_is_killed_is_a_stage_that_failed(toys):
    """As the kernel does it when memory runs out: the runner is there, and says so."""
    import psutil

    toys.set("a", step_seconds=0.05, steps=400, workers=2)
    runner = toys.start()
    assert at_work(toys)
    psutil.Process(runner.pid).children()[0].kill()
    _, err = runner.communicate(timeout=60)
    assert runner.returncode == 1
    assert "stage `a` was killed by SIGKILL (out of memory?)" in err
    assert not toys.processes()


def test_what_a_finished_stage_has_left_running_is_ended(toys):
    toys.set("a", workers=2)
    assert toys.run() == 0
    assert not toys.processes()


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(toys, tmp_path):
    for name in "abcd":
        toys.set(name, step_seconds=0.05, steps=12, workers=1)
    assert toys.run("--output-dir", str(tmp_path / "whole")) == 0
    whole = {path.parent.name: path.read_text() for path in (tmp_path / "whole").glob("*/metrics.json")}
    assert len(whole) == 4
    dice = random.Random(7)
    for _ in range(8):
        runner = toys.start("--parallel", "2")
        try:
            runner.wait(timeout=dice.uniform(0.6, 2.5))
        except subprocess.TimeoutExpired:
            runner.kill()
            runner.wait()
    runner = toys.start("--parallel", "2")
    out, err = runner.communicate(timeout=120)
    assert runner.returncode == 0, out + err
    assert toys.metrics() == whole
    assert not toys.processes()
    assert not (toys.run_dir / ".old").exists()  # nothing was made anew: all of it went on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_130_and_says_how_to_go_on(toys, number):
    toys.set("a", step_seconds=0.1, steps=20, workers=1)
    runner = toys.start()
    assert at_work(toys)
    runner.send_signal(number)
    out, err = runner.communicate(timeout=60)
    assert runner.returncode == 130, err
    assert "the same command again: trl-r1 run" in err
    assert "stopping a" in out
    assert "interrupted" in (toys.run_dir / "report.html").read_text()  # the page is this run's, not an earlier one's
    assert not toys.processes()
    assert toys.run() == 0
    assert "from step 0" not in (toys.run_dir / "a" / "log.txt").read_text().split("=== ")[-1]


def test_a_stage_that_does_not_listen_is_killed_after_the_grace(toys):
    toys.set("a", step_seconds=0.1, steps=300, deaf=True)
    runner = toys.start()
    assert at_work(toys)
    since = time.monotonic()
    runner.send_signal(signal.SIGINT)
    assert runner.wait(60) == 130
    assert time.monotonic() - since < 30
    assert not toys.processes()


def test_the_lock_goes_with_the_runner(toys):
    toys.set("a", step_seconds=0.2, steps=100)
    runner = toys.start()
    assert at_work(toys)
    runner.kill()
    runner.wait()
    toys.set("a", step_seconds=0.2, steps=100, fail_at_step=1)
    assert toys.run() == 1  # it ran: nobody holds the directory


def test_the_supervisor_passes_the_exit_code_on():
    supervisor = os.path.join(os.path.dirname(sys.modules["trl_r1"].__file__), "runner", "supervisor.py")

    def code_of(text):
        command = [sys.executable, "-I", supervisor, sys.executable, "-c", text]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        return process.wait(30)

    assert code_of("pass") == 0
    assert code_of("raise SystemExit(7)") == 7
    assert code_of("import os; os.kill(os.getpid(), 9)") == 137
