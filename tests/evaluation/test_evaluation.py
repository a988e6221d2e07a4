import math
import random

import pytest

from trl_r1.errors import ConfigError
from trl_r1.evaluation import (
    EvaluationConfig,
    clustered,
    hard_prompts,
    summarize,
)
from trl_r1.scores import scores_of
from trl_r1.trace import Trace


def trace(prompt, completion, right=None, domain="math", solution="4", n_tokens=10, finish_reason="stop", **rewards):
    rewards = {"math_accuracy": right, **rewards}
    return Trace(
        prompt_id=prompt,
        prompt=prompt,
        completion=completion,
        solution=solution,
        domain=domain,
        language="en",
        rewards=rewards,
        n_tokens=n_tokens,
        finish_reason=finish_reason,
    )


def answer(text):
    return f"<think>the sum is clear</think> \\boxed{{{text}}}"


def test_equal_answers_written_differently_win_the_vote_together():
    right = [trace("p", answer("4"), 1.0)] * 2
    wrong = [trace("p", answer(a), 0.0) for a in ("0.5", "1/2", "\\frac{1}{2}")]
    metrics = summarize(right + wrong, accuracy=["math_accuracy"], ks=[5])
    assert metrics["cons@5"] == 0.0
    assert metrics["pass@5"] == 1.0
    assert metrics["pass@1"] == pytest.approx(0.4)


def test_the_standard_error_is_clustered_by_prompt():
    # Ten prompts, each always right or always wrong: ten observations, however many samples there are.
    values = [[1.0] * 100] * 5 + [[0.0] * 100] * 5
    mean, error = clustered(values)
    assert mean == 0.5
    assert error == pytest.approx(math.sqrt(0.25 * 10 / 9 / 10))
    assert clustered([[], [1.0, 0.0]]) == (0.5, 0.0)
    assert clustered([[]]) is None


def test_each_prompt_counts_alike_and_unjudged_samples_are_left_out_and_counted():
    traces = [trace("a", answer("4"), 1.0)] * 9 + [trace("b", answer("5"), 0.0), trace("b", answer("5"), None)]
    metrics = summarize(traces, accuracy=["math_accuracy"])
    assert metrics["pass@1"] == 0.5
    assert metrics["unjudged"] == 1
    assert (metrics["n_prompts"], metrics["n_samples"]) == (2, 11)


def test_a_prompt_that_the_engine_could_not_complete_counts_as_unsolved_and_is_named():
    missing = trace("b", "", 0.0, n_tokens=0, finish_reason="prompt_too_long")
    done = trace("a", answer("4"), 1.0, n_tokens=8)
    metrics = summarize([done, missing], accuracy=["math_accuracy"])
    assert (metrics["pass@1"], metrics["unsampled"], metrics["mean_tokens"]) == (0.5, 1, 8.0)
    assert "unsampled" not in summarize([done], accuracy=["math_accuracy"])


def test_each_accuracy_reward_that_applies_has_to_give_full_marks():
    traces = [
        trace("a", "x", None, choice_accuracy=1.0),
        trace("b", "x", 0.0, choice_accuracy=1.0),
        trace("c", "x", 1.0, choice_accuracy=0.0),
        trace("d", "x", 1.0, choice_accuracy=1.0),
    ]
    assert summarize(traces, accuracy=["math_accuracy", "choice_accuracy"])["pass@1"] == 0.5


def test_a_program_that_passes_half_of_its_tests_is_wrong():
    traces = [trace("a", answer("4"), None, code_accuracy=marks) for marks in (0.5, 0.99, 1.0, 0.0)]
    metrics = summarize(traces, accuracy=["code_accuracy"], ks=[1, 4])
    assert (metrics["pass@1"], metrics["pass@4"]) == (0.25, 1.0)
    assert hard_prompts(traces, accuracy=["code_accuracy"], below=0.5, chosen_by=2, ks=[])["pass@1"] == 0.5


def test_format_language_length_and_reflection():
    english = "<think>wait, this is wrong, so check the whole sum again</think> 4"
    mixed = "<think>first add the numbers 然后再加上另外一个数</think> 4"
    traces = [
        trace("a", english, 1.0, n_tokens=10, think_format=1.0, language_consistency=1.0),
        trace("b", mixed, 1.0, n_tokens=30, finish_reason="length", think_format=0.0, language_consistency=0.5),
    ]
    metrics = summarize(traces, accuracy=["math_accuracy"], languages=["en", "zh"])
    assert metrics["format"] == 0.5
    assert metrics["format_stderr"] == pytest.approx(0.5)
    assert metrics["language_consistency"] == 0.75
    assert metrics["mixed_language"] == 0.5
    assert metrics["mean_tokens"] == 20
    assert metrics["truncated"] == 0.5
    # wait, wrong, check among 10 English words; 4 English words and 10 Chinese characters have none.
    assert metrics["reflection_per_1000_words"] == pytest.approx(1000 * 3 / 24)
    assert (metrics["with_reflection"], metrics["reflection_per_completion"]) == (0.5, 1.5)


def test_a_thought_is_mixed_from_a_tenth_of_its_words_on():
    def mixed(english, chinese):
        text = f"<think>{'sum ' * english}{'加' * chinese}</think> 4"
        return summarize([trace("a", text)], accuracy=[], languages=["en", "zh"])["mixed_language"]

    assert [mixed(9, 1), mixed(10, 1), mixed(1, 9), mixed(1, 10), mixed(5, 0)] == [1.0, 0.0, 1.0, 0.0, 0.0]


