"""
The `general` stage: data that is no reasoning, with a chain of thought but for simple queries (paper, v2 B.3.3).

```bash
python -m trl_r1.stages.general --config general.yaml
```

The config is a flat YAML: the fields of [`~sampling.SamplingConfig`] and of [`~builders.GeneralConfig`]. It leaves
`data/train.parquet`, `selection.json` and what was sampled in `traces/`; killed, it goes on at the shard where it was.
"""

import sys
from collections.abc import Sequence

from ..builders.config import GeneralConfig
from ..sampling.config import SamplingConfig
from ._common import Progress, StageParser, run_stage


CONFIG_CLASSES = ("trl_r1.sampling.config:SamplingConfig", "trl_r1.builders.config:GeneralConfig")


def make_parser() -> StageParser:
    """Return the stage's parser."""
    return StageParser((SamplingConfig, GeneralConfig), prog="trl_r1.stages.general")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    return run_stage(build, make_parser(), argv)


def build(sampling: SamplingConfig, config: GeneralConfig) -> None:
    """
    Build the data set.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`~builders.GeneralConfig`]):
            From what, and what to keep.
    """
    from ..builders import build_general

    build_general(sampling, config, on_shard=Progress(config.output_dir, 0, unit="shards").reach)


if __name__ == "__main__":
    sys.exit(main())
