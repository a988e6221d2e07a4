"""
Resumption that changes nothing: the resumed run is the uninterrupted one, number for number.

A checkpoint of `transformers` holds the model, the optimizer, the schedule, the random states of each rank and the log.
What a TRL trainer keeps besides is lost, and a resumed run drifts off. Here each rank adds one file of its own,
`trl_r1_state_RANK.pt`, and, where the reference policy moves, there is `trl_r1_reference.pt`, or one such file per rank
where the reference is sharded (ZeRO-3, FSDP).

The files are written where `transformers` writes the random states: every rank passes there, and `trainer_state.json`
comes later. All ranks wait for each other in between, so a checkpoint whose `trainer_state.json` parses is whole, even
if the process was killed while it wrote.

Not exact: sampling by vLLM, whose engine has random states of its own, and a resumption by another number of processes,
which a warning names.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from .._compat import RepeatSampler
from ..errors import EnvironmentalError


logger = get_logger(__name__)

_STATE = "trl_r1_state_{rank}.pt"
_REFERENCE = "trl_r1_reference.pt"
_REFERENCE_SHARD = "trl_r1_reference_{rank}.pt"


class ExactResume:
    """
    What a TRL trainer needs besides `transformers`' checkpoint in order to resume exactly. To stand before the trainer
    in a list of bases.

    A subclass adds what it keeps by [`_rank_state`] and takes it back by [`_load_rank_state`].
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._resumed_logs: dict[str, Any] | None = None
        self.add_callback(_RestoreLogs(self))

    def _rank_state(self) -> dict[str, Any]:
        """What this rank keeps between two steps: tensors and plain values only, since the file is read as such."""
        return {
            # What has been gathered since the last log: without it, the next log of a resumed run would average over
            # fewer steps.
            "logs": {
                "metrics": {name: list(values) for name, values in self._metrics["train"].items()},
                "loss": self._tr_loss.item(),
                "logged_step": self._globalstep_last_logged,
                "tokens": self._total_train_tokens,
            }
        }

    def _load_rank_state(self, state: dict[str, Any]) -> None:
        self._resumed_logs = state["logs"]

    def _restore_logs(self) -> None:
        # `Trainer` sets these anew after it has loaded the checkpoint, just before training begins.
        if self._resumed_logs is None:
            return
        logs, self._resumed_logs = self._resumed_logs, None
        for name, values in logs["metrics"].items():
            self._metrics["train"][name] = list(values)
        self._tr_loss = torch.tensor(logs["loss"], device=self.args.device)
        self._globalstep_last_logged = logs["logged_step"]
        self._total_train_tokens = logs["tokens"]

    def _save_checkpoint(self, model, trial):
        # A step that is written again must not look whole before it is.
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            (folder / TRAINER_STATE_NAME).unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir):
        super()._save_rng_state(output_dir)
        state = {"world_size": self.args.world_size, **self._rank_state()}
        torch.save(state, os.path.join(output_dir, _STATE.format(rank=self.args.process_index)))
        self.accelerator.wait_for_everyone()

    def _load_optimizer_and_scheduler(self, checkpoint):
        # The one step of loading through which every rank passes under every strategy, DeepSpeed included.
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        path = os.path.join(checkpoint, _STATE.format(rank=self.args.process_index))
        if not os.path.isfile(path):
            logger.warning(f"{path} is missing: this run will not be the same as one without interruption.")
            return
        # torch knows no "cpu:0", which is what gloo's processes call their device.
        device = self.args.device if self.args.device.type != "cpu" else "cpu"
        state = torch.load(path, map_location=device, weights_only=True)
        if state["world_size"] != self.args.world_size:
            logger.warning(
                f"{checkpoint} was written by {state['world_size']} processes and is resumed by "
                f"{self.args.world_size}: this run will not be the same as one without interruption."
            )
            return
        self._load_rank_state(state)


class _RestoreLogs(TrainerCallback):
    def __init__(self, trainer: ExactResume):
        self._trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs):
        self._trainer._restore_logs()


class EpochRepeatSampler(RepeatSampler):
    """
    TRL's sampler, with the epoch as a place that can be gone to.

    TRL's goes on from one permutation to the next as it is iterated, so a sampler built anew in the middle of the third
    epoch would start with the first one's prompts. This one yields the same permutations in the same order, and a new
    one can be told where to start.

    Args:
        sampler ([`~trl.trainer.utils.RepeatSampler`]):
            The sampler to stand in for.
    """

    def __init__(self, sampler: RepeatSampler):
        super().__init__(
            data_source=sampler.data_source,
            mini_repeat_count=sampler.mini_repeat_count,
            batch_size=sampler.batch_size,
            repeat_count=sampler.repeat_count,
            shuffle=sampler.shuffle,
            seed=sampler.seed,
        )
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle and self.seed is not None:
            self.generator.manual_seed(self.seed)
            for _ in range(self.epoch):
                torch.randperm(self.num_samples, generator=self.generator)
        # `set_epoch` does not reach a sampler behind every wrapper of accelerate, so count here as well.
        self.epoch += 1
        return super().__iter__()


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
        shards = {name: _shard(parameter).cpu() for name, parameter in model.named_parameters()}
        torch.save(shards, os.path.join(folder, _REFERENCE_SHARD.format(rank=rank)))
    elif rank == 0:
        torch.save(model.state_dict(), os.path.join(folder, _REFERENCE))


def load_reference(model: nn.Module, folder: str, rank: int) -> None:
    """
    Load what [`save_reference`] saved, in place.

    Raises:
        [`~errors.EnvironmentalError`]: if the checkpoint has no reference policy for this rank and strategy.
    """
    name = _REFERENCE_SHARD.format(rank=rank) if is_sharded(model) else _REFERENCE
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise EnvironmentalError(
            f"{path} is missing. The reference policy moves in this run (`sync_ref_model`), and a checkpoint of "
            "R1GRPOTrainer holds it for the number of processes and the strategy (ZeRO stage, FSDP) that wrote it: "
            "resume with the same."
        )
    saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    if not is_sharded(model):
        model.load_state_dict(saved)
        return
    parameters = dict(model.named_parameters())
    gathered = [parameter for parameter in parameters.values() if hasattr(parameter, "ds_tensor")]
    if gathered:
        # Small parameters stay gathered under ZeRO-3; they are gathered anew, from the loaded shards, when needed.
        gathered[0].partition(param_list=gathered)
    for name, parameter in parameters.items():
        _shard(parameter).copy_(saved[name])


def is_sharded(model: nn.Module) -> bool:
    """Tell whether each rank holds only its part of a model's parameters: ZeRO-3, FSDP2 and FSDP."""
    return any(
        hasattr(parameter, "ds_tensor") or isinstance(parameter, DTensor) for parameter in model.parameters()
    ) or any(isinstance(module, FullyShardedDataParallel) for module in model.modules())


def _shard(parameter: nn.Parameter) -> torch.Tensor:
    """The memory in which this rank holds its part of a parameter."""
    if hasattr(parameter, "ds_tensor"):
        return parameter.ds_tensor.data
    if isinstance(parameter, DTensor):
        return parameter.data.to_local()
    return parameter.data
