"""
Resumption that changes nothing: the resumed run equals the uninterrupted one, number for number.

A checkpoint of `transformers` holds the model, the optimizer, the schedule, the random states of each rank and the log.
What a TRL trainer keeps besides is lost, and a resumed run drifts off. Here each rank adds one file of its own,
`trl_r1_state_RANK.pt`: a mapping of tensors and plain values.

The files are written where `transformers` writes the random states: every rank passes there, and `trainer_state.json`
comes later. All ranks wait for each other in between, so a checkpoint whose `trainer_state.json` parses is whole, even
if the process was killed while it wrote.

Not exact: sampling by vLLM, whose engine has random states of its own, and a resumption by another number of processes,
which a warning names.
"""

import os
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


logger = get_logger(__name__)

_STATE = "trl_r1_state_{rank}.pt"


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
        self.add_callback(_CheckpointCallback(self))

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

    def save_files(self, folder: str) -> None:
        """Write files of the trainer's own into a checkpoint. Called on every rank, before [`rank_state`]."""

    def load_files(self, checkpoint: str) -> None:
        """Read what [`save_files`] wrote. Called on every rank, after [`load_rank_state`]."""

    @override
    def _save_rng_state(self, output_dir: str) -> None:
        self.save_files(output_dir)
        super()._save_rng_state(output_dir)
        state = {"world_size": self.args.world_size, **self.rank_state()}
        torch.save(state, os.path.join(output_dir, _STATE.format(rank=self.args.process_index)))
        self.accelerator.wait_for_everyone()

    @override
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        # The one step of loading through which every rank passes under every strategy, DeepSpeed included.
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
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
        path = os.path.join(checkpoint, _STATE.format(rank=self.args.process_index))
        if not os.path.isfile(path):
            logger.warning(f"{path} is missing: this run will not be the same as one without interruption.")
            return None
        # torch knows no "cpu:0", which is what gloo's processes call their device.
        device = self.args.device if self.args.device.type != "cpu" else "cpu"
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        if state["world_size"] != self.args.world_size:
            logger.warning(
                f"{checkpoint} was written by {state['world_size']} processes and is resumed by "
                f"{self.args.world_size}: this run will not be the same as one without interruption."
            )
            return None
        return state

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
            args.distributed_state.wait_for_everyone()

    on_epoch_end = on_step_end
