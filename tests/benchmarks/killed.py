"""
The playground killed at ten random moments, against a run that was left alone.

```bash
trl-r1 run playground --seed 2 --output-dir runs/playground-2
python -m tests.benchmarks.killed runs/playground-2 runs/killed
```

The runner and all its workers are SIGKILLed each time, and the same command is given again. At the end every number
that a stage measured or selected, every row of every data set and every weight of every model must be as in the first
run. Ends with exit code 1 where one is not.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from tests.integration.killing import numbers, run_with_kills, weights


def differences(whole: Path, other: Path, stages: list[str]) -> list[str]:
    """Return what differs between two runs, one line each."""
    found = []
    for stage in stages:
        for file in sorted((whole / stage / "data").glob("*.parquet")):
            if not pq.read_table(file).equals(pq.read_table(other / stage / "data" / file.name)):
                found.append(f"{stage}: rows of {file.name}")
        if (whole / stage / "model").is_dir():
            one, two = weights(whole, stage), weights(other, stage)
            if one.keys() != two.keys() or not all(one[name].equal(two[name]) for name in one):
                found.append(f"{stage}: weights")
        if numbers(whole, stage) != numbers(other, stage):
            found.append(f"{stage}: numbers")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("whole", type=Path, help="a finished run of the playground recipe")
    parser.add_argument("killed", type=Path, help="where the second run goes")
    parser.add_argument("--kills", type=int, default=10)
    arguments = parser.parse_args()
    run = json.loads((arguments.whole / "run.json").read_text())
    seed, stages = run["seed"], run["stages"]
    begun = time.monotonic()
    killed_at = run_with_kills("playground", arguments.killed, stages, arguments.kills, "--seed", str(seed))
    print(f"killed {len(killed_at)} times, with so many of {len(stages)} stages done: {killed_at}")
    found = differences(arguments.whole, arguments.killed, stages)
    for line in found:
        print(line)
    print(f"{len(found)} differences; {time.monotonic() - begun:.0f} s with all the starts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
