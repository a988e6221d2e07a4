"""
Resumption that changes nothing: the resumed run equals the uninterrupted one, number for number.

A checkpoint of `transformers` holds the model, the optimizer, the schedule, the random states of each rank and the log.
What a TRL trainer keeps besides is lost, and a resumed run drifts off. Here each rank adds one file of its own,
`trl_r1_state_RANK.pt`: a mapping of tensors and plain values.

The files are written where `transformers` writes the random states: every rank passes there, and `trainer_state.json`
comes later. All ranks wait for each other in between, so a checkpoint whose `trainer_state.json` parses is whole, even
if the process was killed while it wrote.

Another number of processes may go on, where a step takes as many rows as before: what the ranks kept is put together by
[`ExactResume.for_another_world`]. The rows of each step and their order stay, and so do the optimizer's state and the schedule;
sums over ranks are rounded in another order. Not exact then: what ranks draw at random (sampling, dropout). Not exact
anywhere: sampling by vLLM, whose engine has random states of its own.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from typing_extensions import override

from ._compat import check_attributes, check_overrides
from .errors import MachineError
from .io import read_json, write_json
from .training_config import defaults_in_force


logger = get_logger(__name__)

_STATE = "trl_r1_state_{rank}.pt"
# By how many processes a checkpoint was written, how many rows a step took, and whether it is within a rollout.
WORLD_FILE = "trl_r1_world.json"


class ExactResume(Trainer):
    """
    What a TRL trainer needs besides `transformers`' checkpoint in order to resume exactly: a base class, before TRL's.

    A subclass adds what it keeps by [`rank_state`] and [`save_files`], and takes it back by [`load_rank_state`] and
    [`load_files`].
    """

    _metrics: dict[str, dict[str, list[float]]]

    def __init__(self, *args: Any, **kwargs: Any):
        check_overrides(type(self))
        super().__init__(*args, **kwargs)
        check_attributes(self, _metrics=dict, _total_train_tokens=int)
        self._logs_to_restore: dict[str, Any] | None = None
        self._weight_decays: list[float] = []
        self.add_callback(_CheckpointCallback(self))
        if ours := defaults_in_force(self.args):
            logger.warning(f"Defaults of trl_r1, not TRL's (docs/your-trainer.md): {', '.join(ours)}")

    def rank_state(self) -> dict[str, Any]:
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

    def load_rank_state(self, state: dict[str, Any]) -> None:
        """Take back what [`rank_state`] returned."""
        self._logs_to_restore = state["logs"]

    def for_another_world(self, states: list[dict[str, Any]], batches_per_step: int) -> dict[str, Any]:
        """
        Return what each rank takes back where a checkpoint was written by another number of ranks.

        Args:
            states (`list[dict[str, Any]]`):
                What [`rank_state`] returned on each of those.
            batches_per_step (`int`):
                Micro-batches that each of those took to a step.
        """
        losses = [state["logs"]["loss"] for state in states]
        # The running loss is averaged over ranks when it is logged; all else is gathered already.
        found = {**states[0], "logs": {**states[0]["logs"], "loss": sum(losses) / len(losses)}}
        if "rollout" in found:  # between two of them: `stages/_training.py` sees to it
            done = found["rollout"]["batches_done"] * self.args.gradient_accumulation_steps // batches_per_step
            found["rollout"] = {**found["rollout"], "batches_done": done}
        return found

    @property
    def rows_per_step(self) -> int:
        """Rows of an optimizer step over all processes."""
        rows: int = (
            self.args.world_size * self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        )
        return rows

    def save_files(self, folder: str) -> None:
        """Write files of the trainer's own into a checkpoint. Called on every rank, before [`rank_state`]."""

    def load_files(self, checkpoint: str) -> None:
        """Read what [`save_files`] wrote. Called on every rank, after [`load_rank_state`]."""

    @override
    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        self._weight_decays = [group.get("weight_decay", 0.0) for group in getattr(optimizer, "param_groups", ())]
        return optimizer

    @override
    def _save_rng_state(self, output_dir: str) -> None:
        self.save_files(output_dir)
        super()._save_rng_state(output_dir)
        state = {"world_size": self.args.world_size, **self.rank_state()}
        if self.args.process_index == 0:
            within = (state.get("rollout") or {}).get("buffer") is not None
            world = {"processes": self.args.world_size, "rows_per_step": self.rows_per_step, "within_rollout": within}
            world["batches_per_step"] = self.args.gradient_accumulation_steps
            write_json(os.path.join(output_dir, WORLD_FILE), world)
        torch.save(state, os.path.join(output_dir, _STATE.format(rank=self.args.process_index)))
        self.accelerator.wait_for_everyone()

    @override
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        # The one step of loading through which every rank passes under every strategy, DeepSpeed included.
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        if self.is_deepspeed_enabled and self.model_wrapped.load_universal_checkpoint():
            optimizer = self.model_wrapped.optimizer
            _restore_groups(getattr(optimizer, "optimizer", optimizer), self._weight_decays)
        state = self._read_rank_state(checkpoint)
        if state is not None:
            try:
                self.load_rank_state(state)
            except (KeyError, TypeError) as error:
                raise MachineError(
                    f"{checkpoint} was written by a version of trl_r1 that this one cannot resume: expected {error} in "
                    f"{_STATE.format(rank=self.args.process_index)}, found {', '.join(sorted(state))}. It is left as it "
                    "is: resume with that version, or start from its weights."
                ) from error
        self.load_files(checkpoint)

    def _read_rank_state(self, checkpoint: str) -> dict[str, Any] | None:
        written = read_json(os.path.join(checkpoint, WORLD_FILE))
        world = written.get("processes", self.args.world_size)
        ranks = [self.args.process_index] if world == self.args.world_size else range(world)
        paths = [os.path.join(checkpoint, _STATE.format(rank=rank)) for rank in ranks]
        if missing := [path for path in paths if not os.path.isfile(path)]:
            logger.warning(f"{missing[0]} is missing: this run will not be the same as one without interruption.")
            return None
        # torch knows no "cpu:0", which is what gloo's processes call their device.
        device = self.args.device if self.args.device.type != "cpu" else "cpu"
        states: list[dict[str, Any]] = [torch.load(path, map_location=device, weights_only=True) for path in paths]
        return (
            states[0] if world == self.args.world_size else self.for_another_world(states, written["batches_per_step"])
        )

    def restore_logs(self) -> None:
        """Take back what was logged since the last log line."""
        if self._logs_to_restore is None:
            return
        logs, self._logs_to_restore = self._logs_to_restore, None
        for name, values in logs["metrics"].items():
            self._metrics["train"][name] = list(values)
        self._tr_loss = torch.tensor(logs["loss"], device=self.args.device)
        self._globalstep_last_logged = logs["logged_step"]
        self._total_train_tokens = logs["tokens"]


