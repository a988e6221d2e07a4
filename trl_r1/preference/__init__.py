"""
[`~preference.trainer.R1RewardTrainer`] and [`~preference.trainer.R1DPOTrainer`]: TRL's trainers on pairs, resumed exactly.
"""
