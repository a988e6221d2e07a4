"""
What one rank of `test_two_ranks_lean.py` does: train by a script with TRL's trainer and with ours, and compare.

    accelerate launch --config_file recipes/accelerate/cpu_ddp.yaml -m tests.integration.lean_ranks MODEL FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from trl import GRPOTrainer

from tests.grpo.scripted import Script, error, run
from trl_r1 import R1GRPOTrainer
from trl_r1.grpo.micro_batches import MicroBatches


TRIM = {"trim_padding": True}
GROUP = {**TRIM, "group_by_length": True}
BUDGET = {**GROUP, "max_tokens_per_micro_batch": 30}
ALL = {**BUDGET, "skip_zero_advantage": True}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grpo": ({"num_iterations": 2}, ALL),
    "dapo": ({"loss_type": "dapo"}, ALL),
    "grpo with a KL term": ({"beta": 0.1, "num_iterations": 2}, BUDGET),
    "rows by length alone": ({"loss_type": "dr_grpo"}, GROUP),
    "one call for all rows": (
        {"per_device_train_batch_size": 12, "gradient_accumulation_steps": 1, "loss_type": "sapo"},
        ALL,
    ),
    # Short rows share calls, and under DDP calls stay empty; ZeRO-3 has one row at least in each.
    "one row a call": ({"per_device_train_batch_size": 1, "gradient_accumulation_steps": 12}, ALL),
    "rows without advantage alone": ({}, {"skip_zero_advantage": True}),
}
WRONG = "all micro-batches weighed alike"


def main(model: str, folder: Path) -> None:
    state = PartialState()
    # On one rank a group has no variance, on the other all but one have none, or all.
    zero_std = [(1,), (0, 2), (2,), (0, 1, 2)]
    found = {}
    for number, (case, (settings, switches)) in enumerate([*CASES.items(), (WRONG, CASES["grpo"])]):
        if case == WRONG:
            MicroBatches.weight = lambda self, inputs, micro_batch: 1.0
        chosen = zero_std[2 * (number % 2) + state.process_index]
        # ZeRO-3 takes its step before a gradient can be seen, so what is compared are weights as well. By so large an
        # epsilon AdamW moves them nearly by the gradient itself.
        settings = {"optim": "adamw_torch", "adam_epsilon": 1.0, **settings}
        stock = run(GRPOTrainer, model, folder / "stock", Script(zero_std=chosen), **settings)
        moved = weights(stock)
        ours = run(R1GRPOTrainer, model, folder / "ours", Script(zero_std=chosen), **settings, **switches)
        own = weights(ours)
        gradients = error(ours, stock) if ours.recorded and ours.recorded[0] else None
        if not state.is_main_process:
            continue  # the weights are gathered on the first rank alone
        start = weights_at_start(model)
        way = torch.cat([(moved[name] - start[name]).flatten() for name in start]).norm()
        difference = torch.cat([(own[name] - moved[name]).flatten() for name in start]).norm()
        found[case] = {
            "weights": (difference / way).item(),
            "moved": way.item(),
            "gradients": gradients,
            "losses": max(abs(one - other) for one, other in zip(ours.losses, stock.losses, strict=True)),
            "log": {name: ours.state.log_history[0].get(name) for name in ("padding", "skipped_rows")},
        }
    if state.is_main_process:
        (folder / "found.json").write_text(json.dumps(found, indent=1))


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return {name.removeprefix("module."): value.double().clone() for name, value in (state or {}).items()}


def weights_at_start(model: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: value.double() for name, value in load_file(Path(model) / "model.safetensors").items()}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
