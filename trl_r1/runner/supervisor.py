"""
A stage's supervisor: the process between the runner and a stage, which ends the stage when the runner is gone.

```bash
python -I supervisor.py COMMAND...        # standard input: a pipe whose other end the runner holds
```

A runner that is killed cannot end its stages, and workers of `accelerate launch` outlive a killed launcher in sessions
of their own. So each stage is started by a supervisor that waits on a pipe: a letter in it is a request, its end means that
the runner is gone. On Linux the supervisor adopts every orphan among its descendants, finds them all that way, and kills
them before it ends itself. It also ends what a finished stage has left running.

Where the command is `srun`, the same program runs on each node as its task: requests pass through the standard input of
`srun`, which gives it to all tasks, and so does its end.

It ends with the exit code of the stage, 128 + N where a signal N ended it. It imports nothing of `trl_r1`.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time


# What the runner writes into the pipe. SAVE goes to the ranks of a training alone: a launcher that is told to end kills its
# workers after 30 seconds, and what they have started to help them must live as long as they do.
INTERRUPT, TERMINATE, KILL, SAVE = b"i", b"t", b"k", b"s"
_LAUNCHER = "accelerate.commands.launch"
_NODES_SECONDS = 15.0  # that other nodes have to end what they run, before `srun` is killed

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _descendants() -> list[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process().children(recursive=True) if child.status() != "zombie"]
    return []


def _ranks(child: subprocess.Popen[bytes], command: list[str]) -> list[int]:
    """The processes that train: what the launcher has started, or the stage itself."""
    if _LAUNCHER in command:
        import psutil

        with contextlib.suppress(psutil.Error):
            return [each.pid for each in psutil.Process(child.pid).children()] or [child.pid]
    return [child.pid]


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _reap() -> bool:
    """Collect the children that have ended; return whether others are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return not sys.platform.startswith("linux")  # elsewhere, orphans are not adopted: there may be some
    return True


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def end_all(child: subprocess.Popen[bytes]) -> None:
    """Kill every descendant, until none is left: one may start another while it is being looked for."""
    _kill_group(child)
    for _ in range(200):
        left = _descendants() if _reap() else []
        if not left:
            return
        _signal(left, signal.SIGKILL)
        time.sleep(0.02)


def supervise(command: list[str]) -> int:
    """
    Run a command until it ends, or until the runner is gone.

    Args:
        command (`list[str]`):
            The stage. It runs in a session of its own.

    Returns:
        `int`: its exit code.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # requests come through the pipe
    waking, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def in_child() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    on_nodes = os.path.basename(command[0]) == "srun"
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if on_nodes else subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=in_child,
        bufsize=0,
    )
    requests: list[int] = [0, waking]
    while child.poll() is None:
        ready, _, _ = select.select(requests, [], [], 5.0)
        if waking in ready:
            os.read(waking, 4096)
        if 0 in ready:
            letter = os.read(0, 1)
            if child.stdin is not None:
                with contextlib.suppress(OSError):
                    child.stdin.write(letter) if letter else child.stdin.close()
                if letter in (b"", KILL):
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(_NODES_SECONDS)
                    _kill_group(child)
                    break
                continue
            if letter in (b"", KILL):
                _kill_group(child)
                break
            if letter == SAVE:
                _signal(_ranks(child, command), signal.SIGTERM)
                continue
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGINT if letter == INTERRUPT else signal.SIGTERM)
    code = child.wait()
    end_all(child)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
