"""Sampling with transformers' `generate`, with and without rows that have ended: `tests.benchmarks.grpo_switches`."""

import statistics

import torch
from transformers import AutoModelForCausalLM

from tests.benchmarks import grpo_step, grpo_switches

from .results import Part


FULL = {"rows": 64, "longest": 1024, "pairs": 3}
TINY = {"rows": 8, "longest": 32, "pairs": 1}


def run(part: Part) -> None:
    """Time pairs as long as there is time."""
    sizes = TINY if part.tiny else FULL
    if part.tiny:
        model = grpo_switches.make_model().to(part.device)
    else:
        dtype = torch.bfloat16 if part.device == "cuda" else torch.float32
        folder = grpo_step.save_model(part.work / "model", part.device)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(part.device).eval()
    part.note(**sizes, parameters=sum(p.numel() for p in model.parameters()))
    begun = part.seconds_used()
    for row in grpo_switches.generation(model, **sizes, device=part.device):
        rates = {f"{name}_tokens_per_s": row["tokens"] / row[f"{name}_s"] for name in ("whole", "compact")}
        part.row({**row, **rates, "ratio": row["whole_s"] / row["compact_s"]})
        if len(part.rows) < sizes["pairs"] and not part.has_time_for(
            f"pair {len(part.rows) + 1} of {sizes['pairs']}", part.seconds_used() - begun
        ):
            break
        begun = part.seconds_used()
    part.note(median_ratio=statistics.median(row["ratio"] for row in part.rows))
