"""`trl-r1 run --smoke`: one step of each stage, at full lengths, in a directory of its own."""

import json

import pytest
import yaml

from tests.grpo.tiny import save_tiny_model
from trl_r1.cli import main
from trl_r1.trace import read_traces


TRAINING = {
    "use_cpu": True,
    "bf16": False,
    "dtype": "float32",
    "gradient_checkpointing": False,
    "per_device_train_batch_size": 4,
    "max_steps": 50,
}


@pytest.mark.slow
def test_each_stage_takes_one_step_at_full_lengths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_tiny_model(tmp_path / "base")
    rows = [{"prompt": f"what is {i} and 3 ?", "solution": str(i + 3)} for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [{"prompt": f"what is {i} ?", "chosen": f"so {i % 9}", "rejected": "wait"} for i in range(9)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    math, late = {"func": "trl_r1.rewards.MathAccuracy"}, {"func": "trl_r1.rewards.ThinkFormat", "from_step": 40}
    rl = {"num_generations": 4, "max_completion_length": 8, "max_completion_length_schedule": {30: 24}, "beta": 0.01}
    stages = [
        {"name": "samples", "kind": "rejection", "model": "base", "data": ["rows"]}
        | {"set": {"prompt_template": "plain", "n_samples": 4, "max_completion_tokens": 256}},
        {"name": "tuned", "kind": "sft", "model": "base", "data": ["samples"]}
        | {"set": {"prompt_template": "plain", "max_length": 300, **TRAINING}},
        {"name": "judge", "kind": "reward", "model": "tuned", "data": ["pairs"]}
        | {"set": {"prompt_template": "plain", "max_length": 40, **TRAINING}},
        {"name": "policy", "kind": "grpo", "model": "tuned", "data": ["rows"]}
        | {"set": {"prompt_template": "plain", "save_rollouts": True, "rewards": [math, late], **rl, **TRAINING}},
    ]
    data = {name: {"path": f"{name}.jsonl", "domain": "math", "language": "en"} for name in ("rows", "pairs")}
    recipe = {"name": "tiny", "disk_gb": 0.01, "data": data, "stages": stages}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["run", "recipe.yaml", "--smoke"]) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny-smoke"]
    run = tmp_path / "runs" / "tiny-smoke"
    for name, length in (("tuned", 300), ("judge", 40)):
        logged = json.loads((run / name / "trainer_state.json").read_text())
        assert logged["global_step"] == 1
        assert logged["log_history"][0]["num_tokens"] == 4 * length * (2 if name == "judge" else 1)
    traces = list(read_traces(run / "policy" / "rollouts"))
    assert {trace.n_tokens for trace in traces} == {24}  # the longest of the schedule, though 8 would do for one step
    assert {tuple(sorted(trace.rewards)) for trace in traces} == {("math_accuracy", "think_format")}
    assert all(trace.rewards["think_format"] is not None for trace in traces)
    assert len(list(read_traces(run / "samples" / "traces"))) == 4 * 4
    # A real run is another run, and may not take this directory; nor may a smoke run take a real one's.
    assert main(["plan", "recipe.yaml", "--output-dir", str(run)]) == 2
    assert main(["run", "recipe.yaml", "--smoke", "--dry-run"]) == 0
