"""
Pools of processes: one of a kind for all threads, ended when this process exits, forgotten by a process forked from it.
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar


class Pool(Protocol):
    """What owns processes."""

    def close(self) -> None:
        """End the processes. A later use starts new ones."""
        ...

    def forget(self) -> None:
        """Let go of what was inherited from the process this one was forked from, without ending it."""
        ...


P = TypeVar("P", bound=Pool)

_KEPT: "weakref.WeakSet[Any]" = weakref.WeakSet()
_SHARED: dict[Hashable, Any] = {}
_LOCK = threading.Lock()


def keep(pool: Pool) -> None:
    """Have a pool closed when this process exits, and forgotten in every process that is forked from it."""
    _KEPT.add(pool)


def shared(kind: Hashable, make: Callable[[], P]) -> P:
    """
    Return the pool of a kind that this process shares.

    Args:
        kind (`Hashable`):
            What tells it from others.
        make (`Callable[[], Pool]`):
            Makes it where there is none yet.
    """
    with _LOCK:
        if kind not in _SHARED:
            _SHARED[kind] = make()
        pool: P = _SHARED[kind]
        return pool


def _after_fork() -> None:
    global _LOCK
    _LOCK = threading.Lock()  # another thread may have held it
    for pool in list(_KEPT):
        pool.forget()


@atexit.register
def _close_all() -> None:
    for pool in list(_KEPT):
        pool.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
