"""
The paper's qualitative claims and six tricks of the field, each against its control, over several seeds, in the playground.

    python -m tests.benchmarks.claims [--part world tricks] [--seeds N ...] [--folder runs/claims] [--minutes M]

What is claimed, measured and expected stands in `protocol.yaml`, which was written before the runs; the arms are the two
recipes beside it. A run of one seed takes about half an hour on two cores. Started again, this goes on where it was;
with `--minutes`, it begins no run after so long. What each seed gave is added to `results.json`, and the tables of
docs/claims.md are written anew from it. The last lines are those tables.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from trl_r1.io import read_json, write_json, write_text

from .measures import measures_of
from .tables import claims_table, tricks_table


HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parents[1].parent / "docs" / "claims.md"


def run(part: str, seed: int, folder: Path) -> Path:
    """Run a part's recipe with a seed, or go on with it; return its folder."""
    where = folder / f"{part}-{seed}"
    command = [sys.executable, "-m", "trl_r1.cli", "run", str(HERE / f"{part}.yaml")]
    subprocess.run([*command, "--seed", str(seed), "--output-dir", str(where)], check=True)
    return where


def tables(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables of what is in `results.json`, by their marks in the page."""
    results = read_json(RESULTS)
    return {
        "claims": claims_table(protocol["claims"], results, protocol["seeds"]),
        "tricks": tricks_table(protocol["tricks"], results.get("tricks", {}), len(protocol["seeds"]["tricks"])),
    }


def page(text: str, tables: dict[str, str]) -> str:
    """Return the page with each table between its marks."""
    for name, table in tables.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--part", nargs="*", default=["world", "tricks"], choices=["world", "tricks"], help="which runs"
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="by default those of the protocol")
    parser.add_argument("--folder", type=Path, default=Path("runs/claims"))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no run is begun")
    args = parser.parse_args()
    protocol = yaml.safe_load((HERE / "protocol.yaml").read_text(encoding="utf-8"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    until = time.monotonic() + 60 * args.minutes
    results = read_json(RESULTS)
    for part in args.part:
        for seed in protocol["seeds"][part]:
            if seed not in (args.seeds or [seed]) or str(seed) in results.get(part, {}) or time.monotonic() > until:
                continue
            found = measures_of(run(part, seed, args.folder))
            results.setdefault(part, {})[str(seed)] = found
            write_json(RESULTS, results)
    found_tables = tables(protocol)
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), found_tables))
    print("\n\n".join(found_tables.values()))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:  # which has said why
        sys.exit(error.returncode)
