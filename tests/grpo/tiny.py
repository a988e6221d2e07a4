"""A model of a few thousand parameters with a tokenizer of its own, made on the spot, and data for it."""

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from trl_r1 import R1GRPOConfig, R1SFTConfig


WORDS = "<think> </think> wait but check so the sum of and is equal to what ? . : user assistant one two three"
VOCABULARY = ["<pad>", "<eos>", "<unk>", *map(str, range(10)), *WORDS.split()]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ' : ' + message['content'] + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


def save_tiny_model(folder: Path, seed: int = 0) -> str:
    """Save a Qwen3 with random weights and its tokenizer; return the path."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        initializer_range=0.5,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def sums(n: int = 12) -> Dataset:
    """Prompts with what our stages give them: `question`, `solution`, `domain`, `language`, `prompt_id`."""
    pairs = [(i % 5, (3 * i) % 5) for i in range(n)]
    return Dataset.from_dict(
        {
            "prompt": [f"what is the sum of {a} and {b} ?" for a, b in pairs],
            "question": [f"sum of {a} and {b} ?" for a, b in pairs],
            "solution": [str(a + b) for a, b in pairs],
            "domain": ["even" if (a + b) % 2 == 0 else "odd" for a, b in pairs],
            "language": ["en"] * n,
            "prompt_id": [f"p{i}" for i in range(n)],
        }
    )


class DigitReward:
    """Share of a completion's words that are digits above 4. A class at module level, so that it can be pickled."""

    __name__ = "digits"

    def __call__(self, *, completions: list[str], **columns: Any) -> list[float]:
        return [sum(w.isdigit() and int(w) > 4 for w in c.split()) / max(1, len(c.split())) for c in completions]


def grpo_config(folder: Path, **changes: Any) -> R1GRPOConfig:
    """A config for a run of seconds on a CPU, in single precision, that logs and saves at every step."""
    settings = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "max_completion_length": 8,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "max_steps": 6,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 3,
    }
    return R1GRPOConfig(**{**settings, **changes})


def told(n: int = 24) -> Dataset:
    """Prompts with completions from two sources of different lengths."""
    return Dataset.from_dict(
        {
            "prompt": [f"what is {i % 10} and {i % 7} ? " for i in range(n)],
            "completion": [f"<think> wait {i % 10} </think> {'so ' * (i % 3)}{i % 5}" for i in range(n)],
            "source": ["one" if i % 3 else "two" for i in range(n)],
        }
    )


def sft_config(folder: Path, **changes: Any) -> R1SFTConfig:
    """As [`grpo_config`]."""
    settings = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "max_length": 64,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "max_steps": 6,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 3,
    }
    return R1SFTConfig(**{**settings, **changes})
