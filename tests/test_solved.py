"""When a completion counts as solved, and which rewards decide it."""

import math

import pytest

from trl_r1.data import id_of_row, prompt_id, question_of_row
from trl_r1.solved import accuracy_rewards, is_solved


class Reward:
    def __init__(self, is_accuracy=None):
        if is_accuracy is not None:
            self.is_accuracy = is_accuracy


@pytest.mark.parametrize(
    ("rewards", "solved"),
    [
        ([1.0], True),
        ([0.5], False),  # a program that passes half of its tests
        ([0.0], False),
        ([1.0, None], True),
        ([math.nan, 1.0], True),
        ([1.0, 0.0], False),  # every reward that judges it must agree
        ([2.0], True),
        ([None, math.nan], None),
        ([], None),
    ],
)
def test_solved_is_full_marks_from_every_reward_that_judges(rewards, solved):
    assert is_solved(rewards) is solved


def test_a_data_set_may_be_content_with_less():
    assert is_solved([0.5, 0.7], at_least=0.5) is True
    assert is_solved([0.4, 0.7], at_least=0.5) is False


@pytest.mark.parametrize(
    ("flags", "names", "positions"),
    [
        ([True, None, True], ["a", "b", "c"], [0, 2]),
        ([None, True], ["math_accuracy", "judge"], [1]),  # what a reward says of itself comes before its name
        ([None, None, False], ["form", "Math_Accuracy", "accuracy"], [1, 2]),
        (["yes", None], ["a", "b"], [0]),  # True alone says so: here the first decides, for want of another
        ([None, None], ["a", "b"], [0]),
        ([], [], []),
    ],
)
def test_accuracy_rewards_are_told_by_flag_then_by_name_then_by_place(flags, names, positions):
    assert accuracy_rewards([Reward(flag) for flag in flags], names) == positions


def test_the_question_of_a_row_is_its_own_or_that_of_its_prompt():
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}]
    assert question_of_row({"question": "2+2?", "prompt": "User: 2+2?"}) == "2+2?"
    assert question_of_row({"prompt": chat}) == "1+1?"
    assert question_of_row({"question": None, "prompt": "3+3?"}) == "3+3?"
    assert question_of_row({}) == ""


def test_the_id_of_a_row_is_its_own_or_made_of_domain_and_question():
    assert id_of_row({"prompt_id": "x", "question": "2+2?"}) == "x"
    assert id_of_row({"prompt_id": 7}) == "7"
    assert id_of_row({"question": "2+2?", "domain": "math"}) == prompt_id("math", "2+2?")
    assert id_of_row({"question": "2+2?"}) == prompt_id("", "2+2?")
