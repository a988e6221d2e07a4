"""
TRL's order of prompts, from any epoch on (see docs/upstream/repeat_sampler_epoch.md).
"""

import torch

from .._compat import RepeatSampler


def go_to_epoch(sampler: RepeatSampler, epoch: int) -> None:
    """
    Let a sampler that was built anew go on with the order of an epoch.

    TRL's draws one permutation after another as it is iterated, so in the middle of the third epoch a new one would
    start with the first epoch's prompts. Here it draws, and drops, those of the epochs that are over.

    Args:
        sampler ([`~trl.trainer.utils.RepeatSampler`]):
            The sampler, before it is iterated.
        epoch (`int`):
            The epoch, counted from 0.
    """
    if sampler.shuffle:
        for _ in range(epoch):
            torch.randperm(sampler.num_samples, generator=sampler.generator)
