"""
A test script in one jail and the program under test in another, with a channel between them.

What crosses it is written by [`values`]: plain data, and the numbers of objects that stay where they are. The script's
side never runs a line of the program; the program's side never sees what is expected.
"""

import ast
import builtins
import importlib.machinery
import json
import re
import socket
import sys
import types

import checks
import pytest_subset
import values
from records import new_module, said, write_line


UNNAMED = "__under_test__"  # stands for what is tested where nothing names it
_LONGEST_LINE = 16 << 20


def serve(job, fds, names):
    """Run the program under test and do what the other end of the channel asks for."""
    with socket.socket(fileno=fds[0]) as channel, channel.makefile("rwb") as stream:

        def answer(record):
            stream.write(json.dumps(record).encode() + b"\n")
            stream.flush()

        namespace = new_module("solution", names)
        try:
            exec(compile(job["source"], "solution.py", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            answer({"load": said(error), "compile": isinstance(error, SyntaxError)})
            return 1
        answer({"loaded": True})
        objects = []
        make = {"L": names.get("list_node"), "T": names.get("tree_node")}
        make |= {"h": objects.__getitem__, "n": namespace.__getitem__}
        for line in stream:
            try:
                request = json.loads(line)
                if request.get("name") == UNNAMED and UNNAMED not in namespace:
                    namespace[UNNAMED] = _under_test(namespace)
                target = objects[request["at"]] if "at" in request else namespace[request["name"]]
                given = values.decode(request.get("given", []), make)
                answer({"v": values.encode(_OPERATIONS[request["do"]](target, *given), objects)})
            except BaseException as error:
                answer({"e": [type(error).__name__, said(error)]})
    return 0


def _under_test(namespace):
    """Return what a program is about where nothing names it: its function that no other of its functions calls."""
    if isinstance(solution := namespace.get("Solution"), type):
        return getattr(solution(), [name for name in vars(solution) if not name.startswith("_")][-1])
    made = [one for one in list(namespace.values()) if type(one) is types.FunctionType]
    made = [one for one in made if one.__module__ == "solution" and one.__name__ not in ("main", "check")]
    used = {name for one in made for name in one.__code__.co_names if name != one.__name__}
    return ([one for one in made if one.__name__ not in used] or made)[-1]


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
    """A name or an object of the program under test, as a test runner's script sees it. Equals nothing but itself."""

    def __init__(self, test_runner, at):
        object.__setattr__(self, "_test_runner", test_runner)
        object.__setattr__(self, "_at", at)

    def __written__(self):
        at = object.__getattribute__(self, "_at")
        return {"h": at["at"]} if "at" in at else {"n": at["name"]}

    def _ask(self, do, *given):
        return object.__getattribute__(self, "_test_runner").ask(object.__getattribute__(self, "_at"), do, list(given))

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


class TestRunner:
    """
    The script's end of the channel.

    Args:
        stream (`BinaryIO`):
            The channel.
        names (`dict`):
            The prelude's names.
    """

    def __init__(self, stream, names):
        self.stream, self.asked, self.lost = stream, False, None
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
        try:
            return self._ask(at, do, given)
        except (Gone, Unsendable) as error:
            self.lost = self.lost or error  # also where the script, or unittest, goes on after it
            raise

    def _ask(self, at, do, given):
        request = {**at, "do": do, "given": [_sent(item) for item in given]}
        self.asked = True
        try:
            self.stream.write(json.dumps(request).encode() + b"\n")
            self.stream.flush()
        except OSError:
            raise Gone("the program under test has ended") from None
        reply = self.receive()
        if "e" in reply:
            name, text = reply["e"]
            kind = getattr(builtins, str(name), None)
            usual = isinstance(kind, type) and issubclass(kind, Exception)
            # An iteration in the script would take these for its own end.
            ends = usual and issubclass(kind, (StopIteration, StopAsyncIteration))
            try:
                error = kind(text) if usual and not ends else RuntimeError(text)
            except TypeError:  # UnicodeDecodeError and its like take other arguments
                error = (ValueError if issubclass(kind, ValueError) else RuntimeError)(text)
            error.of_program = True
            raise error
        try:
            return values.decode(reply["v"], self.make)
        except Exception as error:
            raise Gone(f"the program under test does not answer as agreed: {said(error)}") from None


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


# What tests call the module that is under test, where it is none of Python's.
_PROGRAM = re.compile(
    r"((your|my|user|student|the|generated|model)_?)?"
    r"(solutions?|solver|submission|answer|program|code|candidate|module|implementation|function|script|task|main|app|src)"
    r"(_?(code|module|file|func))?"
)


class _Program(types.ModuleType):
    """The module under test, as a script imports it."""

    def __init__(self, name, test_runner):
        super().__init__(name)
        self.__path__ = []
        self.__dict__["__test_runner"] = test_runner

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Remote(self.__dict__["__test_runner"], {"name": name})


class _ProgramFinder:
    """Finds the module under test where a script imports it by a name that it computes."""

    def __init__(self, test_runner):
        self.test_runner = test_runner

    def find_spec(self, name, path=None, target=None):
        """Return where a module comes from, `None` where it is not the program."""
        ours = _PROGRAM.fullmatch(name.rpartition(".")[2].lower())
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if ours else None

    def create_module(self, spec):
        """Return the module."""
        return _Program(spec.name, self.test_runner)

    def exec_module(self, module):
        """There is nothing to run here."""


def _offer_program(tree, test_runner, entry_point):
    """Let a script import the program under test by the names that tests use for it."""
    sys.meta_path.append(_ProgramFinder(test_runner))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                node.level, node.module = 0, node.module or "solution"
            modules, names = [node.module], [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            modules, names = [alias.name for alias in node.names], []
        else:
            continue
        for module in modules:
            parts = module.split(".")
            known = parts[0] in sys.stdlib_module_names and not (names and parts == ["code"])
            if known or not (entry_point in [*names, module] or _PROGRAM.fullmatch(parts[-1].lower())):
                continue
            for last in range(1, len(parts) + 1):
                name = ".".join(parts[:last])
                if not isinstance(sys.modules.get(name), _Program):
                    sys.modules[name] = _Program(name, test_runner)


def preside(job, fds, names):
    """Run a test script against the program at the other end of the channel; write what came of it."""
    channel, results = fds
    with socket.socket(fileno=channel) as connection, connection.makefile("rwb") as stream:
        test_runner = TestRunner(stream, names)
        try:
            record = _judged(job, test_runner, names)
        except (Gone, Unsendable) as error:
            test_runner.lost = test_runner.lost or error
        if isinstance(test_runner.lost, Gone):
            record = {"r": "runtime_error", "why": str(test_runner.lost)}
        elif test_runner.lost is not None:
            record = {"r": "unsendable", "why": str(test_runner.lost)}
        write_line(results, record)
    return 0


def _judged(job, test_runner, names):
    loaded = test_runner.receive()
    if "load" in loaded:
        return {"r": "compile_error" if loaded.get("compile") is True else "runtime_error", "why": str(loaded["load"])}
    sys.argv = ["test"]
    namespace = new_module("__main__", names)
    if job.get("given"):
        exec(compile(job["given"], "prompt", "exec", dont_inherit=True), namespace)
    tree, entry_point = ast.parse(job["script"]), job.get("entry_point")
    shared = checks.shared_process(tree)
    if shared is not None:
        return {"r": "untested", "why": f"the tests use {shared}, which has no effect in the program's own process"}
    _offer_program(tree, test_runner, entry_point)
    if "pytest" not in sys.modules:
        sys.modules["pytest"] = pytest_subset.module()
    read, made = _names_of(tree)
    for name in read - made:
        if name == entry_point or not (name in namespace or hasattr(builtins, name)):
            namespace[name] = Remote(test_runner, {"name": name})
    found = namespace[checks.NAME] = checks.Checks(lambda: test_runner.asked)
    if "unittest" in job["script"]:
        found.watch_unittest()
    candidate = Remote(test_runner, {"name": entry_point or UNNAMED})
    try:
        try:
            exec(compile(checks.rewritten(tree), "test", "exec", dont_inherit=True), namespace)
        except SystemExit as error:  # unittest.main() ends so
            if error.code not in (None, 0, False):
                found.fail(AssertionError("the tests failed"))
        if found.failed is None:
            found.run_uncalled(tree, namespace, candidate)
    except ImportError as error:
        if not hasattr(error, "of_program"):
            return {"r": "untested", "why": said(error)}
        found.fail(error)
    except Exception as error:
        found.fail(error)
    if found.failed is not None:
        return {"r": found.failed[0], "why": found.failed[1]}
    if found.missing or not found.held:
        return {"r": "untested", "why": found.missing or "no assertion of the tests was reached"}
    return {"r": "passed", "why": ""}
