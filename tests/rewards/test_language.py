import pickle

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards.language import LanguageConsistency, language_consistency


EN_ZH = LanguageConsistency(languages=("en", "zh"))


def think(thought, answer="7"):
    return f"<think>{thought}</think>{answer}"


def as_conversations(completions):
    return [[{"role": "assistant", "content": completion}] for completion in completions]


@pytest.mark.parametrize("form", [list, as_conversations])
def test_it_is_the_share_of_the_target_languages_words_in_the_thought(form):
    completions = form([think("first add 先加 then"), think("first add 先加 then"), think("first add")])
    assert EN_ZH(completions=completions, language=["en", "zh", "zh"]) == [0.6, 0.4, 0.0]


def test_only_the_thought_counts():
    completions = [think("first add", "答案是七"), "first <think>先加", "<think>先加</think> first <think>first add"]
    assert EN_ZH(completions=completions, language=["en", "zh", "zh"]) == [1.0, 1.0, pytest.approx(2 / 5)]


def test_without_a_thought_or_a_word_in_it_there_is_nothing_to_judge():
    completions = ["first add", "", "<think></think>7", think("$12 + 7 = 19$"), think("```python\nreturn total\n```")]
    assert EN_ZH(completions=completions, language=["en"] * 5) == [None] * 5


def test_the_target_is_the_rows_language_else_the_questions_else_the_prompts():
    completions = [think("first add")] * 4
    prompts = ["plain English prompt, an instruction"] * 4
    columns = {"language": ["zh", None, "", None], "question": ["what is it?", "这是多少？", "what is it?", "12+7="]}
    assert EN_ZH(completions=completions, prompts=prompts, **columns) == [0.0, 0.0, 1.0, None]
    assert EN_ZH(completions=completions[:1], prompts=["这是多少？"]) == [0.0]
    assert EN_ZH(completions=completions[:1]) == [None]


def test_the_words_of_a_template_are_not_the_questions():
    from trl_r1.text import render_prompt

    for template in ("r1_zero", "chat", "plain"):
        prompt = render_prompt(template, "这里一共有多少个苹果？")
        assert EN_ZH(completions=[think("先把它们加起来")], prompts=[prompt]) == [1.0]


def test_a_thought_that_the_prompt_opened_is_a_thought():
    assert EN_ZH(completions=["first add 先"], prompts=["what is it? <think>"]) == [pytest.approx(2 / 3)]
    chat = [[{"role": "user", "content": "what is it?"}]]
    assert EN_ZH(completions=as_conversations(["first add 先</think>先"]), prompts=chat) == [pytest.approx(2 / 3)]
    told = LanguageConsistency(languages=("en", "zh"), prefilled=True)
    assert told(completions=as_conversations(["first add"]), prompts=chat) == [1.0]
    assert EN_ZH(completions=["first add"], language=["en"], prefilled=[True]) == [1.0]


def test_the_thought_of_the_cold_starts_form():
    reward = LanguageConsistency(languages=("en", "zh"), style="special_token")
    assert reward(completions=["|special_token|first 先|special_token|先先先"], language=["en"]) == [0.5]


def test_a_language_that_is_not_known_cannot_be_judged():
    assert language_consistency(completions=[think("kwanza tunajumlisha")], language=["sw"]) == [None]


def test_a_longer_tag_names_the_same_language():
    assert EN_ZH(completions=[think("先加")] * 3, language=["zh-CN", "zh_Hant", "ZH"]) == [1.0] * 3


def test_languages_of_one_script_are_told_apart():
    completions = [think("Primero sumamos los dos números y luego restamos el tercero, como dice el problema.")] * 2
    assert language_consistency(completions=completions, language=["es", "en"]) == [1.0, 0.0]


def test_it_is_a_value_with_a_name():
    reward = LanguageConsistency(languages=["EN", "zh-CN"])
    assert reward == EN_ZH
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert hash(reward) == hash(EN_ZH)
    assert language_consistency.__name__ == "language_consistency"
    assert LanguageConsistency.__name__ == "LanguageConsistency"


def test_wrong_arguments_are_refused_before_the_run():
    with pytest.raises(ConfigError, match=r"`languages`: expected languages of .*, got 'xx'"):
        LanguageConsistency(languages=("en", "xx"))
    with pytest.raises(ConfigError, match="`style`: expected one of"):
        LanguageConsistency(style="xml")


@pytest.mark.parametrize("wrapped", ["${}$", "`{}`", "```\n{}\n```", "print('{}')", r"\({}\)"])
def test_words_of_another_script_count_wherever_they_stand(wrapped):
    thought = f"<think>so {wrapped.format('我们先计算这个数然后得到答案')} ok</think>4"
    assert reward_of(thought) < 0.3


def test_scripts_of_no_known_language_count_among_the_words():
    assert reward_of("<think>hello ꦗꦮꦶꦗꦮ world</think>4") == pytest.approx(2 / 3)
    assert reward_of("<think>hello 𝐡𝐞𝐥𝐥𝐨 world</think>4") == pytest.approx(2 / 3)


def reward_of(completion):
    return LanguageConsistency(languages=("en", "zh"))(completions=[completion], language=["en"])[0]
