"""
Two processes on CPUs: SIGTERM for one of them, data that are tokenized once, a reference that moves piece by piece.
"""

import json
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.integration.killing import processes_of, said, start
from tests.integration.test_two_ranks import (
    ACCELERATE,
    ROOT,
    SECONDS,
    assert_same_weights,
    common,
    environment,
    grpo,
    weights,
)
from tests.stages.tiny import make_config, make_data, make_model
from trl_r1.io import read_json
from trl_r1.stages._training import last_whole_checkpoint


pytestmark = pytest.mark.slow

CLOCKS = ("time", "runtime", "per_second", "total_flos", "train_loss")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    make_model(place / "base")
    make_data(place / "sums.jsonl")
    return place


@pytest.fixture
def run(place):
    def run(kind, name, config, accelerate, *terminated):
        """Return the stage's folder, what each rank found, and on which ranks rows were tokenized."""
        folder = place / name
        folder.mkdir(exist_ok=True)
        file = make_config(place / f"{name}.yaml", {**config, "output_dir": str(folder)})
        (folder / "tokenized.txt").write_text("")
        module = ["-m", "tests.integration.watched_ranks", kind, str(file), str(folder), *map(str, terminated)]
        launch = [sys.executable, "-m", "accelerate.commands.launch"]
        command = [*launch, "--config_file", str(ACCELERATE / f"{accelerate}.yaml"), *module]
        env = {**environment(accelerate), "HF_DATASETS_CACHE": str(place / "cache")}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS)
        said = (done.stdout + done.stderr)[-6000:]
        ended = json.loads((folder / "progress.json").read_text()).get("exit_code", 0)
        assert (done.returncode == 0) == (not terminated or ended == 0), said
        found = [json.loads((folder / f"found_{rank}.json").read_text()) for rank in (0, 1)] if not ended else []
        return (
            folder,
            ended,
            found,
            [line.split() for line in (folder / "tokenized.txt").read_text().splitlines()],
            said,
        )

    return run


def log(stage):
    lines = json.loads((stage / "trainer_state.json").read_text())["log_history"]
    return [{k: v for k, v in line.items() if not any(word in k for word in CLOCKS)} for line in lines]


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_rank_that_gets_sigterm_ends_all_with_a_checkpoint(kind, run, place):
    accelerate = {"sft": "cpu_ddp", "grpo": "cpu_zero3"}[kind]
    settings = {"max_steps": 7, "save_steps": 100, "logging_steps": 3}
    if kind == "sft":
        # Within the second epoch, of four steps as the first, by several processes that tokenize.
        data = [{"path": str(place / "sums.jsonl"), "name": "sums", "limit": 32}]
        config = {**common(place), **settings, "data": data, "per_device_train_batch_size": 2, "batch_size": 8}
        config["dataset_num_proc"] = 2
    else:
        config = {**grpo(place), **settings, "ref_model_sync_steps": 2, "num_iterations": 2, "learning_rate": 1e-2}
    ended, code, _, tokenized, said = run(kind, f"{kind}_ended", config, accelerate, place / f"{kind}_terminated")
    assert code == 130, said
    assert "ended by SIGTERM with a checkpoint at step 5 of 7" in said
    assert [path.name for path in ended.glob("checkpoint-*")] == ["checkpoint-5"]
    if kind == "sft":
        assert {rank for rank, _ in tokenized} == {"0"}
        assert len({process for _, process in tokenized}) == 2

    _, code, found, tokenized, said = run(kind, f"{kind}_ended", config, accelerate, place / f"{kind}_terminated")
    assert code == 0, said
    assert tokenized == []  # what the first attempt has made serves the second
    whole, code, found, _, said = run(kind, f"{kind}_whole", config, accelerate)
    assert code == 0, said
    assert_same_weights(weights(ended), weights(whole), 0)
    assert log(ended) == log(whole)
    if kind == "grpo":
        # Of 2 and more layers no GPU ever holds more than one parameter of each model.
        for rank in found:
            assert rank["equal"]
            assert rank["moves"] == 3
            assert rank["gathered"] == 2 * rank["largest"] < rank["model"] / 2


def test_a_recipe_that_gets_sigterm_goes_on_where_it_was(place, tmp_path):
    """Runner, supervisor, launcher and ranks: none of them cuts the step short."""
    keys = {**common(place), "max_steps": 100_000, "save_steps": 100_000, "logging_steps": 100_000, "max_length": 64}
    model, data = (keys.pop(key) for key in ("model_name_or_path", "data"))
    stage = {"name": "tuned", "kind": "sft", "model": "base_model", "data": ["sums"], "set": keys}
    stage |= {"accelerate": str(ACCELERATE / "cpu_ddp.yaml")}
    recipe = {"name": "ended", "base_model": model, "disk_gb": 0.1, "data": {"sums": {"path": data[0]["path"]}}}
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({**recipe, "stages": [stage]}))
    folder = tmp_path / "run" / "tuned"
    begun = 0
    for _ in range(2):
        runner = start(file, tmp_path / "run")
        deadline = time.monotonic() + SECONDS
        while read_json(folder / "progress.json").get("step", 0) < begun + 3:
            assert runner.poll() is None, said(tmp_path / "run")
            assert time.monotonic() < deadline, said(tmp_path / "run")
            time.sleep(0.1)
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(SECONDS) == 130, said(tmp_path / "run")
        assert not processes_of(tmp_path / "run")
        progress = read_json(folder / "progress.json")
        checkpoint = last_whole_checkpoint(folder)
        assert checkpoint.name == f"checkpoint-{progress['step']}"
        assert progress["step"] > begun
        begun = progress["step"]
    output = (tmp_path / "run.txt").read_text()
    assert output.count("a training saves a checkpoint at the end of its step") == 2
    assert output.count("interrupted; nothing that was finished is lost. To go on, the same command again") == 2
    assert (folder / "log.txt").read_text().count("Resuming from") == 1
