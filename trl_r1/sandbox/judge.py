"""
Programs against their tests.

What a program is told, and what it tells, crosses the wall as text; what is expected stays here.
"""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from ..errors import ConfigError
from .asserts import Call
from .compare import Comparison, imported, plain, same_for_apps, same_nodes, same_text, same_value, scalar, truth
from .jail import ISOLATIONS
from .lane import Ended, Lane, LaneFailure
from .limits import (
    COMPILE_ERROR,
    OUTPUT_LIMIT,
    PASSED,
    RUNTIME_ERROR,
    SANDBOX_FAILURE,
    TIME_LIMIT,
    UNTESTED,
    WRONG_ANSWER,
    Limits,
    Result,
)
from .pool import LanePool, shared_pool
from .rows import Calls, Script, Stdio, Tests
from .toolchains import BUILD_LIMITS, LANGUAGES, environment, java_class, toolchain, without_package
from .verdicts import DETAIL, ended_early, failure, first_error, glimpse, last_line, records


_DOES_NOT_COMPILE = 97  # the exit code that `inside.programs` gives
_TIMES_PATIENT = 2  # tests that may run out of time before the rest is taken to do the same


@dataclass(frozen=True)
class Submission:
    """
    A program and the tests that it is to pass.

    Args:
        source (`str`):
            Its text.
        tests (`Calls` or `Stdio` or `Script`):
            The tests. See [`read_row`].
        language (`str`, *optional*, defaults to `"python"`):
            One of [`NAMES`].
    """

    source: str
    tests: Tests
    language: str = "python"


@dataclass(frozen=True)
class Sandbox:
    """
    How programs are run and judged.

    Args:
        limits ([`Limits`], *optional*):
            What a test may use.
        comparison ([`Comparison`], *optional*):
            How outputs are compared.
        isolation (`str`, *optional*, defaults to `"jail"`):
            `"jail"`; `"none"` to run programs as yourself, with all that you may do; or the dotted path of a class that
            makes an [`Executor`], which then runs them. Packages and tool chains are its own.
        packages (`tuple[str, ...]`, *optional*):
            Top-level packages of this environment that Python programs may import, beside the standard library.
        languages (`tuple[str, ...]`, *optional*, defaults to `("python",)`):
            Languages that are run. Their tool chains must be on the machine.
        lanes (`int`, *optional*):
            How many tests run at the same time. Defaults to the cores of the machine, shared among its ranks.
        until_failure (`bool`, *optional*, defaults to `False`):
            Whether a program's tests end with the first that it does not pass.

    Raises:
        [`~errors.ConfigError`]: on an argument that is none of these.
    """

    limits: Limits = field(default_factory=Limits)
    comparison: Comparison = field(default_factory=Comparison)
    isolation: str = "jail"
    packages: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("python",)
    lanes: int | None = None
    until_failure: bool = False

    def __post_init__(self) -> None:
        if self.isolation not in ISOLATIONS:
            if "." not in self.isolation:
                expected = f"{', '.join(ISOLATIONS)} or the dotted path of an executor"
                raise ConfigError(f"expected {expected}, got {self.isolation!r}", key="isolation")
            imported(self.isolation, "isolation")
        whole = isinstance(self.lanes, int) and not isinstance(self.lanes, bool) and self.lanes > 0
        if self.lanes is not None and not whole:
            raise ConfigError(f"expected a number of at least 1, got {self.lanes!r}", key="lanes")

    def check_machine(self) -> None:
        """
        Check that this machine has the tool chains and can build the jail.

        Raises:
            [`~errors.MachineError`]: where it cannot; the message names what to install.
        """
        tests = Calls((Call("1 + 1", "equal", 2),))
        ((result,),) = self.judge([Submission("", tests)])
        if result.verdict != PASSED:
            raise ConfigError(f"the sandbox does not work on this machine: {result.detail}", key="isolation")

    def judge(self, submissions: Sequence[Submission]) -> list[list[Result]]:
        """
        Run programs against their tests.

        Args:
            submissions (`Sequence[Submission]`):
                The programs.

        Returns:
            `list[list[Result]]`: what came of each test of each program, in order; with `until_failure` up to the
            first that did not pass.

        Raises:
            [`~errors.MachineError`]: where this machine cannot build the jail, or lacks a tool.
        """
        pool = self._pool()
        check = self.comparison.checking()

        def work(lane: Lane, number: int) -> list[Result]:
            return _Judging(self, lane, submissions[number], check).results()

        judged = pool.each(work, len(submissions))
        return [
            [Result(SANDBOX_FAILURE, str(found))] * len(one.tests) if isinstance(found, LaneFailure) else found
            for one, found in zip(submissions, judged, strict=True)
        ]

    def _pool(self) -> LanePool:
        if self.isolation not in ISOLATIONS:
            return shared_pool(self.isolation, size=self.lanes)
        places = [place for name in self.languages for place in toolchain(name).places]
        return shared_pool(self.isolation, self.packages, tuple(dict.fromkeys(places)), self.lanes)


