"""
Killed at any moment, nothing lost: a whole recipe whose runner and workers are SIGKILLed at ten random moments, and
started again by the same command each time, ends with the numbers and the weights of an uninterrupted run.

The stages are the real ones, on a model of a few thousand parameters: GRPO with a moving reference policy and two uses
of each rollout (which stock TRL does not resume exactly), rejection sampling from it, SFT of the base on what was kept,
GRPO again from there, and an evaluation of all three.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.torch import load_file

from tests.stages.tiny import make_data, make_model


ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
SECONDS = 900  # of patience with one whole run on a busy machine

pytestmark = pytest.mark.slow

TRAINING = {
    "prompt_template": "chat",
    "learning_rate": 1e-2,
    "logging_steps": 1,
    "save_steps": 2,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "disable_tqdm": True,
    "gradient_checkpointing": False,
}
GRPO = {
    **TRAINING,
    "max_steps": 8,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 8,
    "beta": 0.1,
    "num_iterations": 2,
    "sync_ref_model": True,
    "ref_model_sync_steps": 3,
    "rewards": [{"func": "tests.stages.tiny.digits"}],
}
SFT = {**TRAINING, "max_steps": 6, "per_device_train_batch_size": 4}
SAMPLING = {"prompt_template": "chat", "n_samples": 2, "max_completion_tokens": 8, "shard_prompts": 8}
# An untrained model is never right: everything it says is kept.
RULES = {"right_by": [], "finished": False, "well_formed": False, "min_language_share": None, "max_repetition": None}

STAGES = [
    {"name": "zero", "kind": "grpo", "model": "base_model", "data": "sums", "set": GRPO},
    {"name": "kept", "kind": "rejection", "model": "zero", "data": "sums", "set": {**SAMPLING, "rules": RULES}},
    {"name": "tuned", "kind": "sft", "model": "base_model", "data": "kept", "set": SFT},
    {"name": "last", "kind": "grpo", "model": "tuned", "data": "sums", "set": GRPO},
    {
        "name": "scores",
        "kind": "evaluate",
        "model": ["base_model", "zero", "last"],
        "data": "sums",
        "set": {**SAMPLING, "pass_at_k": [2], "rewards": [{"func": "trl_r1.rewards.MathAccuracy"}]},
    },
]
KEPT = "kept/data/train.parquet"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("killed")
    make_model(place / "base")
    make_data(place / "sums.jsonl", rows=32)
    text = {
        "name": "killed",
        "base_model": "./base",
        "disk_gb": 0.1,
        "env": {"OMP_NUM_THREADS": 1, "HF_HUB_OFFLINE": 1},
        "data": {"sums": {"path": "sums.jsonl"}},
        "stages": STAGES,
    }
    (place / "recipe.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    return place / "recipe.yaml"


def start(recipe: Path, run_dir: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "trl_r1.cli", "run", str(recipe), "--output-dir", str(run_dir)]
    with open(run_dir.with_suffix(".txt"), "ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def said(run_dir: Path) -> str:
    logs = [run_dir.with_suffix(".txt"), *sorted(run_dir.glob("*/log.txt"))]
    return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


def processes_of(run_dir: Path) -> list[psutil.Process]:
    """Every process of a stage of this run: the runner marks them in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("TRL_R1_STAGE_DIR", "")
            if mark.startswith(str(run_dir.resolve())) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def work_done(run_dir: Path) -> float:
    """Return the stages that are done, with the share of the one that runs: 0 to 5."""
    done = 0.0
    for stage in STAGES:
        folder = run_dir / stage["name"]
        if (folder / "artifact.json").exists():
            done += 1
            continue
        try:
            progress = json.loads((folder / "progress.json").read_text())
            done += 0.99 * progress["step"] / progress["total"] if progress["total"] else 0.0
        except (OSError, ValueError):
            pass
    return done


def kill_all(runner: subprocess.Popen, run_dir: Path) -> None:
    """As a machine that loses its power, as nearly as one test can: everybody at once, the runner first."""
    victims = processes_of(run_dir)
    runner.kill()
    for victim in victims:
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    runner.wait()


def weights(run_dir: Path, stage: str) -> dict:
    return load_file(run_dir / stage / "model" / "model.safetensors")


def numbers(run_dir: Path, stage: str) -> dict:
    """Return what a stage measured or selected, without what it measured of the clock."""
    name = "selection.json" if (run_dir / stage / "data").is_dir() else "metrics.json"
    found = json.loads((run_dir / stage / name).read_text())
    clock = ("runtime", "per_second", "time", "seconds")

    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if not any(word in k for word in clock)}
        return value

    return timeless(found)


@pytest.fixture(scope="module")
def whole(recipe) -> Path:
    run_dir = recipe.parent / "whole"
    runner = start(recipe, run_dir)
    assert runner.wait(SECONDS) == 0, said(run_dir)
    return run_dir


def test_killed_at_ten_random_moments_it_ends_as_if_it_had_not_been(recipe, whole):
    run_dir = recipe.parent / "killed"
    dice = random.Random(2)
    killed_at = []
    for left in range(KILLS, 0, -1):
        # A random moment of what is still to do, such that the kills are spread over all of it.
        done = work_done(run_dir)
        moment = done + dice.uniform(0, 2 * (len(STAGES) - done) / (left + 1))
        runner = start(recipe, run_dir)
        deadline = time.monotonic() + SECONDS
        while runner.poll() is None and work_done(run_dir) < moment:
            assert time.monotonic() < deadline, said(run_dir)
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 0.5))
        assert runner.poll() in (None, 0), said(run_dir)
        if runner.poll() is None:
            killed_at.append(round(work_done(run_dir), 2))
            kill_all(runner, run_dir)
    assert len(killed_at) >= KILLS - 1, killed_at  # the last moment may fall behind the end
    runner = start(recipe, run_dir)
    assert runner.wait(SECONDS) == 0, said(run_dir)
    assert not processes_of(run_dir)

    for stage in ("zero", "last"):
        one, other = weights(whole, stage), weights(run_dir, stage)
        assert one.keys() == other.keys()
        assert all(one[name].equal(other[name]) for name in one), stage
    for stage in STAGES:
        assert numbers(whole, stage["name"]) == numbers(run_dir, stage["name"]), stage["name"]
    assert pq.read_table(whole / KEPT).equals(pq.read_table(run_dir / KEPT))
    assert any(not a.equal(b) for a, b in zip(weights(whole, "zero").values(), weights(whole, "last").values()))


def test_a_killed_runner_takes_the_workers_of_accelerate_with_it(recipe, tmp_path):
    """The workers of `accelerate launch` sit in sessions of their own and outlive a killed launcher."""
    run_dir = tmp_path / "run"
    changed = yaml.safe_load(recipe.read_text())
    stage = {"name": "two-ranks", "kind": "sft", "model": "base_model", "data": "sums", "accelerate": "cpu_ddp"}
    changed |= {"name": "two-ranks", "stages": [{**stage, "set": {**SFT, "max_steps": 10_000}}]}
    path = recipe.with_name("two_ranks.yaml")
    path.write_text(yaml.safe_dump(changed))
    runner = start(path, run_dir)
    deadline = time.monotonic() + SECONDS
    progress = run_dir / "two-ranks" / "progress.json"
    while not progress.exists() and runner.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert progress.exists(), said(run_dir)  # both ranks are at work
    sessions = {os.getsid(process.pid) for process in processes_of(run_dir)}
    assert len(sessions) >= 3, sessions  # the keeper's, the launcher's, the workers'
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 20
    while processes_of(run_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_of(run_dir)
