"""
The config of the `reward` stage: TRL's, with the paper's numbers as defaults; v2 is version 2 of arXiv 2501.12948.
"""

from dataclasses import dataclass, field

from trl import RewardConfig


@dataclass
class R1RewardConfig(RewardConfig):
    r"""
    Configuration of the `reward` stage: [`~trl.RewardConfig`] with the settings of R1's reward models.

    The paper's batch is 256 pairs (v2 3.1): `per_device_train_batch_size * gradient_accumulation_steps * number of
    devices`.
    """

    learning_rate: float = field(default=6e-6, metadata={"help": "First learning rate. Paper, v2 3.1: 6e-6."})
    num_train_epochs: float = field(default=1.0, metadata={"help": "Epochs. Paper, v2 3.1: 1."})
    max_length: int | None = field(
        default=8192, metadata={"help": "Pairs with more tokens on a side are left out. Paper, v2 3.1: 8,192."}
    )
