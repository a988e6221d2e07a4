"""
The `rejection` stage: several completions per prompt, of which the right and readable ones are kept (paper, v2 B.3.3).

```bash
python -m trl_r1.stages.rejection --config rejection.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.RejectionConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on, and has lost what was in flight.
"""

import sys

from ._builder import builder


STAGE, main = builder(
    "RejectionConfig",
    "build_rejection",
    purpose="Many answers to each question, of which only right and readable ones are kept.",
)

if __name__ == "__main__":
    sys.exit(main())
