"""
The reference policy of a checkpoint, where it moves (`sync_ref_model`): `trl_r1_reference.pt`, or one such file per rank
where the reference is sharded (ZeRO-3, FSDP). And how it moves.
"""

import os
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from trl import SyncRefModelCallback
from typing_extensions import override

from ..errors import MachineError


_WHOLE = "trl_r1_reference.pt"
_SHARD = "trl_r1_reference_{rank}.pt"


def save_reference(model: nn.Module, folder: str, rank: int) -> None:
    """
    Save a reference policy; to be called on every rank.

    Args:
        model (`nn.Module`):
            The reference policy, as it is prepared for this strategy.
        folder (`str`):
            The checkpoint.
        rank (`int`):
            This process.
    """
    os.makedirs(folder, exist_ok=True)  # the first rank may not have come this far
    if is_sharded(model):
        shards = {name: _local(parameter).cpu() for name, parameter in model.named_parameters()}
        torch.save(shards, os.path.join(folder, _SHARD.format(rank=rank)))
    elif rank == 0:
        torch.save(extract_model_from_parallel(model).state_dict(), os.path.join(folder, _WHOLE))


def load_reference(model: nn.Module, folder: str, rank: int) -> None:
    """
    Load what [`save_reference`] saved, in place.

    Raises:
        [`~errors.MachineError`]: if the checkpoint has no reference policy for this rank and strategy.
    """
    name = _SHARD.format(rank=rank) if is_sharded(model) else _WHOLE
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise MachineError(
            f"{path} is missing. The reference policy moves in this run (`sync_ref_model`), and a checkpoint of "
            "R1GRPOTrainer holds it for the number of processes and the strategy (ZeRO stage, FSDP) that wrote it: "
            "resume with the same."
        )
    saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    if not is_sharded(model):
        extract_model_from_parallel(model).load_state_dict(saved)
        return
    parameters: dict[str, Any] = dict(model.named_parameters())
    gathered = [parameter for parameter in parameters.values() if hasattr(parameter, "ds_tensor")]
    if gathered:
        # Small parameters stay gathered under ZeRO-3; they are gathered anew, from the loaded shards, when needed.
        gathered[0].partition(param_list=gathered)
    for name, parameter in parameters.items():
        _local(parameter).copy_(saved[name])


def is_sharded(model: nn.Module) -> bool:
    """Tell whether each rank holds only its part of a model's parameters: ZeRO-3, FSDP2 and FSDP."""
    return any(
        hasattr(parameter, "ds_tensor") or isinstance(parameter, DTensor) for parameter in model.parameters()
    ) or any(isinstance(module, FullyShardedDataParallel) for module in model.modules())


def _local(parameter: Any) -> torch.Tensor:
    """The memory in which this rank holds its part of a parameter: ZeRO-3's, FSDP2's, or all of it."""
    part: torch.Tensor = getattr(parameter, "ds_tensor", parameter).data
    return part.to_local() if isinstance(part, DTensor) else part


def moving_reference(trainer: Any) -> nn.Module | None:
    """Return a GRPO trainer's reference policy where it moves (`sync_ref_model`), and let it move by [`SyncReference`]."""
    if not trainer.args.sync_ref_model:
        return None
    trainer.pop_callback(SyncRefModelCallback)
    trainer.add_callback(SyncReference(trainer.ref_model, trainer.accelerator))
    reference: nn.Module = trainer.ref_model
    return reference


class SyncReference(SyncRefModelCallback):
    """
    TRL's callback that moves the reference towards the policy (`sync_ref_model`), one parameter after another.

    Under ZeRO-3, TRL's gathers both models whole on every GPU: 56 GB of bf16 at 14B. Here a GPU holds no more than one
    parameter of each at a time.
    """

    @staticmethod
    @override
    def sync_target_model(model: nn.Module, target_model: nn.Module, alpha: float) -> None:
        move = SyncRefModelCallback.sync_target_model
        for parameter, target in zip(model.parameters(), target_model.parameters(), strict=True):
            move(nn.ParameterList([parameter]), nn.ParameterList([target]), alpha)
