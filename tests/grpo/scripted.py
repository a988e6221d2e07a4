"""Trainers that train on completions written down beforehand, so that two of them can be compared step by step."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback

from .tiny import VOCABULARY, grpo_config


EOS = 1
GROUP = 4


class Script:
    """
    Which completions are sampled and what they earn, the same in every run.

    Args:
        longest (`int`, *optional*, defaults to `24`):
            Tokens of the longest completion; the others are ragged.
        zero_std (`tuple[int, ...]`, *optional*, defaults to `()`):
            Groups of each rollout, by number, in which all completions earn the same.
        equal (`float`, *optional*, defaults to `1.0`):
            What they earn there.
        cut (`int`, *optional*, defaults to `0`):
            Every how manyth completion is cut by the limit, that is, does not end.
        group (`int`, *optional*, defaults to `4`):
            Completions of a group.
    """

    def __init__(
        self, longest: int = 24, zero_std: tuple[int, ...] = (), equal: float = 1.0, cut: int = 0, group: int = GROUP
    ):
        self.group = group
        self.longest = longest
        self.zero_std = zero_std
        self.equal = equal
        self.cut = cut
        self.calls = 0

    def completions(self, number: int, rank: int = 0) -> list[list[int]]:
        generator = torch.Generator().manual_seed(1000 * self.calls + rank)
        self.calls += 1
        # Most are short, a few are long.
        lengths = (self.longest * torch.rand(number, generator=generator) ** 3).int().clamp(min=1).tolist()
        lengths[number // 2] = self.longest
        written = [torch.randint(2, len(VOCABULARY), (n,), generator=generator).tolist() for n in lengths]
        for row, ids in enumerate(written):
            if not self.cut or row % self.cut:
                ids[-1] = EOS
        return written


def scripted(trainer_class: type, script: Script) -> type:
    """The trainer, which samples nothing and reads the script instead."""

    class Scripted(trainer_class):
        def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
            written = script.completions(len(prompt_ids), self.accelerator.process_index)
            # What vLLM would say of them, where it is asked.
            sampled = [[-2.0 - 0.1 * (i % 7) for i in range(len(ids))] for ids in written]
            return written, sampled if self.use_vllm else None

    Scripted.__name__ = trainer_class.__name__
    return Scripted


class Graded:
    """Rewards 0 and 1 in a fixed order; in groups without variance all the same."""

    __name__ = "graded"

    def __init__(self, script: Script):
        self.script = script

    def __call__(self, *, completions: list[Any], **columns: Any) -> list[float]:
        group = self.script.group
        return [
            self.script.equal if row // group in self.script.zero_std else float((row * 7 + row // group) % 3 == 0)
            for row in range(len(completions))
        ]


class Recorder(TrainerCallback):
    """Keeps the gradient of every optimizer step."""

    def __init__(self):
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})


def questions(n: int = 24, conversational: bool = False) -> Dataset:
    """Prompts of different lengths."""
    prompts = [f"what is the sum of {i % 5} {'and one ' * (i % 4)}?" for i in range(n)]
    if conversational:
        return Dataset.from_dict({"prompt": [[{"role": "user", "content": prompt}] for prompt in prompts]})
    return Dataset.from_dict({"prompt": prompts})


def config(folder: Path, **changes: Any) -> Any:
    """Two optimizer steps of three micro-batches of four rows each, with nothing that hides a gradient."""
    settings = {
        "optim": "sgd",
        "learning_rate": 0.1,
        "max_grad_norm": 0.0,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 3,
        "num_generations": GROUP,
        "max_steps": 2,
        "save_strategy": "no",
        "beta": 0.0,
        "sync_ref_model": False,
        "max_completion_length": 24,
        "use_bias_correction_kl": False,
        "languages": ["en", "zh"],
        **dict.fromkeys(("trim_padding", "group_by_length", "skip_zero_advantage"), False),
        **changes,
    }
    return grpo_config(folder, **settings)


def run(trainer_class: type, model: Any, folder: Path, script: Script | None = None, **changes: Any) -> Any:
    """
    Train by a script.

    Returns:
        the trainer, with `recorded`, the gradients of its steps, and `losses`.
    """
    script = script or Script()
    script.calls = 0
    data = questions(conversational=changes.pop("conversational", False))
    peft_config, vllm = changes.pop("peft_config", None), changes.pop("vllm", False)
    recorder = Recorder()
    trainer = scripted(trainer_class, script)(
        model,
        Graded(script),
        config(folder, **changes),
        data,
        callbacks=[recorder],
        peft_config=peft_config,
    )
    trainer.use_vllm = vllm
    trainer.train()
    trainer.recorded = recorder.gradients
    trainer.losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return trainer


def error(ours: Any, stock: Any) -> float:
    """The largest relative difference of a step's whole gradient, in the norm."""
    assert len(ours.recorded) == len(stock.recorded) > 0
    worst = 0.0
    for one, other in zip(ours.recorded, stock.recorded):
        assert one.keys() == other.keys() != set()
        difference = torch.cat([(one[name] - other[name]).flatten() for name in other]).double().norm()
        size = torch.cat([value.flatten() for value in other.values()]).double().norm()
        assert size > 0
        worst = max(worst, (difference / size).item())
    return worst
