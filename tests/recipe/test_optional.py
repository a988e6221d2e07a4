"""Parts that need something are used where it is there, left out where it is not, and what a run began with it keeps."""

import pytest

from trl_r1.errors import ConfigErrors
from trl_r1.recipe import fingerprints, load_recipe, optional, resolve, settle_needs

from .test_load import folder as folder
from .test_load import recipe_of


JUDGE = {"base_url": "http://judge:8000/v1", "model": "judge"}


@pytest.fixture
def recipe(folder):
    math, code = {"path": "org/math"}, {"path": "org/code", "needs": "bubblewrap"}
    rewards = [
        {"func": "trl_r1.rewards.MathAccuracy"},
        {"func": "trl_r1.rewards.CodeAccuracy", "needs": "bubblewrap"},
        {"func": "trl_r1.rewards.Judge", "needs": "judge", "args": {"max_calls": 9}},
    ]
    stages = [
        {
            "name": "train",
            "kind": "grpo",
            "model": "base_model",
            "data": ["prompts", "programs"],
            "set": {"rewards": rewards},
        },
        {"name": "check", "kind": "evaluate", "model": "train", "data": "programs", "needs": ["bubblewrap"]},
    ]
    data = {"prompts": [math, code], "programs": code}
    return lambda **more: load_recipe(recipe_of(folder, stages, data=data, **more))


@pytest.fixture
def jail(monkeypatch):
    def set_to(reason):
        monkeypatch.setitem(optional._MACHINE, "bubblewrap", lambda: reason)

    set_to(None)
    return set_to


def rewards_of(recipe):
    return [each["func"].rpartition(".")[2] for each in recipe.stage("train").config["rewards"]]


def test_what_is_needed_and_there_is_used(recipe, jail):
    settled, problems = settle_needs(recipe(judge=JUDGE))
    assert not problems
    assert not settled.off
    assert settled.stage("train").config["rewards"][2] == {
        "func": "trl_r1.rewards.Judge",
        "args": {**JUDGE, "max_calls": 9},
    }
    stages, problems = resolve(settled)
    assert not problems
    assert [source["path"] for source in stages[0].config["data"]] == ["org/math", "org/code", "org/code"]
    assert "needs" not in str([stage.config for stage in stages])


def test_what_is_not_there_is_left_out_said_and_in_the_fingerprint(recipe, jail):
    whole = fingerprints(resolve(settle_needs(recipe())[0])[0])["train"]
    jail("there is no `bwrap` here")
    settled, problems = settle_needs(recipe())
    assert not problems
    assert settled.off[0].startswith("bubblewrap (there is no `bwrap` here): data `org/code`, `CodeAccuracy` of train")
    assert settled.off[1] == "judge (the recipe names none by `judge:`): `Judge` of train"
    assert rewards_of(settled) == ["MathAccuracy"]
    assert [stage.name for stage in settled.stages] == ["train"]
    stages, problems = resolve(settled)
    assert not problems
    assert [source["path"] for source in stages[0].config["data"]] == ["org/math"]
    assert fingerprints(stages)["train"] != whole


def test_data_that_no_stage_reads_need_nothing(folder, jail):
    jail("there is no `bwrap` here")
    stages = [{"name": "train", "kind": "grpo", "model": "base_model", "data": ["prompts"]}]
    data = {"prompts": {"path": "org/math"}, "programs": {"path": "org/code", "needs": "bubblewrap"}}
    settled, problems = settle_needs(load_recipe(recipe_of(folder, stages, data=data)), recorded=[])
    assert (problems, settled.off, settled.settled) == ([], (), False)


def test_a_run_goes_on_as_it_was_started(recipe, jail):
    jail("there is no `bwrap` here")
    started = list(settle_needs(recipe())[0].without)
    jail(None)
    settled, problems = settle_needs(recipe(), recorded=started)
    assert (problems, rewards_of(settled)) == ([], ["MathAccuracy"])
    started = list(settle_needs(recipe())[0].without)
    assert started == []
    jail("there is no `bwrap` here")
    _, problems = settle_needs(recipe(), recorded=started)
    assert "this run was started with `bubblewrap`, and there is no `bwrap` here" in str(problems[0])
    settled, problems = settle_needs(recipe(without=["bubblewrap"]), recorded=started)
    assert (problems, rewards_of(settled)) == ([], ["MathAccuracy"])


def test_an_unknown_need_is_refused(recipe, jail):
    _, problems = settle_needs(recipe(without=["bublewrap"]))
    with pytest.raises(ConfigErrors, match="did you mean `bubblewrap`"):
        raise ConfigErrors(problems)
