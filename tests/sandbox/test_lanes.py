"""Lanes: how many, whose, and what is left of them."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trl_r1.errors import MachineError
from trl_r1.sandbox import Limits, Sandbox, Submission, read_row
from trl_r1.sandbox.jail import descendants_of
from trl_r1.sandbox.lane import LaneFailure, measured
from trl_r1.sandbox.pool import LanePool

from .conftest import SMALL, why_no_jail


GOOD = Submission("def f(x):\n    return 2 * x\n", read_row("assert f(1) == 2").tests)
BAD = Submission("def f(x):\n    return 3 * x\n", read_row("assert f(1) == 2").tests)


def verdicts(found) -> list[list[str]]:
    return [[result.verdict for result in results] for results in found]


def test_the_verdicts_of_eight_lanes_are_those_of_one(jailed):
    """Also where a program comes near to its limits: what counts is its own CPU time, not how busy the machine is."""
    busy = "def f(x):\n    import time\n    while time.process_time() < 0.3:\n        pass\n    return 2 * x\n"
    late = "def f(x):\n    while True:\n        pass\n"
    large = "def f(x):\n    a = bytearray(80 << 20)\n    return 2 * x\n"
    huge = "def f(x):\n    a = bytearray(300 << 20)\n    return 2 * x\n"
    asleep = "def f(x):\n    import time\n    time.sleep(0.3)\n    return 2 * x\n"
    some = [GOOD, BAD, *(Submission(source, GOOD.tests) for source in (busy, late, large, huge, asleep))] * 2
    limits = Limits(1.0, 2.0, 128 << 20, 16, 1 << 20, 8 << 20)
    one = verdicts(Sandbox(limits, lanes=1).judge(some))
    eight = verdicts(Sandbox(limits, lanes=8).judge(some))
    expected = [["passed"], ["wrong_answer"], ["passed"], ["time_limit"], ["passed"], ["memory_limit"], ["passed"]]
    assert one == expected * 2
    assert eight == one


def test_threads_share_the_lanes(jailed):
    sandbox, found = Sandbox(SMALL, lanes=2), []
    threads = [threading.Thread(target=lambda: found.append(sandbox.judge([GOOD, BAD] * 3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [verdicts(one) for one in found] == [[["passed"], ["wrong_answer"]] * 3] * 4
    assert len(sandbox._pool()._all) <= 2


def test_it_works_inside_a_running_event_loop(small):
    async def judged():
        inside = small.judge([GOOD])
        return verdicts(inside + await asyncio.to_thread(small.judge, [BAD]))

    assert asyncio.run(judged()) == [["passed"], ["wrong_answer"]]


def test_a_lane_outlives_the_thread_that_started_it(jailed):
    sandbox = Sandbox(Limits(cpu_seconds=0.75), lanes=1)
    thread = threading.Thread(target=sandbox.judge, args=([GOOD],))
    thread.start()
    thread.join(60)
    (lane,) = sandbox._pool()._idle
    fork_server = lane.jail().pid
    time.sleep(0.1)
    assert verdicts(sandbox.judge([GOOD])) == [["passed"]]
    assert lane.jail().pid == fork_server


def test_a_forked_process_starts_lanes_of_its_own_and_leaves_ours_alone(small):
    small.judge([GOOD])
    (lane,) = small._pool()._idle
    ours = lane.jail().pid
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = repr((verdicts(small.judge([GOOD, BAD])), small._pool()._idle[0].jail().pid != ours))
            small._pool().close()
        except BaseException as error:
            answer = repr(error)
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 10_000).decode()
    os.close(read)
    os.waitpid(child, 0)
    assert said == repr(([["passed"], ["wrong_answer"]], True))
    assert verdicts(small.judge([GOOD])) == [["passed"]]
    assert small._pool()._idle[0].jail().pid == ours


def run_python(program: str, **more) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd(), **more
    )


PROGRAM = """
import os, sys
from trl_r1.sandbox import Limits, Sandbox, Submission, read_row
from trl_r1.sandbox.jail import descendants_of
sandbox = Sandbox(Limits(cpu_seconds=100.0, wall_seconds=100.0), lanes=1)
tests = read_row("assert f(1) == 2").tests
sandbox.judge([Submission("def f(x): return 2 * x", tests)])
lane, = sandbox._pool()._idle
print(*descendants_of(os.getpid()), flush=True)
"""


def comes_true(condition: Callable[[], bool], patience_s: float = 60.0) -> bool:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def gone(pids: list[int]) -> bool:
    return comes_true(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_left_when_the_caller_ends(jailed):
    process = run_python(PROGRAM)
    pids = [int(pid) for pid in process.communicate(timeout=60)[0].split()]
    assert process.returncode == 0
    assert len(pids) >= 3
    assert gone(pids)


def test_nothing_is_left_when_the_caller_is_killed_in_the_middle_of_a_test(jailed):
    process = run_python(PROGRAM + "sandbox.judge([Submission('import time\\ntime.sleep(1000)', tests)])")
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) >= 3
    assert comes_true(lambda: len(descendants_of(process.pid)) > len(pids)), "the test does not run"
    running = descendants_of(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    assert gone(running)


def test_a_lane_that_breaks_is_replaced_and_the_program_judged(small):
    small.judge([GOOD])
    (lane,) = small._pool()._idle
    os.kill(lane.jail().pid, 9)
    assert verdicts(small.judge([GOOD, BAD])) == [["passed"], ["wrong_answer"]]
    assert small._pool()._idle[0] is not lane


def test_what_fails_twice_is_a_failure_of_the_sandbox_and_harms_no_other():
    pool, calls = LanePool("none", (), (), 1), []

    def work(lane, number):
        calls.append((number, lane))
        if number == 1:
            raise LaneFailure("broken")
        return "fine"

    first, second, third = pool.each(work, 3)
    assert (first, third) == ("fine", "fine")
    assert isinstance(second, LaneFailure)
    assert [number for number, _ in calls] == [0, 1, 1, 2]
    assert calls[1][1] is not calls[2][1]


def test_a_program_whose_lane_fails_twice_has_no_verdict_but_that(small, monkeypatch):
    def broken(self, *args, **kwargs):
        raise LaneFailure("broken")

    monkeypatch.setattr("trl_r1.sandbox.lane.Lane.run", broken)
    assert verdicts(small.judge([GOOD])) == [["sandbox_failure"]]


@pytest.mark.parametrize(("ranks", "cores", "lanes"), [("1", 8, 8), ("4", 8, 2), ("8", 2, 1)])
def test_ranks_of_one_machine_share_its_cores(monkeypatch, ranks, cores, lanes):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert LanePool("none", ()).size == lanes


def test_without_bubblewrap_it_refuses_and_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("trl_r1.pools._SHARED", {})
    with pytest.raises(MachineError, match=r"no `bwrap`.*apt-get install bubblewrap.*isolation: none"):
        Sandbox(SMALL).judge([GOOD])


def test_where_bubblewrap_may_not_make_namespaces_it_refuses_and_says_why(monkeypatch, tmp_path):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("trl_r1.pools._SHARED", {})
    with pytest.raises(MachineError, match=r"No permissions to create a new namespace.*user namespaces"):
        Sandbox(SMALL).judge([GOOD])


def test_isolation_none_runs_programs_without_a_jail_and_cleans_up():
    sandbox = Sandbox(SMALL, isolation="none", lanes=1)
    assert verdicts(sandbox.judge([GOOD, BAD])) == [["passed"], ["wrong_answer"]]
    files = Submission("def f(x):\n    open('a', 'w').close()\n    return 2\n", GOOD.tests)
    slow = Submission("def f(x):\n    while True:\n        pass\n", GOOD.tests)
    assert verdicts(sandbox.judge([files, slow])) == [["passed"], ["time_limit"]]
    (lane,) = sandbox._pool()._idle
    directory = Path(lane.jail()._directory)
    assert list(directory.iterdir()) == []
    sandbox._pool().close()
    assert not directory.exists()


def test_a_process_computes_where_any_of_its_threads_does():
    program = "import threading, time\ndef f():\n    while True: pass\nthreading.Thread(target=f, daemon=True).start()\ntime.sleep(600)"
    process = subprocess.Popen([sys.executable, "-S", "-c", program])
    try:
        assert comes_true(lambda: (seen := measured([process.pid]))[0] > 0.2 and seen[2])
    finally:
        process.kill()
        process.wait()
    waiting = subprocess.Popen(["sleep", "600"])
    try:
        assert comes_true(lambda: not measured([waiting.pid])[2])
    finally:
        waiting.kill()
        waiting.wait()


def test_a_jail_is_the_default():
    assert Sandbox().isolation == "jail"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_an_ordinary_user_can_build_it_too(jailed):
    program = "/usr/bin/python3"
    if not os.access(program, os.X_OK):
        pytest.skip("needs a Python that every user may run")
    source = """
import sys
sys.path.insert(0, {path!r})
from trl_r1.sandbox import Sandbox, Submission, read_row
tests = read_row("assert f() == [1000, []]").tests
print(Sandbox(lanes=1).judge([Submission("import os\\ndef f(): return [os.getuid(), os.listdir('/tmp')]", tests)]))
"""
    import shutil
    import tempfile

    import trl_r1

    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        shutil.copytree(Path(trl_r1.__file__).parent, Path(folder, "trl_r1"), ignore=shutil.ignore_patterns("*.pyc"))
        os.chmod(folder, 0o755)
        done = subprocess.run(
            [program, "-c", source.format(path=folder)],
            capture_output=True,
            text=True,
            cwd="/",
            user=65534,
            group=65534,
            extra_groups=[],
            env={"PATH": os.environ["PATH"]},
            timeout=120,
        )
    if "the sandbox cannot be started" in done.stderr:
        pytest.skip(f"ordinary users may not: {done.stderr.strip().splitlines()[-1][:200]}")
    assert "verdict='passed'" in done.stdout, done.stdout + done.stderr


def test_the_reason_for_skipping_is_a_reason():
    assert why_no_jail() == "" or "sandbox cannot be started" in why_no_jail()
