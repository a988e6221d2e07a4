"""
What a test script checks: its assertions are counted as they run, and tests that nothing calls are run.

A script is rewritten before it runs. An assertion is an `assert`, a call of something named `assert...`, a block under
`raises` or `assertRaises`, and an `if` that raises `AssertionError`. It is counted when it holds, and only once the
program under test was asked for something. One that fails counts as a failure also where the script goes on: a runner
of its own that catches errors, `unittest.main(exit=False)`. Where a handler asserts or raises itself, what it handles is
not a failure yet.
"""

import ast
import inspect
import sys

import pytest_subset
from records import said


NAME = "__checks__"
_STRICT, _ASSERTIONS, _NEVER = "fail", "fail_on_assertion", None
_WIDE = ("AssertionError", "Exception", "BaseException")
_SHARED_PROCESS = {"patch", "mock", "monkeypatch", "tempfile", "redirect_stdout", "redirect_stderr"}


class Checks:
    """
    What came of a script's assertions.

    Args:
        asked (`Callable`):
            Tells whether the program under test was asked for anything yet.

    Attributes:
        held (`int`):
            Assertions that held.
        failed (`tuple[str, str]`, *optional*):
            Verdict and reason of the first that did not.
        missing (`str`):
            Why a test could not be run, where one could not.
    """

    def __init__(self, asked):
        self.asked = asked
        self.held, self.failed, self.missing = 0, None, ""
        self.entered, self.run = set(), set()

    def hold(self):
        """Count an assertion that held."""
        self.held += bool(self.asked())

    def fail(self, error=None):
        """Take down a failure, by default the error that is being handled."""
        error = error or sys.exc_info()[1]
        skipped = type(error).__name__ in ("SkipTest", "Skipped")
        if self.failed or skipped or (isinstance(error, SystemExit) and error.code in (None, 0, False)):
            return
        wrong = isinstance(error, (AssertionError, SystemExit))
        self.failed = "wrong_answer" if wrong else "runtime_error", said(error)

    def fail_on_assertion(self):
        """Take down the error that is being handled if it is an assertion's."""
        if isinstance(sys.exc_info()[1], AssertionError):
            self.fail()

    def raised(self):
        """Count the error that is being handled as one that was asked for, unless it says that none was raised."""
        error = sys.exc_info()[1]
        if isinstance(error, AssertionError) and not hasattr(error, "of_program"):
            self.fail()
        else:
            self.hold()

    def enter(self, name):
        """Take down that a test function was called."""
        self.entered.add(name)

    def watch_unittest(self):
        """Have every result of `unittest` taken down, whoever runs the tests and whatever becomes of their result."""
        import unittest

        checks, case, result = self, unittest.TestCase, unittest.TestResult
        run_as_it_is = case.run

        def run(test, *args, **kwargs):
            checks.run.add((type(test), test._testMethodName))
            return run_as_it_is(test, *args, **kwargs)

        def told(method, error_of):
            original = getattr(result, method)

            def tell(self, *args):
                error = error_of(args)
                if error is not None:
                    checks.fail(error)
                return original(self, *args)

            setattr(result, method, tell)

        case.run = run
        told("addFailure", lambda args: args[1][1])
        told("addError", lambda args: args[1][1])
        told("addSubTest", lambda args: args[2] and args[2][1])
        told("addUnexpectedSuccess", lambda args: AssertionError("a test that should fail did not"))

    def run_uncalled(self, tree, namespace, candidate):
        """
        Run the tests of a script that it did not run itself.

        Args:
            tree (`ast.Module`):
                The script.
            namespace (`dict`):
                Its names, after it ran.
            candidate (`Any`):
                What is handed to a function that takes the one under test.
        """
        given_it = []
        for node in tree.body:
            found = namespace.get(getattr(node, "name", None))
            if isinstance(node, ast.ClassDef) and isinstance(found, type):
                self._run_class(found, namespace)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name not in self.entered:
                arguments = [argument.arg for argument in node.args.posonlyargs + node.args.args]
                if len(arguments) == 1 and (node.name == "check" or arguments[0] == "candidate"):
                    given_it.append((node.name, found, {arguments[0]: candidate}))
                elif node.name.startswith("test"):
                    self._run_function(node.name, found, namespace)
        for name, function, given in given_it:
            if name not in self.entered:  # by a test of the script's own, which knows what to hand it
                self._call(name, function, given)

    def _run_class(self, found, namespace):
        unittest = sys.modules.get("unittest")
        if unittest and issubclass(found, unittest.TestCase):
            tests = unittest.defaultTestLoader.loadTestsFromTestCase(found)
            left = [test for test in tests if (found, test._testMethodName) not in self.run]
            unittest.TestSuite(left).run(unittest.TestResult())
        elif found.__name__.startswith("Test"):
            for name in [name for name in dir(found) if name.startswith("test")]:
                if f"{found.__name__}.{name}" in self.entered:
                    continue
                one = found()
                for setup in ("setup_method", "setup", "setUp"):
                    if hasattr(one, setup):
                        getattr(one, setup)()
                        break
                self._run_function(name, getattr(one, name), namespace)

    def _run_function(self, name, function, namespace):
        if not callable(function) or hasattr(function, "is_skipped"):
            return
        for case in getattr(function, "cases", [{}]):
            try:
                given = pytest_subset.arguments(function, case, namespace)
            except LookupError as error:
                self.missing = f"{name} needs the argument {error.args[0]}"
                return
            self._call(name, function, given)

    def _call(self, name, function, given):
        if inspect.iscoroutinefunction(function):
            self.missing = f"{name} is a coroutine"
            return
        try:
            function(**given)
        except (Exception, SystemExit) as error:
            self.fail(error)


