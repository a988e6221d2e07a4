"""A step of TRL's trainer and of ours by phase and switch: `tests.benchmarks.grpo_step`, within a time."""

import gc
from collections.abc import Callable
from typing import Any

import torch

from tests.benchmarks import grpo_step
from tests.grpo.tiny import save_tiny_model

from .results import Part


FULL = ["--rows", "64", "32", "--batch", "8", "--longest", "2048", "--pairs", "5"]
TINY = ["--rows", "16", "8", "--batch", "4", "--longest", "64", "--pairs", "1"]


def run(part: Part) -> None:
    """Compare phases, then switches."""
    asked = grpo_step.read_arguments(["--device", part.device, *(TINY if part.tiny else FULL)])
    if part.tiny:
        model = save_tiny_model(part.work / "model")
    else:
        model = grpo_step.save_model(part.work / "model", part.device)
    part.note(rows=asked.rows, rows_of_a_micro_batch=asked.batch, longest=asked.longest, pairs=asked.pairs)

    measurements: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "TRL's / ours, by phase": lambda: grpo_step.compare_steps(asked, model, part.work),
        "all off / TRL's": lambda: [grpo_step.compare_off(asked, model, part.work)],
        "kept / skipped, a quarter": lambda: [grpo_step.compare_zero_std(asked, model, part.work, 0.25)],
        "kept / skipped, three quarters": lambda: [grpo_step.compare_zero_std(asked, model, part.work, 0.75)],
    }
    took = 0.0
    for what, measure in measurements.items():
        if not part.has_time_for(what, took):
            continue
        begun = part.seconds_used()
        try:
            for row in measure():
                part.row({"compared": what, **row})
        except torch.OutOfMemoryError as error:
            part.leave_out(what, str(error)[:100])
        took = part.seconds_used() - begun
        free()


def free() -> None:
    """Give back the memory of trainers that are done with."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
