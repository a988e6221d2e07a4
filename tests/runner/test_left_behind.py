"""What a run has left behind is its own: neither the processes nor the files of another run are touched."""

import os
import subprocess
import sys

import pytest

from trl_r1.runner.directory import STAGE_VARIABLE, Attempt, end_leftovers
from trl_r1.runner.record import lost_seconds


@pytest.fixture
def left_behind():
    """Start a process as a stage of a run would, and end it in the end."""
    started = []

    def start(folder) -> subprocess.Popen:
        command = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
        environment = {**os.environ, STAGE_VARIABLE: str(folder)}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
        started[-1].stdout.readline()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_processes_of_a_run_whose_name_begins_alike_are_left_alone(tmp_path, left_behind):
    run, other = tmp_path / "r1", tmp_path / "r1-seed2"
    own, own_stage, others = left_behind(run), left_behind(run / "a"), left_behind(other / "a")
    assert end_leftovers(run / "a2") == []
    assert end_leftovers(run) == sorted([own.pid, own_stage.pid])
    assert others.poll() is None
    assert end_leftovers(other) == [others.pid]


def test_the_time_of_an_attempt_that_was_killed_ends_with_its_log(tmp_path):
    log = tmp_path / "log.txt"
    attempt = Attempt("print", begun=1000.0)
    assert lost_seconds(attempt, tmp_path) == 0.0  # there is no log
    log.write_text("a line")
    os.utime(log, (1060.0, 1060.0))
    assert lost_seconds(attempt, tmp_path) == 60.0
    assert lost_seconds(Attempt("print", begun=2000.0), tmp_path) == 0.0  # the log is of an attempt before
    assert lost_seconds(Attempt("print"), tmp_path) == 0.0  # nothing says when it began