def shared_process(tree):
    """Return what a script does that has an effect only in the program's own process; `None` where it does nothing."""
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
        if name in _SHARED_PROCESS:
            return name
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if alias.name.rpartition(".")[2] in _SHARED_PROCESS:
                    return alias.name
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and name in ("stdin", "stdout"):
            return f"sys.{name}"
    return None


def rewritten(tree):
    """Return a script that counts its assertions in `__checks__`."""
    return ast.fix_missing_locations(_Counting().visit(tree))


def _calls(text):
    return ast.parse(text.replace("CHECKS", NAME)).body


def _name_of(node):
    """Return the last part of what an expression calls."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _never(node):
    """Tell whether a statement says that this line must not be reached."""
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant) and not node.test.value
    if isinstance(node, ast.Raise) and node.exc is not None:
        return _name_of(node.exc) == "AssertionError"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name_of(node.value) == "fail"


def _asserts(nodes):
    """Tell whether statements assert or raise anything."""
    found = [inner for node in nodes for inner in ast.walk(node)]
    return any(
        isinstance(one, (ast.Assert, ast.Raise))
        or (isinstance(one, ast.Call) and _name_of(one).startswith(("assert", "fail")))
        for one in found
    )


def _wide(handler):
    """Tell whether a handler takes failed assertions too."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or _name_of(kind) in _WIDE for kind in kinds)


class _Counting(ast.NodeTransformer):
    def __init__(self):
        self.modes, self.places = [_STRICT], []

    def _counted(self, node):
        mode = self.modes[-1]
        if mode is _NEVER:
            return [node, *_calls("CHECKS.hold()")]
        handler = ast.ExceptHandler(None, None, _calls(f"CHECKS.{mode}()\nraise"))
        return ast.copy_location(ast.Try([node], [handler], _calls("CHECKS.hold()"), []), node)

    def _in_mode(self, mode, nodes):
        self.modes.append(mode)
        found = []
        for node in nodes:
            made = self.visit(node)
            found += made if isinstance(made, list) else [made]
        self.modes.pop()
        return found

    def visit_Assert(self, node):
        return self._counted(node)

    def visit_Expr(self, node):
        asserts = isinstance(node.value, ast.Call) and _name_of(node.value).startswith("assert")
        return self._counted(node) if asserts else node

    def visit_If(self, node):
        raises = any(isinstance(inner, ast.Raise) and _never(inner) for inner in node.body)
        self.generic_visit(node)
        return self._counted(node) if raises else node

    def visit_With(self, node):
        names = [_name_of(item.context_expr) for item in node.items if isinstance(item.context_expr, ast.Call)]
        if any(name == "raises" or name.startswith("assert") for name in names):
            node.body = self._in_mode(_NEVER, node.body)
            return self._counted(node)
        return self.generic_visit(node)

    def visit_Try(self, node):
        wide = [handler for handler in node.handlers if _wide(handler)]
        mode = self.modes[-1]
        if node.handlers:
            mode = _ASSERTIONS if not wide else _NEVER if all(_asserts(one.body) for one in wide) else _STRICT
        expects_error = any(map(_never, [*node.body, *node.orelse]))
        checks = _asserts(node.body)
        node.body = self._in_mode(mode, node.body)
        for handler in node.handlers:
            ends_it = handler in wide and not _asserts(handler.body)
            handler.body = self._in_mode(self.modes[-1], handler.body)
            if expects_error and not (handler.type is not None and _name_of(handler.type) == "AssertionError"):
                handler.body = _calls("CHECKS.raised()") + handler.body
            elif checks and ends_it:
                handler.body = _calls("CHECKS.fail()") + handler.body
        node.orelse = self._in_mode(self.modes[-1], node.orelse)
        node.finalbody = self._in_mode(self.modes[-1], node.finalbody)
        return node

    def visit_ClassDef(self, node):
        self.places.append(node.name)
        self.generic_visit(node)
        self.places.pop()
        return node

    def visit_FunctionDef(self, node):
        expected_to_fail = any(_name_of(one) == "expectedFailure" for one in node.decorator_list)
        place = ".".join([*self.places, node.name])
        self.places.append(node.name)
        node.body = self._in_mode(_NEVER if expected_to_fail else _STRICT, node.body)
        self.places.pop()
        if node.name.startswith(("test", "check")) and not expected_to_fail:
            handler = ast.ExceptHandler(None, None, _calls("CHECKS.fail()\nraise"))
            node.body = [*_calls(f"CHECKS.enter({place!r})"), ast.Try(node.body, [handler], [], [])]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_AsyncWith = visit_With
