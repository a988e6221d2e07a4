"""
TRL's RewardTrainer and DPOTrainer, resumed exactly.
"""

from trl import DPOTrainer, RewardTrainer

from ..resume import ExactResume


class R1RewardTrainer(ExactResume, RewardTrainer):
    """[`~trl.RewardTrainer`] whose log, resumed, equals that of the uninterrupted run. Takes the same arguments."""


class R1DPOTrainer(ExactResume, DPOTrainer):
    """
    [`~trl.DPOTrainer`] whose log, resumed, equals that of the uninterrupted run. Takes the same arguments.

    A reference that moves (`sync_ref_model`) is in none of its checkpoints.
    """
