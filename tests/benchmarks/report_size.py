"""
How long the page of a large run takes, and how large it is.

```bash
python -m tests.benchmarks.report_size [--steps 10000] [--rollouts 100000] [FOLDER]
```

The run is made up: an RL stage of that many steps with that many rollouts, in a shard for each step as training leaves them
(`--shards` for fewer), beside the stages of a small one.
"""

import argparse
import tempfile
import time
from pathlib import Path

from tests.report.told_run import make_told_run
from trl_r1.report import write_report


def make_large_run(run: Path, *, steps: int, rollouts: int, shards: int) -> Path:
    """
    Write the run.

    Args:
        run (`Path`):
            Where.
        steps (`int`):
            Of each RL stage.
        rollouts (`int`):
            Kept of the first one.
        shards (`int`):
            Into how many files they are written.
    """
    return make_told_run(run, steps=steps, per_step=rollouts // steps, shards=shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where to keep the run")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--shards", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = args.folder or Path(scratch) / "run"
        if not run.exists():
            make_large_run(run, steps=args.steps, rollouts=args.rollouts, shards=args.shards or args.steps)
        wall, cpu = time.monotonic(), time.process_time()
        page = write_report(run)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        print(f"{page.stat().st_size / 1e6:.2f} MB in {wall:.1f} s ({cpu:.1f} s of CPU time)")


if __name__ == "__main__":
    main()
