"""
R1-Zero of a model of 27 million parameters, from nothing: pre-trained in the playground's world, then trained by RL alone.

The recipe is the playground's (`recipes/playground/r1_zero.yaml`). What the width of the model changes: learning rates go
down with it, as 64 / width. Weights are in single precision, the passes of RL in bfloat16.
"""

import math
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from tests.benchmarks.grpo_to_target import Playground
from trl_r1 import R1GRPOConfig, R1GRPOTrainer
from trl_r1.playground.config import PlaygroundConfig
from trl_r1.playground.pretrain import Pretraining
from trl_r1.playground.tokenizer import make_tokenizer
from trl_r1.stages.playground import write_data

from .results import Part


FULL = {
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "head_dim": 64,
    "intermediate_size": 1536,
    "documents_per_step": 64,
    "noisy_steps": 300,
}
TINY = {"documents_per_step": 8, "noisy_steps": 20, "train_prompts": 64, "heldout_prompts": 16}
WIDTH, RATE = 64, 1.2e-3  # the recipe's
LOGGED = (
    "reward",
    "completions/mean_length",
    "frac_reward_zero_std",
)  # means over the steps since the last evaluation
BASE_SHARE = 0.45  # of the part's time, for pre-training
STANDARD_ERRORS = 3  # between the base and what RL made of it


def run(part: Part, changes: dict[str, Any] | None = None) -> None:
    """Pre-train, train, and report the curve."""
    sizes = TINY if part.tiny else FULL | (changes or {})
    config = PlaygroundConfig(output_dir=str(part.work / "base"), **sizes)
    write_data(config)
    tokenizer = make_tokenizer()
    begun = time.perf_counter()
    with torch.device(part.device):  # what the package does not move, is made there
        pretraining = Pretraining(config, tokenizer)
        # One tensor's rate in TRL's units of the width, see above; Muon's does not depend on it.
        pretraining.optimizers[1].defaults["lr"] *= WIDTH / config.hidden_size
        pretraining.optimizers[1].param_groups[0]["lr"] = pretraining.optimizers[1].defaults["lr"]
        if part.tiny:
            pretraining.skilled_at = 0  # no time to wait for skills
        while not pretraining.done:
            pretraining.step()
            if part.seconds_used() > BASE_SHARE * part.seconds:
                break
    history = pretraining.history[-1] if pretraining.history else {}
    model = pretraining.model.eval()
    model.save_pretrained(part.work / "base" / "model")
    tokenizer.save_pretrained(part.work / "base" / "model")
    part.note(
        parameters=sum(p.numel() for p in model.parameters()),
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
        pretraining_steps=pretraining.steps,
        pretraining_seconds=round(time.perf_counter() - begun, 1),
        pretraining_finished=pretraining.done,
        skills=history.get("skills"),
    )
    _reinforce(part, config)


def _reinforce(part: Part, config: PlaygroundConfig) -> None:
    playground = Playground(Path(config.output_dir), samples=2 if part.tiny else 4, max_steps=4 if part.tiny else 120)
    cuda = part.device == "cuda"
    args = R1GRPOConfig(
        **{
            **playground.config,
            "output_dir": str(part.work / "zero"),
            "use_cpu": not cuda,
            "bf16": cuda,
            "per_device_train_batch_size": 16 if part.tiny else 128,
            "learning_rate": RATE * WIDTH / config.hidden_size,
            "logging_steps": 1,
            "seed": 1,
        }
    )
    trainer = R1GRPOTrainer(
        str(Path(config.output_dir) / "model"), playground.rewards, args, playground.prompts("train", seed=1)
    )
    trainer.remove_callback(PrinterCallback)
    curve = Curve(part, playground, trainer, every=2 if part.tiny else 10)
    trainer.add_callback(curve)
    curve.evaluate(0)
    trainer.train()
    first, last = part.rows[0], part.rows[-1]
    part.note(learning_rate=args.learning_rate, steps_planned=args.max_steps)
    spread = math.hypot(first["stderr"], last["stderr"])
    if not part.tiny:
        gained = (last["pass@1"] - first["pass@1"]) / max(spread, 1e-9)
        part.check("gain in standard errors", gained, at_least=STANDARD_ERRORS)


class Curve(TrainerCallback):
    """Held-out pass@1 along the training, which ends in time."""

    def __init__(self, part: Part, playground: Playground, trainer: R1GRPOTrainer, every: int):
        self.part, self.playground, self.trainer, self.every = part, playground, trainer, every
        self.taken = 0.0

    def evaluate(self, step: int) -> None:
        begun = time.perf_counter()
        random_state = random.getstate()
        value, error = self.playground.pass_at_1(self.trainer.model, self.trainer.processing_class)
        random.setstate(random_state)
        logs = [entry for entry in self.trainer.state.log_history if "reward" in entry][-self.every :]
        means = {name: statistics.mean(entry[name] for entry in logs) if logs else None for name in LOGGED}
        self.part.row(
            {
                "step": step,
                "train_seconds": round(self.taken, 1),
                "pass@1": value,
                "stderr": error,
                **means,
            }
        )
        self.evaluation_seconds = time.perf_counter() - begun

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.begun = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        took = time.perf_counter() - self.begun
        self.taken += took
        # Two steps, since the last may have been a short one, and the evaluation at the end.
        late = self.part.seconds_left() < 2 * took + 2 * self.evaluation_seconds
        if late:
            control.should_training_stop = True
            self.part.note(stopped_at_step=state.global_step)
        if late or state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self.evaluate(state.global_step)
