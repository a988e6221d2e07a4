"""An isolation of one's own in the jail's place."""

import pytest

from trl_r1.errors import ConfigError
from trl_r1.sandbox import Limits, Sandbox, Submission, read_row


HERE = "tests.sandbox.executors.Interpreter"
SUMS = {"inputs": ["1 2", "3 4"], "outputs": ["3", "8"]}
LEETCODE = {
    "functional": "def check(candidate):\n    assert candidate(a = [1]) == [1, 1]\n    assert candidate(a = []) == []\n\n\ncheck(Solution().f)"
}
SOLUTION = "print('hello')\nclass Solution:\n    def f(self, a: List[int]) -> List[int]:\n        return a * 2\n"


@pytest.mark.parametrize(
    ("source", "tests", "language", "expected"),
    [
        ("print(sum(map(int, input().split())))", SUMS, "python", ["passed", "wrong_answer"]),
        ("print(1 / 0)", SUMS, "python", ["runtime_error"] * 2),
        (SOLUTION, LEETCODE, "python", ["passed"] * 2),
        (SOLUTION.replace("* 2", "* 3"), LEETCODE, "python", ["wrong_answer", "passed"]),
        (SOLUTION.replace("hello')", "hello'"), LEETCODE, "python", ["compile_error"] * 2),
        ("x = 'BREAK'", SUMS, "python", ["sandbox_failure"] * 2),
        ("any", {"inputs": ["1", "2"], "outputs": ["1", "3"]}, "rust", ["passed", "wrong_answer"]),
        ("does not compile", SUMS, "cpp", ["compile_error"] * 2),
        ("def f(x):\n    return x", "for i in (1, 2):\n    assert f(i) == i", "python", ["untested"]),
    ],
)
def test_what_an_executor_runs_is_judged_here(source, tests, language, expected):
    sandbox = Sandbox(Limits(cpu_seconds=2.0), isolation=HERE, languages=("python", "rust", "cpp"), lanes=1)
    (found,) = sandbox.judge([Submission(source, read_row(tests).tests, language)])
    assert [result.verdict for result in found] == expected, found


def test_a_machine_is_checked_by_its_executor():
    Sandbox(isolation=HERE, lanes=1).check_machine()


@pytest.mark.parametrize(
    "path", ["nowhere.Executor", "tests.sandbox.executors.Nothing", "tests.sandbox.executors.__doc__"]
)
def test_an_executor_that_is_none_is_told(path):
    with pytest.raises(ConfigError, match="isolation"):
        Sandbox(isolation=path)
