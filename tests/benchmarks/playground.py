"""
What the playground's runs must show, and the table that docs/benchmarks.md holds.

```bash
trl-r1 run playground --seed 1 --output-dir runs/playground-1
python -m tests.benchmarks.playground runs/playground-1 [runs/playground-2 ...]
```

Reads the `metrics.json` of the run's two evaluation stages and what R1-Zero sampled in its training, prints a table per run,
one of what emerges in its searches, then every demand with what was measured. Ends with exit code 1 if one is not met. Differences between two models are counted in standard errors of
the difference, from standard errors that are clustered by prompt.
"""

import argparse
import itertools
import json
import math
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from trl_r1.text import count_reflection_words, split_completion
from trl_r1.trace import Trace, grouped, read_traces


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

PER_1000 = "reflection_per_1000_words"
BUDGETS = (8, 16, 32, 64, 96)
# What R1-Zero's searches have at least, in multiples of the base's.
GROWTH = {"mean_tokens": 3.0, "reflection_per_completion": 10.0, PER_1000: 4.0}

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


def tries_of(trace: Trace) -> list[tuple[str, str, str]]:
    """Return label, candidate and sum of each try of a search."""
    return re.findall(r"([A-L])(\d+)\+\d+=(\d+)", trace.completion)


def whole_chain(trace: Trace) -> bool:
    """Tell whether a search goes on after a failed try, and until a candidate fits or none is left."""
    candidates = dict(re.findall(r"([A-L])(\d+)", trace.prompt))
    tried = tries_of(trace)
    right = bool(tried) and tried[-1][1] == trace.solution
    return len(tried) > 1 and (right or {label for label, *_ in tried} == candidates.keys())


def ends_with_what_fits(traces: Sequence[Trace]) -> float:
    """Return the share of the searches whose last try fits by their own sum that answer with that candidate."""
    tried = [(tries[-1], trace) for trace in traces if (tries := tries_of(trace))]
    return statistics.fmean(
        re.findall(r"boxed\{(\w+)\}", trace.completion)[-1:] == [candidate]
        for (_, candidate, total), trace in tried
        if int(total) % 10 == 0
    )


def curves(run: Path, domain: str) -> dict[str, list[float]]:
    """Return, by step of R1-Zero's training, its accuracy, tokens and words of reflection on one domain."""
    traces = [t for path in sorted((run / "r1-zero" / "rollouts").glob("*.parquet")) for t in read_traces(path)]
    by_step = grouped((t for t in traces if t.domain == domain), lambda trace: f"{trace.step:06d}")
    values = {
        "accuracy": lambda trace: trace.rewards["math_accuracy"] or 0.0,
        "tokens": lambda trace: trace.n_tokens,
        "reflection": lambda t: sum(
            count_reflection_words(split_completion(t.completion).thought or t.completion).values()
        ),
    }
    return {
        name: [statistics.fmean(map(of, by_step[step])) for step in sorted(by_step)] for name, of in values.items()
    }


