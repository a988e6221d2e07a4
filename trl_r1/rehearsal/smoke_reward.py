"""The `reward` stage under `--smoke`: its own code, with every pair as long as `max_length` lets it be."""

import sys

from ..stages import reward
from .longest import longest_pairs
from .variant import variant


STAGE = reward.STAGE

main = variant(reward, "trl_r1.stages.reward.usable_pairs", lambda: longest_pairs)

if __name__ == "__main__":
    sys.exit(main())
