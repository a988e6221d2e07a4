"""The `sft` stage under `--smoke`: its own code, with every row as long as `max_length` lets it be."""

import sys

from ..stages import sft
from .longest import longest_rows
from .variant import variant


STAGE = sft.STAGE


def _trainer_of_longest_rows() -> type:
    from ..sft.trainer import R1SFTTrainer

    class LongestRows(R1SFTTrainer):
        def _prepare_dataset(self, dataset, processing_class, args, *rest):  # type: ignore[no-untyped-def]
            return longest_rows(super()._prepare_dataset(dataset, processing_class, args, *rest), args.max_length)

    found: type = LongestRows
    return found


main = variant(sft, "trl_r1.sft.trainer.R1SFTTrainer", _trainer_of_longest_rows)

if __name__ == "__main__":
    sys.exit(main())
