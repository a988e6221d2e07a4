"""
The `pairs` stage: preference pairs for the `reward` stage, from a judge (paper, v2 3.1).

```bash
python -m trl_r1.stages.pairs --config pairs.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.PairsConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on at the shard where it was.
"""

import sys
from collections.abc import Sequence

from ..builders.config import PairsConfig
from ..sampling.config import SamplingConfig
from ._common import Progress, StageParser, run_stage


CONFIG_CLASSES = ("trl_r1.sampling.config:SamplingConfig", "trl_r1.builders.config:PairsConfig")


def make_parser() -> StageParser:
    """Return the stage's parser."""
    return StageParser((SamplingConfig, PairsConfig), prog="trl_r1.stages.pairs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    return run_stage(build, make_parser(), argv)


def build(sampling: SamplingConfig, config: PairsConfig) -> None:
    """
    Build the data set.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`~builders.PairsConfig`]):
            From what, and what to keep.
    """
    from ..builders import build_pairs

    build_pairs(sampling, config, on_shard=Progress(config.output_dir, 0, unit="shards").reach)


if __name__ == "__main__":
    sys.exit(main())
