"""
What the recipes that ship cost, by `trl-r1 plan`: the table of recipes/README.md.

```bash
python -m tests.benchmarks.costs
```

Models come from the cache of `tests.hub_cache`, which has their real sizes; rows of the data from `recipes/rows.yaml`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.hub_cache import environment, make_hub_cache
from trl_r1.recipe import known_recipes


ROWS = Path(__file__).resolve().parents[2] / "recipes" / "rows.yaml"


def planned(recipe: str, folder: Path) -> dict[str, Any]:
    """Return the figures of a recipe, as `plan --json` gives them."""
    command = [sys.executable, "-m", "trl_r1.cli", "plan", recipe, "--json", "--throughput", str(ROWS)]
    command += ["--output-dir", str(folder / "run")]
    surroundings = {**os.environ, **environment(folder / "hub")}
    ran = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def row(recipe: str, figures: dict[str, Any]) -> str:
    """Return a recipe's row of the table."""
    totals = figures["totals"]
    left_out = [each["stage"] for each in figures["stages"] if not each["hours"]]
    hours = f"{totals['gpu_hours']:,.0f}" + (f", without {', '.join(left_out)}" if left_out else "")
    peaks = [each["memory"]["peak"] / (1 << 30) for each in figures["stages"] if each["memory"] and each["gpus"]]
    return (
        f"| `{recipe}` | {totals['gpus']} | {max(peaks, default=0):.0f} | {totals['disk_bytes'] / 1e9:,.0f} | {hours} | "
        f"{totals['hours'] / 24:.1f} |"
    )


def main() -> None:
    print("| recipe | GPUs | GiB of a GPU at most | disk at most, GB | GPU-hours | days |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        make_hub_cache(Path(folder) / "hub")
        for recipe in known_recipes():
            figures = planned(recipe, Path(folder))
            if figures["totals"]["gpus"]:
                print(row(recipe, figures), flush=True)


if __name__ == "__main__":
    main()
