import copy
import pickle

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards.format import ThinkFormat, think_format


GOOD = "<think>we add</think> 7"


def as_conversations(completions):
    return [[{"role": "assistant", "content": completion}] for completion in completions]


@pytest.mark.parametrize("form", [list, as_conversations])
def test_one_thought_and_an_answer_pay_and_nothing_else_does(form):
    bad = [
        "7",
        "",
        "<think>we add 7",
        "<think></think> 7",
        "<think> \n </think> 7",
        "<think>we add</think>",
        "<think>we add</think> \n",
        "Sure. <think>we add</think> 7",
        "<think>a</think><think>b</think> 7",
        "<think><think>a</think></think> 7",
        "<think>a<think>b</think> 7",
        "<think>a</think>b</think> 7",
        "</think><think> 7",
        "a</think> 7",
        "<THINK>a</THINK> 7",
        "< think >a</ think > 7",
    ]
    rewards = think_format(completions=form([GOOD, *bad]))
    assert rewards == [1.0] + [0.0] * len(bad)


def test_the_form_of_r1_zero():
    reward = ThinkFormat(style="r1_zero")
    good = "<think>we add</think>\n<answer>7</answer>"
    bad = [GOOD, good + " indeed", good + "<answer>7</answer>", "<think>a</think><answer>7", "<answer>7</answer>"]
    assert reward(completions=[good, *bad], prompts=["User: ?"] * 6) == [1.0] + [0.0] * 5


def test_the_form_of_the_cold_start():
    completions = ["|special_token|a|special_token|7", "a|special_token|7", GOOD]
    assert ThinkFormat(style="special_token")(completions=completions) == [1.0, 0.0, 0.0]
    told = ThinkFormat(style="special_token", prefilled=True)
    assert told(completions=completions) == [0.0, 1.0, 0.0]
    seen = ThinkFormat(style="special_token", special_token="<|r|>")
    assert seen(completions=["a<|r|>7"], prompts=["Q: 1+1? <|r|>"]) == [1.0]


def test_a_thought_that_the_prompt_opened_counts_as_opened():
    completions = ["we add</think> 7", GOOD, "we add 7"]
    assert think_format(completions=completions, prompts=["Q: <think>\n"] * 3) == [1.0, 0.0, 0.0]
    assert think_format(completions=completions, prompts=["Q: "] * 3) == [0.0, 1.0, 0.0]


def test_a_chat_template_that_opens_the_thought_is_told_or_allowed_for():
    prompts = [[{"role": "user", "content": "1+1?"}]] * 3
    completions = as_conversations(["we add</think> 7", GOOD, "we add 7"])
    assert ThinkFormat(prefilled=True)(completions=completions, prompts=prompts) == [1.0, 0.0, 0.0]
    assert ThinkFormat(prefilled=False)(completions=completions, prompts=prompts) == [0.0, 1.0, 0.0]
    # TRL hands over messages, not what the template made of them
    assert think_format(completions=completions, prompts=prompts) == [1.0, 1.0, 0.0]
    assert think_format(completions=completions, prompts=prompts, prefilled=[False] * 3) == [0.0, 1.0, 0.0]


def test_a_completion_that_was_cut_off_does_not_pay():
    completions = [GOOD, GOOD, GOOD]
    assert think_format(completions=completions, truncated=[False, True, False]) == [1.0, 0.0, 1.0]
    assert think_format(completions=completions, finish_reason=["stop", "stop", "length"]) == [1.0, 1.0, 0.0]
    ids = [[5, 6, 2], [5, 6, 7], []]
    assert ThinkFormat(eos_token_ids=(2, 3))(completions=completions, completion_ids=ids) == [1.0, 0.0, 0.0]
    assert ThinkFormat(eos_token_ids=2)(completions=completions, completion_ids=ids) == [1.0, 0.0, 0.0]
    assert think_format(completions=completions, completion_ids=ids) == [1.0, 1.0, 1.0]


def test_it_is_called_as_trl_calls_rewards():
    out = think_format(
        prompts=["Q"],
        completions=[GOOD],
        completion_ids=[[1, 2]],
        trainer_state=object(),
        log_extra=lambda *a: None,
        log_metric=lambda *a: None,
        solution=["7"],
        environments=None,
    )
    assert out == [1.0]
    assert think_format(completions=[]) == []


def test_it_is_a_value_with_a_name():
    assert think_format.__name__ == "think_format"
    assert ThinkFormat.__name__ == "ThinkFormat"
    reward = ThinkFormat(style="r1_zero", eos_token_ids=[1, 2])
    assert pickle.loads(pickle.dumps(reward)) == copy.deepcopy(reward) == reward
    assert {reward, ThinkFormat(style="r1_zero", eos_token_ids=(1, 2))} == {reward}


def test_an_unknown_style_is_refused_before_the_run():
    with pytest.raises(ConfigError, match="`style`: expected one of"):
        ThinkFormat(style="xml")
