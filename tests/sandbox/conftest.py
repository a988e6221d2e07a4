"""A jail for the tests that need one, or the reason why there is none here."""

import functools

import pytest

from trl_r1.errors import MachineError
from trl_r1.sandbox import Limits, Sandbox
from trl_r1.sandbox.toolchains import toolchain


SMALL = Limits(
    cpu_seconds=0.5,
    wall_seconds=0.5,
    memory_bytes=128 << 20,
    processes=16,
    output_bytes=1 << 20,
    file_bytes=8 << 20,
)


@functools.cache
def why_no_jail() -> str:
    """Return why this machine has no jail, in one line; empty where it has one."""
    try:
        Sandbox(lanes=1).check_machine()
    except MachineError as error:
        return str(error).split(". Expected")[0]
    return ""


@pytest.fixture
def jailed():
    """Skip where the jail cannot be built."""
    if why := why_no_jail():
        pytest.skip(why)


@pytest.fixture
def small(jailed) -> Sandbox:
    """A sandbox of one lane with tight limits."""
    return Sandbox(SMALL, lanes=1)


def needs(language: str):
    """Skip a test where a language's tools are missing."""
    try:
        toolchain(language)
    except MachineError as error:
        return pytest.mark.skip(reason=str(error))
    return ()
