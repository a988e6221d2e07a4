"""Accuracy of multiple-choice answers."""

import pickle

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards import ChoiceAccuracy, choice_accuracy
from trl_r1.rewards.choice import option_letter, read_options


def score(completion, solution="B", options=None, **handed):
    columns = {} if options is None else {"options": [options]}
    return choice_accuracy(completions=[completion], solution=[solution], **columns, **handed)[0]


NUMBERS = ["ten", "twelve", r"\frac{1}{2}", "14"]


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("\\boxed{B}", 1.0),
        ("\\boxed{(B)}", 1.0),
        ("\\boxed{\\text{B}}", 1.0),
        ("\\boxed{\\textbf{(B)}\\ 12}", 1.0),
        ("\\boxed{b}", 1.0),
        ("\\boxed{C}", 0.0),
        ("\\boxed{B and C}", 0.0),
        ("\\boxed{B, C}", 0.0),
        ("\\boxed{A or B}", 0.0),
        ("\\boxed{12}", 0.0),
        ("<think>B</think>", 0.0),
        ("<think>B</think> \\boxed{C}", 0.0),
        ("<think>\\boxed{B}", 0.0),
        ("<answer>B</answer>", 1.0),
        ("<answer>B. twelve</answer>", 1.0),
        ("B", 1.0),
        ("**B**", 1.0),
        ("The answer is B.", 1.0),
        ("The answer is (B).", 1.0),
        ("The correct answer is **B**.", 1.0),
        ("The answer is option B because it is larger than A.", 1.0),
        ("Option A is too small, so the answer is B", 1.0),
        ("答案是B", 1.0),
        ("答案：（B）", 1.0),
        ("选B", 1.0),
        ("The answer is C, not B.", 0.0),
        ("The correct option is **B**.", 1.0),
        ("The correct choice is $\\textbf{(B)}$.", 1.0),
        ("Option B is correct.", 1.0),
        ("I choose (B).", 1.0),
        ("故选：B", 1.0),
        ("故选B项。", 1.0),
        ("Option C is wrong, so we choose B.", 1.0),
        ("The answer is therefore B.", 1.0),
        ("It must be B.", 1.0),
        ("Therefore, B.", 1.0),
        ("正确选项是 B", 1.0),
        ("It is a prime. So the answer is B.", 1.0),
        ("The answer is B? No, C.", 0.0),
        ("Is the answer B?", 0.0),
        ("If 5 were even, the answer would be B.", 0.0),
        ("The answer is B or C.", 0.0),
        ("The answer is B, C or D", 0.0),
        ("It is B or C", 0.0),
        ("The answer is not option B.", 0.0),
        ("The answer is not B.", 0.0),
        ("Option B is incorrect.", 0.0),
        ("We can rule out option B.", 0.0),
        ("答案不是B", 0.0),
        ("\\boxed{not B}", 0.0),
        ("A good question.", 0.0),
        ("", 0.0),
    ],
)
def test_letters(completion, reward):
    assert score(completion) == reward


@pytest.mark.parametrize("solution", ["B", "(B)", "b", "\\text{(B)}", "$B$", "The answer is B.", "\\boxed{B}"])
def test_golds_that_are_letters(solution):
    assert score("\\boxed{B}", solution) == 1.0
    assert score("\\boxed{A}", solution) == 0.0


@pytest.mark.parametrize(
    ("completion", "solution", "reward"),
    [
        ("\\boxed{B}", "twelve", 1.0),
        ("\\boxed{twelve}", "twelve", 1.0),
        ("\\boxed{twelve}", "B", 1.0),
        ("\\boxed{ten}", "B", 0.0),
        ("\\boxed{0.5}", "C", 1.0),
        ("\\boxed{14}", "D", 1.0),
        ("\\boxed{15}", "D", 0.0),
        ("\\boxed{E}", "D", 0.0),
        ("The answer is twelve.", "B", 1.0),
        ("\\boxed{B) twelve}", "B", 1.0),
        ("\\boxed{B) 14}", "B", 0.0),
        ("\\boxed{\\textbf{(B)}\\ 14}", "B", 0.0),
    ],
)
def test_with_options_text_and_letter_are_one(completion, solution, reward):
    assert score(completion, solution, NUMBERS) == reward


@pytest.mark.parametrize("solution", [None, "", "E", "thirteen"])
def test_a_gold_that_is_no_option_is_none(solution):
    assert score("\\boxed{B}", solution, NUMBERS) is None


def test_a_text_gold_without_options_is_compared_as_words():
    assert score("\\boxed{Paris}", "paris") == 1.0
    assert score("\\boxed{London}", "paris") == 0.0


@pytest.mark.parametrize(
    "options",
    [
        ["ten", "twelve"],
        {"A": "ten", "B": "twelve"},
        '["ten", "twelve"]',
        '{"a": "ten", "b": "twelve"}',
        "['ten', 'twelve']",
        ["A. ten", "B. twelve"],
        ["(A) ten", "(B) twelve"],
    ],
)
def test_options_in_the_shapes_of_public_data(options):
    assert read_options(options) == {"A": "ten", "B": "twelve"}


@pytest.mark.parametrize("options", [3, "no list", list("abcdefghi"), {"Q": "x"}])
def test_other_options_are_refused(options):
    with pytest.raises(ConfigError) as found:
        read_options(options)
    assert found.value.key == "options"


@pytest.mark.parametrize("text", ["A good question", "AB", "12", "", "B and C", "(A) or (B)"])
def test_what_names_no_option(text):
    assert option_letter(text) is None


def test_an_article_is_no_option():
    assert score("The answer is a prime number.", "A") == 0.0
    assert score("The answer is a.", "A") == 1.0


def test_golds_of_other_shapes():
    assert score("\\boxed{B}", ["A", "B"]) == 1.0
    assert score("\\boxed{C}", ["A", "B"]) == 0.0
    assert score("\\boxed{B}", float("nan")) is None
    golds = ChoiceAccuracy(gold_key="answer")
    assert golds(completions=["B"], solution=[{"answer": "B"}]) == [1.0]


def test_a_missing_column_and_pickling():
    with pytest.raises(ConfigError, match="`solution`"):
        choice_accuracy(completions=["B"])
    assert pickle.loads(pickle.dumps(ChoiceAccuracy(prefilled=True))) == ChoiceAccuracy(prefilled=True)
    assert choice_accuracy.__name__ == "choice_accuracy"
    assert ChoiceAccuracy.is_accuracy is True


def test_conversational_and_prefilled():
    completion = [{"role": "assistant", "content": "it is</think>(B)"}]
    assert score(completion, prompts=["Which? <think>"]) == 1.0
    assert score("(B)", prompts=["Which? <think>"]) == 0.0
