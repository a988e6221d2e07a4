"""A stage as it is rehearsed, and as `--smoke` runs it: what is replaced, and what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from trl_r1.recipe import load_recipe, resolve
from trl_r1.rehearsal import shrink
from trl_r1.rehearsal.shrink import Prepared, addresses, identity, named, rehearsed, renamed, source_key
from trl_r1.rehearsal.smoke import smoke


def stages_of(recipe: str) -> dict:
    stages, problems = resolve(load_recipe(recipe))
    assert not problems
    return {stage.name: stage for stage in stages}


@pytest.fixture(scope="module")
def r1() -> dict:
    return stages_of("r1")


def prepared(stages: dict, *packages: str) -> Prepared:
    """Each model and data set outside the run in a place of its own."""
    models = {value: f"/tiny/{value}" for item in stages.values() for _, value in named(item, "model")}
    keys = {source_key(source) for item in stages.values() for _, source in named(item, "data")}
    sources = {key: f"/rows/{i}.parquet" for i, key in enumerate(sorted(keys))}
    return Prepared(models, sources, frozenset(packages), {"HERE": "1"})


def texts(value) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_nothing_of_the_real_models_and_data_is_left(r1):
    known = prepared(r1)
    for item in r1.values():
        small = rehearsed(item, known)
        outside = [text for text in texts(small.config) if text.startswith(("Qwen/", "open-r1/", "HuggingFaceH4/"))]
        assert outside == []
        assert small.config["env"]["HERE"] == "1"
    assert rehearsed(r1["reasoning-data"], known).config["held_out"][0]["path"].startswith("/rows/")


def test_an_argument_of_a_reward_is_a_model_where_its_class_says_so(r1):
    item = r1["reasoning-data"]
    judge = {"func": "trl_r1.rewards.Judge", "args": {"base_url": "http://here:1/v1", "model": "org/judge"}}
    scored = {"func": "trl_r1.rewards.PreferenceModel", "args": {"model": "org/scores"}}
    item = replace(item, config={**item.config, "rewards": [judge, scored]})
    assert [value for _, value in named(item, "model")] == [item.config["model_name_or_path"], "org/scores"]
    assert addresses(item.config) == [("rewards[0].args.base_url", "http://here:1/v1")]


def test_a_grpo_stage_keeps_its_shape(r1):
    real, small = r1["r1"], rehearsed(r1["r1"], prepared(r1))
    # A rollout serves several steps; what begins late still begins late, and within the rehearsal.
    assert real.config["generation_batch_size"] > real.config["batch_size"]
    assert small.config["gradient_accumulation_steps"] == 2
    assert small.config["steps_per_generation"] == 2 * small.config["gradient_accumulation_steps"]
    starts = [reward["from_step"] for reward in small.config["rewards"] if "from_step" in reward]
    starts += [source["from_step"] for source in small.config["data"] if "from_step" in source]
    assert starts
    assert all(0 < start < small.config["max_steps"] for start in starts)
    assert [reward["func"] for reward in small.config["rewards"]] == [r["func"] for r in real.config["rewards"]]
    for key in ("beta", "epsilon", "sync_ref_model", "prompt_template", "loss_type", "scale_rewards"):
        assert small.config.get(key) == real.config.get(key)


def test_what_would_never_begin_does_not_begin_in_the_rehearsal_either(r1):
    late = [{**source, "from_step": 10**6} for source in r1["r1"].config["data"]]
    small = rehearsed(replace(r1["r1"], config={**r1["r1"].config, "data": late}), prepared(r1))
    assert all(source["from_step"] >= small.config["max_steps"] for source in small.config["data"])


def test_several_processes_become_two(r1):
    zero3 = rehearsed(r1["dev1"], prepared(r1, "deepspeed")).stage
    assert (zero3.accelerate.stem, zero3.num_processes) == ("cpu_zero3", None)
    assert rehearsed(r1["dev1"], prepared(r1)).stage.accelerate.stem == "cpu_ddp"
    one = replace(r1["dev1"], stage=replace(r1["dev1"].stage, num_processes=1))
    assert rehearsed(one, prepared(r1)).stage.accelerate is None


def test_vllm_is_used_where_it_is_installed(r1):
    with_it, without = (rehearsed(r1["r1-zero"], prepared(r1, *found)).config for found in (["vllm"], []))
    assert with_it["use_vllm"] is True
    assert with_it["vllm_mode"] == "colocate"
    assert without["use_vllm"] is False
    assert not [key for key in without if key.startswith("vllm_")]
    sampled = [rehearsed(r1["reasoning-data"], prepared(r1, *found)).config for found in (["vllm"], [])]
    assert [config["env"]["TRL_R1_REHEARSED_BACKEND"] for config in sampled] == ["vllm", "transformers"]


def test_stages_that_differ_in_a_number_are_one_and_others_are_not(r1):
    item = rehearsed(r1["dev1"], prepared(r1))
    faster = replace(item, config={**item.config, "learning_rate": 1e-4})
    other = replace(item, config={**item.config, "prompt_template": "plain"})
    assert identity(item) == identity(faster) == identity(renamed(item, {"dev1": "student"}))
    assert identity(item) != identity(other)
    moved = renamed(r1["r1"], {"r1": "a--r1", "dev3": "b--dev3", "preference": "b--preference"})
    assert moved.config["model_name_or_path"] == "${run}/b--dev3/model"
    assert moved.config["output_dir"] == "${run}/a--r1"
    assert "${run}/b--preference/model" in texts(moved.config)
    assert {"b--dev3", "b--preference"} <= set(moved.parents)


def test_a_smoke_run_is_one_step_of_the_real_size(r1):
    real, full = r1["r1-zero"].config, smoke(r1["r1-zero"])
    assert full.stage.kind == "grpo"
    assert full.stage.accelerate == r1["r1-zero"].stage.accelerate
    assert full.config["max_steps"] == full.config["save_steps"] == full.config["ref_model_sync_steps"] == 1
    longest = max([real["max_completion_length"], *real["max_completion_length_schedule"].values()])
    assert full.config["max_completion_length"] == longest
    assert full.config["generation_kwargs"] == {"ignore_eos": True}
    for key in ("model_name_or_path", "per_device_train_batch_size", "batch_size", "num_generations"):
        assert full.config.get(key) == real.get(key)
    assert full.config["skip_zero_advantage"] is False  # nothing may earn anything, and the step is to be whole
    late = smoke(r1["r1"]).config
    assert not [one for one in [*late["rewards"], *late["data"]] if "from_step" in one]
    assert smoke(r1["dev1"]).stage.kind == "trl_r1.rehearsal.smoke_sft"
    assert smoke(r1["safety"]).stage.kind == "trl_r1.rehearsal.smoke_pointwise"
    assert (
        smoke(r1["reasoning-data"]).config["max_completion_tokens"]
        == r1["reasoning-data"].config["max_completion_tokens"]
    )


def test_lengths_are_filled():
    from datasets import Dataset

    from trl_r1.rehearsal.longest import longest_pairs, longest_rows

    rows = longest_rows(Dataset.from_list([{"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "source": "a"}]), 8)
    assert rows[0] == {
        "input_ids": [1, 2, 3, 1, 2, 3, 1, 2],
        "labels": [-100, 2, 3, -100, 2, 3, -100, 2],
        "source": "a",
    }
    labelled = longest_rows(Dataset.from_list([{"input_ids": [1, 2], "label": 1.0}]), 3)
    assert labelled[0] == {"input_ids": [1, 2, 1], "label": 1.0}
    pairs = [{"prompt_ids": [9], "chosen_ids": [1, 2], "rejected_ids": [3]}]
    assert longest_pairs(Dataset.from_list(pairs), 6)[0] == {
        "prompt_ids": [9],
        "chosen_ids": [1, 2, 1, 2, 1],
        "rejected_ids": [3, 3, 3, 3, 3],
    }


def test_the_recipe_itself_is_not_touched(r1):
    before = repr(r1["r1"].config)
    rehearsed(r1["r1"], prepared(r1))
    smoke(r1["r1"])
    assert repr(r1["r1"].config) == before
    assert Path(shrink.__file__).is_file()
