"""
Is the world the one that was asked for?

Several configurations of accelerate end with 0 and distribute nothing: `MULTI_CPU` with two processes starts one;
`MULTI_GPU` on a machine without GPUs starts two trainings that know nothing of each other; FSDP over gloo never
averages a gradient. A stage therefore compares, before it trains, what the launcher was asked for with what it finds,
and after its first step whether the copies of the model are still equal.
"""

import os
import re
from typing import Any

import torch
from accelerate.utils import gather, parse_flag_from_env
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..errors import ConfigError, MachineError


def check_world(args: TrainingArguments, expect_processes: int | None = None) -> None:
    """
    Stop where fewer or more processes train together than were asked for, or where their strategy is not in force.

    Args:
        args ([`~transformers.TrainingArguments`]):
            The arguments of the trainer; their `distributed_state` is the world that is there.
        expect_processes (`int`, *optional*):
            What the stage's config says.

    Raises:
        [`~errors.MachineError`]: if the world is another one than was asked for.
        [`~errors.ConfigError`]: if DeepSpeed is set up so that no model could be saved at the end.
    """
    state = args.distributed_state
    found = state.num_processes
    for source, asked in _asked(expect_processes):
        if asked != found:
            raise MachineError(
                f"{source} asks for {asked} process{'es' if asked > 1 else ''} that train together, but "
                f"{'each process is alone' if found == 1 else f'there are {found}'}. {_hint(source, asked)}"
            )
    strategy = str(getattr(state.distributed_type, "value", state.distributed_type))
    if parse_flag_from_env("ACCELERATE_USE_FSDP") and strategy != "FSDP" and state.device.type == "cpu":
        raise MachineError(
            "FSDP was asked for, but accelerate does not shard, nor average gradients, on CPUs: nothing would be "
            "distributed. Use `cpu_ddp` or `cpu_zero3` of recipes/accelerate/."
        )
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED") and args.deepspeed_plugin is None:
        raise MachineError("DeepSpeed was asked for, but the trainer was set up without it.")
    if args.deepspeed_plugin is not None and args.deepspeed_plugin.zero_stage == 3:
        zero = args.deepspeed_plugin.deepspeed_config.get("zero_optimization", {})
        if not zero.get("stage3_gather_16bit_weights_on_model_save"):
            raise ConfigError(
                "expected true under ZeRO-3: without it the trained model could not be saved whole",
                file=os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "the accelerate config"),
                key="deepspeed_config.zero3_save_16bit_model",
            )
    if found == 1 and state.device.type == "cuda" and args.n_gpu > 1:
        raise MachineError(
            f"{args.n_gpu} GPUs are visible to one process. Launch the stage with `accelerate launch --config_file "
            "recipes/accelerate/ddp.yaml`, or show it one GPU with CUDA_VISIBLE_DEVICES=0."
        )


def check_strategy(accelerator: Any) -> None:
    """
    Stop where the launcher asked for DeepSpeed or FSDP and the built trainer runs without it.

    Args:
        accelerator ([`~accelerate.Accelerator`]):
            The trainer's.

    Raises:
        [`~errors.MachineError`]: if the strategy is not in force.
    """
    strategy = str(getattr(accelerator.distributed_type, "value", accelerator.distributed_type))
    for name in ("DEEPSPEED", "FSDP"):
        if parse_flag_from_env(f"ACCELERATE_USE_{name}") and strategy != name:
            raise MachineError(f"{name} was asked for, but accelerate set up {strategy}.")
    if strategy == "DEEPSPEED":
        asked, found = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE"), accelerator.state.deepspeed_plugin.zero_stage
        if asked is not None and int(asked) != found:
            raise MachineError(f"ZeRO stage {asked} was asked for, but DeepSpeed was set up with stage {found}.")


class SameWeightsEverywhere(TrainerCallback):
    """Compare the ranks' copies of the model after the first step of this process, where each rank holds a full copy."""

    def __init__(self) -> None:
        self._checked = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Gather a checksum of the trainable parameters and stop if it is not the same on all ranks."""
        if self._checked or args.world_size == 1:
            return
        self._checked = True
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # Shards differ by design: ZeRO-3 marks its parameters, FSDP2's are DTensors, FSDP1's are flat.
        if any(hasattr(p, "ds_id") or hasattr(p, "placements") or hasattr(p, "_is_flat_param") for p in parameters):
            return
        checksum = torch.stack([parameter.detach().double().sum() for parameter in parameters]).sum().reshape(1)
        checksums = gather(checksum)
        if not torch.allclose(checksums, checksums[0].expand_as(checksums), rtol=1e-6, atol=1e-6):
            raise MachineError(
                f"after step {state.global_step} the ranks hold different models (checksums {checksums.tolist()}): "
                "their gradients are not averaged, so nothing is distributed."
            )


def _asked(expect_processes: int | None) -> list[tuple[str, int]]:
    """Who asked for how many processes."""
    asked = {
        "`expect_processes`": expect_processes,
        "the runner": os.environ.get("TRL_R1_WORLD_SIZE"),
        "the launcher": os.environ.get("WORLD_SIZE"),
        "`accelerate launch`": _asked_of_accelerate_launch(),
    }
    return [(source, int(number)) for source, number in asked.items() if number]


def _asked_of_accelerate_launch() -> int | None:
    """
    Read off the parent's command line how many processes `accelerate launch` was asked for.

    Where it starts one process although two were asked for, it leaves no other sign.
    """
    import psutil
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    try:
        command = psutil.Process().parent().cmdline()
    except (psutil.Error, AttributeError):
        return None
    launcher = re.compile(r"(^|[/ ])accelerate(-| |[.]commands[.])launch$")
    starts = (place for place in range(1, min(len(command), 6) + 1) if launcher.search(" ".join(command[:place])))
    if (start := next(starts, None)) is None:
        return None
    try:
        arguments, _ = launch_command_parser().parse_known_args(command[start:])
        asked: int | None = arguments.num_processes
        if asked is None and arguments.config_file is not None:
            asked = load_config_from_file(arguments.config_file).num_processes
    except (SystemExit, OSError, ValueError, TypeError):
        return None
    return asked if asked and asked > 0 else None


def _hint(source: str, asked: int) -> str:
    if os.environ.get("WORLD_SIZE") == str(asked):
        return (
            "Without a GPU, processes find each other only with `use_cpu: true` in the stage's config "
            "(recipes/accelerate/cpu_ddp.yaml)."
        )
    if source == "`expect_processes`":
        return "Start it with `accelerate launch --config_file FILE --num_processes N`."
    return (
        "accelerate's `MULTI_CPU` and `--cpu` start one process unless they run under MPI: use "
        "recipes/accelerate/cpu_ddp.yaml together with `use_cpu: true` in the stage's config."
    )
