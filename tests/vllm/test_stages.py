"""Stages that make several engines, each as the runner starts it: as a process that has to end by itself."""

import json
import shutil
import sys

import psutil
import pytest
import yaml

from tests.integration.test_two_ranks import run_in_own_group
from trl_r1.trace import read_traces

from . import SECONDS, needs_vllm
from .model import REPLY


pytestmark = needs_vllm

SAMPLING = {
    "prompt_template": "chat",
    "backend": "vllm",
    "dtype": "float32",
    "n_samples": 2,
    "temperature": 0.0,
    "max_completion_tokens": 16,
    "shard_prompts": 3,
}


def run(kind, folder, config):
    (folder / "config.yaml").write_text(yaml.safe_dump({**SAMPLING, "output_dir": str(folder / "out"), **config}))
    command = [sys.executable, "-m", f"trl_r1.stages.{kind}", "--config", str(folder / "config.yaml")]
    code, said = run_in_own_group(command, None, SECONDS)
    assert code == 0, said[-6000:]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]
    return folder / "out"


@pytest.fixture
def data(tmp_path):
    rows = [{"prompt": f"what is {a} + 1 ?", "solution": str(a + 1), "domain": "math"} for a in range(5)]
    rows.append({"prompt": "sum " * 2000, "solution": "1", "domain": "math"})  # longer than the model's window
    file = tmp_path / "held_out.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return [{"path": str(file)}]


def test_an_evaluation_of_several_models_ends(model, data, tmp_path):
    again = str(shutil.copytree(model, tmp_path / "again"))
    out = run("evaluate", tmp_path, {"models": {"base": model, "again": again}, "data": data, "pass_at_k": [2]})
    models = json.loads((out / "metrics.json").read_text())["models"]
    assert models["base"] == models["again"]
    assert (models["base"]["n_prompts"], models["base"]["unsampled"], models["base"]["pass@1"]) == (6, 2, 0.0)
    said = {tuple(trace.completion.split()) for trace in read_traces(out / "traces") if trace.was_sampled}
    assert said == {("<think>", *REPLY)}


def test_a_builder_that_samples_twice_ends(model, tmp_path):
    rows = [{"prompt": "what is the sum ?"}, {"prompt": "what is that ?", "completion": "the sum"}]
    (tmp_path / "general.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rules = {"min_language_share": None, "max_repetition": None}
    config = {"model_name_or_path": model, "data": [{"path": str(tmp_path / "general.jsonl")}], "rules": rules}
    out = run("general", tmp_path, config)
    report = json.loads((out / "selection.json").read_text())
    assert (report["answers_written"], report["thoughts_written"]) == (2, 1)
