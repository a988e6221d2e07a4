"""Test scripts are taken apart so that what is expected never enters the jail."""

import pytest

from trl_r1.sandbox.asserts import Call, take_apart


LEETCODE = "def check(candidate):\n    assert candidate(nums = [2,7], target = 9) == [0,1]\n    assert candidate(nums = [3], target = 3) == []\n\n\ncheck(Solution().twoSum)"
HUMANEVAL = "METADATA = {'author': 'jt'}\n\n\ndef check(candidate):\n    assert candidate('a') == ['b'], 'message'\n    assert True\n    assert not candidate('')\n    assert abs(candidate(1.33) - 0.33) < 1e-6\n    assert candidate([1, 2]) is True\n"


def test_leetcode_asserts_become_calls_and_values():
    calls, bound = take_apart(LEETCODE)
    assert bound == {"candidate": "Solution().twoSum"}
    assert calls == (
        Call("candidate(nums=[2, 7], target=9)", "equal", [0, 1]),
        Call("candidate(nums=[3], target=3)", "equal", []),
    )


def test_humaneval_asserts_become_calls_and_values():
    calls, bound = take_apart(HUMANEVAL, "encode")
    assert bound == {"candidate": "encode"}
    assert calls == (
        Call("candidate('a')", "equal", ["b"]),
        Call("candidate('')", "false"),
        Call("candidate(1.33)", "close", 0.33, 1e-6),
        Call("candidate([1, 2])", "is", True),
    )


def test_an_assert_of_a_constant_is_no_test():
    assert take_apart("def check(candidate):\n    assert True\n", "f") is None


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("assert f(1) == -2", Call("f(1)", "equal", -2)),
        ("assert {1, 2} == set(f(1))", Call("set(f(1))", "equal", {1, 2})),
        ("assert sorted(f(1)) == [1]", Call("sorted(f(1))", "equal", [1])),
        ("assert f(1) == (3 + 5, 3 * 5, 2 ** 10)", Call("f(1)", "equal", (8, 15, 1024))),
        ("assert f(1) == float('inf')", Call("f(1)", "equal", float("inf"))),
        ("assert f(1) == set()", Call("f(1)", "equal", set())),
        ("assert Solution().f(x=1) == {'a': [None]}", Call("Solution().f(x=1)", "equal", {"a": [None]})),
        ("assert f(1)", Call("f(1)", "true")),
        ("assert is_same_list(f(list_node([1])), list_node([2, 3]))", Call("f(list_node([1]))", "list", [2, 3])),
        ("assert is_same_tree(f(None), None)", Call("f(None)", "tree", [])),
    ],
)
def test_forms_of_asserts_that_are_taken_apart(line, call):
    assert take_apart(line) == ((call,), {})


@pytest.mark.parametrize(
    "script",
    [
        "assert f(1) == f(2)",
        "assert f(1) == g(2)",
        "assert f(1) != 2",
        "assert f(1) == 2 or f(1) == 3",
        "assert abs(f(1) - f(2)) < 1",
        "assert f(1) == 2 ** 10 ** 10",
        "assert round(f(1), 2) == 2",
        "x = 1\nassert f(x) == 2",
        "import math\nassert f(1) == 2",
        "for i in range(3):\n    assert f(i) == i",
        "def check(candidate):\n    x = 1\n    assert candidate(x) == 1\ncheck(f)",
        "def check(a, b):\n    assert a(1) == 1\ncheck(f, g)",
        "assert f(1) ==",
        "assert f(" + "(" * 5000 + ")" * 5000 + ") == 1",
        "",
    ],
)
def test_what_is_not_of_a_known_form_is_left_whole(script):
    assert take_apart(script) is None


def test_no_expected_value_stands_in_what_is_evaluated_inside():
    script = "\n".join(
        [
            "assert f(1) == 7777",
            "assert 7777 == f(1)",
            "assert abs(f(1) - 7777) <= 7777",
            "assert f(1) is None",
            "assert is_same_list(f(1), list_node([7777]))",
        ]
    )
    calls, _ = take_apart(script)
    assert len(calls) == 5
    assert all("7777" not in call.expression for call in calls)
