"""The reward of a program: the share of its tests that it passes."""

import json
import pickle
import subprocess
import sys

import pytest

from tests.sandbox.conftest import needs, why_no_jail
from trl_r1.errors import ConfigError, MachineError
from trl_r1.rewards import CodeAccuracy, code_accuracy, load_rewards
from trl_r1.rewards.code import shown
from trl_r1.sandbox import Result


SUMS = {"inputs": ["1 2", "3 4"], "outputs": ["3", "7"]}
RIGHT = "print(sum(map(int, input().split())))"
HALF = "print(3)"


@pytest.fixture(autouse=True)
def _jailed():
    if why := why_no_jail():
        pytest.skip(why)


def answer(source: str, name: str = "python") -> str:
    return f"<think>Let me think.</think>\nSo:\n```{name}\n{source}\n```"


def test_the_share_of_tests_that_pass():
    found = code_accuracy(completions=[answer(RIGHT), answer(HALF), answer("print(0)")], tests=[SUMS] * 3)
    assert found == [1.0, 0.5, 0.0]


def test_all_or_nothing():
    reward = CodeAccuracy(all_or_nothing=True)
    assert reward(completions=[answer(RIGHT), answer(HALF)], tests=[SUMS] * 2) == [1.0, 0.0]


@pytest.mark.parametrize(
    "completion",
    [
        f"<think>```python\n{RIGHT}\n```",
        f"<think>```python\n{RIGHT}\n```</think> As above.",
        f"<think>.</think> {RIGHT}",
        f"<think>.</think>```python\n{RIGHT}",
        f"<think>.</think>```text\n{RIGHT}\n```",
        f"<think>.</think>```cpp\n{RIGHT}\n```",
        f"{answer(RIGHT)}<think>and yet",
        "",
    ],
)
def test_what_stands_elsewhere_than_in_a_block_after_the_thought_is_no_program(completion):
    assert code_accuracy(completions=[completion], tests=[SUMS]) == [0.0]


def test_a_completion_that_was_cut_off_earns_nothing():
    handed = {"completions": [answer(RIGHT)] * 2, "tests": [SUMS] * 2}
    assert code_accuracy(**handed, truncated=[True, False]) == [0.0, 1.0]
    assert code_accuracy(**handed, finish_reason=["length", "stop"]) == [0.0, 1.0]


def test_a_thought_that_the_prompt_opened():
    completion = f"```python\n{RIGHT}\n``` but is it?"
    assert code_accuracy(completions=[completion], prompts=["Add.<think>"], tests=[SUMS]) == [0.0]
    closed = f"hm</think>\n```py\n{RIGHT}\n```"
    assert code_accuracy(completions=[closed], prompts=["Add.<think>"], tests=[SUMS]) == [1.0]


def test_conversations():
    assert code_accuracy(completions=[[{"role": "assistant", "content": answer(RIGHT)}]], tests=[SUMS]) == [1.0]


@pytest.mark.parametrize("column", ["tests", "verification_info"])
def test_columns_as_data_or_as_json(column):
    info = {"language": "python", "test_cases": [{"input": "1 2", "output": "3", "type": "stdin_stdout"}]}
    for value in (info, json.dumps(info)):
        assert code_accuracy(completions=[answer(RIGHT)], **{column: [value]}) == [1.0]


PROMPT = 'from typing import List\n\n\ndef total(a: List[int]) -> int:\n    """ Add.\n    """\n'
TEST = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [("    return sum(a)", 1.0), ("def total(a: List[int]):\n    return sum(a)", 1.0), ("    return 3", 0.5)],
)
def test_humaneval(source, expected):
    columns = {"test": [TEST], "entry_point": ["total"], "prompts": [f"Complete this:\n```python\n{PROMPT}```"]}
    assert code_accuracy(completions=[answer(source)], **columns) == [expected]
    assert CodeAccuracy(column="test").requires == ("test", "entry_point")


def test_what_cannot_be_judged_is_none_and_says_why():
    logged, metrics = {}, {}
    cpp = {"language": "cpp", "test_cases": [{"input": "1", "output": "1"}]}
    found = code_accuracy(
        completions=[*[answer(RIGHT)] * 4, answer("def f(x):\n    return 1"), answer(RIGHT), "no code"],
        tests=[None, {}, "no tests", cpp, "def verify():\n    assert f(1)", SUMS, SUMS],
        log_extra=logged.__setitem__,
        log_metric=metrics.__setitem__,
    )
    assert found == [None, None, None, None, None, 1.0, 0.0]
    assert logged["code_verdicts"] == ["no_tests"] * 3 + ["other_language", "untested", "passed*2", "no_code"]
    assert metrics["code_unscorable"] == pytest.approx(5 / 7)
    assert metrics["code/passed"] == pytest.approx(2 / 3)
    assert metrics["code/untested"] == pytest.approx(1 / 3)
    assert metrics["code/sandbox_failure"] == 0.0


