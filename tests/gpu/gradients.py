"""
Gradients of `R1GRPOTrainer` with every switch on against those of TRL's trainer: same weights, same completions.

In float32 both may differ by the order of sums alone. In bfloat16 both are compared with TRL's gradient in float32: ours
must not be further from it than TRL's own is.
"""

import functools
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.utils import is_flash_attn_2_available
from trl import GRPOTrainer

from tests.grpo.scripted import Script, error
from tests.grpo.scripted import run as train
from tests.grpo.tiny import VOCABULARY, make_tokenizer
from trl_r1 import R1GRPOTrainer

from .results import Part


FLOAT32_AT_MOST = 1e-4
BFLOAT16_AT_MOST = 1.25
LOSSES = (("grpo", 0.0), ("grpo", 0.1), ("dapo", 0.0), ("dr_grpo", 0.0))


def run(part: Part) -> None:
    """Compare, loss by loss."""
    longest = 24 if part.tiny else 512
    model = save_model(part.work / "model", part.tiny)
    switches = {
        "trim_padding": True,
        "group_by_length": True,
        "max_tokens_per_micro_batch": longest + 32,
        "skip_zero_advantage": True,
    }
    attentions = {"sdpa": True, "flash_attention_2": part.device == "cuda" and is_flash_attn_2_available()}
    for attention, there in attentions.items():
        if not there:
            part.leave_out(attention, "it is not installed, or there is no GPU")
    took = 0.0
    for loss_type, beta in LOSSES[:2] if part.tiny else LOSSES:
        what = f"{loss_type}, beta {beta:g}"
        if not part.has_time_for(what, took):
            continue
        begun = part.seconds_used()
        gradients = functools.partial(train_once, part, model, longest, loss_type=loss_type, beta=beta)
        on = {name: value for name, value in switches.items() if beta == 0 or name != "skip_zero_advantage"}
        exact = gradients(GRPOTrainer, "sdpa", "float32")
        difference = error(gradients(R1GRPOTrainer, "sdpa", "float32", **on), exact)
        part.row({"loss": what, "dtype": "float32", "attention": "sdpa", "ours_to_trl": difference})
        part.check(f"{what}, float32, sdpa: relative difference", difference, at_most=FLOAT32_AT_MOST)
        for attention in (name for name, there in attentions.items() if there):
            trl = gradients(GRPOTrainer, attention, "bfloat16")
            ours = gradients(R1GRPOTrainer, attention, "bfloat16", **on)
            errors = {"trl_to_float32": error(trl, exact), "ours_to_float32": error(ours, exact)}
            what_else = {"dtype": "bfloat16", "attention": attention, "ours_to_trl": error(ours, trl)}
            part.row({"loss": what, **what_else, **errors})
            part.check(
                f"{what}, bfloat16, {attention}: our error in units of TRL's",
                errors["ours_to_float32"] / errors["trl_to_float32"],
                at_most=BFLOAT16_AT_MOST,
            )
        took = part.seconds_used() - begun


def train_once(part: Part, model: str, longest: int, trainer: type, attention: str, dtype: str, **changes: Any) -> Any:
    """Two steps, the second away from the reference; return the trainer, which has kept their gradients."""
    return train(
        trainer,
        model,
        part.work / "run",
        Script(longest, zero_std=(1,)),
        max_completion_length=longest,
        learning_rate=0.01,
        use_cpu=part.device == "cpu",
        bf16=dtype == "bfloat16",
        model_init_kwargs={"dtype": "float32", "attn_implementation": attention},
        **changes,
    )


def save_model(folder: Path, tiny: bool) -> str:
    """Save a Qwen3 with random weights, large enough for differences between rows."""
    torch.manual_seed(0)
    width, layers = (64, 2) if tiny else (512, 6)
    Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(VOCABULARY), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
            num_attention_heads=width // 32, num_key_value_heads=width // 64, head_dim=64, pad_token_id=0,
            eos_token_id=1, bos_token_id=None, initializer_range=0.1,
        )
    ).save_pretrained(folder)  # fmt: skip
    make_tokenizer().save_pretrained(folder)
    return str(folder)
