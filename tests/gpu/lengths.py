"""
One step of TRL's trainer and of ours at growing lengths, in pairs: tokens a second, share of the peak, memory.

Tokens are those of prompts and completions; padding is not counted. The share of the peak is what these tokens need for
forward and backward (TRL's `compute_flops_per_token`, attention over half of a row for each of its tokens; what gradient
checkpointing computes again is not counted), by the time of the update, by the GPU's dense peak in bfloat16.
"""

import statistics
from typing import Any

import torch
from transformers.utils import is_flash_attn_2_available
from trl import GRPOTrainer
from trl.trainer.utils import compute_flops_per_token, get_peak_flops

from tests.benchmarks import grpo_step
from tests.grpo.tiny import save_tiny_model
from trl_r1 import R1GRPOTrainer

from .results import Part
from .steps import free


FULL = ["--rows", "32", "--batch", "4", "--pairs", "3"]
TINY = ["--rows", "16", "--batch", "4", "--pairs", "1"]
PROMPT = 64  # tokens, more than a prompt has


class Measured(grpo_step.Bench):
    """A trainer of which one step after the other is timed, with the memory and the useful work of each."""

    def step(self) -> dict[str, float]:
        before = 0.0
        if self.clock.device == "cuda":
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        phases = super().step()
        if self.clock.device == "cuda":
            phases["mib"] = (torch.cuda.max_memory_allocated() - before) / 2**20
        config, lengths = self.trainer.model.config, self.trainer.row_lengths
        phases["tokens"] = sum(lengths)
        phases["flop"] = sum(n * compute_flops_per_token(config, n // 2) for n in lengths)
        return phases


def run(part: Part) -> None:
    """Go from short lengths to long ones."""
    model = (
        save_tiny_model(part.work / "model") if part.tiny else grpo_step.save_model(part.work / "model", part.device)
    )
    peak = get_peak_flops(torch.cuda.get_device_name(), "bfloat16") if part.device == "cuda" else None
    if peak is None:
        part.leave_out("share of the peak", "this device's peak is not known")
    attentions = ["sdpa"]
    if part.device == "cuda" and is_flash_attn_2_available():
        attentions.append("flash_attention_2")
    else:
        part.leave_out("flash_attention_2", "it is not installed, or there is no GPU")
    took = 0.0
    for longest in (32, 64) if part.tiny else (1024, 2048, 4096, 8192):
        for attention in attentions:
            if not part.has_time_for(f"{attention}, lengths to {longest}", took):
                continue
            begun = part.seconds_used()
            arguments = ["--device", part.device, "--attention", attention, "--longest", str(longest)]
            asked = grpo_step.read_arguments([*arguments, *(TINY if part.tiny else FULL)])
            try:
                compare(part, asked, model, peak)
            except torch.OutOfMemoryError as error:
                part.leave_out(f"{attention}, lengths to {longest}", str(error)[:100])
            free()
            took = 2 * (part.seconds_used() - begun)  # of twice the length


def compare(part: Part, asked: Any, model: str, peak: float | None) -> None:
    """Let TRL's trainer, ours with trimmed padding alone, ours, and ours with a budget of tokens take turns at one length."""
    trainers = {
        "trl": (GRPOTrainer, {}),
        "trimmed": (R1GRPOTrainer, grpo_step.TRIM),
        "ours": (R1GRPOTrainer, grpo_step.ON),
        "ours, budget": (R1GRPOTrainer, {**grpo_step.ON, "max_tokens_per_micro_batch": asked.longest + PROMPT}),
    }
    leanest = {"beta": 0.0, "gradient_checkpointing": True}
    benches = {}
    for name, (trainer, changes) in trainers.items():
        try:
            bench = Measured(trainer, model, part.work / name, asked, asked.rows[0], **leanest, **changes)
            bench.step()
            benches[name] = bench
        except torch.OutOfMemoryError as error:
            part.row(
                {"longest": asked.longest, "attention": asked.attention, "trainer": name, "failed": str(error)[:60]}
            )
    times = grpo_step.take_turns(benches, asked.pairs)
    for name, steps in times.items():
        seconds = statistics.median(step["update"] for step in steps)
        row: dict[str, Any] = {"longest": asked.longest, "attention": asked.attention, "trainer": name}
        row["update_s"] = seconds
        row["tokens_per_s"] = statistics.median(step["tokens"] / step["update"] for step in steps)
        if peak is not None:
            row["share_of_peak"] = statistics.median(step["flop"] / step["update"] / peak for step in steps)
        if "mib" in steps[0]:
            row["mib"] = max(step["mib"] for step in steps)
        if "trl" in times:
            row["times_trl"] = statistics.median(
                one["update"] / other["update"] for one, other in zip(times["trl"], steps, strict=True)
            )
        part.row(row)
