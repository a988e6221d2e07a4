import pytest

from trl_r1.solved import accuracy_rewards, is_solved


@pytest.mark.parametrize(
    ("rewards", "solved"),
    [
        ([1.0], True),
        ([0.5], False),
        ([1.0, 0.0], False),
        ([1.0, 1.0], True),
        ([None, 1.0], True),
        ([float("nan"), 0.5], False),
        ([None, float("nan")], None),
        ([], None),
    ],
)
def test_solved_means_full_marks_of_all_that_judge(rewards, solved):
    assert is_solved(rewards) is solved


def test_less_may_be_asked_for():
    assert is_solved([0.5, 0.7], at_least=0.5) is True
    assert is_solved([0.4, 0.7], at_least=0.5) is False


def test_accuracy_rewards_are_the_flagged_else_the_named_else_the_first():
    class Flagged:
        is_accuracy = True

    functions = [print, Flagged(), len]
    assert accuracy_rewards(functions, ["math_accuracy", "judge", "format"]) == [1]
    assert accuracy_rewards([print, len], ["format", "my_Accuracy"]) == [1]
    assert accuracy_rewards([print, len], ["format", "length"]) == [0]
    assert accuracy_rewards([], []) == []
