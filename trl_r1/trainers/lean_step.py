"""
A GRPO step that computes only what counts, with the same gradients.

[`~trainers.padding`], [`~trainers.micro_batches`] and [`~trainers.idle_rows`] put together, and switched on or off or
refused by [`~trainers.exactness`] when the trainer is made.
"""

from .exactness import decide, reasons_in_config, reasons_in_model, refuse
from .idle_rows import IdleRows
from .micro_batches import MicroBatches
from .padding import TrimPadding


class LeanStep(MicroBatches, TrimPadding, IdleRows):
    """What is left out of a step by [`~configs.R1GRPOConfig`]'s switches. To stand right before TRL's trainer."""

    def __init__(self, model, reward_funcs=None, args=None, *rest, **named):
        # What the config alone forbids is said before a model is loaded.
        reasons = reasons_in_config(args)
        refuse(args, reasons)
        super().__init__(model, reward_funcs, args, *rest, **named)
        by_model = reasons_in_model(self.model, is_vlm=self._is_vlm, has_aux_loss=self.aux_loss_enabled)
        self._switches = decide(self.args, {**by_model, **reasons})
