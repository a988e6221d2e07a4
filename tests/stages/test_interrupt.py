"""SIGTERM in the middle of a training: a checkpoint, and nothing else than without it once the stage has gone on."""

import json
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, trainer

from tests.runner.test_killed import wait_for
from trl_r1.stages import dpo, grpo, reward, sft
from trl_r1.stages._interrupt import train
from trl_r1.stages._training import last_whole_checkpoint

from .tiny import make_config


STAGES = {"grpo": grpo, "sft": sft, "reward": reward, "dpo": dpo}
CLOCKS = ("time", "runtime", "per_second", "total_flos", "train_loss")


class Terminate(TrainerCallback):
    """Within the fourth step, as `kill` does it from outside."""

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def run(tmp_path, common, monkeypatch):
    def run(kind, name, terminated=False, **changes):
        callbacks = [Terminate] if terminated else []
        monkeypatch.setattr(trainer, "DEFAULT_CALLBACKS", [*trainer.DEFAULT_CALLBACKS[:1], *callbacks])
        config = {**common, "max_steps": 8, "logging_steps": 3, "save_steps": 100, "output_dir": str(tmp_path / name)}
        code = STAGES[kind].main(["--config", str(make_config(tmp_path / f"{name}.yaml", config, **changes))])
        return code, tmp_path / name

    return run


def log(stage):
    lines = json.loads((stage / "trainer_state.json").read_text())["log_history"]
    return [{k: v for k, v in line.items() if not any(word in k for word in CLOCKS)} for line in lines]


@pytest.mark.parametrize("kind", STAGES)
def test_a_stage_saves_goes_on_and_ends_as_if_nothing_had_been(kind, run, grpo, capsys):
    changes = {}
    if kind == "grpo":
        keys = ("num_generations", "per_device_train_batch_size", "max_completion_length", "rewards")
        changes = {key: grpo[key] for key in keys}
        # Within a cycle of two uses of a rollout, and between two moves of the reference.
        changes |= {"num_iterations": 3, "beta": 0.1, "ref_model_sync_steps": 3}
    before = signal.getsignal(signal.SIGTERM)
    code, ended = run(kind, "ended", terminated=True, **changes)
    assert code == 130
    assert "ended by SIGTERM with a checkpoint at step 4 of 8; the same command goes on" in capsys.readouterr().err
    assert last_whole_checkpoint(ended).name == "checkpoint-4"
    assert not (ended / "model").exists()
    assert signal.getsignal(signal.SIGTERM) is before

    assert run(kind, "ended", **changes)[0] == 0
    code, whole = run(kind, "whole", **changes)
    assert code == 0
    one, other = (load_file(stage / "model" / "model.safetensors") for stage in (whole, ended))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert log(ended) == log(whole)


def test_in_the_last_step_the_stage_ends_as_ever(run):
    code, stage = run("sft", "last", terminated=True, max_steps=4)
    assert code == 0
    assert (stage / "model").is_dir()


class InTraining:
    """A trainer that does something in the midst of it."""

    def __init__(self, act):
        self.act = act

    def add_callback(self, callback):
        self.callback = callback

    def train(self, resume_from_checkpoint):
        self.callback.on_train_begin(None, None, None)
        self.act()
        return SimpleNamespace(metrics={})


def test_a_training_that_fails_gives_sigterm_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError):
        train(InTraining(lambda: 1 / 0), None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_worker_forked_in_training_ends_by_sigterm_whenever_it_comes():
    """Also where it comes at once, before Python could run a handler, and waits then for what never comes, as in a pool."""
    never, ended = multiprocessing.get_context("fork").Semaphore(0), []

    def fork():
        assert signal.getsignal(signal.SIGTERM) is not before
        for _ in range(100):
            worker = os.fork()
            if not worker:
                never.acquire()
                os._exit(1)
            os.kill(worker, signal.SIGTERM)
            in_time = wait_for(lambda: os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT))  # noqa: B023
            os.kill(worker, signal.SIGKILL)
            ended.append(in_time and os.waitpid(worker, 0)[1] == signal.SIGTERM)
            if not in_time:
                break
        os.kill(os.getpid(), signal.SIGTERM)  # which is not lost here

    before = signal.getsignal(signal.SIGTERM)
    trainer = InTraining(fork)
    train(trainer, None)
    assert ended == [True] * 100
    assert trainer.callback._asked


@pytest.mark.parametrize("kept", [False, True])
def test_checkpoints_go_when_the_model_is_there(kept, run):
    code, stage = run("sft", "done", max_steps=4, save_steps=2, keep_checkpoints=kept)
    assert code == 0
    assert [path.name for path in sorted(stage.glob("checkpoint-*"))] == ["checkpoint-2", "checkpoint-4"][: 2 * kept]
    # Killed between the model and that, it comes to it when it is started again.
    (stage / "checkpoint-4").mkdir(exist_ok=True)
    assert run("sft", "done", max_steps=4, keep_checkpoints=kept)[0] == 0
    assert (stage / "checkpoint-4").exists() is kept
    assert (Path(stage) / "trainer_state.json").exists()
