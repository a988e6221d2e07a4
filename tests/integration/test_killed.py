"""
Killed at any moment, nothing lost: a whole recipe whose runner and workers are SIGKILLed at ten random moments, and
started again by the same command each time, ends with the numbers and the weights of an uninterrupted run.

The stages are the real ones, on a model of a few thousand parameters: GRPO with a moving reference policy and two uses
of each rollout (which stock TRL does not resume exactly), rejection sampling from it, SFT of the base on what was kept,
GRPO again from there, and an evaluation of all three.
"""

import os
import time
from pathlib import Path

import pytest
import yaml

from tests.builders.fakes import read_data_set
from tests.integration.killing import SECONDS, numbers, processes_of, run_with_kills, said, start, weights
from tests.stages.tiny import make_data, make_model


KILLS = 10

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
SFT = {**TRAINING, "max_steps": 6, "per_device_train_batch_size": 4, "max_length": 64}
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
KEPT = "kept"


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


@pytest.fixture(scope="module")
def whole(recipe) -> Path:
    run_dir = recipe.parent / "whole"
    runner = start(recipe, run_dir)
    assert runner.wait(SECONDS) == 0, said(run_dir)
    return run_dir


def test_killed_at_ten_random_moments_it_ends_as_if_it_had_not_been(recipe, whole):
    run_dir = recipe.parent / "killed"
    killed_at = run_with_kills(recipe, run_dir, [stage["name"] for stage in STAGES], KILLS)
    assert len(killed_at) >= KILLS - 1, killed_at  # the last moment may fall behind the end

    for stage in ("zero", "last"):
        one, other = weights(whole, stage), weights(run_dir, stage)
        assert one.keys() == other.keys()
        assert all(one[name].equal(other[name]) for name in one), stage
    for stage in STAGES:
        assert numbers(whole, stage["name"]) == numbers(run_dir, stage["name"]), stage["name"]
    assert read_data_set(whole / KEPT).equals(read_data_set(run_dir / KEPT))
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
