"""
[`~preference.trainer.R1RewardTrainer`]: TRL's RewardTrainer for preference models, resumed exactly.
"""
