"""Accuracy of mathematical answers: each way in which other rewards are fooled, hung or silent, with the right verdict."""

import pickle
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards import MathAccuracy, math_accuracy


def score(completion, solution="4", reward=math_accuracy, **handed):
    return reward(completions=[completion], solution=[solution], **handed)[0]


@pytest.mark.parametrize(
    ("completion", "solution", "reward"),
    [
        # an answer that stands only inside the thought
        ("<think>\\boxed{4}</think>", "4", 0.0),
        ("<think>\\boxed{4}</think> I am not sure.", "4", 0.0),
        ("<think>It is \\boxed{4}", "4", 0.0),
        ("<think>\\boxed{4}</think> \\boxed{5}", "4", 0.0),
        ("<think>\\boxed{5}</think> \\boxed{4}", "4", 1.0),
        ("<think>5</think> <think>\\boxed{4}", "4", 0.0),
        # a chain of equations that ends in the gold
        ("\\boxed{5=4}", "4", 0.0),
        ("\\boxed{x=1=2=3=4}", "4", 0.0),
        ("\\boxed{x=4}", "4", 1.0),
        ("\\boxed{2+2=4}", "4", 1.0),
        # percentages
        ("\\boxed{400\\%}", "4", 0.0),
        ("\\boxed{4\\%}", "4", 0.0),
        ("\\boxed{4\\%}", "4\\%", 1.0),
        # several boxes
        ("\\boxed{5} then \\boxed{4}", "4", 1.0),
        ("\\boxed{4} then \\boxed{5}", "4", 0.0),
        ("\\boxed{4} or \\boxed{5}", "4", 0.0),
        ("\\boxed{4}, \\boxed{5}", "5", 0.0),
        ("$\\boxed{1}$ and $\\boxed{2}$", "1,2", 1.0),
        # spellings
        ("\\boxed{\\frac13}", "1/3", 1.0),
        ("\\boxed{\\dfrac{1}{3}}", "$\\frac{1}{3}$", 1.0),
        ("\\boxed{1,080}", "#### 1,080", 1.0),
        # golds that are words, choices or bare tuples
        ("\\boxed{A}", "A", 1.0),
        ("\\boxed{B}", "A", 0.0),
        ("\\boxed{Monday}", "Monday", 1.0),
        ("\\boxed{Tuesday}", "Monday", 0.0),
        ("\\boxed{\\text{Monday}}", "\\text{Monday}", 1.0),
        ("\\boxed{(1,2)}", "(1,2)", 1.0),
        ("\\boxed{(2,1)}", "(1,2)", 0.0),
        # a box that is never closed
        ("The answer is \\boxed{4", "4", 0.0),
        ("\\boxed{4} or rather \\boxed{", "4", 0.0),
        # small numbers
        ("\\boxed{2^{-98}}", "2^{-99}", 0.0),
        ("\\boxed{2^{-99}}", "2^{-99}", 1.0),
        # the direction of the comparison
        ("\\boxed{(1,2)}", "1<x<2", 1.0),
        ("\\boxed{1<x<2}", "(1,2)", 0.0),
        # tags
        ("<think>2+2</think> <answer>4</answer>", "4", 1.0),
        ("<think>2+2</think> <answer>\\boxed{4}</answer>", "4", 1.0),
        ("<think>2+2</think> <answer>5</answer> <answer>4</answer>", "4", 1.0),
        # no answer at all
        ("", "4", 0.0),
        ("<think></think>", "4", 0.0),
        ("I do not know", "4", 0.0),
        ("\\boxed{}", "4", 0.0),
    ],
)
def test_verdicts(completion, solution, reward):
    assert score(completion, solution) == reward


@pytest.mark.parametrize("solution", [None, "", "  ", "\\boxed{}", "\\frac{x}{"])
def test_a_gold_that_is_absent_or_unreadable_is_none(solution):
    assert score("\\boxed{4}", solution) is None


