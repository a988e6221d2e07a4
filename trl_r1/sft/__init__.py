"""
[`~sft.trainer.R1SFTTrainer`]: TRL's SFTTrainer with what fine-tuning on reasoning needs.
"""
