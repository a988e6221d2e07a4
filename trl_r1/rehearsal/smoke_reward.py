"""The `reward` stage under `--smoke`: its own code, with every pair as long as `max_length` lets it be."""

import sys
from typing import TYPE_CHECKING
from unittest import mock

from ..stages import program, reward
from .longest import longest_pairs


if TYPE_CHECKING:
    from trl import ModelConfig, RewardConfig

    from ..stages._arguments import RewardStageArguments

STAGE = reward.STAGE


def train(args: "RewardConfig", stage: "RewardStageArguments", model: "ModelConfig") -> None:
    """Train one step. Arguments as [`~stages.reward.train`]."""
    with mock.patch.object(reward, "usable_pairs", longest_pairs):
        reward.train(args, stage, model)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
