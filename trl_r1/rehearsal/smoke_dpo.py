"""The `dpo` stage under `--smoke`: its own code, with every pair as long as `max_length` lets it be."""

import sys

from ..stages import dpo
from .longest import longest_pairs
from .variant import variant


STAGE = dpo.STAGE

main = variant(dpo, "trl_r1.stages.dpo.usable_pairs", lambda: longest_pairs)

if __name__ == "__main__":
    sys.exit(main())
