"""
How long `trl-r1 --help` takes, in bare starts of the interpreter.

```bash
python tests/benchmarks/cli_start.py
```

A bare start is `python -c "import argparse, yaml"`. CPU time is compared (a busy machine does not count), the least of
several repetitions. The last line holds the ratio; six is the limit the project has set itself. `plan` of a recipe that
ships with the package is measured beside it.
"""

import os
import subprocess
import sys


REPEATS = 10


def cpu_seconds(command: list[str]) -> float:
    """Return the least CPU time of a command over the repetitions, in seconds."""
    least = float("inf")
    for _ in range(REPEATS):
        before = os.times()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        least = min(least, spent)
    return least


def main() -> None:
    bare = cpu_seconds([sys.executable, "-c", "import argparse, yaml"])
    print(f"bare start: {1000 * bare:.0f} ms")
    for argv in (["plan", "playground"], ["plan", "r1"]):
        spent = cpu_seconds([sys.executable, "-m", "trl_r1.cli", *argv])
        print(f"trl-r1 {' '.join(argv)}: {1000 * spent:.0f} ms, {spent / bare:.1f} bare starts")
    help_ = cpu_seconds([sys.executable, "-m", "trl_r1.cli", "--help"])
    print(f"trl-r1 --help: {1000 * help_:.0f} ms")
    print(f"help, in bare starts: {help_ / bare:.2f}")


if __name__ == "__main__":
    main()