@pytest.mark.parametrize("everything", [False, True])
def test_a_failure_of_the_sandbox_is_never_a_zero(monkeypatch, everything):
    fine, lost, wrong = Result("passed"), Result("sandbox_failure"), Result("wrong_answer")
    results = iter([[[fine, lost]], [[fine, fine]], [[lost, wrong]]])
    monkeypatch.setattr("trl_r1.sandbox.Sandbox.judge", lambda self, submissions: next(results))
    reward = CodeAccuracy(all_or_nothing=everything)
    found = [reward(completions=[answer(RIGHT)], tests=[SUMS])[0] for _ in range(3)]
    assert found == [None, 1.0, 0.0 if everything else None]


def test_a_program_that_a_group_repeats_runs_once(monkeypatch):
    from trl_r1.sandbox import Sandbox

    judged, judge = [], Sandbox.judge
    monkeypatch.setattr(Sandbox, "judge", lambda self, some: judged.extend(some) or judge(self, some))
    found = code_accuracy(completions=[answer(RIGHT), answer(HALF), answer(RIGHT)], tests=[dict(SUMS)] * 3)
    assert found == [1.0, 0.5, 1.0]
    assert len(judged) == 2


def test_verdicts_are_written_in_a_line():
    assert (
        shown([Result(verdict) for verdict in ("passed", "passed", "time_limit", "passed")])
        == "passed*2 time_limit passed"
    )


@pytest.mark.parametrize(
    "language", [pytest.param("cpp", marks=needs("cpp")), pytest.param("bash", marks=needs("bash"))]
)
def test_other_languages(language):
    source = {
        "cpp": "#include <iostream>\nint main() { int a, b; std::cin >> a >> b; std::cout << a + b; }",
        "bash": "read a b; echo $((a + b))",
    }[language]
    reward = CodeAccuracy(languages=["python", language])
    assert reward(completions=[answer(source, language), answer(RIGHT), answer(source, "")], tests=[SUMS] * 3) == [
        1,
        1,
        0,
    ]
    asked = {"language": language, "test_cases": [{"input": "1 2", "output": "3"}]}
    assert reward(completions=[answer(source, ""), answer(RIGHT)], tests=[asked] * 2) == [1.0, 0.0]


def test_it_pickles_and_is_an_accuracy():
    reward = pickle.loads(pickle.dumps(CodeAccuracy(languages=["python", "c"], all_or_nothing=True)))
    assert reward == CodeAccuracy(languages=("python", "c"), all_or_nothing=True)
    assert (reward.__name__, reward.is_accuracy, reward.requires) == ("code_accuracy", True, ("tests",))
    assert pickle.loads(pickle.dumps(code_accuracy))(completions=[answer(RIGHT)], tests=[SUMS]) == [1.0]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"languages": ["cobol"]}, "languages"),
        ({"languages": "python"}, "languages"),
        ({"languages": []}, "languages"),
        ({"isolation": "docker"}, "isolation"),
        ({"cpu_seconds": 0}, "cpu_seconds"),
        ({"memory_bytes": 1.5}, "memory_bytes"),
        ({"lanes": 0}, "lanes"),
        ({"style": "prose"}, "style"),
        ({"float_tolerance": -1}, "float_tolerance"),
        ({"checker": "nowhere.at_all"}, "checker"),
        ({"packages": ["no_such_package"]}, "packages"),
    ],
)
def test_wrong_arguments_are_told_before_a_run(arguments, key):
    with pytest.raises(ConfigError, match=f"args.{key}"):
        load_rewards([{"func": "trl_r1.rewards.CodeAccuracy", "args": arguments}])


def test_a_missing_tool_chain_or_jail_is_told_before_a_run(monkeypatch, tmp_path):
    from trl_r1.sandbox import toolchains

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("trl_r1.pools._SHARED", {})
    toolchains.toolchain.cache_clear()
    with pytest.raises(MachineError, match="there is no `g\\+\\+`"):
        load_rewards([{"func": "trl_r1.rewards.CodeAccuracy", "args": {"languages": ["cpp"]}}])
    with pytest.raises(MachineError, match="there is no `bwrap`"):
        load_rewards(["trl_r1.rewards.code_accuracy"])
    toolchains.toolchain.cache_clear()


def test_a_missing_column_is_told():
    with pytest.raises(ConfigError, match="`tests`"):
        code_accuracy(completions=[answer(RIGHT)], solution=["3"])


def test_importing_it_loads_no_torch():
    program = "import sys; import trl_r1.rewards.code; print([m for m in ('torch', 'transformers', 'trl') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
