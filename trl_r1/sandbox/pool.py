"""
Lanes, shared by all threads of a process.

A pool belongs to one process: a process forked from one that used it forgets what it inherited and starts its own. As
many lanes as the machine has cores for this rank are used at the same time; they start when there is work for them.
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..cores import cores_of_rank
from ..errors import MachineError
from .compare import imported
from .executor import ExecutorLane
from .jail import ISOLATIONS
from .lane import Lane, LaneFailure


T = TypeVar("T")


class LanePool:
    """
    Lanes of one kind.

    Args:
        isolation (`str`), packages (`tuple[str, ...]`), places (`tuple[str, ...]`):
            As of [`~sandbox.jail.Jail`].
        size (`int`, *optional*):
            How many there may be. Defaults to the cores of the machine, shared among its ranks.
    """

    def __init__(
        self, isolation: str, packages: tuple[str, ...], places: tuple[str, ...] = (), size: int | None = None
    ):
        self.size = size or cores_of_rank()
        self._made_of = (isolation, packages, places)
        self._changed = threading.Condition(threading.Lock())
        self._idle: list[Lane] = []
        self._all: set[Lane] = set()
        self._proved = False
        _POOLS.add(self)

    def each(self, work: Callable[[Lane, int], T], count: int) -> list[T]:
        """
        Do pieces of work, each in a lane, as many at the same time as there are lanes.

        Args:
            work (`Callable[[Lane, int], T]`):
                What to do with a lane and a piece's number. It may fail with `LaneFailure` and is then called once more,
                with another lane.
            count (`int`):
                How many pieces there are.

        Returns:
            `list`: what each came to, the `LaneFailure` itself where it failed twice.
        """
        results: list[Any] = [None] * count
        failures: list[LaneFailure]
        numbers, failures = iter(range(count)), []
        lock = threading.Lock()

        def take() -> int | None:
            with lock:
                return None if failures else next(numbers, None)

        def drive() -> None:
            try:
                while (number := take()) is not None:
                    results[number] = self._once_or_twice(work, number)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=drive, daemon=True) for _ in range(min(self.size, count) - 1)]
        for thread in threads:
            thread.start()
        drive()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return results

    def _once_or_twice(self, work: Callable[[Lane, int], T], number: int) -> T | LaneFailure:
        failure = None
        for _ in range(2):
            lane, whole = self._acquire(), False
            try:
                result = work(lane, number)
                whole = self._proved = True
                return result
            except LaneFailure as error:
                failure = error
            except MachineError as error:
                if not self._proved:
                    raise
                failure = LaneFailure(str(error))  # this machine can; something is amiss just now
            finally:
                self._release(lane, whole)
        return failure

    def _acquire(self) -> Lane:
        with self._changed:
            while not self._idle and len(self._all) >= self.size:
                self._changed.wait()
            if self._idle:
                return self._idle.pop()
            named = self._made_of[0]
            lane = Lane(*self._made_of) if named in ISOLATIONS else ExecutorLane(imported(named, "isolation")())
            self._all.add(lane)
            return lane

    def _release(self, lane: Lane, whole: bool) -> None:
        if not whole:
            lane.close()
        with self._changed:
            if whole:
                self._idle.append(lane)
            else:
                self._all.discard(lane)
            self._changed.notify()

    def close(self) -> None:
        """End the lanes. A later call starts new ones."""
        with self._changed:
            lanes, self._all, self._idle = self._all, set(), []
        for lane in lanes:
            lane.close()

    def forget(self) -> None:
        """Let go of what was inherited from the process this one was forked from, without ending it."""
        for lane in self._all:
            lane.forget()
        self.__init__(*self._made_of, self.size)


_POOLS: "weakref.WeakSet[LanePool]" = weakref.WeakSet()
_SHARED: dict[tuple[Any, ...], LanePool] = {}
_SHARED_LOCK = threading.Lock()


def shared_pool(
    isolation: str, packages: Sequence[str] = (), places: Sequence[str] = (), size: int | None = None
) -> LanePool:
    """Return the pool of this process for lanes of one kind."""
    key = (isolation, tuple(packages), tuple(places), size)
    with _SHARED_LOCK:
        if key not in _SHARED:
            _SHARED[key] = LanePool(*key)
        return _SHARED[key]


def _after_fork() -> None:
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()
    for pool in list(_POOLS):
        pool.forget()


@atexit.register
def _close_all() -> None:
    for pool in list(_POOLS):
        pool.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
