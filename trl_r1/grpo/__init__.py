"""
[`~grpo.trainer.R1GRPOTrainer`]: TRL's GRPOTrainer with what the training of DeepSeek-R1 needs. `trainer.py` overrides
TRL's methods, in the order of a step; each other module is a component that it calls, and knows nothing of TRL's trainer.
"""
