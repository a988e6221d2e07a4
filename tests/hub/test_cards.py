import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from tests.run_dirs import add_general_scores, make_run
from trl_r1.hub.cards import (
    HIDDEN,
    Destination,
    adapter_config,
    base_of,
    config_yaml,
    dataset_card,
    lineage_json,
    model_card,
    public,
)
from trl_r1.kinds import StageKind
from trl_r1.lineage import read_run


NOWHERE = Destination({})


@pytest.fixture
def home(tmp_path):
    return make_run(tmp_path / "run", steps=2, prompts=1, base_model="Qwen/Qwen2.5-7B@main")


@pytest.fixture
def run(home):
    return read_run(home)


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_a_models_card_tells_base_stages_data_rewards_metrics_versions_and_command(run):
    card = model_card(run, run.stage("r1"), Destination({"r1": "org/r1", "dev3": "org/dev3"}, "mit"))
    head = metadata(card)
    assert head["base_model"] == "org/dev3", "where the stage before is on the Hub too, it is the base"
    assert head["license"] == "mit"
    values = {m["type"]: m["value"] for r in head["model-index"][0]["results"] for m in r["metrics"]}
    assert values["pass@1"] == 0.968
    for fact in (
        "Qwen/Qwen2.5-7B@main",
        "| reasoning-data | rejection | dev2 |",
        "| **r1** | grpo | dev3 | playground/prompts, playground/general |",
        "MathAccuracy (1.0), ThinkFormat (0.5), LanguageConsistency (0.5), PreferenceModel (1.0)",
        "| `trl_r1.rewards.PreferenceModel` | 1.0 | general | from 20 | {'model': 'RUN/preference/model'} |",
        "| pass@1 | 0.968 | 0.005 |",
        "| trl | 1.16.0 |",
        run.stage("r1").fingerprint,
        "trl-r1 run playground --output-dir RUN --seed 1",
        "model_name_or_path: RUN/playground/model",
        "learning_rate: 0.001",
    ):
        assert fact in card, fact
    assert str(run.directory) not in card, "no path of this machine"


@pytest.mark.parametrize(
    ("data", "named"),
    [("playground/general", "playground/general"), ("playground/held-out", "playground/held-out (general-scores)")],
    ids=["other data", "the same data"],
)
def test_two_evaluations_of_a_model_are_two_results(home, data, named):
    add_general_scores(home, data)
    run = read_run(home)
    card = model_card(run, run.stage("r1"), NOWHERE)
    results = {
        result["dataset"]["name"]: {metric["type"]: metric["value"] for metric in result["metrics"]}
        for result in metadata(card)["model-index"][0]["results"]
    }
    assert set(results) == {"playground/held-out", named}
    assert (results["playground/held-out"]["pass@1"], results["playground/held-out"]["format"]) == (0.968, 0.994)
    assert results[named] == {"format": 0.9375, "general_win_rate": 0.75}
    one, two = card.split("### scores\n")[1].split("### general-scores\n")
    assert "| format | 0.994 | 0.004 |" in one
    assert "Over 240 held-out prompts of playground/held-out, 960 samples." in one
    assert "| format | 0.938 | 0.030 |" in two
    assert f"Over 120 held-out prompts of {named}, 480 samples." in two
    assert "| pass@1 |" not in two
    metrics = json.loads(lineage_json(run, run.stage("r1"), NOWHERE))["metrics"]
    assert (metrics["scores"]["format"], metrics["general-scores"]["format"]) == (0.994, 0.9375)
    assert "### scores" not in model_card(run, run.stage("dev1"), NOWHERE), "one evaluation needs no heading"


def test_a_card_lists_only_the_stages_that_led_there(run):
    card = model_card(run, run.stage("dev1"), NOWHERE)
    assert "| cold-start | cold_start |" in card
    assert "reasoning-data" not in card
    assert "| dev2 |" not in card
    assert "reward model" in model_card(run, run.stage("preference"), NOWHERE)
    assert "AutoModelForSequenceClassification" in model_card(run, run.stage("preference"), NOWHERE)


def test_a_data_sets_card_tells_its_files_and_what_was_rejected(run):
    card = dataset_card(run, run.stage("reasoning-data"), Destination({"reasoning-data": "org/data"}))
    assert metadata(card)["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            "default": True,
        },
        {"config_name": "rejected", "data_files": [{"split": "train", "path": "rejected/train-*.parquet"}]},
    ]
    assert 'load_dataset("org/data", split="train")' in card
    assert "| default | 90 | `prompt_id`" in card
    assert "| rejected | 5 | `prompt_id`" in card
    assert "| rejected: wrong | 412 |" in card
    assert "| math | 700 | 1.0 | 31.5 |" in card
    assert "| prompts | 2,000 | 1,200 | 60.0% |" in card
    assert "half 30, nine tenths 49, the longest 64." in card
    assert "`completion`:\n\n```text\n<think>A0+B0=0</think>\\boxed{0}\n```" in card
    several = metadata(dataset_card(run, run.stage("playground"), NOWHERE))["configs"]
    assert {c["config_name"] for c in several} == {"prompts", "general", "pairs", "held-out"}


