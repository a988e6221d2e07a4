"""
The config of the `reward` stage: TRL's, with the paper's numbers as defaults; v2 is version 2 of arXiv 2501.12948.
"""

from dataclasses import dataclass

from trl import RewardConfig

from ..docstrings import help_from_docstring


@help_from_docstring
@dataclass
class R1RewardConfig(RewardConfig):
    r"""
    Configuration of the `reward` stage: [`~trl.RewardConfig`] with the settings of R1's reward models.

    The paper's batch is 256 pairs (v2 3.1): `per_device_train_batch_size * gradient_accumulation_steps * number of
    devices`.

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
