"""
What one rank of `test_two_ranks_rounds.py` does: train with every switch that decides what is sampled, and look.

    accelerate launch --config_file recipes/accelerate/cpu_ddp.yaml -m tests.integration.rounds_ranks MODEL FOLDER
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from safetensors.torch import load_file

from tests.grpo.lively import Lively, mixed_prompts
from tests.grpo.test_resume import TIMES
from tests.grpo.tiny import grpo_config
from trl_r1 import R1GRPOTrainer


STEPS = 4
SWITCHES = {
    "dynamic_sampling": True,
    "max_sampling_rounds": 8,
    "prompt_curriculum": True,
    "compact_generation": True,
}


class Awaited:
    """A reward that is awaited, and adds nothing."""

    __name__ = "awaited"

    async def __call__(self, *, completions: list[Any], **columns: Any) -> list[float]:
        return [0.0] * len(completions)


class Watched(R1GRPOTrainer):
    """Keeps what each generation offered, round by round, and the batch it made."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.rounds: list[list[list[str]]] = []
        self.batches: list[dict[str, torch.Tensor]] = []
        self.fewest_rows = 99
        super().__init__(*args, **kwargs)
        self.model.model.register_forward_pre_hook(self._count_rows, with_kwargs=True)

    def _count_rows(self, module, args, kwargs):
        ids = kwargs["input_ids"]
        if ids.size(1) == 1:  # a token of a completion
            self.fewest_rows = min(self.fewest_rows, len(ids))

    def _generate_and_score_completions(self, inputs):
        self.rounds.append([])
        batch = super()._generate_and_score_completions(inputs)
        self.batches.append(batch)
        return batch

    def _generate(self, prompts):
        self.rounds[-1].append(prompts[:: self.num_generations])
        return super()._generate(prompts)


def train(model: str, folder: Path, resume: Path | None = None, **changes: Any) -> Watched:
    settings = {
        **SWITCHES,
        "beta": 0.1,
        "sync_ref_model": False,
        "loss_type": "dapo",
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_steps": STEPS,
        "learning_rate": 1e-3,
        "generation_kwargs": {"sequence_bias": [[[1], 5.0]]},
        **changes,
    }
    # The middle of the data twice over: a prompt comes again within the few steps.
    trainer = Watched(model, [Lively(), Awaited()], grpo_config(folder, **settings), mixed_prompts(15))
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def log_of(trainer: R1GRPOTrainer) -> list[dict[str, Any]]:
    return [{k: repr(v) for k, v in entry.items() if k not in TIMES} for entry in trainer.state.log_history]


def main(model: str, folder: Path) -> None:
    state = PartialState()
    whole = train(model, folder / "whole")
    kinds = {row["prompt"]: row["kind"] for row in mixed_prompts(15)}
    local = {
        "rounds": whole.rounds,
        "zero_std": [sum(kinds[prompt] != "lively" for prompt in rounds[0]) for rounds in whole.rounds],
        "spread": [batch["advantages"].view(-1, 4).abs().amax(1).min().item() for batch in whole.batches],
        "rows": [len(batch["advantages"]) for batch in whole.batches],
        "tokens": [int(batch["completion_mask"].sum()) for batch in whole.batches],
        "normaliser": [int(batch["num_items_in_batch"]) for batch in whole.batches],
        "rates": repr(whole.curriculum.rates),
        "drawn": whole.prompt_stream.position,
        "fewest_rows": whole.fewest_rows,
    }
    ranks = gather_object([local])
    if state.is_main_process:
        (folder / "parts").mkdir()
        shutil.copytree(folder / "whole" / "checkpoint-2", folder / "parts" / "checkpoint-2")
    state.wait_for_everyone()
    resumed = train(model, folder / "parts", folder / "parts" / "checkpoint-2")
    if state.is_main_process:
        one, other = (
            load_file(folder / name / f"checkpoint-{STEPS}" / "model.safetensors") for name in ("whole", "parts")
        )
        found = {
            "ranks": ranks,
            "log": log_of(whole),
            "resumed": log_of(resumed),
            "weights_apart": max(float((one[name] - other[name]).abs().max()) for name in one),
        }
        (folder / "found.json").write_text(json.dumps(found))
    state.wait_for_everyone()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
