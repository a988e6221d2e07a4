"""`trl-r1 plan`'s options, and what it prints of the figures."""

import json
from dataclasses import asdict

import pytest
import yaml

from trl_r1.cli import main
from trl_r1.runner.figures import as_json, figures_text, totals_of
from trl_r1.runner.sizes import Sizing
from trl_r1.sizes.figures import Figures


GB = 10**9
GIB = 1 << 30


def figures(stage, gpus=8, **values):
    memory = {"weights": 2 * GIB, "gradients": 2 * GIB, "optimizer": 11 * GIB, "reference": 0, "reward_models": 0}
    memory |= {"activations": 30 * GIB, "rollout": GIB, "engine": 0, "reserve": 2 * GIB, "peak": 48 * GIB, "host": 0}
    given = {"parameters": 7_615_616_512, "trainable": 7_615_616_512, "strategy": "ZeRO-3", "memory": memory}
    given |= {"completions": 128, "tokens": 665_600, "steps": 5000, "micro_batch": (1, 32768)}
    return {"figures": asdict(Figures(stage, gpus=gpus, **given | values))}


TRAINED = figures(
    "sft", hours={"training": 100.0}, disk={"model": 15 * GB, "checkpoint": 107 * GB, "checkpoints": 214 * GB}
)
POLICY = figures(
    "r1-zero",
    questions=32.0,
    completions=512,
    hours={"training": 200.0, "sampling": 300.0},
    disk={"model": 15 * GB, "checkpoints": 380 * GB},
    cache={"tokens": 206_000, "at_longest": 5.9, "at_mean": 39.6, "longest": 34816, "mean": 5200.0},
)
SAMPLED = figures("cold-start", gpus=1, hours={"sampling": 24.0}, disk={"traces": GB}, micro_batch=None, steps=None)
UNKNOWN = figures("dev1", steps=None, memory=None, notes=["the rows of its data are not known yet"])
RECORDS = {"sft": TRAINED, "r1-zero": POLICY, "cold-start": SAMPLED, "dev1": UNKNOWN, "playground": {}}


def test_totals():
    totals = totals_of([record["figures"] for record in RECORDS.values() if record])
    # Checkpoints go when their stage is done: those of one stage at a time.
    assert totals == {"hours": 624.0, "gpu_hours": 8 * 600 + 24, "disk_bytes": (15 + 15 + 1 + 380) * GB, "gpus": 8}
    kept = figures("kept", keeps_checkpoints=True, disk={"checkpoints": 7 * GB})["figures"]
    assert totals_of([TRAINED["figures"], kept])["disk_bytes"] == (15 + 214 + 7) * GB


def test_what_a_terminal_shows():
    told = figures_text(RECORDS, Sizing())
    assert max(map(len, told.splitlines())) <= 100
    line = next(line.split() for line in told.splitlines() if line.startswith("r1-zero"))
    assert line == ["r1-zero", "7.62B", "32", "x", "16", "666k", "5,000", "8", "500", "4,000", "395"]
    assert "ZeRO-3   1 x 32,768      2.0    2.0   11.0   31.0  48.0  32.0" in told
    told = " ".join(told.split())
    assert "`r1-zero`: 206k tokens, 5.9 sequences of 34,816 or 40 of 5,200, the mean" in told
    assert "`dev1`: the rows of its data are not known yet" in told
    assert "In all, 1 of 4 stages left out: 4,824 GPU-hours; 26 days" in told
    assert "1 of them on fewer than 8 GPUs" in told
    assert json.loads(as_json(RECORDS))["stages"][1]["stage"] == "r1-zero"


def test_a_recipe_without_gpus_has_none():
    assert figures_text({"base": figures("base", gpus=0)}, Sizing()) == ""


@pytest.fixture
def recipe(tmp_path):
    config = {"model_type": "qwen2", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    (tmp_path / "rows.jsonl").write_text(
        '{"prompt": "one", "completion": "two", "chosen": "2", "rejected": "3"}\n' * 64
    )
    common = {"prompt_template": "plain", "dtype": "bfloat16", "bf16": True}
    stages = [
        {"name": "first", "kind": "sft", "model": "model", "set": {**common, "max_length": 512}},
        {"name": "second", "kind": "dpo", "model": "first", "set": {**common, "max_length": 256}},
    ]
    stages = [{**stage, "data": "rows", "accelerate": "zero3"} for stage in stages]
    text = yaml.safe_dump({"name": "sized", "data": {"rows": {"path": "rows.jsonl"}}, "stages": stages})
    (tmp_path / "recipe.yaml").write_text(text)
    return str(tmp_path / "recipe.yaml")


def test_a_model_that_the_run_makes_is_sized_by_the_one_it_is_trained_from(recipe, tmp_path, capsys):
    assert main(["plan", recipe, "--json", "--output-dir", str(tmp_path / "run")]) == 0
    first, second = json.loads(capsys.readouterr().out)["stages"]
    assert first["parameters"] == second["parameters"] > 10**6
    assert first["steps"] > 0  # the rows of a local file are counted
    assert second["memory"]["reference"] == second["memory"]["weights"]
    assert second["micro_batch"] == [2 * first["micro_batch"][0], 256]
    # One stage is sized, and refused, alone.
    assert main(["plan", recipe, "--gpus", "4", "--gpu-memory", "1", "--only", "first"]) == 2
    told = capsys.readouterr().err
    assert "`first` runs on 8 GPUs, and there are 4 (`--gpus`)" in told
    assert "`stages.first.accelerate`: does not fit" in told
    assert "second" not in told


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--gpus", "0"], "expected at least 1"),
        (["--gpu-memory", "-1"], "expected GiB above 0"),
        (["--throughput", "wrong.yaml"], "did you mean `peak_flops`"),
        (["--throughput", "negative.yaml"], "expected a number above 0"),
    ],
)
def test_wrong_options(recipe, tmp_path, monkeypatch, capsys, options, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text("peak_flop: 1e15\n")
    (tmp_path / "negative.yaml").write_text("peak_flops: -1\n")
    assert main(["plan", recipe, *options]) == 2
    assert expected in capsys.readouterr().err
