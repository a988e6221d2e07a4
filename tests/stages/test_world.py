"""A stage knows how many processes were asked for, and stops where it finds another number."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from trl_r1.errors import ConfigError, MachineError
from trl_r1.stages import _world
from trl_r1.stages._world import SameWeightsEverywhere, check_strategy, check_world


def world(processes=1, kind="NO", device="cpu", zero_stage=None, gather=True, n_gpu=0):
    plugin = None
    if zero_stage is not None:
        config = {"zero_optimization": {"stage": zero_stage, "stage3_gather_16bit_weights_on_model_save": gather}}
        plugin = SimpleNamespace(zero_stage=zero_stage, deepspeed_config=config)
    state = SimpleNamespace(num_processes=processes, distributed_type=kind, device=torch.device(device))
    return SimpleNamespace(distributed_state=state, deepspeed_plugin=plugin, n_gpu=n_gpu)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    names = ["WORLD_SIZE", "TRL_R1_WORLD_SIZE"]
    names += [f"ACCELERATE_{name}" for name in ("USE_FSDP", "USE_DEEPSPEED", "DEEPSPEED_ZERO_STAGE")]
    for name in names:
        monkeypatch.delenv(name, raising=False)


def test_the_world_that_was_asked_for_passes(monkeypatch):
    check_world(world())
    check_world(world(2, "MULTI_CPU"), expect_processes=2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TRL_R1_WORLD_SIZE", "2")
    check_world(world(2, "DEEPSPEED", zero_stage=3))


def test_the_configs_number_of_processes_counts():
    with pytest.raises(MachineError, match=r"`expect_processes` asks for 4 processes.*there are 2"):
        check_world(world(2, "MULTI_CPU"), expect_processes=4)


def test_the_runners_number_of_processes_counts(monkeypatch):
    monkeypatch.setenv("TRL_R1_WORLD_SIZE", "2")
    with pytest.raises(MachineError, match=r"the runner asks for 2 processes.*each process is alone"):
        check_world(world(1))


def test_processes_that_do_not_know_of_each_other_are_found(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MachineError, match=r"each process is alone.*`use_cpu: true`"):
        check_world(world(1))


def test_fsdp_on_cpus_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(MachineError, match="FSDP was asked for"):
        check_world(world(2, "MULTI_CPU"))


def test_several_gpus_for_one_process_are_refused():
    with pytest.raises(MachineError, match="8 GPUs are visible to one process"):
        check_world(world(1, device="cuda", n_gpu=8))


def test_zero3_that_could_not_save_its_model_is_refused():
    check_world(world(2, "DEEPSPEED", zero_stage=2, gather=False))
    with pytest.raises(ConfigError, match="zero3_save_16bit_model"):
        check_world(world(2, "DEEPSPEED", zero_stage=3, gather=False))


def test_a_strategy_that_is_not_in_force_is_found(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(MachineError, match="trainer was set up without"):
        check_world(world(2, "MULTI_GPU"))
    with pytest.raises(MachineError, match="accelerate set up MULTI_GPU"):
        check_strategy(SimpleNamespace(distributed_type="MULTI_GPU"))
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    state = SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=2))
    with pytest.raises(MachineError, match="stage 3 was asked for"):
        check_strategy(SimpleNamespace(distributed_type="DEEPSPEED", state=state))


@pytest.mark.slow
def test_the_launchers_command_line_is_read(tmp_path):
    """The only sign that `accelerate launch` was asked for two processes where it starts one."""
    config = tmp_path / "accelerate.yaml"
    config.write_text("distributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true\n")
    code = "from trl_r1.stages._world import _asked_of_accelerate_launch as asked; print('asked', asked())"
    script = tmp_path / "script.py"
    script.write_text(code)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    found = subprocess.run([*launch, str(script)], capture_output=True, text=True).stdout
    assert "asked 2" in found
    found = subprocess.run([*launch, "--num_processes", "3", str(script)], capture_output=True, text=True).stdout
    assert "asked 3" in found
    assert _world._asked_of_accelerate_launch() is None


def test_models_that_drift_apart_are_found(monkeypatch):
    model = torch.nn.Linear(2, 2)
    check = SameWeightsEverywhere()
    args, state = SimpleNamespace(world_size=2), SimpleNamespace(global_step=1)
    monkeypatch.setattr(_world, "gather", lambda one: torch.cat([one, one]))
    check.on_step_end(args, state, None, model=model)
    monkeypatch.setattr(_world, "gather", lambda one: torch.cat([one, one + 0.1]))
    check.on_step_end(args, state, None, model=model)  # looked at once only
    with pytest.raises(MachineError, match="different models"):
        SameWeightsEverywhere().on_step_end(args, state, None, model=model)
