"""A real server beside a rejection stage and a judged GRPO stage, killed in the middle of each: nothing is lost."""

import json
import sys
import time
from collections import Counter

import psutil
import pytest
import yaml


pytest.importorskip("fastapi", reason="`transformers serve` needs transformers[serving]")

from tests.integration.killing import SECONDS, processes_of, said, start
from tests.integration.test_real_server import make_model as make_answering
from tests.stages.tiny import make_data, make_model
from trl_r1.trace import read_traces


pytestmark = pytest.mark.slow

LENIENT = {"right_by": [], "well_formed": False, "finished": False, "min_language_share": None}


def test_a_server_that_is_killed_beside_its_stages_is_started_again(tmp_path):
    served = make_answering(tmp_path / "served")
    make_model(tmp_path / "base")
    make_data(tmp_path / "sums.jsonl", rows=24)
    serve = f"{sys.executable} -m transformers.cli.transformers serve {served} --device cpu"
    judge = {"func": "trl_r1.rewards.Judge", "args": {"base_url": "server:judge", "model": served, "max_tokens": 16}}
    rejection = {"prompt_template": "chat", "n_samples": 2, "max_completion_tokens": 16, "shard_prompts": 2}
    rejection |= {"backend": "server", "base_url": "server:judge", "server_model": served, "rules": LENIENT}
    grpo = {"prompt_template": "chat", "rewards": [judge], "num_generations": 4, "per_device_train_batch_size": 8}
    grpo |= {"max_completion_length": 8, "max_steps": 8, "logging_steps": 1, "save_strategy": "no", "bf16": False}
    grpo |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "gradient_checkpointing": False}
    recipe = {"name": "served", "base_model": "base", "disk_gb": 0.01, "data": {"sums": {"path": "sums.jsonl"}}}
    recipe["servers"] = [{"name": "judge", "command": f"{serve} --host {{host}} --port {{port}}", "timeout": SECONDS}]
    recipe["stages"] = [
        {"name": "sampled", "kind": "rejection", "model": "base_model", "data": "sums", "set": rejection},
        {"name": "judged", "kind": "grpo", "model": "base_model", "data": "sums", "set": grpo},
    ]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    run_dir = tmp_path / "run"
    runner = start(tmp_path / "recipe.yaml", run_dir)
    for stage in ("sampled", "judged"):
        deadline = time.monotonic() + SECONDS
        while step_of(run_dir / stage) < 2:
            assert runner.poll() is None, said(run_dir)
            assert time.monotonic() < deadline, said(run_dir)
            time.sleep(0.02)
        servers = [each for each in processes_of(run_dir) if is_server(each)]
        assert servers, said(run_dir)
        for each in servers:
            each.kill()
    assert runner.wait(SECONDS) == 0, said(run_dir)
    out = run_dir.with_suffix(".txt").read_text()
    for stage in ("sampled", "judged"):
        assert f"{stage}: server judge ended with code 137, started again" in out
    samples = Counter(trace.prompt for trace in read_traces(run_dir / "sampled" / "traces"))
    rows = {json.loads(line)["prompt"] for line in (tmp_path / "sums.jsonl").read_text().splitlines()}
    assert set(samples) == rows
    assert json.loads((run_dir / "sampled" / "selection.json").read_text())["seen"] == 2 * 24
    assert "verdicts could not be had" not in (run_dir / "judged" / "log.txt").read_text()
    assert not processes_of(run_dir)


def step_of(folder):
    try:
        return json.loads((folder / "progress.json").read_text())["step"]
    except (OSError, ValueError, KeyError):
        return 0


def is_server(process: psutil.Process) -> bool:
    command = process.cmdline()
    return "serve" in command and not any("supervisor.py" in word for word in command)
