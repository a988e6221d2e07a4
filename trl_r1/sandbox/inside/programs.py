"""
What a confined process does, by the kind of its job.

| kind | descriptors | what it does |
|---|---|---|
| `calls` | results | runs a Python program, evaluates expressions over its names, writes each value |
| `program` | stdin, stdout, stderr | runs a Python program as `__main__` |
| `serve` | channel | runs a Python program and calls what a test runner asks for |
| `test_runner` | channel, results | runs a test script; the program's names in it stand for calls over the channel |
| `build` | output, artifact | writes files, runs a compiler, hands over what it made |
| `execute` | stdin, stdout, stderr, artifact | unpacks an artifact and becomes another program |

All of them but `test_runner` run what is under test, in this very process: whatever they write may be forged, and is worth
no more than a claim. None of them knows an expected output. A test runner runs in a jail of its own, where no line of the
program under test is run; it does know what is expected.
"""

import atexit
import json
import os
import signal
import stat
import sys
import threading

import test_runner
import values
from records import new_module, said, write_line


DOES_NOT_COMPILE = 97


def run(job, fds, prelude, failure):
    """
    Do a job.

    Args:
        job (`dict`):
            `kind` and what that kind needs.
        fds (`list[int]`):
            The descriptors, as the kind has them.
        prelude (`dict`):
            Names that a program may take for granted where the job says so.
        failure (`int`):
            Where to write why another program cannot be started; closes itself when one is.

    Returns:
        `int`: the exit code.
    """
    kind = job["kind"]
    for fd in fds:
        os.set_inheritable(fd, False)
    if kind == "execute":
        return _execute(job, fds, failure)
    if kind == "build":
        return _build(job, fds, failure)
    os.close(failure)
    names = prelude if job.get("prelude") else {}
    return {"calls": _calls, "program": _program, "serve": test_runner.serve, "test_runner": test_runner.preside}[
        kind
    ](job, fds, names)


def _calls(job, fds, names):
    results = fds[0]
    namespace = new_module("solution", names)
    try:
        code = compile(job["source"], "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        write_line(results, {"compile": said(error)})
        return DOES_NOT_COMPILE
    try:
        exec(code, namespace)
    except BaseException as error:
        write_line(results, {"load": said(error)})
        return 1
    try:
        for name, expression in job["bind"]:
            namespace[name] = eval(compile(expression, "test", "eval", dont_inherit=True), namespace)
    except BaseException as error:
        write_line(results, {"load": said(error)})
        return 1
    write_line(results, {"loaded": True})
    for number, expression in job["expressions"]:
        try:
            value = eval(compile(expression, "test", "eval", dont_inherit=True), namespace)
            record = {"n": number, "v": values.encode(value)}
        except BaseException as error:
            record = {"n": number, "e": said(error)}
        write_line(results, record)
    return 0


def _program(job, fds, names):
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    os.closerange(3, 64)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    sys.argv = ["main.py"]
    namespace = new_module("__main__", names)
    try:
        code = compile(job["source"], "main.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        print(said(error), file=sys.stderr)
        return DOES_NOT_COMPILE
    ended = 0
    try:
        exec(code, namespace)
    except SystemExit as error:
        if error.code is not None and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
        ended = 0 if error.code is None else error.code & 0xFF if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        ended = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        ended = ended or 120
    return ended


def _write_files(files):
    for name, text in files.items():
        with open(name, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


def _copy(source, target, size):
    """Copy bytes piece by piece: a program with large data must not need its memory twice."""
    while size > 0 and (piece := source.read(min(size, 1 << 20))):
        size -= target.write(piece)


def _become(argv, environment, failure):
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(argv[0], argv, environment)
    except OSError as error:
        os.write(failure, f"{argv[0]} cannot be started: {error.strerror}".encode())
        os._exit(71)


def _build(job, fds, failure):
    output, artifact = fds
    _write_files(job["files"])
    child = os.fork()
    if not child:
        null = os.open("/dev/null", os.O_RDONLY)
        for target, fd in enumerate((null, output, output)):
            os.dup2(fd, target)
        _become(job["argv"], job["environment"], failure)
    _, status = os.waitpid(child, 0)
    if not os.WIFEXITED(status) or os.WEXITSTATUS(status):
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    kept = []
    for name in sorted(os.listdir(".")):
        info = os.lstat(name)
        if stat.S_ISREG(info.st_mode) and (name in job["keep"] or name.endswith(tuple(job["keep_endings"]))):
            kept.append((name, info.st_size))
    with open(artifact, "wb", closefd=False) as packed:
        packed.write(json.dumps(kept).encode() + b"\n")
        for name, size in kept:
            with open(name, "rb") as file:
                _copy(file, packed, size)
    return 0


def _execute(job, fds, failure):
    _write_files(job["files"])
    if len(fds) > 3:
        with open(os.dup(fds[3]), "rb") as packed:
            packed.seek(0)
            for name, size in json.loads(packed.readline()):
                with open(name, "wb") as file:
                    _copy(packed, file, size)
                os.chmod(name, 0o755)
    for target, fd in enumerate(fds[:3]):
        os.dup2(fd, target)
    _become(job["argv"], job["environment"], failure)
    return 71
