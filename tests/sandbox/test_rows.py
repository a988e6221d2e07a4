"""The tests of a row, in the shapes that public data have."""

import json

import pytest

from trl_r1.sandbox import Calls, Script, Stdio, read_row
from trl_r1.sandbox.asserts import Call


LEETCODE = {"functional": "def check(candidate):\n    assert candidate(n = 1) == 2\n\n\ncheck(Solution().f)"}


@pytest.mark.parametrize("tests", [LEETCODE, json.dumps(LEETCODE)])
def test_leetcode(tests):
    assert read_row(tests).tests == Calls(
        (Call("candidate(n=1)", "equal", 2),), (("candidate", "Solution().f"),), True
    )


@pytest.mark.parametrize("keys", [("inputs", "outputs"), ("input", "output")])
def test_programs_that_read_and_write(keys):
    tests = {keys[0]: ["1 2\n", ["3", "4"]], keys[1]: ["3\n", ["3", "4"]], "fn_name": None}
    assert read_row(tests).tests == Stdio((("1 2\n", "3\n"), ("3\n4", "3\n4")))


def test_taco_with_a_function():
    tests = json.dumps({"fn_name": "add", "inputs": [[1, "a"], ["2\n[3]"][0]], "outputs": [[3], 4]})
    found = read_row(tests).tests
    assert [(call.expression, call.relation, call.expected) for call in found.calls] == [
        ("__asked__(1, 'a')", "one_of", [3]),
        ("__asked__(2, [3])", "one_of", 4),
    ]


def test_open_r1():
    info = {"language": "cpp", "test_cases": [{"input": "1", "output": "2", "type": "stdin_stdout", "fn_name": None}]}
    row = read_row(json.dumps(info))
    assert (row.language, row.tests) == ("cpp", Stdio((("1", "2"),)))


def test_a_list_of_cases_as_datasets_may_hand_it_over():
    cases = {"input": ["1", "3"], "output": ["2", "4"], "type": ["stdin_stdout"] * 2, "fn_name": [None, None]}
    assert read_row({"language": "python", "test_cases": cases}).tests == Stdio((("1", "2"), ("3", "4")))


def test_live_code_bench():
    assert read_row(json.dumps([{"input": "1", "output": "2", "testtype": "stdin"}])).tests == Stdio((("1", "2"),))


def test_functional_cases_call_the_function_that_their_metadata_name():
    case = {"input": "1\n[2]", "output": "3", "testtype": "functional"}
    named = {**case, "metadata": {"func_name": "add"}}
    found = read_row(json.dumps([named])).tests
    assert [(call.expression, call.expected) for call in found.calls] == [("__asked__(1, [2])", 3)]
    assert read_row([case], function="add").tests == found
    with pytest.raises(ValueError, match="name of the function"):
        read_row([case])


def test_humaneval():
    script = "def check(candidate):\n    assert candidate(1) == 2\n"
    assert read_row(script, "f").tests == Calls((Call("candidate(1)", "equal", 2),), (("candidate", "f"),))


def test_humaneval_with_a_loop_runs_as_a_script_that_is_called():
    script = "def check(candidate):\n    for i in range(3):\n        assert candidate(i) == i\n"
    assert read_row(script, "f", "import math\n").tests == Script(f"{script}\n\ncheck(f)\n", "f", "import math\n")


def test_a_list_of_asserts():
    assert len(read_row(["assert f(1) == 2", "assert f(2) == 3"]).tests) == 2


@pytest.mark.parametrize(
    "tests",
    [
        {},
        {"inputs": [], "outputs": []},
        {"inputs": ["1"], "outputs": []},
        {"inputs": "1", "outputs": "2"},
        {"inputs": ["1"]},
        {"functional": 3},
        {"functional": "print(1)"},
        "nothing to see",
        [{"input": "1"}],
        [{"input": "1", "output": "2", "fn_name": "f"}, {"input": "1", "output": "2", "fn_name": None}],
        {"inputs": [[1]], "outputs": [1], "fn_name": "f; import os"},
        3,
        [],
    ],
)
def test_other_shapes_are_told(tests):
    with pytest.raises(ValueError, match="expected"):
        read_row(tests)
