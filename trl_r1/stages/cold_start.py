"""
The `cold_start` stage: readable outputs of R1-Zero, refined by a chat model, and what that writes itself (paper, v1 2.3.1,
v2 B.3.2).

```bash
python -m trl_r1.stages.cold_start --config cold_start.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.ColdStartConfig`]. It leaves
`data/train.parquet`, `selection.json`, `review.csv` for people to look through, and what was sampled in `traces/`; killed, it goes
on, and has lost what was in flight.
"""

import sys

from ._builder import builder


STAGE, main = builder(
    "ColdStartConfig",
    "build_cold_start",
    references={"examples": "data", "reviewed": "file"},
    purpose="Readable answers of a model that reasons well, as a first lesson for the base.",
)

if __name__ == "__main__":
    sys.exit(main())