def together(curves: dict[str, list[float]]) -> tuple[float, dict[str, float]]:
    """
    Return over which share of the training accuracy grows, and how closely each other curve follows it there.

    All of moving averages over a tenth of the steps. Accuracy grows from where it is last within a twentieth of its growth
    from its least to where it is first within a twentieth of its most; the closeness is Pearson's correlation.
    """
    smooth = {name: moving_average(curve, max(1, len(curve) // 10)) for name, curve in curves.items()}
    accuracy = smooth.pop("accuracy")
    low, high = min(accuracy), max(accuracy)
    begin = max(i for i, value in enumerate(accuracy) if value <= low + 0.05 * (high - low))
    end = next(i for i, value in enumerate(accuracy) if value >= low + 0.95 * (high - low))
    if end - begin < 2:
        return 0.0, dict.fromkeys(smooth, 0.0)
    follows = {name: statistics.correlation(accuracy[begin:end], curve[begin:end]) for name, curve in smooth.items()}
    return (end - begin) / len(curves["accuracy"]), follows


def moving_average(values: Sequence[float], width: int) -> list[float]:
    return [statistics.fmean(values[i : i + width]) for i in range(len(values) - width + 1)]


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


def emergence(run: Path) -> Iterator[tuple[str, bool, str]]:
    """Yield what is demanded of the searches of R1-Zero's stage: what emerges there, together with what, and why."""
    found = json.loads((run / "scores" / "metrics.json").read_text())
    base, zero = (found["models"][name]["by_domain"]["search"] for name in ("base", "r1-zero"))
    share = base["with_reflection"]
    yield "base, searches: pass@1 from .10 to .30", 0.10 <= base["pass@1"] <= 0.30, f"{base['pass@1']:.3f}"
    yield "base, searches: at most a fifth of the samples has a word of reflection", share <= 0.2, f"{share:.3f}"
    yield "r1-zero, searches: pass@1 at least .88", zero["pass@1"] >= 0.88, f"{zero['pass@1']:.3f}"
    for metric, least in GROWTH.items():
        grown = zero[metric] / base[metric]
        yield (
            f"r1-zero, searches: {metric} at least {least}-fold",
            grown >= least,
            f"{grown:.1f} ({base[metric]:.2f} to {zero[metric]:.2f})",
        )
    over, follows = together(curves(run, "search"))
    measured = f"{over:.2f}; correlation " + ", ".join(f"{name} {each:.2f}" for name, each in follows.items())
    met = over >= 1 / 3 and min(follows.values()) >= 0.8
    yield "they grow with accuracy (correlation >= .8), over at least a third of the training", met, measured
    causes = found["emergence"]["r1-zero"]
    lost = zero["pass@1"] - causes["forbidden"]["pass@1"]
    yield "with the words of reflection forbidden pass@1 falls by at least .4", lost >= 0.4, f"{lost:.3f}"
    left = causes["forbidden"]["reflection_per_completion"]
    yield "forbidden, none is there", left == 0, f"{left:.2f}"
    curve = [causes[f"budget-{budget}"]["pass@1"] for budget in BUDGETS]
    rises = all(a < b for a, b in itertools.pairwise(curve))
    yield f"pass@1 rises with the budget of thought ({BUDGETS})", rises, " ".join(f"{each:.3f}" for each in curve)


def print_emergence(run: Path) -> None:
    """Print what emerges in the searches, and what the base holds of it."""
    found = json.loads((run / "scores" / "metrics.json").read_text())
    columns = ("pass@1", "mean_tokens", "with_reflection", "reflection_per_completion", "reflection_per_1000_words")
    print("| searches | " + " | ".join(columns) + " | whole chains | end with what fits |")
    print("|---" * (len(columns) + 3) + "|")
    for name in ("base", "r1-zero"):
        metrics = found["models"][name]["by_domain"]["search"]
        traces = [
            t for path in sorted((run / "scores" / "traces").glob(f"{name}-[0-9]*.parquet")) for t in read_traces(path)
        ]
        searches = [trace for trace in traces if trace.domain == "search"]
        shares = statistics.fmean(map(whole_chain, searches)), ends_with_what_fits(searches)
        cells = [*(metrics[column] for column in columns), *shares]
        print(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    for name, metrics in found["emergence"]["r1-zero"].items():
        print(f"| r1-zero, {name} | " + " | ".join(f"{metrics[column]:.3f}" for column in columns) + " | - | - |")


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
    per_1000 = []
    for run in parser.parse_args().runs:
        models = load_models(run)
        print(f"\n{run.name}\n")
        print_table(models)
        print()
        print_emergence(run)
        print()
        for demand, met, measured in (*demands(models), *emergence(run)):
            print(f"{'ok    ' if met else 'MISSED'} {demand}: {measured}")
            missed += not met
        before, after = (models[name]["by_domain"]["search"][PER_1000] for name in ("base", "r1-zero"))
        per_1000.append(after / before)
    if len(per_1000) >= 5:
        median = statistics.median(per_1000)
        print(f"\n{'ok    ' if median >= 5 else 'MISSED'} {PER_1000} 5-fold in the median of the runs: {median:.1f}")
        missed += median < 5
    print(f"\n{missed} demands missed" if missed else "\nevery demand met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
