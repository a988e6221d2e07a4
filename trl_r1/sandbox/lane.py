"""
One lane: a jail in which tests run one after the other, watched from outside.

The kernel enforces what it can for each process (address space, file size, CPU seconds, number of processes). What has
to be summed over processes, or judged finely, is read here every few hundredths of a second from /proc, where nothing
in the jail can reach: CPU time, memory, and time in which no process computes.
"""

import contextlib
import math
import os
import platform
import re
import selectors
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .jail import Jail, descendants_of
from .limits import MEMORY_LIMIT, OUTPUT_LIMIT, RUNTIME_ERROR, TIME_LIMIT, Limits


_POLL_SECONDS = 0.05
_KILL_SECONDS = 10.0
_OPEN_FILES = 128
_MOST_OUTPUT = 64 << 20  # of all the tests of a job together
_MOST_FILES = 10_000
_COUNTED_BY_NAMESPACE = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (5, 14)
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class LaneFailure(Exception):
    """The lane did not do what was asked of it; nothing was learned about the program under test."""


@dataclass
class Ended:
    """
    How a job ended.

    Args:
        limit (`str`, *optional*):
            The verdict of the limit that it ran into; `None` where it ended by itself.
        code (`int`):
            Exit code, negative the number of the signal that ended it.
        cpu_seconds (`float`):
            CPU time of all processes that were waited for.
        received (`list[bytes]`):
            What it wrote to each of the files and pipes.
    """

    limit: str | None
    code: int
    cpu_seconds: float
    received: list[bytes]


class Usage:
    """
    What a lane's test uses, sampled.

    Args:
        jail ([`Jail`]):
            The jail.
        limits ([`Limits`]):
            What it may use.
    """

    def __init__(self, jail: Jail, limits: Limits):
        self.jail, self.limits = jail, limits
        self.began = self.sampled = time.monotonic()
        self.next = self.began + _POLL_SECONDS
        self.cpu_before: float | None = 0.0
        self.cpu = 0.0
        self.idle = 0.0

    def restart(self) -> None:
        """Begin a further test in the same process."""
        self.cpu_before, self.idle = None, 0.0
        self.began = time.monotonic()

    def sample(self) -> str | None:
        """Look; return the verdict of the limit that is passed, if one is."""
        now = time.monotonic()
        pids = descendants_of(self.jail.pid)
        cpu, memory, computing = measured(pids)
        if self.cpu_before is None or cpu < self.cpu_before:
            self.cpu_before = cpu
        self.idle += 0.0 if computing else max(0.0, now - self.sampled - max(0.0, cpu - self.cpu))
        self.cpu = cpu
        self.sampled, self.next = now, now + _POLL_SECONDS
        if memory > self.limits.memory_bytes:
            return MEMORY_LIMIT
        if len(pids) > 2 * self.limits.processes:
            return RUNTIME_ERROR
        # Beside these a ceiling, for what escapes both: processes that are never there when one looks.
        longest = 60 + 20 * (self.limits.wall_seconds + self.limits.cpu_seconds)
        spent = cpu - self.cpu_before > self.limits.cpu_seconds or now - self.began > longest
        return TIME_LIMIT if spent or self.idle > self.limits.wall_seconds else None


def measured(pids: list[int]) -> tuple[float, int, bool]:
    """
    Return what processes have used together.

    Args:
        pids (`list[int]`):
            Their ids.

    Returns:
        `tuple[float, int, bool]`: CPU seconds, bytes of memory that no file backs, and whether one computes or could.
    """
    cpu, memory, computing = 0, 0, False
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            computing = computing or fields[0] == "R" or _has_running_thread(pid)
            cpu += sum(map(int, fields[11:15]))  # its own, and that of children which it waited for
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    memory += int(line.split()[1]) << 10
    return cpu * _TICK, memory, computing


