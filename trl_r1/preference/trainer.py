"""
TRL's RewardTrainer, resumed exactly.
"""

from trl import RewardTrainer

from ..resume import ExactResume


class R1RewardTrainer(ExactResume, RewardTrainer):
    """[`~trl.RewardTrainer`] whose log, resumed, equals that of the uninterrupted run. Takes the same arguments."""
