"""
The fork server, which makes workers, and what a worker does. Runs as a program of its own; never imports torch.

A worker must be cheap to lose. Loading SymPy takes half a second, so one process, the fork server, loads it once and forks
a worker whenever the caller asks for one, in a few milliseconds. Each worker serves one pair at a time over a socket of
its own. Before a pair it arms `ITIMER_PROF` with the deadline and leaves `SIGPROF` at its default action: the kernel
ends the process when it has used that much CPU time on this pair, in the middle of a big-integer operation too, which
no Python code could interrupt, and however long the pair waited on a loaded machine.

Nothing outlives the caller: when the caller ends, however it ends, the sockets close, the fork server kills its workers and
exits.
"""

import json
import os
import select
import signal
import socket
import struct
import sys


FORK, KILL = b"F", b"K"
READY, FAILED = b"R", b"X"
_MESSAGE = struct.Struct("!cI")
_LENGTH = struct.Struct("!I")
_MEMORY_BYTES = 4 << 30
_DONE = object()


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Receive a whole number of bytes; fewer only where the other side has closed."""
    chunks = bytearray()
    while len(chunks) < size:
        chunk = connection.recv(size - len(chunks))
        if not chunk:
            break
        chunks += chunk
    return bytes(chunks)


def send_record(connection: socket.socket, record: object) -> None:
    """Send one JSON record, preceded by its length."""
    body = json.dumps(record).encode("ascii")
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive_record(connection: socket.socket) -> object | None:
    """Receive one JSON record; `None` where the other side has closed."""
    head = receive_exactly(connection, _LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    body = receive_exactly(connection, size)
    return json.loads(body) if len(body) == size else None


def main(control_fd: int) -> None:
    """Serve fork and kill requests until the caller's end of the control socket closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the caller decides what these mean
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    try:
        from . import symbolic

        steps = symbolic.warm_up()
        next(steps)
    except Exception as error:
        text = f"{type(error).__name__}: {error}".encode()[:2000]
        control.sendall(_MESSAGE.pack(FAILED, len(text)) + text)
        return
    control.sendall(_MESSAGE.pack(READY, os.getpid()))
    children: set[int] = set()
    try:
        while True:
            while not select.select([control], [], [], 0)[0] and next(steps, _DONE) is not _DONE:
                pass  # what it learns while nobody asks, its workers need not
            message, fds, _, _ = socket.recv_fds(control, _MESSAGE.size, 1)
            message += receive_exactly(control, _MESSAGE.size - len(message)) if message else b""
            if len(message) < _MESSAGE.size:
                break
            _reap(children)
            order, number = _MESSAGE.unpack(message)
            if order == FORK:
                pid = os.fork()
                if not pid:
                    control.close()
                    _become_worker(fds[0])
                os.close(fds[0])
                children.add(pid)
                control.sendall(_MESSAGE.pack(READY, pid))
            elif order == KILL and number in children:
                os.kill(number, signal.SIGKILL)
    finally:
        _reap(children)
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        if os.waitpid(pid, os.WNOHANG)[0]:
            children.discard(pid)


def _become_worker(fd: int) -> None:
    code = 1
    try:
        _limit_resources()
        _serve(socket.socket(fileno=fd))
        code = 0
    except (OSError, KeyboardInterrupt):
        pass
    finally:
        os._exit(code)


def _limit_resources() -> None:
    import resource

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, _MEMORY_BYTES)):
        try:
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
        except (ValueError, OSError):
            continue  # not every system has it; the deadline still binds


def _serve(connection: socket.socket) -> None:
    from . import symbolic

    while (record := receive_record(connection)) is not None:
        gold, answer, deadline = record
        signal.setitimer(signal.ITIMER_PROF, deadline)
        try:
            verdict = symbolic.judge_pair(gold, answer)
        except (MemoryError, RecursionError):
            verdict = None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        send_record(connection, {"verdict": verdict, "torch": "torch" in sys.modules})