def _has_running_thread(pid: int) -> bool:
    """Tell whether a thread of a process computes or stands ready to, whatever its first thread does."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):  # it has ended
            if Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


class Lane:
    """
    A jail for programs and, from the first test that needs one, a second jail for test runners.

    Args:
        isolation (`str`), packages (`tuple[str, ...]`), places (`tuple[str, ...]`):
            As of [`Jail`].
    """

    runs_source: ClassVar[bool] = False

    def __init__(self, isolation: str, packages: tuple[str, ...], places: tuple[str, ...]):
        self._made_of = (isolation, packages, places)
        self._jails: dict[str, Jail] = {}

    def jail(self, role: str = "program") -> Jail:
        """Return the jail of a role, started where it is not there yet."""
        if role not in self._jails:
            self._jails[role] = Jail(*self._made_of)
        return self._jails[role]

    def close(self) -> None:
        """End the jails."""
        for jail in self._jails.values():
            jail.close()
        self._jails.clear()

    def forget(self) -> None:
        """Let go of what was inherited through a fork."""
        for jail in self._jails.values():
            jail.forget()
        self._jails.clear()

    def run(
        self,
        job: dict[str, Any],
        limits: Limits,
        *,
        given: tuple[int, ...] = (),
        order: tuple[int, ...] | None = None,
        hand_over: bool = False,
        files: int = 0,
        pipes: int = 0,
        role: str = "program",
        tests: int = 1,
        own_address_space: bool = True,
    ) -> Ended:
        """
        Run a job and wait for its end.

        Args:
            job (`dict`):
                What the fork server is told. See [`~sandbox.inside.programs`].
            limits ([`Limits`]):
                What it may use.
            given (`tuple[int, ...]`):
                Descriptors that it is handed, before those that are made here.
            order (`tuple[int, ...]`, *optional*):
                Another order of these: positions among `given`, the files and the pipes.
            hand_over (`bool`, *optional*, defaults to `False`):
                Whether `given` are closed here once the job has them.
            files (`int`, *optional*, defaults to `0`):
                How many files in memory are made for what it writes. Writing there wakes nobody, which is worth half a
                millisecond a test. A whole line in the first begins a further test.
            pipes (`int`, *optional*, defaults to `0`):
                How many pipes are made for what it writes, where a program may open them again by name.
            role (`str`, *optional*, defaults to `"program"`):
                Which jail it runs in.
            tests (`int`, *optional*, defaults to `1`):
                How many tests it is made of, each of which may use `limits.cpu_seconds`.
            own_address_space (`bool`, *optional*, defaults to `True`):
                Whether the limit on memory also bounds the address space of each process.

        Raises:
            [`LaneFailure`]: where the lane is broken. It must be closed then.
        """
        jail = self.jail(role)
        directory = jail.new_directory()
        job = {**job, "limits": _as_told(limits, tests, own_address_space, directory)}
        written = [os.memfd_create("trl_r1") for _ in range(files)]
        ends = [os.pipe() for _ in range(pipes)]
        for _, write in ends:
            os.fchmod(write, 0o666)  # the user inside is another one
        try:
            try:
                fds = (*given, *written, *(write for _, write in ends))
                jail.send(job, tuple(fds[i] for i in order) if order else fds)
            except OSError as error:
                raise LaneFailure(f"the jail has ended: {error}") from None
            finally:
                for fd in (*(write for _, write in ends), *(given if hand_over else ())):
                    os.close(fd)
            return self._watch(jail, limits, written, [read for read, _ in ends], tests)
        finally:
            for fd in (*written, *(read for read, _ in ends)):
                os.close(fd)
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)

    def _watch(self, jail: Jail, limits: Limits, written: list[int], reads: list[int], tests: int) -> Ended:
        usage, limit, reply, told_at, size = Usage(jail, limits), None, None, None, 0
        most = max(limits.output_bytes, min(limits.output_bytes * tests, _MOST_OUTPUT))
        received = [bytearray() for _ in reads]
        with selectors.DefaultSelector() as selector:
            selector.register(jail.connection, selectors.EVENT_READ, None)
            for number, read in enumerate(reads):
                selector.register(read, selectors.EVENT_READ, number)
            while selector.get_map():
                wanted = usage.next if told_at is None else told_at + _KILL_SECONDS
                events = selector.select(max(0.0, wanted - time.monotonic()) if reply is None else _KILL_SECONDS)
                if reply is not None and not events:
                    break  # without a jail, a process that got away may hold a pipe open
                for key, _ in events:
                    if key.data is None:
                        reply = jail.receive()
                        if reply is None or "failed" in reply:
                            raise LaneFailure(reply["failed"] if reply else "the jail has ended")
                        selector.unregister(jail.connection)
                        continue
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fd)
                    elif len(received[key.data]) <= most:
                        received[key.data] += data
                    elif limit is None:
                        limit = OUTPUT_LIMIT
                if reply is not None:
                    continue
                if limit is None and time.monotonic() >= usage.next:
                    sizes = [os.fstat(fd).st_size for fd in written]
                    if tests > 1 and sizes[0] > size:
                        size = sizes[0]
                        usage.restart()
                    limit = OUTPUT_LIMIT if any(found > most for found in sizes) else usage.sample()
                if limit is not None and told_at is None:
                    told_at = time.monotonic()
                    with contextlib.suppress(OSError):
                        jail.send({"do": "kill"})
                elif told_at is not None and time.monotonic() > told_at + _KILL_SECONDS:
                    raise LaneFailure("a test could not be killed")
        contents = [os.pread(fd, min(most + 1, os.fstat(fd).st_size), 0) for fd in written]
        return _ended(limit, reply, limits, [*contents, *map(bytes, received)], most, tests)


def _as_told(limits: Limits, tests: int, own_address_space: bool, directory: str | None) -> dict[str, Any]:
    return {
        "cpu_seconds": math.ceil(limits.cpu_seconds * tests) + 1,
        "memory_bytes": limits.memory_bytes if own_address_space else None,
        # Without a jail, and before Linux 5.14 in one, the kernel counts all processes of the user.
        "processes": limits.processes if directory is None and _COUNTED_BY_NAMESPACE else None,
        "file_bytes": limits.file_bytes,
        "files": _MOST_FILES,
        "open_files": _OPEN_FILES,
        "directory": directory,
    }


def _ended(
    limit: str | None, reply: dict[str, Any], limits: Limits, received: list[bytes], most: int, tests: int
) -> Ended:
    status = reply["status"]
    code = os.waitstatus_to_exitcode(status)
    if limit is None and any(len(data) > most for data in received):
        limit = OUTPUT_LIMIT
    if limit is None and reply["cpu"] > limits.cpu_seconds * tests:
        limit = TIME_LIMIT  # the kernel was faster than we look
    if limit is None and code != 0 and reply["peak"] > 0.9 * limits.memory_bytes:
        limit = MEMORY_LIMIT
    return Ended(limit, code, reply["cpu"], received)
