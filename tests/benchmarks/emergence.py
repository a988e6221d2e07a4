"""
Three controls of the emergence of reflection in the playground's R1-Zero, beside a finished run.

```bash
trl-r1 run playground --seed 1 --output-dir runs/playground-1
python -m tests.benchmarks.emergence runs/playground-1 [runs/playground-2 ...]
```

- `unpaid`: the run's own RL, from its own base and on its own prompts, but for each search and choice a random candidate
  is rewarded: checking cannot pay.
- `wordless-zero`: the same RL from a base whose corpus tries again without any word of reflection (`wordless`): is it the
  words, or what they stand for?
- `base-sft`: no RL, but supervised fine-tuning of the run's base on its own right answers.

They are a recipe, in `RUN-controls/`, which goes on where it was killed. Prints what each model measures on the held-out
searches. Ends with exit code 1 where the control without pay grows by more than 1.5-fold.
"""

import argparse
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from trl_r1.cli import main as trl_r1


CONFIGS = Path(__file__).resolve().parents[2] / "recipes" / "playground"
COLUMNS = ("pass@1", "mean_tokens", "with_reflection", "reflection_per_completion", "reflection_per_1000_words")
MOST_GROWTH = 1.5
# control -> what it is to be compared with
BASES = {"r1-zero": "base", "unpaid": "base", "base-sft": "base", "wordless-zero": "wordless"}


def unpaid(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return the rows with a random candidate as the solution of each search and choice."""
    rng = random.Random(f"{seed}/unpaid")
    changed = []
    for row in rows:
        candidates = re.findall(r"([A-L])(\d+)", row["prompt"])
        solutions = {"search": [number for _, number in candidates], "choice": [label for label, _ in candidates]}
        changed.append({**row, "solution": rng.choice(solutions.get(row["domain"], [row["solution"]]))})
    return changed


def write_recipe(run: Path, folder: Path, seed: int) -> Path:
    """Write the recipe of the controls, and the data of `unpaid`."""
    folder.mkdir(parents=True, exist_ok=True)
    base = (run / "base").resolve()
    rows = pq.read_table(base / "data" / "train.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist(unpaid(rows, seed)), folder / "unpaid.parquet")
    config = {path.stem: str(path) for path in CONFIGS.glob("*.yaml")}
    scores = {"by_model": {}, "pass_at_k": [4], "hard_below": None, "emergence": None}

    def stage(name: str, kind: str, config: str, **keys: Any) -> dict[str, Any]:
        return {"name": name, "kind": kind, "config": config, **keys}

    models = {name: name for name in ("unpaid", "base-sft", "wordless", "wordless-zero")}
    models = {"base": "base_model", "r1-zero": str((run / "r1-zero" / "model").resolve()), **models}
    right = {"n_samples": 4, "rules": {"max_per_prompt": 2, "prefer": "random"}}
    recipe = {
        "name": "emergence-controls",
        "base_model": str(base / "model"),
        "seed": seed,
        "parallel": 2,
        "data": {
            "train": {"path": str(base / "data" / "train.parquet")},
            "heldout": {"path": str(base / "data" / "heldout.parquet")},
            "unpaid-train": {"path": str((folder / "unpaid.parquet").resolve())},
        },
        "stages": [
            stage("unpaid", "grpo", config["r1_zero"], model="base_model", data="unpaid-train"),
            stage("right", "rejection", config["reasoning_data"], model="base_model", data="train", set=right),
            stage("base-sft", "sft", config["dev3"], model="base_model", data=["right"]),
            stage("wordless", "tests.benchmarks.wordless", config["base"]),
            stage("wordless-zero", "grpo", config["r1_zero"], model="wordless", data=["wordless/train"]),
            stage("scores", "evaluate", config["scores"], model=models, data="heldout", set=scores),
        ],
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def growth(models: dict[str, dict[str, float]], name: str, metric: str) -> float:
    """Return how many times what its base has a model has."""
    before = models[BASES[name]][metric]
    return models[name][metric] / before if before else float("inf") if models[name][metric] else 1.0


def print_table(models: dict[str, dict[str, float]]) -> None:
    print("| model | " + " | ".join(COLUMNS) + " | tokens, times its base's | reflection words, times its base's |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for name, metrics in models.items():
        cells = [f"{metrics[column]:.3f}" for column in COLUMNS]
        grown = [f"{growth(models, name, m):.2f}" if name in BASES else "" for m in ("mean_tokens", COLUMNS[3])]
        print(f"| {name} | " + " | ".join(cells + grown) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished playground runs")
    missed = 0
    for run in parser.parse_args().runs:
        seed = json.loads((run / "run.json").read_text())["seed"]
        folder = run.with_name(f"{run.name}-controls")
        code = trl_r1(["run", str(write_recipe(run, folder, seed)), "--output-dir", str(folder / "run")])
        if code:
            return code
        found = json.loads((folder / "run" / "scores" / "metrics.json").read_text())["models"]
        models = {name: metrics["by_domain"]["search"] for name, metrics in found.items()}
        print(f"\n{run.name}\n")
        print_table(models)
        print()
        for metric in ("mean_tokens", "reflection_per_completion"):
            grown = growth(models, "unpaid", metric)
            missed += grown > MOST_GROWTH
            verdict = "ok    " if grown <= MOST_GROWTH else "MISSED"
            print(f"{verdict} where checking cannot pay, {metric} grows at most {MOST_GROWTH}-fold: {grown:.2f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
