"""
TRL's GRPOTrainer and SFTTrainer with what R1's training needs: exact resumption, metrics of emergence, kept rollouts,
a schedule of lengths, and refusals where an SFT would silently train on no reasoning.
"""

from .grpo import R1GRPOTrainer
from .sft import R1SFTTrainer


__all__ = ["R1GRPOTrainer", "R1SFTTrainer"]
