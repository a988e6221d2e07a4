"""
Worker processes, from the caller's side.

A pool belongs to one process. It may be used from any thread, inside a running event loop, and in a process forked
from one that used it: the child forgets what it inherited and starts its own. Workers start when there is work for
them, and are shared by all threads. See [`~verify.fork_server`] for what a worker is.
"""

import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..cores import cores_of_rank
from ..errors import MachineError
from ..pools import keep, shared
from .fork_server import FAILED, FORK, KILL, receive_exactly, receive_record, send_record


_MESSAGE = struct.Struct("!cI")
_PROGRAM = "import sys; sys.path[:] = {path!r}; from trl_r1.verify.fork_server import main; main({fd})"

_ANSWER_SECONDS = 300.0  # then a fork server that does not answer is replaced; it may load SymPy from a busy disk
_PAIRS_PER_WORKER = 20_000  # SymPy's caches grow; a fresh fork starts from the fork server's

Task = tuple[str, str, float]  # gold, answer, deadline in CPU seconds


def wall_limit(deadline_cpu_seconds: float) -> float:
    """Loose limit in seconds of real time, for a worker that waits for something other than the CPU."""
    return 30.0 + 20.0 * deadline_cpu_seconds


@dataclass(eq=False)
class _Worker:
    pid: int
    connection: socket.socket | None  # `None` while it starts
    task: int = -1
    started: float = 0.0
    judged: int = 0
    seconds: float = 0.0

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


