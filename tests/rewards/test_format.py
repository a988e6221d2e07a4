import copy
import pickle

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from trl_r1.errors import ConfigError
from trl_r1.rewards.format import ThinkFormat, think_format
from trl_r1.text import render_prompt


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


CONVERSATION = [{"role": "user", "content": "1+1?"}]
R1_ZERO = "<think>we add</think> <answer>7</answer>"


def saved_tokenizer(folder, template):
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", chat_template=template)
    fast.save_pretrained(folder)
    return str(folder)


def test_the_form_is_the_one_that_a_text_prompt_asks_for():
    prompts = [render_prompt("r1_zero", "1+1?"), "1+1?", "1+1? |special_token|", "1+1? <think>"]
    completions = [R1_ZERO, GOOD, "a|special_token|7", "we add</think> 7"]
    reward = ThinkFormat(style="auto")
    assert reward(prompts=prompts, completions=completions) == [1.0] * 4
    assert reward(prompts=[prompts[0]] * 4, completions=completions) == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("template", "good", "bad"),
    [
        ("{{ messages[0]['content'] }}", GOOD, "we add</think> 7"),
        ("{{ messages[0]['content'] }}{% if add_generation_prompt %}<think>\n{% endif %}", "we add</think> 7", GOOD),
        ("Use <think></think> and <answer></answer>. {{ messages[0]['content'] }}", R1_ZERO, GOOD),
        ("{{ messages[0]['content'] }} |special_token|a|special_token|b", "|special_token|a|special_token|7", GOOD),
    ],
)
def test_the_form_is_the_one_that_the_chat_template_asks_for(tmp_path, template, good, bad):
    reward = ThinkFormat(style="auto", tokenizer=saved_tokenizer(tmp_path, template))
    rewards = reward(prompts=[CONVERSATION] * 2, completions=as_conversations([good, bad]))
    assert rewards == [1.0, 0.0]
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_the_form_is_the_one_that_the_trainer_hands_over():
    reward = ThinkFormat(style="auto")
    handed = {"prompts": [CONVERSATION] * 2, "thought_style": ["r1_zero", "think"], "prefilled": [False] * 2}
    assert reward(completions=as_conversations([R1_ZERO, GOOD]), **handed) == [1.0, 1.0]
    assert reward(completions=as_conversations([GOOD, "7"]), **handed) == [0.0, 0.0]


def test_a_template_that_is_not_to_be_found_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match=r"`style`.*thought_style"):
        ThinkFormat(style="auto")(prompts=[CONVERSATION], completions=as_conversations([GOOD]))
    with pytest.raises(ConfigError, match="`tokenizer`"):
        ThinkFormat(style="auto", tokenizer=str(tmp_path))(
            prompts=[CONVERSATION], completions=as_conversations([GOOD])
        )


def test_an_unknown_style_is_refused_before_the_run():
    with pytest.raises(ConfigError, match="`style`: expected one of"):
        ThinkFormat(style="xml")


@pytest.mark.parametrize("thought", [".", "#", "&nbsp;", "...\n***", r"\quad", "<b></b>", "—", "\u3164", "\u115f"])
def test_a_thought_without_words_is_none(thought):
    assert think_format(completions=[f"<think>{thought}</think>4"]) == [0.0]
