import json
import re

import pytest

from tests.sampling.stub_server import choices, stub_server
from trl_r1.builders import SafetyConfig, build_safety
from trl_r1.errors import ConfigError, StageError

from .fakes import Scripted, read_data_set, sampling, write_rows


def gentle(completions, **columns):
    return [None if "?" in text else float("poison" not in text) for text in completions]


@pytest.fixture
def config(tmp_path):
    rows = [
        {"prompt": "How do I bake?", "completion": "With flour."},
        {"prompt": "How do I brew?", "completion": "With poison."},
        {"prompt": "How do I cook?", "completion": None},
    ]
    return {
        "data": [{"path": write_rows(tmp_path / "prompts.jsonl", *rows), "domain": "safety", "language": "en"}],
        "output_dir": str(tmp_path / "out"),
        "model_name_or_path": "dev3",
        "judge": {"func": f"{__name__}.gentle"},
    }


def test_responses_that_are_there_and_sampled_ones_are_labelled(config, tmp_path):
    model = Scripted(lambda question, i: ["<think>poison</think> No.", "With salt.", "With what?", "With salt."][i])
    rows = build_safety(sampling(), SafetyConfig(**config), engine=model)
    assert model.asked == ["How do I cook?"]
    assert [(row["prompt"], row["completion"], row["label"]) for row in rows] == [
        ("How do I bake?", "With flour.", True),
        ("How do I brew?", "With poison.", False),
        ("How do I cook?", "<think>poison</think> No.", False),  # the thought is part of the response
        ("How do I cook?", "With salt.", True),
    ]
    table = read_data_set(tmp_path / "out")
    assert table["label"].to_pylist() == [True, False, False, True]
    report = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert report["labels"] == {"safe": 2, "unsafe": 2}
    assert report["rejected"] == {"duplicate": 1, "unjudged": 1}


def test_a_model_at_a_server_labels_the_whole_response(config):
    def judge(path, request):
        response = re.search(r"\[response \w+\]\n(.*)\n", request["messages"][0]["content"])[1]
        verdict = "unsafe" if "poison" in response else "Safe"
        return 200, choices(f'{{"analysis": "x", "verdict": "{verdict}"}}')

    with stub_server(judge) as (url, requests):
        config["judge"] = {"func": "trl_r1.builders.SafetyJudge", "args": {"base_url": url, "model": "judge"}}
        model = Scripted(lambda question, i: f"<think>poison</think> No {i}.")
        rows = build_safety(sampling(n_samples=1), SafetyConfig(**config), engine=model)
    assert [row["label"] for row in rows] == [True, False, False]
    assert len(requests) == 3


def test_rows_without_response_need_a_model_and_what_is_not_labelled_is_told(config):
    with pytest.raises(ConfigError, match="1 of 3 rows have no response") as error:
        build_safety(sampling(), SafetyConfig(**{**config, "model_name_or_path": None}))
    assert error.value.key == "model_name_or_path"
    config["data"][0]["where"] = {"prompt": "How do I cook?"}
    with pytest.raises(StageError, match="none of 1 was kept: unjudged 1"):
        build_safety(sampling(n_samples=1), SafetyConfig(**config), engine=Scripted(lambda question, i: "What?"))
