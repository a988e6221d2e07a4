"""
The `grpo` stage as it is rehearsed: its own code, with a trainer that puts right and spoilt completions in the place of
what its model samples. See [`~rehearsal.trainer`].
"""

import sys
from typing import TYPE_CHECKING
from unittest import mock

from ..stages import grpo, program


if TYPE_CHECKING:
    from trl import GRPOConfig, ModelConfig

    from ..stages._arguments import GRPOStageArguments

STAGE = grpo.STAGE


def train(args: "GRPOConfig", stage: "GRPOStageArguments", model: "ModelConfig") -> None:
    """Rehearse the stage. Arguments as [`~stages.grpo.train`]."""
    from .trainer import RehearsedGRPOTrainer

    with mock.patch("trl_r1.grpo.trainer.R1GRPOTrainer", RehearsedGRPOTrainer):
        grpo.train(args, stage, model)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
