"""The filter of system calls, by running it."""

import struct

import pytest

from trl_r1.errors import MachineError
from trl_r1.sandbox.seccomp import _ABSENT, _REFUSED, assemble


ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT, DONE = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x50061, 0x50000


def decide(program: bytes, number: int, architecture: int, argument: int = 0, second: int = 0) -> int:
    """Run a classic BPF program as the kernel does."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, argument, second, 0, 0, 0, 0)
    instructions, at, value = list(struct.iter_unpack("=HBBI", program)), 0, 0
    while True:
        code, yes, no, constant = instructions[at]
        at += 1
        if code == 0x06:
            return constant
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
            at += yes if holds else no


@pytest.mark.parametrize(("machine", "column", "audit"), [("x86_64", 0, 0xC000003E), ("aarch64", 1, 0xC00000B7)])
def test_refused_calls_are_refused_and_others_are_not(machine, column, audit):
    always, tests = assemble(machine)
    refused = {numbers[column] for numbers in _REFUSED.values()} - {None}
    absent = {numbers[column] for numbers in _ABSENT.values()}
    mount, unmount, clone, socket = ((165, 166, 56, 41), (40, 39, 220, 198))[column]
    assert len(refused) > 50
    for number in range(500):
        expected = EPERM if number in refused else ENOSYS if number in absent else ALLOW
        if number != socket:
            assert decide(always, number, audit) == expected, number
        if number not in (mount, unmount, clone):
            assert decide(tests, number, audit) == ALLOW
    assert decide(tests, mount, audit) == decide(tests, unmount, audit) == EPERM
    assert decide(always, socket, audit, 1) == ALLOW
    assert {decide(always, socket, audit, family) for family in (2, 10, 16, 17, 40)} == {EAFNOSUPPORT}
    assert decide(tests, clone, audit, 17) == decide(tests, clone, audit, 0x3D0F00) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(tests, clone, audit, flag | 17) == EPERM
    assert decide(always, 39, 0x40000003) == KILL  # i386
    action = (13, 134)[column]
    for address in (0x7FFF1234, 0x7FFF00000000, 0x7FFF00001234):
        assert decide(tests, action, audit, 17, address) == DONE
    assert decide(tests, action, audit, 17) == decide(tests, action, audit, 15, 0x7FFF1234) == ALLOW


def test_the_x32_table_ends_the_process():
    assert decide(assemble("x86_64")[0], 0x40000000 + 101, 0xC000003E) == KILL


def test_an_unknown_architecture_is_told():
    with pytest.raises(MachineError, match="riscv64"):
        assemble("riscv64")
