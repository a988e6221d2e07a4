"""What holds for every test: one thread a process, no network, as many processes as there are cores, no handler left behind."""

import gc
import os
import signal
from collections.abc import Iterator

import pytest

from trl_r1.cores import usable_cores


# Before anything imports torch or huggingface_hub; the processes that tests start take it over.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means here: the cores that this process may use, where xdist counts those of the machine."""
    return min(usable_cores(), 8)


@pytest.fixture(autouse=True)
def cheap_collections() -> None:
    """A training ends with garbage collections, which take longer than it while they go through all that is imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_handler_is_left() -> Iterator[None]:
    """What is forked by a later test would have it too, and a pool whose workers do not end by SIGTERM waits for ever."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) is before