def test_golds_of_other_shapes():
    lists = [["34", "35"], '["34", "35"]', ["34", None], [], float("nan"), "NaN", [None]]
    assert math_accuracy(completions=["\\boxed{34}"] * 7, solution=lists) == [1.0, 1.0, 1.0, None, None, None, None]
    assert score("\\boxed{36}", ["34", "35"]) == 0.0
    assert score("\\boxed{35, 34}", ["34", "35"], MathAccuracy(golds="all")) == 1.0
    assert score("\\boxed{34}", ["34", "35"], MathAccuracy(golds="all")) == 0.0
    assert score("\\boxed{34}", {"ground_truth": "34"}, MathAccuracy(gold_key="ground_truth")) == 1.0
    assert score("\\boxed{34}", '{"ground_truth": "34"}', MathAccuracy(gold_key="answer")) is None
    with pytest.raises(ConfigError, match="`ground_truth`") as found:
        score("\\boxed{34}", {"ground_truth": "34"})
    assert found.value.key == "gold_key"


@pytest.mark.parametrize("piece", ["\\boxed{", "\\frac{", "4, ", "- ", "1 ", "\\text{a", "or ", "{"])
def test_a_long_answer_costs_little_and_reaches_no_worker(piece, monkeypatch):
    monkeypatch.setattr(sys.modules["trl_r1.verify.judge"], "default_pool", lambda: pytest.fail("it is asked"))
    monkeypatch.setattr(MathAccuracy, "start_workers", lambda self: None)
    text = f"</think> \\boxed{{{piece * (200_000 // len(piece))}}}"
    started = time.process_time()
    assert score(text) == 0.0
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    "completion",
    [
        "\ufffd\u02f6=W\ufffd\ufffd\ufffd7 5\ufffd",
        "!\ufffd5\ufffd=:",
        "\\boxed{\x01\x02=\x03}",
        "\\boxed{=}",
        "\\boxed{x=}",
        "\\boxed{\\frac{=4}}",
        "\\boxed{\\int=\\sum}",
    ],
)
@pytest.mark.parametrize("solution", ["7", "265", "\\frac{x}{2}", "2x+y=3", "(1,\\infty)"])
def test_an_answer_that_cannot_be_read_is_wrong(completion, solution):
    assert score(completion, solution) == 0.0


def test_noise_is_wrong():
    generator = random.Random(0)
    signs = "=\ufffd\x01\\{}$^_<>,;:()[]|%!+-*/ 0123456789xyWé中文\u02f6\n"
    noise = ["".join(generator.choice(signs) for _ in range(generator.randint(1, 25))) for _ in range(400)]
    golds = ["7654", "\\frac{13}{17}", "x^2+1", "(1, 2]", "Monday"]
    rewards = math_accuracy(completions=noise, solution=[golds[i % 5] for i in range(400)])
    assert rewards == [0.0] * 400


def test_a_row_without_solution_is_none_and_its_neighbours_are_judged():
    assert math_accuracy(completions=["4", "4", "5"], solution=["4", None, "4"]) == [1.0, None, 0.0]


def test_a_deadline_is_none_and_its_neighbours_are_judged():
    reward = MathAccuracy(deadline_cpu_seconds=0.3)
    completions = [f"</think>\\boxed{{{x}}}" for x in ("9^{9^{9^{9}}}", "\\binom{9}{3}", "\\binom{9}{2}")]
    assert reward(completions=completions, solution=["4", "84", "84"]) == [None, 1.0, 0.0]


def test_an_expression_that_hangs_others_does_not_hang_a_thread():
    reward = MathAccuracy(deadline_cpu_seconds=0.3)
    completions = [f"</think>\\boxed{{{x}}}" for x in ("9^{9^{9^{9}}}", "4", "\\binom{7}{3}", "\\binom{7}{2}")]
    with ThreadPoolExecutor(1) as executor:
        asked = executor.submit(reward, completions=completions, solution=["4", "4", "35", "35"])
        assert asked.result(timeout=60) == [None, 1.0, 1.0, 0.0]


