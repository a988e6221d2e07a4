"""The `sft` stage under `--smoke`: its own code, with every row as long as `max_length` lets it be."""

import sys
from typing import TYPE_CHECKING
from unittest import mock

from ..stages import program, sft


if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig

    from ..stages._arguments import StageArguments

STAGE = sft.STAGE


def train(args: "SFTConfig", stage: "StageArguments", model: "ModelConfig") -> None:
    """Train one step. Arguments as [`~stages.sft.train`]."""
    from ..sft.trainer import R1SFTTrainer
    from .longest import longest_rows

    class LongestRows(R1SFTTrainer):
        def _prepare_dataset(self, dataset, processing_class, args, *rest):  # type: ignore[no-untyped-def]
            return longest_rows(super()._prepare_dataset(dataset, processing_class, args, *rest), args.max_length)

    with mock.patch("trl_r1.sft.trainer.R1SFTTrainer", LongestRows):
        sft.train(args, stage, model)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