class _Judging:
    """One program against its tests, in one lane."""

    def __init__(self, sandbox: Sandbox, lane: Lane, one: Submission, check: Callable[[Any, Any, Any], bool] | None):
        self.sandbox, self.lane, self.check = sandbox, lane, check
        self.one = replace(one, source=one.source.removeprefix("\ufeff"))
        self.limits, self.tolerance = sandbox.limits, sandbox.comparison.float_tolerance

    def results(self) -> list[Result]:
        tests, language = self.one.tests, self.one.language
        if "\0" in self.one.source:
            return [Result(COMPILE_ERROR, "the program holds a null character")] * len(tests)
        if isinstance(tests, Stdio):
            return self._stdio(tests) if language == "python" or self.lane.runs_source else self._built(tests)
        if language != "python":
            return [Result(COMPILE_ERROR, f"the tests call Python functions; the program is in {language}")] * len(
                tests
            )
        if isinstance(tests, Script) and self.lane.runs_source:
            return [Result(UNTESTED, "a script and the program need two processes with a channel, as the jail has")]
        return self._script(tests) if isinstance(tests, Script) else self._calls(tests)

    # Calls of a program's functions

    def _calls(self, tests: Calls) -> list[Result]:
        results: dict[int, Result] = {}
        left, late = list(range(len(tests))), 0
        while left:
            if late >= _TIMES_PATIENT:
                results |= dict.fromkeys(left, Result(TIME_LIMIT, f"not run: {late} tests before it ran out of time"))
                break
            new = self._some_calls(tests, left)
            late += sum(result.verdict == TIME_LIMIT for result in new.values())
            results |= new
            left = [number for number in left if number not in results]
            failed = [number for number, result in results.items() if result.verdict != PASSED]
            if failed and self.sandbox.until_failure:
                return [results[number] for number in range(min(failed) + 1)]
        return [results[number] for number in range(len(tests))]

    def _some_calls(self, tests: Calls, left: list[int]) -> dict[int, Result]:
        """Make calls in one process, until one ends it; return what came of those up to that one."""
        job = {
            "kind": "calls",
            "source": self.one.source,
            "expressions": [(number, tests.calls[number].expression) for number in left],
            "bind": tests.bound,
            "prelude": tests.prelude,
        }
        ended = self.lane.run(job, self.limits, tests=len(left), files=1)
        loaded, too_long, found = False, False, {}
        for record in records(ended.received[0], self.limits.output_bytes):
            too_long = too_long or "too_long" in record
            if not loaded and ("compile" in record or "load" in record):
                verdict = COMPILE_ERROR if "compile" in record else RUNTIME_ERROR
                return dict.fromkeys(left, failure(verdict, record.get("compile", record.get("load"))))
            loaded = loaded or "loaded" in record
            number = record.get("n")
            if isinstance(number, int) and number in left and number not in found:
                found[number] = self._called(tests.calls[number], record)
        if not loaded:
            return dict.fromkeys(left, ended_early(ended))
        missing = next((number for number in left if number not in found), None)
        if missing is None:
            return found
        if too_long and ended.limit is None:
            ended = replace(ended, limit=OUTPUT_LIMIT)
        return {**{n: r for n, r in found.items() if n < missing}, missing: ended_early(ended)}

    def _called(self, call: Call, record: dict[str, Any]) -> Result:
        if "e" in record:
            return failure(RUNTIME_ERROR, record["e"])
        written = record.get("v")
        try:
            same = self._agrees(call, written)
        except (RecursionError, ArithmeticError, TypeError, ValueError):
            same = False  # it cannot be compared, so it is not what is expected
        return Result(PASSED) if same else Result(WRONG_ANSWER, f"got {glimpse(written)}")

    def _agrees(self, call: Call, written: Any) -> bool:
        if self.check is not None:
            return self._checked(call.expression, plain(written), call.expected)
        if call.relation == "equal":
            return same_value(call.expected, written, self.tolerance)
        if call.relation in ("list", "tree"):
            return same_nodes(call.expected, written, "L" if call.relation == "list" else "T")
        if call.relation == "one_of":
            return same_for_apps(call.expected, written, self.tolerance)
        if call.relation in ("true", "false"):
            return truth(written) == (call.relation == "true")
        value = scalar(written)
        if call.relation == "is":
            return value is call.expected
        return isinstance(value, (int, float)) and abs(value - call.expected) < call.tolerance

    def _checked(self, given: Any, output: Any, expected: Any) -> bool:
        try:
            return bool(self.check(given, output, expected))
        except Exception:  # it was written for what a right program gives
            return False

    # Programs that read and write

    def _stdio(self, tests: Stdio) -> list[Result]:
        job: dict[str, Any] = {"kind": "program", "language": self.one.language, "source": self.one.source}
        # A program may open its input or output again by name, for which it needs a /proc.
        by_name = "/dev" in self.one.source or "/proc" in self.one.source
        job["proc"] = by_name

        def run(stdin: int) -> Ended:
            made = {"pipes": 2} if by_name else {"files": 2}
            return self.lane.run(job, self.limits, given=(stdin,), **made)

        return self._cases(tests, run, does_not_compile=_DOES_NOT_COMPILE)

    def _cases(self, tests: Stdio, run: Callable[[int], Ended], does_not_compile: int | None = None) -> list[Result]:
        results: list[Result] = []
        for given, expected in tests.cases:
            late = sum(result.verdict == TIME_LIMIT for result in results)
            if late >= _TIMES_PATIENT:
                results.append(Result(TIME_LIMIT, f"not run: {late} tests before it ran out of time"))
                continue
            with _memory_file(given.encode("utf-8", "surrogatepass")) as stdin:
                ended = run(stdin.fileno())
            output, errors = (data.decode("utf-8", "replace") for data in ended.received)
            if ended.limit is None and ended.code == does_not_compile:
                return [failure(COMPILE_ERROR, last_line(errors))] * len(tests)
            if ended.limit is not None or ended.code != 0:
                results.append(ended_early(ended, errors))
            elif (
                self._checked(given, output, expected)
                if self.check is not None
                else same_text(output, expected, self.tolerance)
            ):
                results.append(Result(PASSED))
            else:
                results.append(Result(WRONG_ANSWER, f"wrote {output[:DETAIL]!r}"))
            if self.sandbox.until_failure and results[-1].verdict != PASSED:
                break
        return results

    def _built(self, tests: Stdio) -> list[Result]:
        language, tools = LANGUAGES[self.one.language], toolchain(self.one.language).paths
        source = self.one.source
        if self.one.language == "java":
            source = without_package(source)
        file = language.file(source)
        job = {"files": {file: source}, "environment": environment(self.limits.memory_bytes), "proc": True}
        with _memory_file(b"") as artifact:
            if language.build is not None:
                argv = language.build(tools, file)
                complaint = self._compile(job, argv, artifact)
                if complaint and language.older and self._compile(job, [*argv, language.older], artifact) is None:
                    complaint = None
                if complaint:
                    return [Result(COMPILE_ERROR, complaint[:DETAIL])] * len(tests)
            kept = bool(language.keep or language.keep_endings)
            if kept:
                job["files"] = {}
            started = java_class(source) if self.one.language == "java" else file
            job |= {"kind": "execute", "argv": language.command(tools, started, self.limits.memory_bytes)}
            limits = replace(
                self.limits,
                memory_bytes=self.limits.memory_bytes + language.overhead_bytes,
                file_bytes=self.limits.file_bytes + os.fstat(artifact.fileno()).st_size,  # it lies in /tmp too
            )

            def run(stdin: int) -> Ended:
                return self.lane.run(
                    job,
                    limits,
                    given=(stdin, artifact.fileno()) if kept else (stdin,),
                    order=(0, 2, 3, 1) if kept else None,
                    pipes=2,
                    own_address_space=language.own_address_space,
                )

            return self._cases(tests, run)

    def _compile(self, job: dict[str, Any], argv: list[str], artifact: BinaryIO) -> str | None:
        """Compile or check a program; return what is wrong with it, `None` where nothing is."""
        language = LANGUAGES[self.one.language]
        build = {
            **job,
            "kind": "build",
            "argv": argv,
            "keep": language.keep,
            "keep_endings": language.keep_endings,
        }
        ended = self.lane.run(
            build, BUILD_LIMITS, given=(artifact.fileno(),), order=(1, 0), pipes=1, own_address_space=False
        )
        if ended.limit is None and ended.code == 0:
            return None
        said = ended.received[0].decode("utf-8", "replace")
        return f"the compiler ran into the {ended.limit}" if ended.limit else first_error(said)

    # Test scripts

    def _script(self, tests: Script) -> list[Result]:
        ours, theirs = socket.socketpair()
        program = {"kind": "serve", "source": self.one.source, "prelude": tests.prelude}
        test_runner = {
            "kind": "test_runner",
            "script": tests.script,
            "entry_point": tests.entry_point,
            "given": tests.given,
            "prelude": tests.prelude,
        }
        serving: list[Ended | Exception] = []
        self.lane.jail("test_runner"), self.lane.jail()  # both there before either waits for the other

        def serve() -> None:
            try:
                serving.append(self.lane.run(program, self.limits, given=(theirs.detach(),), hand_over=True))
            except Exception as error:
                serving.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        limits = replace(self.limits, cpu_seconds=max(10.0, self.limits.cpu_seconds))
        try:
            judged = self.lane.run(
                test_runner, limits, given=(ours.detach(),), hand_over=True, files=1, role="test_runner"
            )
        finally:
            thread.join()
        served = serving[0]
        if isinstance(served, Exception):
            raise served
        for record in records(judged.received[0], self.limits.output_bytes):
            if record.get("r") == PASSED:
                return [Result(PASSED)]
            if record.get("r") == "unsendable":
                return [Result(SANDBOX_FAILURE, f"the tests hand the program {record['why']}")]
            if served.limit is not None:
                return [ended_early(served)]
            if record.get("r") == UNTESTED:
                return [Result(UNTESTED, record["why"])]
            return [failure(record["r"], record["why"])]
        # What the program gave may have been made to cost the test runner too much: that is the program's doing.
        return [ended_early(served if served.limit is not None else judged)]


def _memory_file(content: bytes) -> BinaryIO:
    """Return a file in memory that holds some bytes, to be handed to a jail."""
    file = os.fdopen(os.memfd_create("trl_r1", os.MFD_CLOEXEC), "w+b")
    file.write(content)
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file
