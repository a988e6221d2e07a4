"""
TRL's order of prompts, from any epoch on (see docs/upstream/repeat_sampler_epoch.md).
"""

from collections.abc import Iterator

import torch

from .._compat import RepeatSampler


class EpochRepeatSampler(RepeatSampler):
    """
    TRL's sampler, which can be set to an epoch.

    TRL's goes on from one permutation to the next as it is iterated, so a sampler built anew in the middle of the third
    epoch would start with the first one's prompts. This one yields the same permutations in the same order, and a new
    one can be told where to start.

    Args:
        sampler ([`~trl.trainer.utils.RepeatSampler`]):
            The sampler that it replaces.
    """

    epoch: int

    def __init__(self, sampler: RepeatSampler):
        self.__dict__.update(vars(sampler), epoch=0)

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
        order: Iterator[int] = super().__iter__()
        return order
