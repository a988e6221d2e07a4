import pytest

from trl_r1.errors import ConfigError
from trl_r1.text import (
    R1_ZERO_TEMPLATE,
    Parts,
    chat_template_opens_thought,
    completion_text,
    count_reflection_words,
    is_blank,
    prompt_ends_in_thought,
    question_of,
    render_prompt,
    split_completion,
    thoughts_opened,
)


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("<think>we add</think>7", Parts("we add", "7", True)),
        ("\n<think>\nwe add\n</think>\n\n7\n", Parts("we add", "7", True)),
        ("<think>we add</think><answer> 7 </answer>", Parts("we add", "7", True)),
        ("7", Parts(None, "7", False)),
        ("", Parts(None, "", False)),
        ("<answer>7</answer>", Parts(None, "7", False)),
        # never closed: no answer was given
        ("<think>we add, so 7", Parts("we add, so 7", None, False)),
        ("so <think>we add", Parts("we add", None, False)),
        ("<think>a</think>7<think>b", Parts("a</think>7<think>b", None, False)),
        # closed without being opened: the prompt may have opened it
        ("we add</think>7", Parts("we add", "7", False)),
        ("a</think>b</think>7", Parts("a</think>b", "7", False)),
        # two thoughts, nested thoughts, something in front, nothing within or behind
        ("<think>a</think><think>b</think>7", Parts("a</think><think>b", "7", False)),
        ("<think>a<think>b</think>c</think>7", Parts("a<think>b</think>c", "7", False)),
        ("<think>a</think>6</think>7", Parts("a</think>6", "7", False)),
        ("Sure! <think>a</think>7", Parts("a", "7", False)),
        ("<think></think>7", Parts("", "7", False)),
        ("<think> \n\t\u200b</think>7", Parts("\u200b", "7", False)),
        ("<think>a</think> \n", Parts("a", "", False)),
        ("<think>a</think><answer> </answer>", Parts("a", "", False)),
        ("<think>a</think><answer>", Parts("a", "", False)),
        # several answers: the last one counts
        ("<think>a</think><answer>6</answer><answer>7</answer>", Parts("a", "7", True)),
        ("<think>a</think><answer><answer>7</answer></answer>", Parts("a", "7", True)),
        ("<think>a</think><answer>7", Parts("a", "7", True)),
    ],
)
def test_a_completion_is_taken_apart(completion, expected):
    assert split_completion(completion) == expected


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("we add</think>7", Parts("we add", "7", True)),
        ("we add", Parts("we add", None, False)),
        ("", Parts("", None, False)),
        ("</think>7", Parts("", "7", False)),
        ("<think>we add</think>7", Parts("<think>we add", "7", False)),
    ],
)
def test_a_prefilled_thought_is_open_from_the_start(completion, expected):
    assert split_completion(completion, prefilled=True) == expected


@pytest.mark.parametrize(
    ("completion", "well_formed"),
    [
        ("<think>a</think> <answer>7</answer>", True),
        ("<think>a</think>\n<answer>\n7\n</answer>\n", True),
        ("<think>a</think>7", False),
        ("<think>a</think> so <answer>7</answer>", False),
        ("<think>a</think> <answer>7</answer> and more", False),
        ("<think>a</think> <answer>7</answer> <answer>7</answer>", False),
        ("<think>a</think> <answer><answer>7</answer></answer>", False),
        ("<think>a <answer>6</answer></think> <answer>7</answer>", False),
        ("<think>a</think> <answer>7", False),
        ("<think>a</think> <answer></answer>", False),
        ("<answer>7</answer> <think>a</think>", False),
        ("<think>a <answer>7</answer></think>", False),
    ],
)
def test_the_form_of_r1_zero_has_one_answer_block_and_nothing_around_it(completion, well_formed):
    assert split_completion(completion, style="r1_zero").well_formed is well_formed


@pytest.mark.parametrize(
    ("completion", "prefilled", "expected"),
    [
        ("|special_token|we add|special_token|7", False, Parts("we add", "7", True)),
        ("we add|special_token|7", True, Parts("we add", "7", True)),
        ("we add|special_token|7", False, Parts("7", None, False)),
        ("7", False, Parts(None, "7", False)),
        ("so |special_token|we add|special_token|7", False, Parts("we add", "7", False)),
        ("|special_token||special_token|7", False, Parts("", "7", False)),
        ("|special_token|a|special_token|b|special_token|7", False, Parts("a|special_token|b", "7", False)),
    ],
)
def test_the_form_of_the_cold_start_has_a_token_between_thought_and_summary(completion, prefilled, expected):
    assert split_completion(completion, prefilled, style="special_token") == expected


def test_another_token_may_part_thought_and_summary():
    parts = split_completion("<|r|>we add<|r|>7", style="special_token", special_token="<|r|>")
    assert parts == Parts("we add", "7", True)


def test_an_unknown_style_is_refused():
    with pytest.raises(ConfigError, match="`style`: expected one of think, r1_zero, special_token, got 'thnik'"):
        split_completion("a", style="thnik")


def test_splitting_is_linear():
    for text in (
        "<think>" * 100_000,
        "<answer>" * 100_000,
        "<think>a</think>" + "<answer>" * 100_000,
        "</think>" * 99_999,
    ):
        split_completion(text, style="r1_zero")


