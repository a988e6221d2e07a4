import json
import shutil

import pytest

from tests.run_dirs import add_general_scores, make_run
from trl_r1.errors import ConfigError
from trl_r1.lineage import StageRecord, read_run
from trl_r1.report.graph import Edge, edges_of


@pytest.fixture
def home(tmp_path):
    return make_run(tmp_path / "run", steps=3, prompts=1)


def test_a_stage_knows_its_parents_by_model_data_and_reward(home):
    run = read_run(home)
    parents = {stage.name: set(stage.parents) for stage in run.stages}
    assert parents["r1-zero"] == {"playground"}
    assert parents["dev1"] == {"playground", "cold-start"}, "the base is a stage here"
    assert parents["dev3"] == {"playground", "reasoning-data", "general-data"}
    assert parents["r1"] == {"dev3", "playground", "preference"}, "the preference model is a reward of r1"
    assert parents["scores"] == {"playground", "r1-zero", "dev1", "dev2", "dev3", "r1"}


def test_the_lineage_of_a_stage_is_what_it_descends_from_and_nothing_else(home):
    run = read_run(home)
    assert [stage.name for stage in run.lineage("dev2")] == ["playground", "r1-zero", "cold-start", "dev1", "dev2"]
    assert [stage.name for stage in run.lineage("playground")] == ["playground"]
    assert run.lineage("nothing") == []


def test_a_stage_is_what_its_kind_says_or_else_its_artifact(home):
    run = read_run(home)
    makes = {stage.name: stage.makes for stage in run.stages}
    assert (makes["playground"], makes["cold-start"], makes["scores"]) == ("model", "dataset", "metrics")
    assert [stage.name for stage in run.stages if stage.makes_reward_model] == ["preference"]

    recipe = (home / "recipe.yaml").read_text()
    (home / "recipe.yaml").write_text(recipe.replace("kind: cold_start", "kind: gone.cold_start"))
    stage = read_run(home).stage("cold-start")
    assert (stage.about, stage.makes) == (None, ""), "its module is not here, and its artifact does not say"
    (home / "cold-start" / "artifact.json").write_text('{"kind": "dataset"}')
    run = read_run(home)
    assert run.stage("cold-start").makes == "dataset"
    assert Edge("r1-zero", "cold-start", "samples") in edges_of(run)


def test_parents_that_only_the_artifact_names_count_as_well(home):
    artifact = json.loads((home / "dev3" / "artifact.json").read_text())
    artifact["parents"] = {"preference": "fingerprint"}
    (home / "dev3" / "artifact.json").write_text(json.dumps(artifact))
    assert "preference" in read_run(home).stage("dev3").parents


def test_a_path_belongs_to_the_stage_in_whose_folder_it_lies(home):
    run = read_run(home)
    assert run.stage_of_path(home / "dev1" / "model") == "dev1"
    assert run.stage_of_path(home / "nothing" / "model") is None
    assert run.stage_of_path("/elsewhere/dev1/model") is None


def test_two_evaluations_of_the_same_models_stay_apart(home):
    add_general_scores(home)
    run = read_run(home)
    found = run.evaluations()
    assert list(found) == ["scores", "general-scores"], "in the order of the recipe"
    assert list(found["scores"]) == ["base", "r1-zero", "dev1", "dev2", "dev3", "r1"]
    assert (found["scores"]["r1"]["pass@1"], found["scores"]["r1"]["format"]) == (0.968, 0.994)
    assert found["general-scores"]["r1"]["format"] == 0.9375
    assert "pass@1" not in found["general-scores"]["r1"]
    assert run.evaluations_of("r1") == {stage: models["r1"] for stage, models in found.items()}
    assert list(run.evaluations_of("dev1")) == ["scores"]
    assert run.evaluations_of("nothing") == {}


def test_an_evaluation_that_a_later_one_continues_is_told_once(home):
    add_general_scores(home)
    assert read_run(home).continued == set()
    with open(home / "scores" / "config.yaml", "a") as file:
        file.write(f"continues: [{home / 'general-scores'}, {home / 'gone'}]\n")
    run = read_run(home)
    assert run.continued == {"general-scores"}
    assert list(run.evaluations()) == ["scores"]
    (home / "scores" / "metrics.json").unlink()
    assert list(read_run(home).evaluations()) == ["general-scores"], "as long as the later one is not done"


def test_an_evaluation_that_holds_no_metrics_is_none(home):
    add_general_scores(home)
    for content in ("{}", '{"models": 3}', '{"models": {}}', '{"models": {"r1": null}}'):
        (home / "general-scores" / "metrics.json").write_text(content)
        assert list(read_run(home).evaluations()) == ["scores"]


def test_without_a_recipe_the_folders_with_a_config_are_the_stages(home):
    (home / "recipe.yaml").unlink()
    (home / "run.json").unlink()
    run = read_run(home)
    assert {stage.name for stage in run.stages} >= {"dev1", "r1", "scores"}
    assert run.name == "run"
    assert run.stage("r1").done


def test_a_stage_that_was_cut_short_tells_its_last_checkpoint(home):
    state = home / "dev2" / "trainer_state.json"
    for step in (2, 10):
        (home / "dev2" / f"checkpoint-{step}").mkdir(exist_ok=True)
        history = {"log_history": [{"step": step}]}
        (home / "dev2" / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(history))
    assert len(read_run(home).stage("dev2").log_history) == 4
    state.unlink()
    assert read_run(home).stage("dev2").log_history == ({"step": 10},)
    (home / "dev2" / "checkpoint-10" / "trainer_state.json").write_text('{"log_hist')
    assert read_run(home).stage("dev2").log_history == ({"step": 2},), "the last one is cut: the one before it"


def test_rewards_are_read_from_either_way_of_declaring_them(home):
    config = home / "dev2" / "config.yaml"
    config.write_text("reward_funcs: [a.b, c.d]\nreward_weights: [1.0, 0.5]\n")
    assert read_run(home).stage("dev2").rewards == ({"func": "a.b", "weight": 1.0}, {"func": "c.d", "weight": 0.5})
    config.write_text("rewards: a.b\n")
    assert read_run(home).stage("dev2").rewards == ({"func": "a.b", "weight": 1.0},)


def test_what_is_no_directory_is_no_run(home):
    shutil.rmtree(home)
    with pytest.raises(ConfigError, match="as `trl-r1 run` leaves it"):
        read_run(home)


def test_what_a_training_learned_is_the_mean_of_the_first_and_of_the_last_tenth(tmp_path):
    def learned(log):
        (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": log}))
        return StageRecord("a", "", tmp_path).learned

    rewards = [0.1, 0.3, *[0.0] * 16, 0.6, 0.8]
    log = [{"step": step, "reward": value, "frac_reward_zero_std": 0.5} for step, value in enumerate(rewards, 1)]
    assert learned(log) == "reward 0.2 -> 0.7"
    assert learned(log[-2:]) == "reward 0.6 -> 0.8 (steps 19 and 20 alone)"
    assert learned([{"step": 1, "loss": 1.5}]) == "loss 1.5 -> 1.5"
    assert learned([]) == ""
    said = learned([{**entry, "frac_reward_zero_std": 1.0, "truncated": 0.9} for entry in log])
    assert "NOTHING WAS LEARNED" in said
    assert "90% were cut" in said
