"""
The `pairs` stage: preference pairs for the `reward` stage, from a judge (paper, v2 3.1).

```bash
python -m trl_r1.stages.pairs --config pairs.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.PairsConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on, and has lost what was in flight.
"""

import sys

from ..builders.outputs import PAIR_COLUMNS
from ._builder import builder


STAGE, main = builder(
    "PairsConfig", "build_pairs", PAIR_COLUMNS, purpose="Pairs of a better and a worse answer to the same request."
)

if __name__ == "__main__":
    sys.exit(main())
