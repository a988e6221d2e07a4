"""The `dpo` stage under `--smoke`: its own code, with every pair as long as `max_length` lets it be."""

import sys
from typing import TYPE_CHECKING
from unittest import mock

from ..stages import dpo, program
from .longest import longest_pairs


if TYPE_CHECKING:
    from trl import DPOConfig, ModelConfig

    from ..stages._arguments import StageArguments

STAGE = dpo.STAGE


def train(args: "DPOConfig", stage: "StageArguments", model: "ModelConfig") -> None:
    """Train one step. Arguments as [`~stages.dpo.train`]."""
    with mock.patch.object(dpo, "usable_pairs", longest_pairs):
        dpo.train(args, stage, model)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