def test_the_base_is_the_nearest_thing_that_others_can_load(run):
    r1 = run.stage("r1")
    assert base_of(run, r1, Destination({"r1": "org/r1"})) == "Qwen/Qwen2.5-7B", (
        "its own base, past what is not pushed"
    )
    assert base_of(run, r1, Destination({"dev3": "org/dev3"})) == "org/dev3"
    assert base_of(run, run.stage("dev2"), Destination({"dev3": "org/dev3"})) == "Qwen/Qwen2.5-7B"


def test_a_model_made_from_nothing_names_no_base(tmp_path):
    run = read_run(make_run(tmp_path / "run", steps=1, prompts=1))
    assert base_of(run, run.stage("r1"), NOWHERE) is None
    assert "base_model" not in metadata(model_card(run, run.stage("r1"), NOWHERE))


def test_an_adapter_names_a_base_that_others_can_load(home):
    model = home / "dev2" / "model"
    (model / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(home / "dev1" / "model"), "r": 8})
    )
    run = read_run(home)
    stage = run.stage("dev2")
    assert json.loads(adapter_config(run, stage, Destination({"dev1": "org/dev1"}))) == {
        "base_model_name_or_path": "org/dev1",
        "r": 8,
    }
    head = metadata(model_card(run, stage, Destination({"dev1": "org/dev1"})))
    assert (head["library_name"], head["base_model"], head["base_model_relation"]) == ("peft", "org/dev1", "adapter")
    assert adapter_config(run, run.stage("dev1"), NOWHERE) is None


def test_secrets_and_paths_of_this_machine_stay_here(home):
    config = yaml.safe_load((home / "r1" / "config.yaml").read_text())
    config.update(judge={"api_key": "k-123", "url": "http://x"}, hub_token="hf_abcdefghijkl", eos_token="<|end|>")
    config.update(note="use hf_abcdefghijkl here", max_tokens=5)
    (home / "r1" / "config.yaml").write_text(yaml.safe_dump(config))
    run = read_run(home)
    shown = yaml.safe_load(config_yaml(run, run.stage("r1")))
    assert shown["judge"] == {"api_key": HIDDEN, "url": "http://x"}
    assert shown["hub_token"] == HIDDEN
    assert shown["note"] == f"use {HIDDEN} here"
    assert (shown["eos_token"], shown["max_tokens"]) == ("<|end|>", 5)
    assert shown["output_dir"] == "RUN/r1"
    assert public(f"--set x.api_key=abc --output-dir {home}", run) == f"--set x.api_key={HIDDEN} --output-dir RUN"
    assert public(f"{home}-other/x", run) == f"{home}-other/x"


def test_a_run_with_nothing_but_a_model_still_gets_a_card(tmp_path):
    (tmp_path / "only" / "model").mkdir(parents=True)
    (tmp_path / "only" / "model" / "config.json").write_text("{}")
    (tmp_path / "only" / "config.yaml").write_text("seed: 3\n")
    run = read_run(tmp_path)
    card = model_card(run, run.stage("only"), NOWHERE)
    assert "No evaluation of this run measured it." in card
    assert "seed: 3" in card


def test_which_card_a_model_gets_is_up_to_its_kind_wherever_its_module_lies(home, monkeypatch):
    recipe = (home / "recipe.yaml").read_text()
    (home / "recipe.yaml").write_text(recipe.replace("kind: reward\n", "kind: my_package.scorer\n"))
    kind = StageKind(("m:C",), ("model",), card="reward_model")
    monkeypatch.setitem(sys.modules, "my_package", ModuleType("my_package"))
    monkeypatch.setitem(sys.modules, "my_package.scorer", SimpleNamespace(STAGE=kind))
    run = read_run(home)
    card = model_card(run, run.stage("preference"), NOWHERE)
    assert (metadata(card)["pipeline_tag"], metadata(card)["tags"][-1]) == ("text-classification", "scorer")
    assert "AutoModelForSequenceClassification" in card
    assert "`python -m my_package.scorer --config config.yaml`" in card
    monkeypatch.undo()
    run = read_run(home)
    card = model_card(run, run.stage("preference"), NOWHERE)
    assert metadata(card)["pipeline_tag"] == "text-generation", "the module is not installed here"
    assert "`python -m trl_r1.stages.grpo --config config.yaml`" in model_card(run, run.stage("r1"), NOWHERE)
