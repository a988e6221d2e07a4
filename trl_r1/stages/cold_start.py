"""
The `cold_start` stage: readable outputs of R1-Zero, refined by a chat model (paper, v2 B.3.2).

```bash
python -m trl_r1.stages.cold_start --config cold_start.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.ColdStartConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on at the shard where it was.
"""

import sys

from ._builder import builder


STAGE, main = builder(
    "ColdStartConfig",
    "build_cold_start",
    purpose="Readable answers of a model that reasons well, as a first lesson for the base.",
)

if __name__ == "__main__":
    sys.exit(main())
