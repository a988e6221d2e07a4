"""
The `rejection` stage: several completions per prompt, of which the right and readable ones are kept (paper, v2 B.3.3).

```bash
python -m trl_r1.stages.rejection --config rejection.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.RejectionConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on at the shard where it was.
"""

import sys
from collections.abc import Sequence

from ..builders.config import RejectionConfig
from ..sampling.config import SamplingConfig
from ._common import Progress, StageParser, run_stage


CONFIG_CLASSES = ("trl_r1.sampling.config:SamplingConfig", "trl_r1.builders.config:RejectionConfig")


def make_parser() -> StageParser:
    """Return the stage's parser."""
    return StageParser((SamplingConfig, RejectionConfig), prog="trl_r1.stages.rejection")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    return run_stage(build, make_parser(), argv)


def build(sampling: SamplingConfig, config: RejectionConfig) -> None:
    """
    Build the data set.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`~builders.RejectionConfig`]):
            From what, and what to keep.
    """
    from ..builders import build_rejection

    build_rejection(sampling, config, on_shard=Progress(config.output_dir, 0, unit="shards").reach)


if __name__ == "__main__":
    sys.exit(main())
