import csv
import json
import re

import pytest

from tests.sampling.stub_server import choices, stub_server
from trl_r1.builders import ColdStartConfig, build_cold_start
from trl_r1.errors import ConfigError, DataError

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
    [
        ({"refine_url": "http://x"}, "refine_model"),
        ({"refine_instruction": "{prompt}"}, "refine_instruction"),
        ({"sources": ["zero", "humans"]}, "sources"),
        ({"sources": []}, "sources"),
        ({"sources": ["direct"]}, "refine_url"),
        ({"sources": ["few_shot"], "refine_url": "http://x", "refine_model": "v3"}, "examples"),
        ({"model_name_or_path": None}, "model_name_or_path"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(config, change, key):
    with pytest.raises(ConfigError) as error:
        ColdStartConfig(**{**config, **change})
    assert error.value.key == key


def chat(path, request):
    """Answers like the examples, or directly: 0 and 1 right, 2 wrong; and refines."""
    asked = request["messages"][0]["content"]
    n = int(re.findall(r"What is (\d) plus", asked)[-1])
    if "Rewrite both" in asked:
        return 200, choices(REFINED.format(n=n, m=n + 1), tokens=9)
    way = "like the example" if "Below are questions with their answers" in asked else "step by step"
    text = f"<think>I add {n} and 1 {way}. Is it right? Yes.</think> \\boxed{{{n + 1 if n < 2 else 9}}}"
    return 200, choices(*[text] * request.get("n", 1), tokens=30)


def test_a_chat_model_is_asked_with_examples_and_directly(config, tmp_path):
    thoughts = [{"prompt": f"What is {n} plus 5?", "completion": f"<think>Hm, {n}. Wait.</think> 1"} for n in range(6)]
    with stub_server(chat) as (url, requests):
        changes = {
            "refine_url": url,
            "refine_model": "v3",
            "sources": ["zero", "few_shot", "direct"],
            "chat_samples": 1,
        }
        examples = [{"path": write_rows(tmp_path / "examples.jsonl", *thoughts), "language": "en"}]
        texts, selection = run(config, **changes, examples=examples)
        assert len(requests) == 3 * 4
        run(config, **changes, examples=examples)
        assert len(requests) == 3 * 4, "nothing is asked twice"
    assert len(texts) == 4 + 2 + 2
    assert texts[4] == "<think>\nI add 0 and 1 like the example. Is it right? Yes.\n</think>\n\n\\boxed{1}"
    assert texts[6] == "<think>\nI add 0 and 1 step by step. Is it right? Yes.\n</think>\n\n\\boxed{1}"
    few_shot = selection["by_source"]["few_shot"]
    assert (few_shot["seen"], few_shot["kept"], few_shot["rejected"]) == (4, 2, {"wrong": 2})
    assert selection["rejected"] == {"wrong": 4}
    assert (selection["seen"], selection["kept"]) == (12, 8)
    rows = read_data_set(tmp_path / "out").to_pylist()
    assert [row["model"] for row in rows] == ["r1-zero"] * 4 + ["v3"] * 4
    assert [row["n_tokens"] for row in rows] == [9] * 4 + [30] * 4
    asked = [request["messages"][0]["content"] for request in requests]
    few_shot = [text for text in asked if "Below are questions" in text]
    assert len(few_shot) == 4
    assert all(len(re.findall(r"<think>Hm, \d. Wait.</think> 1", text)) == 2 for text in few_shot)
    assert len({re.search(r"Hm, \d", text)[0] for text in few_shot}) > 1, "not the same examples for all"


def test_people_look_through_it_and_what_they_say_is_read_back_and_stays(config, tmp_path):
    sheet = tmp_path / "out" / "review.csv"
    texts, selection = run(config)
    assert selection["reviewed"] == {"accepted": 0, "edited": 0, "rejected": 0, "unreviewed": 4}
    lines = list(csv.DictReader(sheet.open(encoding="utf-8-sig", newline="")))
    assert [line["completion"] for line in lines] == texts
    edit = '<think>Eins und eins, "also",\nzwei.</think>\n\\boxed{2}'
    lines[0]["verdict"], lines[1]["edit"], lines[2]["verdict"] = "Reject", edit, "accept"
    gone = {**lines[2], "id": "of an earlier run", "edit": edit}
    filled = tmp_path / "filled.csv"
    with filled.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*lines[0], "annotator"])
        writer.writeheader()
        writer.writerows([*lines, gone])
    said = filled.read_bytes()
    again, selection = run(config, reviewed=str(filled))
    assert again == [edit, *texts[2:]]
    assert selection["reviewed"] == {"accepted": 1, "edited": 1, "rejected": 1, "unreviewed": 1}
    assert filled.read_bytes() == said
    lines = list(csv.DictReader(sheet.open(encoding="utf-8-sig", newline="")))
    assert [(line["verdict"], line["edit"]) for line in lines] == [
        ("reject", ""),
        ("", edit),
        ("accept", ""),
        ("", ""),
        ("accept", edit),
    ]
    # The stage's own sheet is read back as well, should somebody have filled that in.
    once_more, selection = run(config)
    assert once_more == again


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("id,verdict\na,reject", "no edit"),
        ("id,verdict,edit\na,maybe,", "expected `accept`, `reject` or nothing"),
        ("id,verdict,edit\na,,no thought", "expected an edit with one thought"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_refused_before_anything_is_sampled(config, tmp_path, line, told):
    (tmp_path / "filled.csv").write_text(line)
    with pytest.raises(DataError, match=told) as error:
        ColdStartConfig(**{**config, "reviewed": str(tmp_path / "filled.csv")})
    assert error.value.file == str(tmp_path / "filled.csv")