def test_conversational_completions():
    assert score([{"role": "assistant", "content": "<think>2+2</think>\\boxed{4}"}]) == 1.0
    assert score([{"role": "assistant", "content": None}]) == 0.0


def test_a_prefilled_thought_must_be_closed():
    prompts = ["What is 2+2? <think>\n"]
    assert score("so \\boxed{4}", prompts=prompts) == 0.0
    assert score("2+2</think>\\boxed{4}", prompts=prompts) == 1.0
    assert score("so \\boxed{4}", reward=MathAccuracy(prefilled=True)) == 0.0
    assert score("so \\boxed{4}", prefilled=[True]) == 0.0
    assert score("so \\boxed{4}", prompts=prompts, reward=MathAccuracy(prefilled=False)) == 1.0


def test_a_conversation_whose_template_opened_the_thought():
    prompts = [[{"role": "user", "content": "What is 2+2?"}]]
    assert score([{"role": "assistant", "content": "2+2</think>\\boxed{4}"}], prompts=prompts) == 1.0


def test_what_was_cut_off_has_no_last_number():
    assert score("</think>The answer is 4", truncated=[True]) == 0.0
    assert score("</think>The answer is 4", truncated=[False]) == 1.0
    assert score("</think>\\boxed{4} beca", truncated=[True]) == 1.0
    assert score("</think><answer>4", truncated=[True]) == 0.0
    assert score("<think>\\boxed{5}</think>The answer is 4", truncated=[True]) == 0.0
    assert score("</think><answer>4</answer>", truncated=[True]) == 1.0


def test_the_special_token_form():
    reward = MathAccuracy(style="special_token")
    assert score("|special_token|\\boxed{5}|special_token|\\boxed{4}", reward=reward) == 1.0
    assert score("|special_token|\\boxed{4}|special_token|\\boxed{5}", reward=reward) == 0.0
    assert score("|special_token|\\boxed{4}", reward=reward) == 0.0


def test_a_missing_column_names_itself():
    with pytest.raises(ConfigError, match="`solution`") as found:
        math_accuracy(completions=["4"], answer=["4"])
    assert "`answer`" in str(found.value)
    with pytest.raises(ConfigError, match="2 values"):
        math_accuracy(completions=["4"], solution=["4", "5"])


@pytest.mark.parametrize("arguments", [{"deadline_cpu_seconds": 0}, {"style": "xml"}, {"golds": "some"}])
def test_wrong_arguments(arguments):
    with pytest.raises(ConfigError) as found:
        MathAccuracy(**arguments)
    assert found.value.key == next(iter(arguments))


def test_logs_what_was_answered():
    columns, metrics = {}, {}
    math_accuracy(
        completions=["\\boxed{4}", "\\boxed{5", "4"],
        solution=["4", "5", None],
        log_extra=columns.__setitem__,
        log_metric=metrics.__setitem__,
        trainer_state=SimpleNamespace(global_step=3),
    )
    assert columns == {"answer": ["4", "", "4"]}
    assert metrics == {"math_unscorable": pytest.approx(1 / 3)}


def test_is_picklable_named_and_marked():
    reward = MathAccuracy(deadline_cpu_seconds=1.0)
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert reward.__name__ == "math_accuracy"
    assert MathAccuracy.__name__ == "MathAccuracy"
    assert MathAccuracy.is_accuracy is True
    assert MathAccuracy.requires == ("solution",)


def test_plain_numbers_cost_less_than_a_millisecond():
    completions = [f"<think>{'so ' * 40}{k}</think> <answer>{k}</answer>" for k in range(1000)]
    solutions = [str(k + k % 2) for k in range(1000)]
    started = time.process_time()
    rewards = math_accuracy(completions=completions, solution=solutions)
    assert time.process_time() - started < 1.0
    assert rewards == [1.0 - k % 2 for k in range(1000)]
