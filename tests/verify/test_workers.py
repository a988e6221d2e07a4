"""Workers can be killed, and nothing but the pair that kills them is lost."""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from trl_r1.cores import cores_of_rank
from trl_r1.verify import equivalent, judge
from trl_r1.verify.fork_server import receive_record, send_record
from trl_r1.verify.pool import WorkerPool, default_pool

from .hard import HARD


# Each needs a worker, and none is asked about elsewhere: verdicts are remembered.
def pairs(salt: int, count: int = 8) -> list[tuple[str, str]]:
    numbers = [1000 * salt + k + 10 for k in range(count)]
    return [(rf"\binom{{{n}}}{{2}}", str(n * (n - 1) // 2)) for n in numbers]


def wrong(salt: int) -> tuple[str, str]:
    return (rf"\binom{{{salt + 5}}}{{2}}", rf"\binom{{{salt + 6}}}{{2}}")


HANGS = "9^{9^{9^{9}}}"


@pytest.mark.slow
def test_hard_expressions_end_at_their_deadline_and_harm_no_other_answer():
    deadline = 0.5
    asked, expected = [], []
    for i, expression in enumerate(HARD.values()):
        asked += [("x^2 + 1", expression), *pairs(100 + i, 2), wrong(100 + i)]
        expected += [None, True, True, False]
    started = psutil.Process(_server_pid()).cpu_times()
    verdicts = judge(asked, deadline_cpu_seconds=deadline)
    for i, verdict in enumerate(verdicts):
        if expected[i] is None:
            assert verdict in (None, False)  # none of them is x^2 + 1
        else:
            assert verdict is expected[i], asked[i]
    lost = sum(verdict is None for verdict in verdicts)
    assert lost >= 8  # so that the deadline was put to the test
    judge(pairs(99, 1))
    ended = psutil.Process(_server_pid()).cpu_times()
    spent = (ended.children_user + ended.children_system) - (started.children_user + started.children_system)
    # Workers that served other pairs before they were lost bring that time with them.
    assert spent < lost * (deadline + 0.2) + 0.15 * len(asked)


def test_a_pair_that_hangs_is_none_and_is_remembered():
    assert judge([("4", HANGS)], deadline_cpu_seconds=0.3) == [None]
    started = time.process_time()
    assert judge([("4", HANGS)] * 16, deadline_cpu_seconds=0.3) == [None] * 16
    assert time.process_time() - started < 0.05


def test_equal_pairs_of_a_batch_are_judged_once():
    pool = default_pool()
    handed = []
    run = pool.run
    pool.run = lambda tasks, workers=None: handed.extend(tasks) or run(tasks, workers)
    try:
        pair = pairs(1, 1)[0]
        assert judge([pair] * 16) == [True] * 16
    finally:
        del pool.run
    assert len(handed) == 1


def test_a_killed_worker_costs_its_pair_only():
    pool = WorkerPool(1)
    try:
        assert pool.run([(*wrong(2), 2.0)]) == [False]
        victim = next(iter(pool._all)).pid
        killer = threading.Timer(0.3, lambda: os.kill(victim, signal.SIGKILL))
        killer.start()
        tasks = [("4", HANGS, 60.0), *[(*pair, 2.0) for pair in pairs(2)]]
        assert pool.run(tasks) == [None] + [True] * 8
    finally:
        pool.close()


def is_running(process: int) -> bool:
    """Whether a process is there and has not ended, maybe unreaped."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_fork_server_is_replaced():
    pool = WorkerPool(1)
    try:
        assert pool.run([(*wrong(3), 2.0)]) == [False]
        killed = [pool._server.pid, *(worker.pid for worker in pool._all)]
        for process in killed:
            os.kill(process, signal.SIGKILL)
        while any(is_running(process) for process in killed):
            time.sleep(0.01)
        assert pool.run([(*pair, 2.0) for pair in pairs(3)]) == [True] * 8
    finally:
        pool.close()


def test_a_fork_server_that_does_not_answer_is_replaced(monkeypatch):
    pool = WorkerPool(2)
    try:
        assert pool.run([(*wrong(5), 2.0)]) == [False]
        stopped = pool._server.pid
        assert pool._control.gettimeout()
        pool._control.settimeout(0.5)  # of this one; the next has the time that it needs
        os.kill(stopped, signal.SIGSTOP)
        monkeypatch.setattr(pool, "_idle", [])
        assert pool.run([(*pair, 2.0) for pair in pairs(5)]) == [True] * 8
        assert not is_running(stopped)
    finally:
        pool.close()


def test_the_wall_limit_ends_a_worker_that_uses_no_cpu(monkeypatch):
    monkeypatch.setattr("trl_r1.verify.pool.wall_limit", lambda deadline: 0.5)
    pool = WorkerPool(1)
    try:
        assert pool.run([(*wrong(4), 2.0)]) == [False]
        os.kill(next(iter(pool._all)).pid, signal.SIGSTOP)
        started = time.monotonic()
        assert pool.run([(*pairs(4, 1)[0], 2.0), (*pairs(4, 2)[1], 2.0)]) == [None, True]
        assert time.monotonic() - started < 30
    finally:
        pool.close()


def test_works_from_many_threads():
    with ThreadPoolExecutor(6) as executor:
        batches = [[*pairs(200 + i, 4), wrong(200 + i)] for i in range(12)]
        assert list(executor.map(judge, batches)) == [[True] * 4 + [False]] * 12
        hanging = [executor.submit(equivalent, f"{i}", HANGS, 0.2) for i in range(3)]
        assert [future.result() for future in hanging] == [None] * 3
    assert len(default_pool()._all) <= default_pool().size


def test_works_inside_a_running_event_loop():
    async def main():
        inside = judge(pairs(300, 2))
        beside = await asyncio.gather(*(asyncio.to_thread(judge, pairs(301 + i, 2)) for i in range(3)))
        return inside, beside

    assert asyncio.run(main()) == ([True] * 2, [[True] * 2] * 3)


def test_a_forked_child_starts_workers_of_its_own():
    assert judge(pairs(400, 2)) == [True] * 2
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        verdicts = judge([*pairs(401, 2), wrong(401)])
        send_record(theirs, [verdicts, default_pool()._server.pid])
        default_pool().close()
        os._exit(0)
    theirs.close()
    verdicts, server = receive_record(ours)
    os.waitpid(pid, 0)
    assert verdicts == [True, True, False]
    assert server != _server_pid()
    assert judge(pairs(402, 2)) == [True] * 2  # and ours live on


def test_a_child_forked_while_a_worker_starts_forgets_that_too(monkeypatch):
    pool = WorkerPool(1)
    starting, forked = threading.Event(), threading.Event()
    order = pool._order
    monkeypatch.setattr(
        pool, "_order", lambda *given, **named: (starting.set(), forked.wait(), order(*given, **named))[2]
    )
    with ThreadPoolExecutor(1) as executor:
        judged = executor.submit(pool.run, [(*wrong(6), 2.0)])
        assert starting.wait(60)
        pid = os.fork()
        if not pid:
            os._exit(len(pool._all))
        forked.set()
        assert judged.result() == [False]
    assert os.waitpid(pid, 0)[1] == 0
    pool.close()


def test_works_in_forked_data_loader_workers():
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map(judge, [pairs(500 + i, 2) for i in range(4)]) == [[True] * 2] * 4


def test_workers_import_no_torch_and_the_caller_imports_no_sympy():
    code = """
        import json, sys
        from trl_r1.rewards import math_accuracy
        from trl_r1.verify.pool import default_pool
        math_accuracy(completions=["18", "A4+B7"], solution=["#### 18", "7"])
        before = not default_pool()._all
        math_accuracy(completions=["\\\\boxed{10}"], solution=["\\\\binom{5}{2}"])
        worker = next(iter(default_pool()._all))
        from trl_r1.verify.fork_server import receive_record, send_record
        send_record(worker.connection, ["x", "y + 1", 2.0])
        heavy = [name for name in ("torch", "transformers", "trl", "datasets", "sympy", "math_verify") if name in sys.modules]
        print(json.dumps([before, heavy, receive_record(worker.connection)]))
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    before, heavy, reply = json.loads(ran.stdout)
    assert before, "plain numbers must not start a worker"
    assert heavy == []
    assert reply == {"verdict": False, "torch": False}


@pytest.mark.parametrize("busy", [False, True])
def test_nothing_outlives_a_killed_caller(busy):
    code = f"""
        import sys, threading, time
        from trl_r1.verify.pool import WorkerPool
        pool = WorkerPool(2)
        pool.run([("x^2", "x^2 + 1", 2.0)])
        if {busy}:
            threading.Thread(target=pool.run, args=([("4", "{HANGS}", 60.0)],), daemon=True).start()
            time.sleep(0.5)
        print("ready", flush=True)
        time.sleep(60)
    """
    caller = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert caller.stdout.readline() == "ready\n"
    children = psutil.Process(caller.pid).children(recursive=True)
    assert len(children) >= 2  # the fork server and a worker
    caller.kill()
    caller.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_no_right_answer_is_lost_beside_busy_loops():
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        assert judge(pairs(600, 40), deadline_cpu_seconds=1.0) == [True] * 40
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_a_worker_that_has_judged_enough_is_replaced_and_no_pair_lost(monkeypatch):
    monkeypatch.setattr("trl_r1.verify.pool._PAIRS_PER_WORKER", 3)
    pool = WorkerPool(1)
    try:
        first = None
        for start in (700, 720):
            assert pool.run([(*pair, 5.0) for pair in pairs(start)]) == [True] * 8
            (worker,) = pool._idle
            assert worker.pid != first
            first = worker.pid
    finally:
        pool.close()


def test_waiting_for_a_worker_costs_a_pair_nothing_of_its_deadline():
    pool = WorkerPool(1)
    try:
        # Behind the first pair the others wait five times as long as they may compute.
        tasks = [("4", HANGS, 1.5), *[(*pair, 0.3) for pair in pairs(601)]]
        assert pool.run(tasks) == [None] + [True] * 8
    finally:
        pool.close()


def test_the_ranks_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert cores_of_rank() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert cores_of_rank() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    assert cores_of_rank() == 1


def test_an_interpreter_without_math_verify_says_what_is_missing(tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('no math_verify here')")
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from trl_r1.errors import MachineError
        from trl_r1.verify import equivalent
        assert equivalent("18", "18") is True
        try:
            equivalent("\\\\binom{{5}}{{2}}", "10")
        except MachineError as error:
            print(error)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "math-verify" in ran.stdout
    assert "no math_verify here" in ran.stdout


def _server_pid() -> int:
    judge(pairs(700, 1))
    judge([wrong(os.getpid())])
    return default_pool()._server.pid