def test_what_no_reader_sees_is_blank():
    assert all(is_blank(text) for text in ("", " \n\t", "\u200b\u200d\ufeff", "\u00a0\u3000", "\u2800", "\u3164"))
    assert not any(is_blank(text) for text in (".", "∞", "七", "\u200bx"))


def test_a_question_is_put_into_each_template():
    assert render_prompt("chat", "1+1?") == [{"role": "user", "content": "1+1?"}]
    assert render_prompt("plain", "1+1?") == "1+1?"
    assert render_prompt("Q: {prompt} A: {x}", "1+{y}?") == "Q: 1+{y}? A: {x}"
    text = render_prompt("r1_zero", "1+1?")
    assert text.startswith(
        "A conversation between User and Assistant. The user asks a question, and the Assistant solves"
    )
    assert text.endswith(
        "<think> reasoning process here </think> <answer> answer here </answer>. User: 1+1?. Assistant:"
    )
    assert "prompt" not in R1_ZERO_TEMPLATE.replace("{prompt}", "")


def test_an_unknown_template_is_refused():
    with pytest.raises(ConfigError, match="`prompt_template`: expected `chat`, `r1_zero`, `plain` or a text"):
        render_prompt("r1-zero", "1+1?")


@pytest.mark.parametrize("template", ["chat", "r1_zero", "plain"])
def test_the_question_is_found_again_in_a_rendered_prompt(template):
    assert question_of(render_prompt(template, "What is 1+1? User: me")) == "What is 1+1? User: me"


def test_the_last_question_of_a_conversation_counts():
    prompt = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": [{"type": "text", "text": "1+1?"}, {"type": "image"}]},
    ]
    assert question_of(prompt) == "1+1?"
    assert question_of([]) == ""


def test_a_completion_is_the_same_text_in_each_form():
    text = "<think>we add</think>7"
    assert completion_text(text) == text
    assert completion_text([{"role": "assistant", "content": text}]) == text
    assert completion_text([{"content": text}]) == text
    assert completion_text([{"role": "assistant", "content": [{"type": "text", "text": text}]}]) == text
    assert completion_text([{"role": "assistant", "content": None}]) == ""
    assert completion_text([]) == ""


def test_reasoning_that_was_parsed_out_is_put_back():
    for name in ("reasoning_content", "thinking"):
        message = {"role": "assistant", name: "we add", "content": "7"}
        assert split_completion(completion_text([message])) == Parts("we add", "7", True)


def test_what_tools_say_is_not_the_completion():
    turns = [("assistant", "let me look. "), ("tool", "42"), ("assistant", "it is 42")]
    assert completion_text([{"role": role, "content": x} for role, x in turns]) == "let me look. it is 42"


def test_an_open_thought_is_seen_at_the_end_of_a_prompt():
    assert prompt_ends_in_thought("User: 1+1? Assistant: <think>\n")
    assert prompt_ends_in_thought([{"role": "user", "content": "x"}, {"role": "assistant", "content": "<think>\n"}])
    assert not prompt_ends_in_thought(R1_ZERO_TEMPLATE)
    assert not prompt_ends_in_thought("<think> a")
    assert not prompt_ends_in_thought([])


class Tokenizer:
    """As much of a tokenizer as a chat template needs."""

    def __init__(self, template):
        self.chat_template = template

    def apply_chat_template(self, messages, tokenize, add_generation_prompt, enable_thinking=True):
        assert not tokenize
        assert add_generation_prompt
        return messages[0]["content"] + (self.chat_template if enable_thinking else "<think>\n\n</think>\n\n")


def test_a_chat_template_that_opens_the_thought_is_known():
    assert chat_template_opens_thought(Tokenizer("<|Assistant|><think>\n"))
    assert not chat_template_opens_thought(Tokenizer("<|Assistant|><think>\n"), enable_thinking=False)
    assert not chat_template_opens_thought(Tokenizer("<|Assistant|>"))
    assert not chat_template_opens_thought(Tokenizer(None))


def test_who_opened_the_thought_is_told_or_seen():
    completions = ["a</think>7", "<think>a</think>7", "a</think>6</think>7", "a"]
    chat = [[{"role": "user", "content": "1+1?"}]] * 4
    assert thoughts_opened(None, completions) == [False] * 4
    assert thoughts_opened(["Q:"] * 4, completions) == [False] * 4
    assert thoughts_opened(["Q:<think>"] * 4, completions) == [True] * 4
    assert thoughts_opened(chat, completions) == [True, False, False, False]
    assert thoughts_opened(chat, completions, prefilled=False) == [False] * 4
    assert thoughts_opened(chat, completions, prefilled=True) == [True] * 4
    assert thoughts_opened(None, completions, prefilled=[True, False, True, False]) == [True, False, True, False]


def test_words_of_reflection_are_counted_in_both_languages():
    text = "Wait, let me CHECK. But wait: that's wrong! 等等，检查一下。这不对，但是……"
    assert count_reflection_words(text) == {
        "wait": 2,
        "check": 1,
        "but": 1,
        "wrong": 1,
        "等等": 1,
        "检查": 1,
        "不对": 1,
        "但是": 1,
    }
    assert count_reflection_words("") == {}


def test_parts_of_other_words_are_not_words_of_reflection():
    assert count_reflection_words("butter waiter checker errors wrongly check_sum") == {}
    assert count_reflection_words("苹果、梨、香蕉等等。买了苹果等等水果") == {}
    assert count_reflection_words("等等，我算错了。\n等等！") == {"等等": 2}
