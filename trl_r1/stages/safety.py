"""
The `safety` stage: responses labelled safe or unsafe for the `pointwise` stage, from a judge (paper, v2 3.1).

```bash
python -m trl_r1.stages.safety --config safety_labels.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.SafetyConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on at the shard where it was.
"""

import sys

from ..builders.outputs import LABEL_COLUMNS
from ._builder import builder


STAGE, main = builder(
    "SafetyConfig", "build_safety", LABEL_COLUMNS, purpose="Answers labelled safe or unsafe, for a reward model."
)

if __name__ == "__main__":
    sys.exit(main())
