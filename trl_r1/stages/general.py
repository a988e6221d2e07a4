"""
The `general` stage: data that is no reasoning, with a chain of thought but for simple queries (paper, v2 B.3.3).

```bash
python -m trl_r1.stages.general --config general.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.GeneralConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on, and has lost what was in flight.
"""

import sys

from ._builder import builder


STAGE, main = builder("GeneralConfig", "build_general", purpose="Answers to requests that are no reasoning problems.")

if __name__ == "__main__":
    sys.exit(main())