def _restore_groups(optimizer: torch.optim.Optimizer, weight_decays: list[float]) -> None:
    """
    Give each group of parameters its own count of steps and its own weight decay.

    When it loads a universal checkpoint under ZeRO-3, DeepSpeed (0.19.8) gives all of them one tensor of steps, to which AdamW
    adds 1 in place for each group, and the first group's weight decay.
    """
    for state in optimizer.state.values():
        if torch.is_tensor(state.get("step")):
            state["step"] = state["step"].clone()
    for group, weight_decay in zip(optimizer.param_groups, weight_decays):
        group["weight_decay"] = weight_decay


class _CheckpointCallback(TrainerCallback):
    def __init__(self, trainer: ExactResume):
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # `Trainer` sets the running loss anew after it has loaded the checkpoint, just before training begins.
        self._trainer.restore_logs()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # A checkpoint that is written again must not look whole before it is.
        if control.should_save:
            if args.should_save:
                folder = Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
                (folder / TRAINER_STATE_NAME).unlink(missing_ok=True)
                if read_json(folder / WORLD_FILE).get("processes", args.world_size) != args.world_size:
                    shutil.rmtree(folder)  # no rank's file of another world may stay among those of this one
            args.distributed_state.wait_for_everyone()

    on_epoch_end = on_step_end
