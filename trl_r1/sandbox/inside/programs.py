"""
What a confined process does, by the kind of its job.

| kind | descriptors | what it does |
|---|---|---|
| `calls` | results | runs a Python program, evaluates expressions over its names, writes each value |
| `program` | stdin, stdout, stderr | runs a Python program as `__main__` |
| `serve` | channel | runs a Python program and calls what a referee asks for |
| `referee` | channel, results | runs a test script; the program's names in it stand for calls over the channel |
| `build` | output, artifact | writes files, runs a compiler, hands over what it made |
| `execute` | stdin, stdout, stderr, artifact | unpacks an artifact and becomes another program |

All of them but `referee` run what is under test, in this very process: whatever they write may be forged, and is worth
no more than a claim. None of them knows an expected output. A referee runs in a jail of its own, where no line of the
program under test is run; it does know what is expected.
"""

import ast
import atexit
import builtins
import json
import os
import signal
import socket
import stat
import sys
import threading
import types

import values


DOES_NOT_COMPILE = 97
_LONGEST_LINE = 16 << 20


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
    return {"calls": _calls, "program": _program, "serve": _serve, "referee": _referee}[kind](job, fds, names)


def _module(name, names):
    """
    Return the namespace of a new module.

    Where it starts from the prelude it *is* the prelude's: this process ends with the test, and a copy would touch, and
    so make the kernel copy, the page of each of its names.
    """
    if names:
        names["__name__"], sys.modules[name] = name, sys.modules["prelude"]
        return names
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    return module.__dict__


def _said(error):
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:
        return type(error).__name__


