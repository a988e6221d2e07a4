import json
import re

import pytest

from tests.sampling.stub_server import choices, stub_server
from trl_r1.builders import ColdStartConfig, build_cold_start
from trl_r1.errors import ConfigError

from .fakes import Scripted, read_data_set, sampling, write_rows


REFINED = "<think>Let me see. I add {n} and 1, and I get {m}.</think> Adding the two gives \\boxed{{{m}}}."


@pytest.fixture
def config(tmp_path):
    rows = [
        {"prompt": f"What is {n} plus 1?", "solution": str(n + 1), "domain": "math", "language": "en"}
        for n in range(4)
    ]
    return {
        "data": [{"path": write_rows(tmp_path / "prompts.jsonl", *rows)}],
        "output_dir": str(tmp_path / "out"),
        "model_name_or_path": "r1-zero",
        "rules": {"style": "r1_zero"},
        "form": "<think>\n{thought}\n</think>\n\n{answer}",
    }


def zero():
    def write(question, i):
        n = int(question.split()[2])
        return f"<think>add {n} with one gives the sum</think> <answer>\\boxed{{{n + 1}}}</answer>"

    return Scripted(write)


def run(config, **changes):
    build_cold_start(sampling(n_samples=1), ColdStartConfig(**{**config, **changes}), engine=zero())
    out = config["output_dir"]
    rows = read_data_set(out).to_pylist()
    return [row["completion"] for row in rows], json.loads(open(f"{out}/selection.json").read())


def test_outputs_of_r1_zero_are_written_in_the_asked_form(config):
    texts, selection = run(config)
    assert texts[0] == "<think>\nadd 0 with one gives the sum\n</think>\n\n\\boxed{1}"
    assert selection["kept"] == 4


def chat_model(path, request):
    """Refines 0 well, gets 1 wrong, answers 2 in another language, and says nothing usable about 3."""
    n = int(re.search(r"What is (\d) plus", request["messages"][0]["content"])[1])
    text = {
        0: REFINED.format(n=0, m=1),
        1: REFINED.format(n=1, m=7),
        2: "<think>让我想一想，我先把两个数字加起来，然后检查一遍。</think> \\boxed{3}",
        3: "I would rather not.",
    }[n]
    return 200, choices(text, tokens=9)


def test_refined_texts_are_verified_again_and_what_fails_stays_as_it_was(config):
    with stub_server(chat_model) as (url, requests):
        texts, selection = run(config, refine_url=url, refine_model="v3")
    assert texts[0] == "<think>\nLet me see. I add 0 and 1, and I get 1.\n</think>\n\nAdding the two gives \\boxed{1}."
    assert texts[1:] == [f"<think>\nadd {n} with one gives the sum\n</think>\n\n\\boxed{{{n + 1}}}" for n in (1, 2, 3)]
    assert selection["refined"]["refined"] == 1
    assert selection["refined"]["failed"] == {"wrong": 2, "language": 1}
    asked = requests[0]["messages"][0]["content"]
    assert "add 0 with one gives the sum" in asked or "with one gives the sum" in asked
    assert "in English" in asked
    assert {request["model"] for request in requests} == {"v3"}


def test_what_fails_can_be_dropped_and_nothing_is_asked_twice(config):
    with stub_server(chat_model) as (url, requests):
        texts, selection = run(config, refine_url=url, refine_model="v3", if_not_refined="drop")
        assert len(texts) == 1
        assert selection["kept"] == 1
        assert len(requests) == 4
        run(config, refine_url=url, refine_model="v3", if_not_refined="drop")
        assert len(requests) == 4


def test_braces_of_the_texts_do_not_fill_other_places_of_the_instruction():
    from trl_r1.builders.cold_start import _request
    from trl_r1.trace import Trace

    trace = Trace("p", "What is {answer}?", "<think>see {prompt}</think> {thought}", language="zh")
    assert (
        _request(trace, "{language}|{prompt}|{thought}|{answer}") == "Chinese|What is {answer}?|see {prompt}|{thought}"
    )


@pytest.mark.parametrize(
    ("change", "key"),
    [({"refine_url": "http://x"}, "refine_model"), ({"refine_instruction": "{prompt}"}, "refine_instruction")],
)
def test_a_wrong_setting_is_refused_by_its_key(config, change, key):
    with pytest.raises(ConfigError) as error:
        ColdStartConfig(**{**config, **change})
    assert error.value.key == key
