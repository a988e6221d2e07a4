"""The part of pytest that test scripts use, for a jail that has the standard library alone."""

import inspect
import math
import re
import types


class _Raises:
    """What `pytest.raises` returns: a context that wants an error, and holds it as `value`."""

    def __init__(self, kind, match):
        self.kind, self.match, self.value = kind, match, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            raise AssertionError(f"DID NOT RAISE {self.kind}")
        if not isinstance(error, self.kind):
            return False
        if self.match is not None and not re.search(self.match, str(error)):
            raise AssertionError(f"{str(error)!r} does not match {self.match!r}")
        self.type, self.value = kind, error
        return True


def raises(expected_exception, *args, match=None, **kwargs):
    """Want an error of a block, or of a call."""
    context = _Raises(expected_exception, match)
    if not args:
        return context
    with context:
        args[0](*args[1:], **kwargs)
    return context


class approx:
    """A number, or numbers in a list or a dictionary, that others equal within a tolerance."""

    def __init__(self, expected, rel=None, abs=None, nan_ok=False):
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __eq__(self, other):
        return self._near(self.expected, other)

    __hash__ = None

    def _near(self, one, other):
        if isinstance(one, dict):
            same = isinstance(other, dict) and one.keys() == other.keys()
            return same and all(self._near(one[key], other[key]) for key in one)
        if isinstance(one, (list, tuple)):
            same = isinstance(other, (list, tuple)) and len(one) == len(other)
            return same and all(map(self._near, one, other))
        numbers = (int, float, complex)
        if isinstance(one, bool) or not isinstance(one, numbers) or not isinstance(other, numbers):
            return type(one) is type(other) and one == other
        if one != one:
            return self.nan_ok and other != other
        if one == other:
            return True
        if math.isinf(builtins_abs(one)):
            return False
        absolute = 1e-12 if self.abs is None else self.abs
        relative = (0.0 if self.abs is not None else 1e-6) if self.rel is None else self.rel
        return builtins_abs(one - other) <= max(absolute, relative * builtins_abs(one))


builtins_abs = abs


def fixture(function=None, **_):
    """Mark a function whose value tests of that argument are handed."""

    def mark(function):
        function.is_fixture = True
        return function

    return mark(function) if callable(function) else mark


class _Mark:
    def __getattr__(self, name):
        def mark(*args, **_):
            def marked(function):
                if name in ("skip", "skipif", "xfail"):
                    function.is_skipped = True
                return function

            return marked(args[0]) if len(args) == 1 and inspect.isroutine(args[0]) else marked

        return mark

    @staticmethod
    def parametrize(names, values, **_):
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

        def mark(function):
            rows = [getattr(value, "param", value) for value in values]
            made = [
                dict(zip(names, row if len(names) > 1 or hasattr(value, "param") else [row], strict=True))
                for value, row in zip(values, rows, strict=True)
            ]
            function.cases = [{**one, **other} for one in getattr(function, "cases", [{}]) for other in made]
            return function

        return mark


class _Param:
    def __init__(self, values):
        self.param = values


class Skipped(Exception):
    """A test that does not want to run."""


def skip(reason="", **_):
    """Leave a test."""
    raise Skipped(reason)


def fail(reason="", **_):
    """Fail a test."""
    raise AssertionError(reason)


def arguments(function, case, namespace):
    """
    Return what a test function is called with.

    Raises:
        `LookupError`: if it takes an argument that neither its cases nor the script's own fixtures have.
    """
    given = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in case:
            given[name] = case[name]
        elif getattr(namespace.get(name), "is_fixture", False):
            value = namespace[name](**arguments(namespace[name], {}, namespace))
            given[name] = next(value) if isinstance(value, types.GeneratorType) else value
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise LookupError(name)
    return given


def module():
    """Return this as the module `pytest`."""
    made = types.ModuleType("pytest")
    made.raises, made.approx, made.fixture, made.mark = raises, approx, fixture, _Mark()
    made.skip, made.fail, made.main = skip, fail, lambda *_, **__: 0  # what was not run is run afterwards
    made.param = lambda *values, **_: _Param(values)
    return made
