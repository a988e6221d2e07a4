"""
The configs of the `reward` and `dpo` stages: TRL's, the former with the paper's numbers as defaults; v2 is version 2 of
arXiv 2501.12948.
"""

from dataclasses import dataclass

from trl import DPOConfig, RewardConfig

from ..docstrings import help_from_docstring
from ..training_config import TrainingConfig


@help_from_docstring
@dataclass
class R1RewardConfig(TrainingConfig, RewardConfig):
    r"""
    Configuration of the `reward` stage: [`~trl.RewardConfig`] with the settings of R1's reward models.

    The paper's batch is 256 pairs (v2 3.1): `batch_size`, on any number of processes. See
    [`~training_config.TrainingConfig`].

    Args:
        learning_rate (`float`, *optional*, defaults to `6e-6`):
            First learning rate. Paper, v2 3.1: 6e-6.
        num_train_epochs (`float`, *optional*, defaults to `1.0`):
            Epochs. Paper, v2 3.1: 1.
        max_length (`int`, *optional*, defaults to `8192`):
            Pairs with more tokens on a side are left out. Paper, v2 3.1: 8,192.
    """

    learning_rate: float = 6e-6
    num_train_epochs: float = 1.0
    max_length: int | None = 8192


@dataclass
class R1DPOConfig(TrainingConfig, DPOConfig):
    r"""
    Configuration of the `dpo` stage: [`~trl.DPOConfig`] with [`~training_config.TrainingConfig`]. R1 has no such stage;
    the defaults are TRL's.
    """