def _write_line(fd, record):
    data = json.dumps(record).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def _calls(job, fds, names):
    results = fds[0]
    namespace = _module("solution", names)
    try:
        code = compile(job["source"], "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        _write_line(results, {"compile": _said(error)})
        return DOES_NOT_COMPILE
    try:
        exec(code, namespace)
    except BaseException as error:
        _write_line(results, {"load": _said(error)})
        return 1
    try:
        for name, expression in job["bind"]:
            namespace[name] = eval(compile(expression, "test", "eval", dont_inherit=True), namespace)
    except BaseException as error:
        _write_line(results, {"load": _said(error)})
        return 1
    _write_line(results, {"loaded": True})
    for number, expression in job["expressions"]:
        try:
            value = eval(compile(expression, "test", "eval", dont_inherit=True), namespace)
            record = {"n": number, "v": values.encode(value)}
        except BaseException as error:
            record = {"n": number, "e": _said(error)}
        _write_line(results, record)
    return 0


def _program(job, fds, names):
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    os.closerange(3, 64)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    sys.argv = ["main.py"]
    namespace = _module("__main__", names)
    try:
        code = compile(job["source"], "main.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        print(_said(error), file=sys.stderr)
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


def _serve(job, fds, names):
    with socket.socket(fileno=fds[0]) as channel, channel.makefile("rwb") as stream:

        def answer(record):
            stream.write(json.dumps(record).encode() + b"\n")
            stream.flush()

        namespace = _module("solution", names)
        try:
            exec(compile(job["source"], "solution.py", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            answer({"load": _said(error), "compile": isinstance(error, SyntaxError)})
            return 1
        answer({"loaded": True})
        objects = []
        make = {"L": names.get("list_node"), "T": names.get("tree_node")}
        make |= {"h": objects.__getitem__, "n": namespace.__getitem__}
        for line in stream:
            try:
                request = json.loads(line)
                target = objects[request["at"]] if "at" in request else namespace[request["name"]]
                given = values.decode(request.get("given", []), make)
                answer({"v": values.encode(_OPERATIONS[request["do"]](target, *given), objects)})
            except BaseException as error:
                answer({"e": [type(error).__name__, _said(error)]})
    return 0


_OPERATIONS = {
    "call": lambda target, args, kwargs: target(*args, **kwargs),
    "attribute": getattr,
    "set": setattr,
    "item": lambda target, key: target[key],
    "set item": lambda target, key, value: target.__setitem__(key, value),
    "length": len,
    "items": list,
    "truth": bool,
    "text": str,
}


class Gone(BaseException):
    """The program under test has ended, or does not answer as agreed."""


class Unsendable(BaseException):
    """The script hands over an object that cannot be written."""


class Remote:
    """A name or an object of the program under test, as a referee's script sees it. Equals nothing but itself."""

    def __init__(self, referee, at):
        object.__setattr__(self, "_referee", referee)
        object.__setattr__(self, "_at", at)

    def __written__(self):
        at = object.__getattribute__(self, "_at")
        return {"h": at["at"]} if "at" in at else {"n": at["name"]}

    def _ask(self, do, *given):
        return object.__getattribute__(self, "_referee").ask(object.__getattribute__(self, "_at"), do, list(given))

    def __call__(self, *args, **kwargs):
        return self._ask("call", list(args), kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("attribute", name)

    def __setattr__(self, name, value):
        self._ask("set", name, value)

    def __getitem__(self, key):
        return self._ask("item", key)

    def __setitem__(self, key, value):
        self._ask("set item", key, value)

    def __len__(self):
        return self._ask("length")

    def __iter__(self):
        return iter(self._ask("items"))

    def __contains__(self, item):
        return any(item == found for found in self)  # not the program's to say

    def __bool__(self):
        return self._ask("truth")

    def __str__(self):
        return self._ask("text")


class Referee:
    """
    The script's end of the channel.

    Args:
        stream (`BinaryIO`):
            The channel.
        names (`dict`):
            The prelude's names.
    """

    def __init__(self, stream, names):
        self.stream = stream
        self.make = {
            "L": names.get("list_node"),
            "T": names.get("tree_node"),
            "h": lambda number: Remote(self, {"at": number}),
        }

    def receive(self):
        """Return the program's next message."""
        line = self.stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise Gone("the program under test has ended")
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise Gone("the program under test does not answer as agreed") from None

    def ask(self, at, do, given):
        """Have the program do something and return the value."""
        request = {**at, "do": do, "given": [_sent(item) for item in given]}
        try:
            self.stream.write(json.dumps(request).encode() + b"\n")
            self.stream.flush()
        except OSError:
            raise Gone("the program under test has ended") from None
        reply = self.receive()
        if "e" in reply:
            name, text = reply["e"]
            kind = getattr(builtins, str(name), None)
            raise (kind if isinstance(kind, type) and issubclass(kind, Exception) else RuntimeError)(text)
        try:
            return values.decode(reply["v"], self.make)
        except Exception as error:
            raise Gone(f"the program under test does not answer as agreed: {_said(error)}") from None


def _sent(item):
    kept = []
    try:
        written = values.encode(item, kept)
    except values.TooLarge as error:
        raise Gone(f"a value is too large: {error}") from None
    if kept:
        raise Unsendable(f"an object of the type {type(kept[0]).__name__}")
    return written


def _names_of(tree):
    """Return the names that a script reads, and those that it makes at its top level."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made = set()
    for node in tree.body:
        for inner in ast.walk(node) if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) else (node,):
            if isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
                made.add(inner.name)
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                made.add(inner.id)
            elif isinstance(inner, ast.alias):
                made.add((inner.asname or inner.name).partition(".")[0])
    return read, made


def _referee(job, fds, names):
    channel, results = fds
    with socket.socket(fileno=channel) as connection, connection.makefile("rwb") as stream:
        referee = Referee(stream, names)
        try:
            _write_line(results, _judged(job, referee, names))
        except Gone as error:
            _write_line(results, {"r": "runtime_error", "why": str(error)})
        except Unsendable as error:
            _write_line(results, {"r": "unsendable", "why": str(error)})
    return 0


def _judged(job, referee, names):
    loaded = referee.receive()
    if "load" in loaded:
        return {"r": "compile_error" if loaded.get("compile") is True else "runtime_error", "why": str(loaded["load"])}
    sys.argv = ["test"]
    namespace = _module("__main__", names)
    if job.get("given"):
        exec(compile(job["given"], "prompt", "exec", dont_inherit=True), namespace)
    tree = ast.parse(job["script"])
    read, made = _names_of(tree)
    for name in read - made:
        if name == job.get("entry_point") or not (name in namespace or hasattr(builtins, name)):
            namespace[name] = Remote(referee, {"name": name})
    try:
        exec(compile(tree, "test", "exec", dont_inherit=True), namespace)
    except AssertionError as error:
        return {"r": "wrong_answer", "why": _said(error)}
    except SystemExit as error:  # unittest.main() ends so
        if error.code not in (None, 0, False):
            return {"r": "wrong_answer", "why": "the tests failed"}
    except Exception as error:
        return {"r": "runtime_error", "why": _said(error)}
    return {"r": "passed", "why": ""}


def _write_files(files):
    for name, text in files.items():
        with open(name, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


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
                packed.write(file.read(size))
    return 0


def _execute(job, fds, failure):
    _write_files(job["files"])
    if len(fds) > 3:
        with open(os.dup(fds[3]), "rb") as packed:
            packed.seek(0)
            for name, size in json.loads(packed.readline()):
                with open(name, "wb") as file:
                    file.write(packed.read(size))
                os.chmod(name, 0o755)
    for target, fd in enumerate(fds[:3]):
        os.dup2(fd, target)
    _become(job["argv"], job["environment"], failure)
    return 71
