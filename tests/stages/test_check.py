"""The configs of a stage are made as the machine that they are for would make them, whatever this machine is."""

import json
import subprocess
import sys

import pytest
import yaml

from trl_r1.stages._check import check_stage


GRPO = {
    "output_dir": "out",
    "prompt_template": "plain",
    "data": [{"path": "org/data"}],
    "rewards": [{"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]}],
    "model_name_or_path": "org/model",
    "per_device_train_batch_size": 2,
    "num_generations": 16,
    "bf16": True,
    "tf32": True,
}


def told(record) -> dict[str, str]:
    return {problem["key"]: problem["message"] for problem in record["problems"]}


def test_gpus_and_processes_are_those_of_the_recipe():
    assert told(check_stage("grpo", GRPO, processes=8)) == {}
    assert "in 4 processes" in told(check_stage("grpo", GRPO, processes=4))["num_generations"]
    assert "bf16" in told(check_stage("grpo", GRPO, processes=8, gpu=False))
    assert told(check_stage("grpo", {**GRPO, "use_cpu": True, "tf32": None}, processes=8, gpu=False)) == {}


def test_deepspeed_need_not_be_installed_here(monkeypatch):
    from trl_r1.stages import _check

    monkeypatch.setattr(_check, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    config = {**GRPO, "deepspeed": "zero3.json"}  # no such file: the class would not take it
    assert told(check_stage("grpo", config, processes=8)) == {}
    assert told(check_stage("grpo", {**config, "deepspede": 1}, processes=8)).keys() == {"deepspede"}


def test_a_class_that_breaks_is_reported_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "breaks").mkdir()
    (tmp_path / "breaks" / "stage.py").write_text(
        "from dataclasses import dataclass\nfrom trl_r1.kinds import StageKind\n"
        "STAGE = StageKind(configs=('breaks.stage:C',), leaves=())\n\n@dataclass\nclass C:\n    seed: int = 0\n\n"
        "    def __post_init__(self):\n        raise RuntimeError('broken')\n"
    )
    assert told(check_stage("breaks.stage", {})) == {"config": "its config cannot be made (RuntimeError: broken)"}


def test_the_machine_is_its_own_again_afterwards():
    from transformers import TrainingArguments, training_args

    before = training_args.is_torch_bf16_gpu_available, TrainingArguments.world_size
    check_stage("grpo", GRPO, processes=8)
    assert (training_args.is_torch_bf16_gpu_available, TrainingArguments.world_size) == before


@pytest.mark.parametrize(
    ("kind", "change", "key"),
    [
        ("grpo", {"epsilon_high": "x"}, "epsilon_high"),
        ("grpo", {"max_completion_length_schedule": {"a": 1}}, "max_completion_length_schedule"),
        ("grpo", {"fp16": True}, "fp16"),
        ("grpo", {"languages": ["klingon"]}, "languages"),
        ("grpo", {"lr_scheduler_type": "constnt"}, "lr_scheduler_type"),
        ("grpo", {"data": [{"path": "x", "limit": 0}]}, "data[0].limit"),
        ("grpo", {"data": [{"path": "x", "lmit": 3}]}, "data[0].lmit"),
        ("grpo", {"rewards": []}, "rewards"),
        ("grpo", {"env": ["A=1"]}, "env"),
    ],
)
def test_what_a_class_refuses_is_refused_with_its_key(kind, change, key):
    assert told(check_stage(kind, {**GRPO, **change}, processes=8)).keys() == {key}


@pytest.mark.parametrize(
    ("kind", "config", "key"),
    [
        ("rejection", {"rules": {"prefer": "longest"}}, "rules.prefer"),
        ("rejection", {"rules": {"max_token": 3}}, "rules.max_token"),
        ("rejection", {"held_out": [{"pth": "x"}]}, "held_out[0]"),
        ("rejection", {"temperature": -1}, "temperature"),
        ("evaluate", {"by_model": {"base": {"temprature": 1}}}, "by_model.base.temprature"),
        ("evaluate", {"by_model": {"base": {"n_samples": "many"}}}, "by_model.base.n_samples"),
        ("evaluate", {"by_model": {"bse": {}}}, "by_model"),
        ("evaluate", {"best_of_n": {"func": "trl_r1.rewards.Nothing"}}, "best_of_n.func"),
    ],
)
def test_what_builders_and_evaluation_refuse(kind, config, key):
    model = {"models": {"base": "org/x"}} if kind == "evaluate" else {"model_name_or_path": "org/x"}
    common = {"output_dir": "out", "prompt_template": "plain", "data": [{"path": "org/data"}], **model}
    assert told(check_stage(kind, common)) == {}
    assert told(check_stage(kind, {**common, **config})).keys() == {key}


def test_values_are_returned_as_their_fields_take_them_and_rewards_with_their_columns():
    record = check_stage("grpo", {**GRPO, "learning_rate": "1e-6", "max_steps": 3}, processes=8)
    assert record["converted"] == {"learning_rate": 1e-6}
    (reward,) = record["rewards"]
    assert (reward["key"], tuple(reward["requires"])) == ("rewards[0]", ("solution",))


def test_of_each_source_the_columns_or_why_it_cannot_be_read(tmp_path):
    rows, broken, large = tmp_path / "rows.jsonl", tmp_path / "broken.parquet", tmp_path / "large.json"
    rows.write_text('{"prompt": "1+1?"}\n{"prompt": "1+2?", "solution": "3"}\n')
    broken.write_text("no parquet")
    with open(large, "wb") as file:
        file.truncate((64 << 20) + 1)
    columns = check_stage("grpo", GRPO, sources=[{"path": str(path)} for path in (rows, broken, large)])["columns"]
    assert columns[str(rows)] == ["prompt", "solution"]
    assert columns[str(broken)].startswith("cannot be read: ")
    assert columns[str(large)] is None


def test_a_module_that_does_not_import_is_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_made").mkdir()
    (tmp_path / "half_made" / "stage.py").write_text(
        "from trl_r1.kinds import StageKind\nSTAGE = StageKind(configs=('half_made.configs:C',), leaves=())\n"
    )
    (tmp_path / "half_made" / "configs.py").write_text("print('noise')\nimport no_such_module\n")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in told(check_stage("half_made.stage", {}))["kind"]


def test_in_a_process_of_its_own(tmp_path):
    """As `trl-r1 plan` starts it; what a user's module prints does not reach the answer."""
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "stage.py").write_text(
        "print('loud')\nfrom dataclasses import dataclass\nfrom trl_r1.kinds import StageKind\n"
        "STAGE = StageKind(configs=('loud.stage:C',), leaves=())\n\n@dataclass\nclass C:\n    output_dir: str\n    seed: int = 0\n"
    )
    asked = [
        {"kind": "grpo", "config": GRPO, "processes": 8},
        {"kind": "loud.stage", "config": {"output_dir": "o", "sed": 1}},
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "trl_r1.stages._check"],
        input=yaml.safe_dump(asked),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    grpo, loud = json.loads(ran.stdout)
    assert grpo["problems"] == []
    assert told(loud) == {"sed": "unknown key; did you mean `seed`?"}
