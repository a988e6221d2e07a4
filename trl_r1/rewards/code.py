r"""
Accuracy of a program, the paper's rule-based reward for code (arXiv 2501.12948 v1, 2.2.2: "a compiler can be used to
generate feedback based on predefined test cases").

$$R = \frac{\text{tests passed}}{\text{tests}}$$

or 1 where all pass and 0 otherwise. The paper does not say which; the share is our own choice. The program is the last
fenced block of the answer, after the thought. It runs in a jail: see docs/sandbox.md and [`~sandbox.Sandbox`].
"""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..sandbox import NAMES, VERDICTS, Comparison, Limits, Result, Row, Sandbox, Submission, language_of, read_row
from ..sandbox.extract import completed, defined_in_prompt, last_program
from ..sandbox.rows import Stdio, function_of
from ..text import STYLES, question_of
from ._columns import column
from .math import answer_parts


COLUMNS = ("tests", "verification_info", "test")
_LIMITS = Limits()


@dataclass(frozen=True)
class CodeAccuracy:
    """
    Reward of the share of a row's tests that the completion's program passes; `None` where it cannot be judged: the row
    has no readable tests, asks for a language that is not among `languages`, the tests checked nothing, or the sandbox
    failed twice.

    Needs the column `tests` in one of the shapes of [`~sandbox.read_row`], as a dictionary or its JSON. Without one, it
    takes open-r1's `verification_info`, or HumanEval's `test` with `entry_point`. LiveCodeBench's functional cases may
    name their function in the column `metadata`. Logs the verdict of each test in the column `code_verdicts`.

    Args:
        column (`str`, *optional*, defaults to `"tests"`):
            The column of the tests.
        all_or_nothing (`bool`, *optional*, defaults to `False`):
            Whether only a program that passes every test is rewarded. Its tests then end with the first that fails.
        languages (`tuple[str, ...]`, *optional*, defaults to `("python",)`):
            Languages of programs: `python`, `cpp`, `c`, `javascript`, `java`, `go`, `rust`, `bash`. Blocks in others are
            passed over; a block without a name counts as the first, or as what the row asks for.
        cpu_seconds (`float`), wall_seconds (`float`), memory_bytes (`int`), processes (`int`), output_bytes (`int`), file_bytes (`int`):
            What a test may use. See [`~sandbox.Limits`].
        float_tolerance (`float`, *optional*):
            How far numbers may lie apart, absolutely or relative to the expected one. See [`~sandbox.Comparison`].
        checker (`str`, *optional*):
            Dotted path of a function `(given, output, expected) -> bool`, for problems with several right answers.
        packages (`tuple[str, ...]`, *optional*):
            Top-level packages of this environment that Python programs may import (`numpy`, `sortedcontainers`).
        isolation (`str`, *optional*, defaults to `"jail"`):
            `"jail"`; `"none"` to run what a model wrote as yourself, with all that you may do; or the dotted path of a
            class that makes an [`~sandbox.Executor`].
        lanes (`int`, *optional*):
            How many programs run at the same time. Defaults to the cores of the machine, shared among its ranks.
        prefilled (`bool`, *optional*), style (`str`, *optional*), special_token (`str`, *optional*):
            Where the thought ends. See [`MathAccuracy`].

    Example:
    ```python
    >>> from trl_r1.rewards import code_accuracy

    >>> answer = "<think>Add them.</think>\\n```python\\nprint(sum(map(int, input().split())))\\n```"
    >>> code_accuracy(completions=[answer], tests=[{"inputs": ["1 2", "3 4"], "outputs": ["3", "8"]}])
    [0.5]
    ```
    """

    column: str = "tests"
    all_or_nothing: bool = False
    languages: tuple[str, ...] = ("python",)
    cpu_seconds: float = _LIMITS.cpu_seconds
    wall_seconds: float = _LIMITS.wall_seconds
    memory_bytes: int = _LIMITS.memory_bytes
    processes: int = _LIMITS.processes
    output_bytes: int = _LIMITS.output_bytes
    file_bytes: int = _LIMITS.file_bytes
    float_tolerance: float | None = None
    checker: str | None = None
    packages: tuple[str, ...] = ()
    isolation: str = "jail"
    lanes: int | None = None
    prefilled: bool | None = None
    style: str = "think"
    special_token: str = "|special_token|"

    __name__: ClassVar[str] = "code_accuracy"
    is_accuracy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("languages", "packages"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise ConfigError(f"expected a list of names, got {value!r}", key=name)
            object.__setattr__(self, name, tuple(value))
        unknown = [name for name in self.languages if name not in NAMES]
        if unknown or not self.languages:
            raise ConfigError(f"expected some of {', '.join(NAMES)}, got {unknown or 'none'}", key="languages")
        if self.style not in STYLES:
            raise ConfigError(f"expected one of {', '.join(STYLES)}, got {self.style!r}", key="style")
        self._sandbox()

    @property
    def requires(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column, "entry_point") if self.column == "test" else (self.column,)

    def check_machine(self) -> None:
        """
        Check that this machine can run what is asked for; `trl-r1 plan` and the stages do so before anything runs.

        Raises:
            [`~errors.ConfigError`]: on a checker or a package that is not there.
            [`~errors.MachineError`]: where the jail cannot be built or a tool chain is missing.
        """
        self._sandbox().check_machine()

    def _sandbox(self) -> Sandbox:
        return Sandbox(
            Limits(
                self.cpu_seconds,
                self.wall_seconds,
                self.memory_bytes,
                self.processes,
                self.output_bytes,
                self.file_bytes,
            ),
            Comparison(self.float_tolerance, self.checker),
            self.isolation,
            self.packages,
            self.languages,
            self.lanes,
            until_failure=self.all_or_nothing,
        )

    def reads_gold(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row of data has tests in a known shape, in a language that is run."""
        name = (
            self.column if self.column != COLUMNS[0] else next((one for one in COLUMNS if row.get(one)), self.column)
        )
        entry_point = row.get("entry_point")
        given = defined_in_prompt(row.get("prompt") or "", entry_point) if entry_point is not None else ""
        found = self._row(row.get(name), entry_point, given, function_of(row.get("metadata")))
        return found is not None and bool(self._accepted(found))

    def __call__(
        self,
        *,
        completions: list[Any],
        prompts: list[Any] | None = None,
        completion_ids: list[Any] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        tests = self._tests(columns, len(completions))
        entry_points = columns.get("entry_point") or [None] * len(completions)
        questions = columns.get("question") or [question_of(prompt) for prompt in prompts or [""] * len(completions)]
        answers = self._answers(completions, prompts, columns)
        functions = [function_of(each) for each in columns.get("metadata") or [None] * len(completions)]
        rewards: list[float | None] = [None] * len(completions)
        verdicts = ["no_tests"] * len(completions)
        asked: dict[Any, tuple[Submission, list[int]]] = {}
        rows: dict[Any, Row | None] = {}
        for i, answer in enumerate(answers):
            entry_point, given = entry_points[i], ""
            if entry_point is not None:
                given = defined_in_prompt(questions[i] or "", entry_point)
            key = (_key(tests[i]), entry_point, given, functions[i])
            if key not in rows:
                rows[key] = self._row(tests[i], entry_point, given, functions[i])
            row = rows[key]
            if row is None:
                continue
            accepted = self._accepted(row)
            if not accepted:
                verdicts[i] = "other_language"
                continue
            found = last_program(answer, accepted) if answer is not None else None
            if found is None:
                rewards[i], verdicts[i] = 0.0, "no_code"
                continue
            language, source = found
            if entry_point is not None:
                source, _ = completed(given, source, entry_point)
            # Completions of a group are often the same program.
            asked.setdefault((key, language, source), (Submission(source, row.tests, language), []))[1].append(i)
        judged = self._sandbox().judge([one for one, _ in asked.values()]) if asked else []
        for results, (one, places) in zip(judged, asked.values(), strict=True):
            for i in places:
                rewards[i], verdicts[i] = self._score(results, len(one.tests)), shown(results)
        if log_extra is not None:
            log_extra("code_verdicts", verdicts)
        if log_metric is not None and completions:
            log_metric("code_unscorable", sum(reward is None for reward in rewards) / len(rewards))
            _log_shares(log_metric, judged, [len(places) for _, places in asked.values()])
        return rewards

    def _tests(self, columns: dict[str, Any], count: int) -> list[Any]:
        name = self.column
        if name == COLUMNS[0] and columns.get(name) is None:
            name = next((other for other in COLUMNS if columns.get(other) is not None), name)
        return column(name, columns, count, self.__name__)

    def _answers(self, completions: list[Any], prompts: list[Any] | None, columns: dict[str, Any]) -> list[str | None]:
        prefilled = columns.get("prefilled") if self.prefilled is None else self.prefilled
        parts = answer_parts(completions, prompts, prefilled, self.style, self.special_token)
        cut = columns.get("truncated")
        if cut is None and columns.get("finish_reason") is not None:
            cut = [reason == "length" for reason in columns["finish_reason"]]
        return parts if cut is None else [None if is_cut else part for part, is_cut in zip(parts, cut, strict=True)]

    @staticmethod
    def _row(tests: Any, entry_point: str | None, given: str, function: str | None) -> Row | None:
        if not tests:
            return None
        try:
            return read_row(tests, entry_point, completed(given, "", entry_point)[1] if given else "", function)
        except (ValueError, TypeError, RecursionError):
            return None

    def _accepted(self, row: Row) -> Sequence[str]:
        """Return the languages that a row takes, of those that are run."""
        if not isinstance(row.tests, Stdio):
            return ("python",) if "python" in self.languages else ()
        if row.language is None:
            return self.languages
        return tuple(name for name in self.languages if name == language_of(row.language))

    def _score(self, results: Sequence[Result], count: int) -> float | None:
        passed = sum(result.verdict == "passed" for result in results)
        unknown = ("sandbox_failure", "untested")
        failed = any(result.verdict not in ("passed", *unknown) for result in results)
        if self.all_or_nothing and failed:
            return 0.0
        if any(result.verdict in unknown for result in results):
            return None
        return float(passed == count) if self.all_or_nothing else passed / count


def shown(results: Sequence[Result]) -> str:
    """
    Write the verdicts of a program's tests in a line: `passed*3 time_limit`.

    Args:
        results (`Sequence[Result]`):
            What came of the tests, in order.
    """
    runs = [(verdict, len(list(run))) for verdict, run in itertools.groupby(result.verdict for result in results)]
    return " ".join(verdict if length == 1 else f"{verdict}*{length}" for verdict, length in runs)


def _log_shares(log_metric: Callable[[str, float], None], judged: list[list[Result]], times: list[int]) -> None:
    counts = dict.fromkeys(VERDICTS, 0)
    for results, many in zip(judged, times, strict=True):
        for result in results:
            counts[result.verdict] += many
    total = sum(counts.values())
    for verdict, number in counts.items():
        if total:
            log_metric(f"code/{verdict}", number / total)


def _key(tests: Any) -> Any:
    if isinstance(tests, str):
        return tests
    try:
        return json.dumps(tests)
    except (TypeError, ValueError):
        return id(tests)


code_accuracy = CodeAccuracy()
