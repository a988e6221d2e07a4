"""
Trainings that end before their last step, on all ranks at once. SIGTERM: a training saves a checkpoint at the end of its
optimizer step, and ends.

transformers has such a callback (`enable_jit_checkpoint`), in which each rank decides for itself, after three seconds of
its own: where the ranks' steps differ, they wait for each other for ever; and what it saves before an optimizer step or
between two is not what an exact resumption goes on from. Here all ranks decide together, once a step, and the trainer
saves as at any other step.
"""

import contextlib
import signal
from typing import Any

import torch
from accelerate.utils import gather
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..errors import Interrupted, StalledError, TrlR1Error
from ..signals import handled
from ._common import write_progress


class SaveAndEnd(TrainerCallback):
    """
    End a training that gets SIGTERM, on whichever of its ranks, with a checkpoint at the end of the step under way.

    The handler is there while training runs: before, and after it, nothing is to be saved, and SIGTERM ends the process
    at once. One that comes in the last step is passed over. Whoever trains with it closes it, however the training ends.
    """

    def __init__(self) -> None:
        self._asked = False
        self._taken = contextlib.ExitStack()
        self.ended_at: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take SIGTERM."""
        self._taken.enter_context(handled(self._ask, [signal.SIGTERM]))

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = True

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask all ranks; before `on_step_end`, so that every callback there sees that a checkpoint is to be saved."""
        if bool(gather(torch.tensor([int(self._asked)], device=args.device)).any()):
            control.should_save = control.should_training_stop = True
            self.ended_at = state.global_step + 1

    def close(self) -> None:
        """Give SIGTERM back."""
        self._taken.close()


def train(trainer: Trainer, checkpoint: str | None) -> dict[str, float]:
    """
    Train, and return the numbers of [`~transformers.Trainer.train`].

    Args:
        trainer ([`~transformers.Trainer`]):
            The trainer.
        checkpoint (`str`, *optional*):
            Where it goes on.

    Raises:
        [`~errors.Interrupted`]: if it was ended by SIGTERM, with a checkpoint.
        [`~errors.StalledError`]: if it learned nothing, with a checkpoint ([`~grpo.stall`]).
    """
    callback = SaveAndEnd()
    trainer.add_callback(callback)
    try:
        with contextlib.closing(callback):
            result = trainer.train(resume_from_checkpoint=checkpoint)
    except StalledError as error:  # raised by the callback before this one
        raise _said_by_all(error, trainer) from None
    if callback.ended_at is not None and callback.ended_at < trainer.state.max_steps:
        ended = Interrupted(
            f"ended by SIGTERM with a checkpoint at step {callback.ended_at} of {trainer.state.max_steps}; the same "
            "command goes on from there"
        )
        raise _said_by_all(ended, trainer)
    metrics: dict[str, float] = result.metrics
    return metrics


def _said_by_all(error: TrlR1Error, trainer: Trainer) -> TrlR1Error:
    """Return an error that every rank raises, once it stands in `progress.json`."""
    if trainer.accelerator.is_main_process:
        # A launcher ends all ranks as soon as the first has ended: before that, it must be said how.
        steps = (trainer.state.global_step, trainer.state.max_steps)
        write_progress(str(trainer.args.output_dir), *steps, error=str(error), exit_code=error.exit_code)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    return error
