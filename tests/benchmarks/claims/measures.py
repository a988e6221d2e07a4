"""What a run of the claims measured, by name: what `protocol.yaml` says of them."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trl_r1.inference.votes import consensus_at_k, group_answers
from trl_r1.io import read_json
from trl_r1.lineage import read_run
from trl_r1.trace import Trace, by_prompt, read_traces


METRICS = (
    "pass@1",
    "format",
    "language_consistency",
    "mixed_language",
    "mean_tokens",
    "reflection_per_completion",
    "reflection_per_1000_words",
    "general_win_rate",
)
VOTERS = ("base", "dev1")
LOGGED = ("reward", "rewards/preference_model/mean")


def measures_of(run_dir: Path) -> dict[str, Any]:
    """Return every measure of a finished run, the seconds that each stage took, and the commit."""
    run = read_run(run_dir)
    found: dict[str, Any] = {}
    for stage in run.stages:
        for model, metrics in (stage.metrics.get("models") or {}).items():
            found |= _of_model(model, metrics, general=stage.name == "general-scores")
        for key in LOGGED:
            logged = [entry[key] for entry in stage.log_history if entry.get(key) is not None]
            if logged:
                tenth = max(1, len(logged) // 10)
                found[f"log.{stage.name}.{key}.first"] = statistics.fmean(logged[:tenth])
                found[f"log.{stage.name}.{key}.last"] = statistics.fmean(logged[-tenth:])
        if (seconds := stage.metrics.get("train", {}).get("train_runtime")) is not None:
            found[f"seconds.{stage.name}"] = seconds
    for model in VOTERS:
        shards = sorted((run_dir / "scores" / "traces").glob(f"{model}-[0-9]*.parquet"))
        named = votes([trace for path in shards for trace in read_traces(path)])
        found |= {f"{model}.{name}": value for name, value in named.items()}
    return {"commit": read_json(run_dir / "run.json").get("commits", {}).get("trl_r1", ""), **found}


def _of_model(model: str, metrics: Mapping[str, Any], general: bool) -> dict[str, float]:
    if general:
        return {f"{model}.general_win_rate": metrics["general_win_rate"]}
    found = {f"{model}.{metric}": metrics[metric] for metric in METRICS if metric in metrics}
    for domain, of_domain in metrics.get("by_domain", {}).items():
        found |= {f"{model}.{domain}.{metric}": of_domain[metric] for metric in METRICS if metric in of_domain}
    return found


def votes(traces: list[Trace], half: int = 10) -> dict[str, float]:
    """
    Return accuracy and that of a vote, on prompts whose most frequent answer is right (`likely`) and on the others.

    The first `half` of a prompt's samples say which it is, the others are measured: whoever chose and measured by the same
    samples would find what chance has put there. A prompt with fewer samples than two halves has no part in it.
    """
    found: dict[str, list[tuple[float, float]]] = {"likely": [], "unlikely": []}
    for samples in by_prompt(traces).values():
        if len(samples) < 2 * half:
            continue
        right = tuple(
            any((score or 0.0) >= 1 for name, score in t.rewards.items() if name.endswith("_accuracy"))
            for t in samples
        )
        groups = tuple(group_answers(trace.completion for trace in samples))
        first = consensus_at_k(groups[:half], right[:half], half)
        one = statistics.fmean(right[half : 2 * half])
        vote = consensus_at_k(groups[half : 2 * half], right[half : 2 * half], half)
        found["likely" if first > 0.5 else "unlikely"].append((one, vote))
    named = {}
    for name, values in found.items():
        if values:
            named[f"{name}.pass@1"] = statistics.fmean(one for one, _ in values)
            named[f"{name}.cons@10"] = statistics.fmean(vote for _, vote in values)
    return named