def test_best_of_n_is_the_accuracy_of_the_sample_with_the_highest_reward():
    traces = [
        trace("a", "x", 1.0, preference=0.9),
        trace("a", "y", 0.0, preference=0.1),
        trace("b", "x", 0.0, preference=0.5),
        trace("b", "y", 1.0, preference=0.5),
        trace("c", "y", 0.0, preference=0.5),
        trace("c", "y", 1.0, preference=None),
    ]
    assert summarize(traces, accuracy=["math_accuracy"], best_of_n="preference")["best_of_n"] == pytest.approx(0.5)


def test_pass_and_consensus_of_k_are_means_over_prompts():
    right, wrong = trace("a", answer("4"), 1.0), trace("b", answer("5"), 0.0)
    metrics = summarize([right, right, right, wrong, wrong], accuracy=["math_accuracy"], ks=[2, 3])
    assert (metrics["pass@2"], metrics["cons@2"]) == (0.5, 0.5)
    assert (metrics["pass@3"], metrics["cons@3"]) == (1.0, 1.0)  # of the one prompt with three samples


def test_general_answers_win_against_the_reference_and_ties_count_half():
    general = [
        trace("g", "kind", None, domain="general", solution=None, judge=0.9),
        trace("g", "same", None, domain="general", solution=None, judge=0.5),
        trace("h", "rude", None, domain="general", solution=None, judge=0.1),
        trace("h", "rude", None, domain="general", solution=None, judge=0.2),
        trace("h", "fine", None, domain="general", solution=None, judge=0.5),
        trace("m", answer("4"), 1.0, judge=0.0),
    ]
    metrics = summarize(
        general, accuracy=["math_accuracy"], scorer="judge", reference_scores={"g": 0.5, "h": 0.5, "m": 0.5}
    )
    assert metrics["general_win_rate"] == pytest.approx((0.75 + 0.5 / 3) / 2)
    assert metrics["pass@1"] == 1.0
    assert metrics["by_domain"]["general"]["general_win_rate"] == metrics["general_win_rate"]
    assert "pass@1" not in metrics["by_domain"]["general"]
    assert "general_win_rate" not in metrics["by_domain"]["math"]


def test_hard_prompts_are_chosen_by_the_first_samples_and_measured_on_the_others():
    # Every prompt is right with the same chance: measured on the samples that chose them, the hard ones would seem
    # harder than they are.
    draw = random.Random(0)
    traces = []
    for prompt in range(400):
        for _ in range(12):
            right = draw.random() < 0.7
            traces.append(trace(f"p{prompt}", answer("4" if right else "5"), float(right)))
    hard = hard_prompts(traces, accuracy=["math_accuracy"], below=0.9, chosen_by=4, ks=[8])
    assert 250 < hard["n_prompts"] < 350
    assert hard["pass@1"] == pytest.approx(0.7, abs=0.04)
    assert hard["pass@1"] < hard["cons@8"] <= hard["pass@8"]


def test_a_prompt_is_hard_below_the_threshold_and_not_at_it():
    def first(prompt, *right):
        return [trace(prompt, answer("4" if ok else "5"), float(ok)) for ok in (*right, True)]

    traces = first("at it", True, False) + first("below", False, False)
    hard = hard_prompts(traces, accuracy=["math_accuracy"], below=0.5, chosen_by=2, ks=[])
    assert (hard["n_prompts"], hard["pass@1"]) == (1, 1.0)


def test_a_prompt_without_samples_to_measure_is_not_reported_as_hard():
    traces = [trace("p", answer("5"), 0.0)] * 4
    hard = hard_prompts(traces, accuracy=["math_accuracy"], below=0.9, chosen_by=4, ks=[1])
    assert hard["n_prompts"] == 0
    assert "pass@1" not in hard


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"models": {}}, "models"),
        ({"by_model": {"other": {}}}, "by_model"),
        ({"pass_at_k": [0]}, "pass_at_k"),
        ({"hard_below": 2.0}, "hard_below"),
        ({"emergence": {"models": ["other"]}}, "emergence.models"),
        ({"emergence": {"models": ["base"], "budgets": [0]}}, "emergence.budgets"),
        ({"emergence": {"models": ["base"], "budget": [8]}}, "emergence.budget"),
        ({"hard_chosen_by": 0}, "hard_chosen_by"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(change, key):
    with pytest.raises(ConfigError) as error:
        EvaluationConfig(**{"models": {"base": "x"}, "data": ["x.jsonl"], "output_dir": "y", **change})
    assert error.value.key == key


def test_the_defaults_and_the_limits_of_an_evaluation_are_accepted():
    config = EvaluationConfig(models={"base": "x"}, data=["x.jsonl"], output_dir="y", hard_below=1.0)
    assert config.hard_chosen_by == 4
    EvaluationConfig(models={"base": "x"}, data=["x.jsonl"], output_dir="y", pass_at_k=[1], hard_chosen_by=1)


def test_every_reward_that_is_declared_has_a_mean():
    metrics = summarize([trace("p", answer("4"), 1.0, digits=0.5), trace("q", answer("5"), 0.0, digits=0.0)],
                        accuracy=["math_accuracy"])  # fmt: skip
    assert metrics["reward/digits"] == 0.25
    assert "reward/math_accuracy" not in metrics
    assert [score.key for score in scores_of([metrics])][:2] == ["pass@1", "reward/digits"]
