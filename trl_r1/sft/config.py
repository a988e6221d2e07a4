"""
The config of [`R1SFTTrainer`]: TRL's, with the paper's numbers as defaults; v2 is version 2 of arXiv 2501.12948.
"""

from dataclasses import dataclass
from typing import Any, Literal

from transformers import trainer_pt_utils
from trl import SFTConfig

from ..docstrings import help_from_docstring
from ..errors import ConfigError
from ..training_config import TrainingConfig


_BALANCED = "BatchRebalanceSampler"  # older versions of transformers have no such sampler


@help_from_docstring
@dataclass
class R1SFTConfig(TrainingConfig, SFTConfig):
    r"""
    Configuration of the [`R1SFTTrainer`]: [`~trl.SFTConfig`] with the settings of R1's supervised fine-tuning.

    The paper's batch is 128 (v2 B.4.2), and 64 in distillation (v2 B.4.3): `batch_size`, on any number of processes. See
    [`~training_config.TrainingConfig`].

    Args:
        learning_rate (`float`, *optional*, defaults to `5e-5`):
            First learning rate. Paper, v2 B.4.2: 5e-5; distillation has a rate of its own for each base (v2 Table 6).
        lr_scheduler_type (`str`, *optional*, defaults to `"cosine_with_min_lr"`):
            Learning rate schedule. Paper, v2 B.4.2: cosine to a tenth of the first rate, which is what this one does
            where `lr_scheduler_kwargs` is not set.
        num_train_epochs (`float`, *optional*, defaults to `2.0`):
            Epochs. Paper, v2 B.4.2: 2-3.
        max_length (`int`, *optional*, defaults to `32768`):
            Maximum tokens of a row, prompt included. Paper, v2 B.4.2: 32,768.
        too_long (`str`, *optional*, defaults to `"refuse"`):
            What becomes of training rows longer than `max_length`: `"drop"` leaves them out, `"cut"` cuts their end,
            where the answer is, and `"refuse"` cuts up to `max_truncated_share` of the rows and refuses more. How many
            there are is said in any case.
        max_truncated_share (`float`, *optional*, defaults to `0.01`):
            Share of the training rows that `too_long: refuse` lets `max_length` cut. Our own choice: 0.01.
        train_sampling_strategy (`str`, *optional*):
            How rows are dealt out. By default `batch_rebalance` of transformers: the rows of an optimizer step, drawn at
            random, are divided by length among its passes and processes, so that none waits for a longer row. What is
            trained is what `random` trains, but for the draw. At batch 128 on 8 processes a step takes 1.1 times its
            share of tokens, against 2.6 at random (log-normal lengths, deviation 0.9). `random` with `packing`.
            `group_by_length` is not offered: its steps have rows of one length alone, in an order that no checkpoint
            holds.
        dataset_num_proc (`int`, *optional*):
            Processes that tokenize. By default every core, each with 1,000 rows at least. One process of the training
            does it, the others read what it has written; so does a restart.
    """

    learning_rate: float = 5e-5
    lr_scheduler_type: str = "cosine_with_min_lr"
    num_train_epochs: float = 2.0
    max_length: int | None = 32768
    too_long: Literal["refuse", "cut", "drop"] = "refuse"
    max_truncated_share: float = 0.01
    train_sampling_strategy: Literal["random", "sequential", "batch_rebalance"] | None = None
    dataset_num_proc: int | None = None

    def __post_init__(self) -> None:
        if self.lr_scheduler_type == "cosine_with_min_lr" and self.lr_scheduler_kwargs is None:
            self.lr_scheduler_kwargs: dict[str, Any] = {"min_lr_rate": 0.1}
        if self.train_sampling_strategy is None:
            balances = not self.packing and self.parallelism_config is None and _BALANCED in trainer_pt_utils.__dict__
            self.train_sampling_strategy = "batch_rebalance" if balances else "random"
        if self.packing and self.packing_strategy == "wrapped":
            raise ConfigError(
                "`wrapped` cuts rows wherever a sequence is full, and lets each row see the one before it; expected `bfd`, "
                "which does neither, or `bfd_split`, which cuts what is longer than `max_length`",
                key="packing_strategy",
            )
        super().__post_init__()
        if not 0 <= self.max_truncated_share <= 1:
            raise ConfigError(
                f"expected a share from 0 to 1, got {self.max_truncated_share}", key="max_truncated_share"
            )
