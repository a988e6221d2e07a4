"""One file, any number of processes: what `batch_size` becomes, and what it refuses. And how long processes wait."""

import dataclasses
import inspect

import pytest
import trl
from datasets import Dataset
from transformers import training_args

from tests.grpo.tiny import DigitReward, grpo_config, sums
from trl_r1 import R1GRPOTrainer
from trl_r1.data.source import DataSource
from trl_r1.errors import ConfigError
from trl_r1.grpo.config import R1GRPOConfig
from trl_r1.preference.config import R1DPOConfig, R1RewardConfig
from trl_r1.sft.config import R1SFTConfig
from trl_r1.stages._check import machine
from trl_r1.stages.grpo import advice_on_save_steps, in_order
from trl_r1.training_config import TrainingConfig, defaults_in_force


CONFIGS = [R1GRPOConfig, R1SFTConfig, R1RewardConfig, R1DPOConfig]


def make(config, processes, **settings):
    with machine(processes, gpu=False):
        return config(output_dir="out", use_cpu=True, bf16=False, report_to="none", **settings)


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_not_ours_has_trl_s_default(config):
    (theirs,) = (base for base in config.__bases__ if base.__module__.startswith("trl."))
    declared = {*inspect.get_annotations(config), *inspect.get_annotations(TrainingConfig)}
    ours, stock = ({field.name: field.default for field in dataclasses.fields(each)} for each in (config, theirs))
    assert {name for name in stock if ours[name] != stock[name]} <= declared
    assert set(ours) - set(stock) <= declared


@pytest.mark.parametrize("config", CONFIGS)
def test_a_batch_is_the_same_on_any_number_of_processes(config):
    for processes in (1, 2, 4, 8):
        args = make(config, processes, batch_size=128, per_device_train_batch_size=4)
        assert processes * 4 * args.gradient_accumulation_steps == 128
    assert make(config, 4, per_device_train_batch_size=4).gradient_accumulation_steps == 1
    assert (
        make(config, 4, per_device_train_batch_size=4, gradient_accumulation_steps=3).gradient_accumulation_steps == 3
    )


@pytest.mark.parametrize("processes", [1, 4, 8])
def test_the_paper_s_step_and_rollout_are_the_same_on_any_number_of_processes(processes):
    args = make(R1GRPOConfig, processes, batch_size=512, generation_batch_size=8192, num_iterations=1)
    rows = processes * args.per_device_train_batch_size
    assert rows * args.gradient_accumulation_steps / args.num_generations == 32  # questions a step
    assert args.generation_batch_size / args.num_generations == 512  # questions a rollout
    assert args.steps_per_generation / args.gradient_accumulation_steps == 16  # steps a rollout
    # What is laid down before training is laid down for 16 steps at a time.
    prompts = Dataset.from_dict({"prompt": [str(i) for i in range(600)], "source": ["a"] * 600})
    args.max_steps = 32
    assert len(in_order(prompts, [DataSource("a", share=1.0)], args)) == 2 * 512


def test_checkpoints_within_a_rollout_are_said_to_hold_it():
    settings = {"batch_size": 512, "generation_batch_size": 8192}
    said = advice_on_save_steps(make(R1GRPOConfig, 8, **settings, save_steps=100))
    assert "a rollout serves 16 steps" in said
    assert "A multiple of 16 does without" in said
    assert advice_on_save_steps(make(R1GRPOConfig, 8, **settings, save_steps=96)) is None
    assert advice_on_save_steps(make(R1GRPOConfig, 8, **settings, save_steps=100, save_strategy="no")) is None
    assert advice_on_save_steps(make(R1GRPOConfig, 8, batch_size=512, save_steps=100)) is None
    assert "of 2 does" in advice_on_save_steps(make(R1GRPOConfig, 8, batch_size=512, num_iterations=2, save_steps=5))


def test_what_does_not_divide_is_refused_with_the_numbers():
    with pytest.raises(ConfigError) as caught:
        make(R1SFTConfig, 3, batch_size=128, per_device_train_batch_size=4)
    assert str(caught.value) == (
        "`batch_size`: expected a multiple of 12 (processes 3 x per_device_train_batch_size 4), got 128"
    )
    with pytest.raises(ConfigError, match=r"`batch_size`: expected a multiple of 4 .*, got 0"):
        make(R1SFTConfig, 1, batch_size=0, per_device_train_batch_size=4)


def test_two_batches_are_refused_and_one_said_twice_is_not():
    settings = {"batch_size": 128, "per_device_train_batch_size": 4}
    assert make(R1SFTConfig, 2, **settings, gradient_accumulation_steps=16).gradient_accumulation_steps == 16
    for steps in (1, 8):
        with pytest.raises(
            ConfigError, match=rf"`gradient_accumulation_steps`: is {steps}; .* asks for 16 \(128 / 8;"
        ):
            make(R1SFTConfig, 2, **settings, gradient_accumulation_steps=steps)
    with pytest.raises(ConfigError, match=r"`steps_per_generation`: is 8; expected `generation_batch_size`"):
        make(R1GRPOConfig, 2, batch_size=512, steps_per_generation=8)


def test_rows_that_are_trained_on_are_counted(model_path, tmp_path):
    """Not in the config alone: the trainer takes as many rows a step."""
    settings = {"batch_size": 8, "generation_batch_size": 16, "beta": 0.0, "max_steps": 2, "save_strategy": "no"}
    args = grpo_config(tmp_path, **settings, save_rollouts=True)
    trainer = R1GRPOTrainer(model_path, DigitReward(), args, sums())
    passes = []
    compute = trainer.compute_loss
    trainer.compute_loss = lambda *args, **named: (passes.append(trainer.state.global_step), compute(*args, **named))[
        1
    ]
    trainer.train()
    assert passes == [0, 0, 1, 1]


def test_processes_wait_for_as_long_as_a_stage_takes_alone(monkeypatch):
    waited = []

    class State:
        num_processes, process_index, local_process_index = 1, 0, 0
        distributed_type = "NO"
        device = training_args.torch.device("cpu")

        def __init__(self, **named):
            waited.append(named["timeout"].total_seconds())

    monkeypatch.setattr(training_args, "PartialState", State)
    for config in CONFIGS:
        config(output_dir="out", bf16=False, report_to="none")
        config(output_dir="out", bf16=False, report_to="none", ddp_timeout=60)
    assert waited == [14400, 60] * len(CONFIGS)


def test_the_defaults_in_force_are_those_that_the_user_left_and_trl_has_not():
    args = make(R1GRPOConfig, 1, num_generations=8, per_device_train_batch_size=8)
    told = defaults_in_force(args)
    assert "beta 0.001 (TRL: 0.0)" in told
    assert "sync_ref_model True (TRL: False)" in told
    assert not [text for text in told if text.startswith(("num_generations", "per_device_train", "gradient_acc"))]
    assert not [text for text in defaults_in_force(make(R1GRPOConfig, 1, beta=0.0)) if "sync_ref_model " in text]
    assert defaults_in_force(make(trl.GRPOConfig, 1)) == []


def test_a_trainer_names_them_in_one_line(model_path, tmp_path, caplog):
    for config in (grpo_config(tmp_path), trl.GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none")):
        R1GRPOTrainer(model_path, DigitReward(), config, sums(4))
    told = [record.getMessage() for record in caplog.records if "Defaults of trl_r1" in record.getMessage()]
    assert len(told) == 1
    assert "loss_type grpo (TRL: dapo)" in told[0]
    assert "\n" not in told[0]
