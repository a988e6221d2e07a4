"""How often prompts were solved, and which of them a data source keeps by it."""

import json
from dataclasses import replace

import pytest

from trl_r1.data import load_prompts
from trl_r1.data.rows import prompt_id
from trl_r1.errors import DataError
from trl_r1.pass_rates import FILE, read_pass_rates, write_pass_rates
from trl_r1.recipe import load_recipe, resolve
from trl_r1.trace import Trace, write_traces


NAMES = ["always", "half", "never", "unjudged", "failed"]


@pytest.fixture
def rates(tmp_path):
    """Each prompt's samples by two models, of which `half` is solved by one."""
    shards = {}
    for model in ("a", "b"):
        traces = [
            Trace(prompt_id("math", name), name, "x", rewards={"accuracy": value, "format": 1.0}, model=model)
            for name, value in zip(NAMES, (1.0, float(model == "a"), 0.0, None, 1.0))
            for _ in range(2)
        ]
        traces[-2:] = [replace(trace, finish_reason="failed") for trace in traces[-2:]]
        shards[model] = [tmp_path / "stage" / "traces" / f"{model}-00000.parquet"]
        write_traces(shards[model][0], traces)
    write_pass_rates(tmp_path / "stage" / FILE, shards, ["accuracy"])
    return tmp_path / "stage"


def test_the_share_solved_is_over_all_judged_samples(rates):
    found = {name: rate for name in NAMES if (rate := read_pass_rates(rates).get(prompt_id("math", name))) is not None}
    assert found == {"always": 1.0, "half": 0.5, "never": 0.0}
    with pytest.raises(DataError, match=r"nowhere.*|pass rates"):
        read_pass_rates(rates / "nowhere.parquet")


@pytest.mark.parametrize(
    ("solved", "kept"),
    [
        ({}, ["always", "half", "never"]),
        ({"at_least": 0.1}, ["always", "half"]),
        ({"at_most": 0.9}, ["half", "never"]),
        ({"at_least": 0.1, "at_most": 0.9}, ["half"]),
    ],
)
def test_a_source_keeps_the_prompts_that_were_solved_as_often_as_it_says(rates, tmp_path, solved, kept):
    data = tmp_path / "problems.jsonl"
    data.write_text("\n".join(json.dumps({"prompt": name, "solution": "1", "domain": "math"}) for name in NAMES))
    source = {"path": str(data), "solved": {"path": str(rates), **solved}, "language": "en"}
    assert load_prompts([source])["prompt"][:] == kept
    assert len(load_prompts([{**source, "limit": 1}])) == 1  # of those that are kept


def test_none_that_is_kept_and_a_wrong_bound_are_told(rates, tmp_path):
    data = tmp_path / "problems.jsonl"
    data.write_text(json.dumps({"prompt": "unjudged", "domain": "math", "language": "en"}))
    with pytest.raises(DataError, match="0 of 1 were judged at all"):
        load_prompts([{"path": str(data), "solved": {"path": str(rates)}}])
    for solved in ({"path": "x", "at_least": 0.5, "at_most": 0.1}, {"path": "x", "at_lest": 0.5}, {"at_least": 0.5}):
        with pytest.raises(DataError, match=r"solved|at_lest|path"):
            load_prompts([{"path": str(data), "solved": solved}])


def test_in_a_recipe_it_names_the_stage_that_left_them(tmp_path):
    (tmp_path / "problems.jsonl").write_text("{}")
    source = "{source: problems, solved: {path: %s, at_least: 0.1}}"
    text = """
name: filtered
base_model: org/model
data: {problems: {path: problems.jsonl}}
stages:
  - {name: rates, kind: rejection, model: base_model, data: problems, set: {prompt_template: plain}}
  - {name: rl, kind: grpo, model: base_model, data: [%s], set: {prompt_template: plain}}
"""
    (tmp_path / "recipe.yaml").write_text(text % (source % "rates"))
    stages, problems = resolve(load_recipe(tmp_path / "recipe.yaml"))
    assert not problems
    rl = next(stage for stage in stages if stage.name == "rl")
    assert rl.parents == ("rates",)
    assert rl.placed("RUN")["data"][0]["solved"] == {"path": "RUN/rates", "at_least": 0.1}
    (tmp_path / "recipe.yaml").write_text(text % (source % "rate"))
    _, problems = resolve(load_recipe(tmp_path / "recipe.yaml"))
    assert "did you mean `rates`" in str(problems[0])
