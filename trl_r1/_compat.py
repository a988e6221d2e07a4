"""
Names of TRL that it does not export. Nothing else in the package imports from TRL's insides.
"""

from trl.trainer.utils import RepeatSampler, get_config_model_id


__all__ = ["RepeatSampler", "get_config_model_id"]
