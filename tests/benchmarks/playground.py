"""
What the playground's runs must show, and the table that docs/benchmarks.md holds.

```bash
trl-r1 run playground --seed 1 --output-dir runs/playground-1
python -m tests.benchmarks.playground runs/playground-1 [runs/playground-2 ...]
```

Reads the `metrics.json` of the run's two evaluation stages, prints one table per run, then every demand with what was
measured. Ends with exit code 1 if one is not met. Differences between two models are counted in standard errors of
the difference, from standard errors that are clustered by prompt.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path


COLUMNS = (
    "pass@1",
    "pass@1_stderr",
    "cons@4",
    "format",
    "language_consistency",
    "mixed_language",
    "mean_tokens",
    "reflection_per_1000_words",
    "general_win_rate",
)

# model -> metric -> (lower bound or None, upper bound or None)
BOUNDS = {
    "base": {"pass@1": (0.10, 0.45), "format": (None, 0.40), "mixed_language": (0.30, None)},
    "r1-zero": {"pass@1": (0.90, None), "format": (0.95, None), "mixed_language": (0.25, None)},
    "dev1": {"pass@1": (0.80, None), "format": (0.90, None), "mixed_language": (None, 0.15)},
    "dev2": {"pass@1": (0.93, None), "format": (0.97, None), "mixed_language": (None, 0.03)},
    "dev3": {"pass@1": (0.90, None), "format": (0.97, None), "mixed_language": (None, 0.05)},
    "r1": {"pass@1": (0.95, None), "format": (0.98, None), "mixed_language": (None, 0.03)},
    "student": {"pass@1": (0.80, None), "format": (0.95, None), "mixed_language": (None, 0.05)},
}


def load_models(run: Path) -> dict[str, dict]:
    """Return the metrics of all models of a run: of the held-out problems, and the win rate on held-out requests."""
    models = json.loads((run / "scores" / "metrics.json").read_text())["models"]
    general = json.loads((run / "general-scores" / "metrics.json").read_text())["models"]
    for name, metrics in general.items():
        models[name] |= {key: value for key, value in metrics.items() if key.startswith("general_")}
    return models


def standard_errors_apart(a: dict, b: dict, metric: str) -> float:
    """Return (a - b) in standard errors of the difference."""
    stderr = math.hypot(a[f"{metric}_stderr"], b[f"{metric}_stderr"])
    difference = a[metric] - b[metric]
    return difference / stderr if stderr else math.copysign(math.inf, difference)


def demands(models: dict[str, dict]) -> Iterator[tuple[str, bool, str]]:
    """Yield what is demanded, whether it is met, and what was measured."""
    for name, bounds in BOUNDS.items():
        for metric, (low, high) in bounds.items():
            value = models[name][metric]
            met = (low is None or value >= low) and (high is None or value <= high)
            wanted = " and ".join(
                text for text in (low is not None and f">= {low}", high is not None and f"<= {high}") if text
            )
            yield f"{name}: {metric} {wanted}", met, f"{value:.3f}"
    base, zero, dev1, dev2, dev3, r1 = (models[n] for n in ("base", "r1-zero", "dev1", "dev2", "dev3", "r1"))
    control = models["language-control"]
    apart = standard_errors_apart(dev2, dev1, "pass@1")
    yield "dev2 at least 2 standard errors above dev1", apart >= 2, f"{apart:.1f}"
    apart = standard_errors_apart(control, zero, "language_consistency")
    yield (
        "language reward against its control, from the same base: at least 5 standard errors",
        apart >= 5,
        f"{apart:.1f}",
    )
    longer = zero["mean_tokens"] - base["mean_tokens"]
    yield "r1-zero reasons longer than the base", longer > 0, f"{longer:+.1f} tokens"
    gain = dev3["general_win_rate"] - dev2["general_win_rate"]
    yield "dev3: general win rate above dev2", gain > 0, f"{gain:+.3f}"
    gain = r1["general_win_rate"] - dev3["general_win_rate"]
    yield "r1: general win rate at least .15 above dev3", gain >= 0.15, f"{gain:+.3f}"
    loss = r1["pass@1"] - dev3["pass@1"]
    yield "r1: pass@1 at most .01 below dev3", loss >= -0.01, f"{loss:+.3f}"
    hard = zero["hard"]
    one, vote, any_right = hard["pass@1"], hard["cons@16"], hard["pass@16"]
    yield (
        "r1-zero on the prompts it finds hard: pass@1 < cons@16 <= pass@16",
        one < vote <= any_right,
        f"{one:.3f} {vote:.3f} {any_right:.3f} on {hard['n_prompts']} prompts",
    )


def print_table(models: dict[str, dict]) -> None:
    print("| model | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name, metrics in models.items():
        cells = ("-" if metrics.get(column) is None else f"{metrics[column]:.3f}" for column in COLUMNS)
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished playground runs")
    missed = 0
    for run in parser.parse_args().runs:
        models = load_models(run)
        print(f"\n{run.name}\n")
        print_table(models)
        print()
        for demand, met, measured in demands(models):
            print(f"{'ok    ' if met else 'MISSED'} {demand}: {measured}")
            missed += not met
    print(f"\n{missed} demands missed" if missed else "\nevery demand met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
