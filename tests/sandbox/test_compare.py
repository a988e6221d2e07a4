"""Values and texts of a program, against what is expected."""

import json
import sys
import time
from pathlib import Path

import pytest

import trl_r1.sandbox
from trl_r1.errors import ConfigError
from trl_r1.sandbox import Comparison
from trl_r1.sandbox.compare import plain, same_nodes, same_text, same_value


sys.path.insert(0, str(Path(trl_r1.sandbox.__file__).parent / "inside"))
import values


def written(value):
    return json.loads(json.dumps(values.encode(value)))


EQUAL = [1, -1, 0, 2.5, 1e300, "", "ä\n\ud800", True, None, b"\x00a", 1j, 10**5000, -(10**900)]
EQUAL += [
    [],
    [1, [2, ["a"]]],
    (1, (2,), []),
    {1, 2},
    frozenset({(1, 2), "a"}),
    {1: [2], "a": {None: ()}},
    [float("inf")],
]


@pytest.mark.parametrize("value", EQUAL, ids=lambda v: type(v).__name__)
def test_a_value_equals_itself_and_no_other(value):
    assert same_value(value, written(value))
    others = [other for other in EQUAL if other is not value]
    assert [other for other in others if same_value(value, written(other)) != (value == other)] == []


def test_python_says_that_one_is_true():
    assert same_value(1, written(True))
    assert same_value(1.0, written(1))
    assert not same_value([1], written((1,)))
    assert not same_value({1: 2}, written([(1, 2)]))


def test_the_value_of_a_subclass_is_that_of_its_base():
    from collections import Counter, OrderedDict, defaultdict
    from enum import IntEnum
    from fractions import Fraction

    class Words(list):
        pass

    assert same_value([1], written(Words([1])))
    assert same_value({"a": 2}, written(Counter("aa")))
    assert same_value({1: [2]}, written(defaultdict(list, {1: [2]})))
    assert same_value({1: 2}, written(OrderedDict({1: 2})))
    assert same_value(2, written(IntEnum("E", {"A": 2}).A))
    assert same_value(0.5, written(Fraction(1, 2)))


def test_an_object_that_decides_for_itself_equals_nothing():
    class Always(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    class Thing:
        def __eq__(self, other):
            return True

    for value in (Always(1), Thing(), [Thing()], {1: Thing()}, range(3), iter([1]), len):
        assert not any(same_value(wanted, written(value)) for wanted in (1, True, None, [1], {1: 1}, [0, 1, 2], "x"))


def test_sets_with_members_twice_or_of_other_kinds_are_other_sets():
    assert not same_value({1, 2}, {"s": [1, 1]})
    assert not same_value({1, 2}, {"s": [1, True]})
    assert not same_value({1, 2}, {"s": [1, [2]]})
    assert not same_value({1: 1, 2: 2}, {"d": [[1, 1], [1, 1]]})
    assert not same_value({1: 1}, {"d": [1]})
    assert same_value({(1, 2)}, {"s": [{"t": [1, 2]}]})


@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"x": 1},
        {"t": 1},
        {"d": 1},
        {"d": [[]]},
        {"i": "zz"},
        {"i": 3},
        {"b": "x"},
        {"c": [1, 2, 3]},
        {"t": [1], "s": [1]},
        {"o": "int"},
    ],
)
def test_what_was_never_written_like_this_equals_nothing(forged):
    wanted = [1, "x", [1], (1,), {1}, {1: 1}, None, 1.0, b"x", {}, [], ()]
    assert [w for w in wanted if same_value(w, forged) or same_value([w], [forged])] == []


def test_members_that_collide_cost_no_more_than_others():
    collide = [i * ((1 << 61) - 1) for i in range(1, 40_000)]
    began = time.process_time()
    assert not same_value(set(range(39_999)), {"s": collide})
    assert not same_value(dict.fromkeys(range(39_999)), {"d": [[c, None] for c in collide]})
    assert time.process_time() - began < 5  # as a set of these would take minutes


def test_numbers_within_a_tolerance():
    assert same_value([0.1 + 0.2], written([0.3]), tolerance=1e-9)
    assert not same_value([0.1 + 0.2], written([0.3]))
    assert not same_value(1.0, written(1.1), tolerance=1e-2)
    assert same_value(1e9, written(1e9 + 1), tolerance=1e-6)
    assert not same_value(True, written(1.0000001), tolerance=1e-3)
    assert not same_value(1.0, written(10**5000), tolerance=1e-3)


def test_lists_and_trees():
    assert same_nodes([1, 2], {"L": [1, 2]}, "L")
    assert same_nodes([], None, "L")
    assert not same_nodes([1], {"T": [1]}, "L")
    assert same_nodes([1, None, 2, None, None], {"T": [1, None, 2]}, "T")
    assert not same_nodes([1, 2], {"T": [1, None, 2]}, "T")
    assert not same_nodes([1], {"T": [[1]]}, "T")


def test_text_is_strict_but_for_the_ends_of_lines():
    assert same_text("1 2 \r\n3\n\n", "1 2\n3")
    assert not same_text("1  2", "1 2")
    assert not same_text(" 1", "1")
    assert not same_text("1\n\n2", "1\n2")
    assert not same_text("1", "1\n2")
    assert not same_text("1\n2", "1")
    assert same_text("", "\n")


def test_text_within_a_tolerance():
    assert same_text("1.0000001  yes\n2", "1 yes 2", tolerance=1e-6)
    assert not same_text("1.1 yes 2", "1 yes 2", tolerance=1e-6)
    assert not same_text("1 no 2", "1 yes 2", tolerance=1e-6)
    assert not same_text("nan", "1", tolerance=1.0)
    assert not same_text("1_0", "10", tolerance=1.0)


def test_a_checker_sees_plain_values():
    assert plain(written({"a": (1, [2.5, None])})) == [["a", (1, [2.5, None])]]
    assert plain({"o": "E"}) is None


@pytest.mark.parametrize("checker", ["nowhere.at_all", "os", "os.sep", "trl_r1.sandbox.no_such"])
def test_a_checker_that_is_none_is_told(checker):
    with pytest.raises(ConfigError, match="checker"):
        Comparison(checker=checker).checking()
