"""
Signal handlers for the length of a block, and for no process that is forked in it.

A worker that is forked meanwhile does with a signal what it would have done without the block, from its first moment on: a
SIGTERM ends it. With the handler it might not: Python runs one between two of its steps, and forgets at a fork which signals
have come. A worker of a pool that gets one then, or on its way into a semaphore, would wait for ever, and the pool for it. So
signals are held back over the fork.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any


_BEFORE: dict[int, Any] = {}  # what handled the signals that are handled now, before the outermost block


@contextlib.contextmanager
def handled(by: Callable[[int, Any], Any], numbers: Iterable[int]) -> Iterator[None]:
    """
    Handle signals, and put back what handled them before. Outside the main thread, which alone gets signals, nothing changes.

    Args:
        by (`Callable`):
            The handler, called with the signal's number and the frame.
        numbers (`Iterable[int]`):
            The signals.
    """
    before: dict[int, Any] = {}
    for number in numbers:
        with contextlib.suppress(ValueError):  # not the main thread
            # What a library in C has installed reads as `None`, and cannot be put back.
            before[number] = signal.signal(number, by) or signal.SIG_DFL
            _BEFORE.setdefault(number, before[number])
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
            if _BEFORE.get(number) is handler:
                del _BEFORE[number]


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _BEFORE)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BEFORE)


def _put_back_and_release() -> None:
    for number, handler in _BEFORE.items():
        signal.signal(number, handler)
    _release()
    _BEFORE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_put_back_and_release)
