import json

import pytest

from trl_r1.builders import GeneralConfig, build_general
from trl_r1.builders.general import is_simple
from trl_r1.errors import ConfigError
from trl_r1.sampling import Sample
from trl_r1.text import split_completion

from .fakes import Scripted, read_data_set, sampling, write_rows


POEM = {"prompt": "Write a poem about the autumn wind.", "completion": "Leaves fall and dance.", "language": "en"}
HELLO = {
    "prompt": "Hello!",
    "completion": "<think>The user greets me.</think>Hi, what can I do for you?",
    "language": "en",
}
CITY = {
    "prompt": "Which city is the capital of France?",
    "completion": "<think>It is Paris.</think>Paris.",
    "language": "en",
}
OWN = {"prompt": "Translate the word cat.", "completion": "chat", "thought": "In French it is chat.", "language": "en"}
ASK = {"prompt": "Name a river in Germany.", "language": "en"}


def length_of_answer(completions, **columns):
    return [float(len(split_completion(text).answer or "")) for text in completions]


@pytest.fixture
def build(tmp_path):
    def build(*rows, write=None, n_samples=2, **changes):
        config = GeneralConfig(
            **{
                "data": [{"path": write_rows(tmp_path / "general.jsonl", *rows), "domain": "general"}],
                "output_dir": str(tmp_path / "out"),
                "model_name_or_path": "chat-model",
                "rules": {"min_language_share": None},
                **changes,
            }
        )
        model = Scripted(write or (lambda question, i: pytest.fail(f"asked: {question}")))
        build_general(sampling(n_samples=n_samples), config, engine=model)
        rows = read_data_set(tmp_path / "out").to_pylist()
        selection = json.loads((tmp_path / "out" / "selection.json").read_text())
        return {row["prompt"]: row["completion"] for row in rows}, selection, model

    return build


def test_a_row_s_own_thought_is_used_and_a_simple_query_gets_none(build):
    texts, selection, _ = build(HELLO, CITY, OWN)
    assert texts["Hello!"] == "<think>\n\n</think>\n\nHi, what can I do for you?"
    assert texts["Which city is the capital of France?"] == CITY["completion"]
    assert texts["Translate the word cat."] == "<think>\nIn French it is chat.\n</think>\n\nchat"
    assert selection["simple_queries"] == 1
    assert selection["kept_by_domain"] == {"general": 3}


def test_an_answer_without_a_thought_gets_one_from_the_model_that_is_shown_the_answer(build):
    texts, selection, model = build(POEM, write=lambda question, i: "They want a poem. I think of leaves.")
    assert texts[POEM["prompt"]] == "<think>\nThey want a poem. I think of leaves.\n</think>\n\nLeaves fall and dance."
    assert POEM["prompt"] in model.asked[0]
    assert "Leaves fall and dance." in model.asked[0]
    assert selection["thoughts_written"] == 1


def test_what_a_thinking_model_thinks_about_the_thought_is_not_the_thought(build):
    texts, _, _ = build(POEM, write=lambda question, i: "<think>How do I write this?</think>They want a poem.")
    assert texts[POEM["prompt"]] == "<think>\nThey want a poem.\n</think>\n\nLeaves fall and dance."


def test_a_thought_that_was_cut_is_none_and_the_row_is_counted_as_malformed(build):
    _, selection, _ = build(CITY, POEM, write=lambda question, i: Sample("They want", "length", 9))
    assert (selection["kept"], selection["rejected"]) == (1, {"malformed": 1})


def test_a_query_without_an_answer_gets_the_best_of_several(build):
    answers = ["<think>Many rivers.</think>Rhine", "<think>Many rivers.</think>The Rhine is one.", "no thought"]
    reward = {"func": f"{__name__}.length_of_answer"}
    texts, selection, _ = build(ASK, write=lambda question, i: answers[i], n_samples=3, rewards=[reward])
    assert texts[ASK["prompt"]] == answers[1]
    assert selection["rejected"] == {"malformed": 1, "capped": 1}
    texts, selection, _ = build(
        ASK, write=lambda question, i: answers[i], n_samples=3, rewards=[reward], min_reward=6, keep_per_prompt=2
    )
    assert selection["rejected"] == {"wrong": 1, "malformed": 1}


def test_rows_in_another_place_cost_nothing_and_equal_ones_ask_once(build):
    def said(question, i):
        return f"<think>Of {question}</think>{question}"

    other = {**ASK, "prompt": "Name a mountain."}
    _, first, model = build(ASK, other, ASK, write=said, rules={"min_language_share": None, "drop_duplicates": False})
    assert len(model.asked) == 2
    assert (first["answers_written"], first["kept"]) == (6, 6)
    texts, _, model = build(CITY, other, ASK, write=said)
    assert model.asked == []
    assert {each["prompt"] for each in (CITY, other, ASK)} == set(texts)


def test_the_thinking_block_of_a_simple_query_can_hold_words_for_a_format_reward_to_come(build):
    from trl_r1.rewards import think_format

    thoughts = {"en": "A greeting needs no thought.", "zh": "打招呼不需要思考。"}
    chinese = {"prompt": "你好", "completion": "你好！", "language": "zh"}
    texts, _, _ = build(HELLO, chinese, simple_thoughts=thoughts)
    assert texts["Hello!"] == "<think>\nA greeting needs no thought.\n</think>\n\nHi, what can I do for you?"
    assert texts["你好"] == "<think>\n打招呼不需要思考。\n</think>\n\n你好！"
    assert think_format(completions=list(texts.values())) == [1.0, 1.0]


@pytest.mark.parametrize(
    "query", ["hello", "Hi there!", "Thank you so much.", "Who are you?", "你好", "谢谢你！", "你是谁？"]
)
def test_greetings_thanks_and_who_are_you_are_simple(query):
    assert is_simple({"prompt": query})


@pytest.mark.parametrize(
    "query", ["Hello, what is 3 plus 4?", "Write a poem.", "Who are you to Napoleon?", "你好吗用英语怎么说？"]
)
def test_other_short_queries_are_not(query):
    assert not is_simple({"prompt": query})


def test_a_row_s_word_on_whether_it_is_simple_comes_first_and_the_pattern_can_be_set():
    assert is_simple({"prompt": "Write a poem.", "simple": True})
    assert not is_simple({"prompt": "hello", "simple": False})
    assert is_simple({"prompt": "Moin!"}, "moin")
    assert not is_simple({"prompt": "hello"}, "")


def test_rows_that_lack_what_only_a_model_could_write_need_one(build):
    with pytest.raises(ConfigError, match="1 of 2 rows have no chain of thought") as error:
        build(CITY, POEM, model_name_or_path=None)
    assert error.value.key == "model_name_or_path"
    texts, _, _ = build(CITY, HELLO, model_name_or_path=None)
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"form": "{thought}"}, "form"),
        ({"min_reward": 1.0}, "min_reward"),
        ({"keep_per_prompt": 0}, "keep_per_prompt"),
        ({"thought_instruction": "think"}, "thought_instruction"),
        ({"simple_pattern": "("}, "simple_pattern"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(change, key):
    with pytest.raises(ConfigError) as error:
        GeneralConfig(**{"data": ["x.jsonl"], "output_dir": "x", **change})
    assert error.value.key == key
