"""Handlers for the length of a block, one within another, and in what is forked there."""

import os
import signal

from trl_r1.signals import handled


def test_of_one_block_in_another_each_puts_back_what_it_found_and_a_fork_what_was_before_both():
    got, numbers, before = [], [signal.SIGUSR1, signal.SIGUSR2], signal.getsignal(signal.SIGUSR1)
    with handled(lambda number, _: got.append(("outer", number)), numbers):
        outer = signal.getsignal(signal.SIGUSR1)
        with handled(lambda number, _: got.append(("inner", number)), numbers[:1]):
            for number in numbers:
                os.kill(os.getpid(), number)
            worker = os.fork()
            if not worker:
                held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
                os._exit(held & {*numbers} != set() or {signal.getsignal(number) for number in numbers} != {before})
            assert os.waitpid(worker, 0)[1] == 0
        assert signal.getsignal(signal.SIGUSR1) is outer
        os.kill(os.getpid(), signal.SIGUSR1)  # held back no longer
    assert signal.getsignal(signal.SIGUSR1) is before
    assert got == [("inner", signal.SIGUSR1), ("outer", signal.SIGUSR2), ("outer", signal.SIGUSR1)]
