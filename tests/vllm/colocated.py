"""
What one rank of `test_colocated.py` does: train with vLLM in the trainer's own process.

    python -m tests.vllm.colocated MODEL FOLDER RUN [RUN ...]
    accelerate launch --config_file recipes/accelerate/cpu_ddp.yaml -m tests.vllm.colocated MODEL FOLDER RUN [RUN ...]

Runs are `stock` (TRL's trainer), `plain` (ours, all switches off), `lean` (all on), and `killed`: as `lean`, by a process
that kills itself after its second step and, started again, goes on from the checkpoint.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOTrainer

from tests.grpo.tiny import DigitReward, grpo_config, sums
from trl_r1 import R1GRPOTrainer


SWITCHES: dict[str, Any] = {
    "trim_padding": True,
    "group_by_length": True,
    "max_tokens_per_micro_batch": 60,
    "skip_zero_advantage": True,
}
OFF = {"trim_padding": False, "group_by_length": False, "skip_zero_advantage": False}
RUNS: dict[str, tuple[type, dict[str, Any]]] = {
    "stock": (GRPOTrainer, OFF),
    "plain": (R1GRPOTrainer, OFF),
    "lean": (R1GRPOTrainer, SWITCHES),
    "killed": (R1GRPOTrainer, {**SWITCHES, "save_strategy": "steps", "save_steps": 1}),
}
SETTINGS: dict[str, Any] = {
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_max_model_length": 64,
    "max_completion_length": 16,
    "num_generations": 4,
    "gradient_accumulation_steps": 2,
    "num_iterations": 2,
    "beta": 0.0,
    "sync_ref_model": False,
    "save_strategy": "no",
    "max_steps": 4,
    # By so large an epsilon AdamW moves the weights nearly by the gradient itself.
    "optim": "adamw_torch",
    "adam_epsilon": 1.0,
    "learning_rate": 0.5,
    "warmup_steps": 0,
    "lr_scheduler_type": "constant",
}


class KillsItself(TrainerCallback):
    """As soon as the second step's checkpoint is written by all."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 2:
            PartialState().wait_for_everyone()
            os.kill(os.getpid(), signal.SIGKILL)


def main(model: str, folder: Path, runs: list[str]) -> None:
    import vllm._custom_ops

    # What it packs the weights into would not see that they are loaded anew at every step.
    vllm._custom_ops._supports_onednn = False
    for name in runs:
        trainer_class, switches = RUNS[name]
        trainer = trainer_class(model, DigitReward(), grpo_config(folder / name, **{**SETTINGS, **switches}), sums(24))
        checkpoint = get_last_checkpoint(folder / name) if (folder / name).is_dir() else None
        if name == "killed" and checkpoint is None:
            trainer.add_callback(KillsItself())
        trainer.train(resume_from_checkpoint=checkpoint)
        if trainer.accelerator.is_main_process:
            weights = {
                key: value.clone()
                for key, value in trainer.accelerator.unwrap_model(trainer.model).state_dict().items()
            }
            torch.save({"weights": weights, "log": trainer.state.log_history}, folder / f"{name}.pt")
        trainer.accelerator.wait_for_everyone()
        del trainer
        gc.collect()
    print(json.dumps({"done": runs}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