class WorkerPool:
    """
    Judges pairs in killable processes.

    Args:
        workers (`int`, *optional*):
            How many processes may work at the same time. Defaults to [`~cores.cores_of_rank`].
    """

    def __init__(self, workers: int | None = None):
        self.size = workers or cores_of_rank()
        self._changed = threading.Condition(threading.Lock())
        self._server_lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._waiting = 0
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._loaded = False  # whether the fork server has said that it can fork
        keep(self)

    def run(self, tasks: Sequence[Task], workers: int | None = None) -> list[bool | None]:
        """
        Judge pairs.

        Args:
            tasks (`Sequence[tuple[str, str, float]]`):
                Gold, answer and deadline in CPU seconds of each pair.
            workers (`int`, *optional*):
                How many processes this call may use, at most the pool's own number.

        Returns:
            `list[bool | None]`: one verdict per pair; `None` where the gold could not be read or the worker was killed.

        Raises:
            [`~errors.MachineError`]: if workers cannot be started at all.
        """
        verdicts: list[bool | None] = [None] * len(tasks)
        most = max(1, min(workers or self.size, self.size, len(tasks)))
        pending = iter(range(len(tasks)))
        with selectors.DefaultSelector() as selector:
            busy: set[_Worker] = set()
            try:
                self._hand_out(tasks, pending, self._acquire(), busy, selector)
                while busy and len(busy) < most and (extra := self._acquire(wait=False)):
                    if not self._hand_out(tasks, pending, extra, busy, selector):
                        break
                while busy:
                    for key, _ in selector.select(self._patience(busy)):
                        worker = key.data
                        reply = self._receive(worker)
                        selector.unregister(worker.connection)
                        busy.discard(worker)
                        if reply is None:
                            self._discard(worker)
                            worker = None
                        else:
                            verdicts[worker.task] = reply["verdict"]
                            worker.judged += 1
                            if worker.judged == _PAIRS_PER_WORKER:
                                self._discard(worker)
                                worker = None
                            elif busy and self._waiting:
                                self._release(worker)
                                continue
                        self._hand_out(tasks, pending, worker, busy, selector)
                    self._kill_overdue(busy)
            finally:
                for worker in busy:
                    self._discard(worker, kill=True)
        return verdicts

    def start(self) -> None:
        """Start the process that workers are forked from, without waiting for it. Where that fails, [`run`] will say so."""
        if self._server_lock.acquire(blocking=False):
            try:
                if self._control is None:
                    self._start_server()
            except OSError:
                pass
            finally:
                self._server_lock.release()

    def close(self) -> None:
        """End the workers and the fork server. A later call starts new ones."""
        with self._changed:
            workers, self._all, self._idle = self._all, set(), []
        for worker in workers:
            worker.close()
        with self._server_lock:
            self._stop_server()

    def forget(self) -> None:
        """Let go of what was inherited from the process this one was forked from, without ending it."""
        for worker in self._all:
            worker.close()
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            self._server.returncode = 0  # not this process's child: never to be waited for
        self.__init__(self.size)

    def _hand_out(
        self,
        tasks: Sequence[tuple[str, str, float]],
        pending: Iterator[int],
        worker: _Worker | None,
        busy: set[_Worker],
        selector: selectors.BaseSelector,
    ) -> bool:
        """Give the next pair to a worker, or to a new one where it is lost; put the worker back if there is none."""
        index = next(pending, None)
        if index is None:
            if worker is not None:
                self._release(worker)
            return False
        for attempt in (1, 2):
            worker = worker or self._acquire()
            try:
                send_record(worker.connection, list(tasks[index]))
                break
            except OSError:  # it ended between two pairs
                self._discard(worker)
                worker = None
                if attempt == 2:
                    raise MachineError("workers for checking answers end as soon as they are started") from None
        worker.task, worker.started, worker.seconds = index, time.monotonic(), wall_limit(tasks[index][2])
        selector.register(worker.connection, selectors.EVENT_READ, worker)
        busy.add(worker)
        return True

    @staticmethod
    def _receive(worker: _Worker) -> dict[str, Any] | None:
        try:
            return receive_record(worker.connection)
        except (OSError, ValueError):
            return None

    @staticmethod
    def _patience(busy: set[_Worker]) -> float:
        return max(0.05, min(worker.started + worker.seconds for worker in busy) - time.monotonic())

    def _kill_overdue(self, busy: set[_Worker]) -> None:
        now = time.monotonic()
        for worker in busy:
            if now > worker.started + worker.seconds:
                self._order(KILL, worker.pid)  # its socket then closes, and the loop sees it

    def _acquire(self, wait: bool = True) -> _Worker | None:
        with self._changed:
            while not self._idle and len(self._all) >= self.size:
                if not wait:
                    return None
                self._waiting += 1
                try:
                    self._changed.wait()
                finally:
                    self._waiting -= 1
            if self._idle:
                return self._idle.pop()
            place = _Worker(0, None)  # keeps the place while the process starts, outside the lock
            self._all.add(place)
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                place.pid = self._order(FORK, fd=theirs.fileno())
            place.connection = ours
            return place
        except BaseException:
            with self._changed:
                self._all.discard(place)
                self._changed.notify()
            raise

    def _release(self, worker: _Worker) -> None:
        with self._changed:
            self._idle.append(worker)
            self._changed.notify()

    def _discard(self, worker: _Worker, kill: bool = False) -> None:
        if kill:
            self._order(KILL, worker.pid)
        worker.close()
        with self._changed:
            self._all.discard(worker)
            self._changed.notify()

    def _order(self, order: bytes, number: int = 0, fd: int | None = None) -> int:
        """Send an order to the fork server; for a fork, return the worker's process id."""
        with self._server_lock:
            for attempt in (1, 2):
                if self._control is None:
                    if order == KILL:
                        return 0  # its workers ended with the fork server
                    self._start_server()
                try:
                    if not self._loaded:
                        self._answer()
                        self._loaded = True
                    message = _MESSAGE.pack(order, number)
                    if fd is None:
                        self._control.sendall(message)
                        return 0
                    socket.send_fds(self._control, [message], [fd])
                    return self._answer()
                except OSError as error:
                    self._stop_server()
                    if attempt == 2:
                        raise MachineError(f"no worker for checking answers could be started: {error}") from error
        return 0

    def _answer(self) -> int:
        head = receive_exactly(self._control, _MESSAGE.size)
        if len(head) < _MESSAGE.size:
            raise ConnectionResetError("the process that starts workers has ended")
        kind, number = _MESSAGE.unpack(head)
        if kind == FAILED:
            text = receive_exactly(self._control, number).decode(errors="replace")
            self._stop_server()
            raise MachineError(f"answers cannot be checked: {text}. Expected `pip install math-verify` to help")
        return number

    def _start_server(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(_ANSWER_SECONDS)
        with theirs:
            program = _PROGRAM.format(path=[os.path.abspath(entry) for entry in sys.path], fd=theirs.fileno())
            self._server = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        self._control, self._loaded = ours, False

    def _stop_server(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            try:
                self._server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._control = self._server = None


def default_pool() -> WorkerPool:
    """Return the pool that this process shares."""
    return shared(WorkerPool, WorkerPool)
