"""Signal handlers for the length of a block."""

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any


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
            before[number] = signal.signal(number, by)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
