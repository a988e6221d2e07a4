"""
The `grpo` stage as it is rehearsed: its own code, with a trainer that puts right and spoilt completions in the place of
what its model samples. See [`~rehearsal.trainer`].
"""

import sys

from ..stages import grpo
from .variant import variant


STAGE = grpo.STAGE


def _rehearsed_trainer() -> type:
    from .trainer import RehearsedGRPOTrainer

    return RehearsedGRPOTrainer


main = variant(grpo, "trl_r1.grpo.trainer.R1GRPOTrainer", _rehearsed_trainer)

if __name__ == "__main__":
    sys.exit(main())
