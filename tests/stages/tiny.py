"""A model, a tokenizer and data so small that a stage trains in seconds. All seeded, made on the spot."""

import json
import random
from pathlib import Path

import yaml


CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}User : {{ message['content'] }} Assistant : "
    "{% else %}{{ message['content'] }} <eos>{% endif %}{% endfor %}"
)
WORDS = ("User", "Assistant", "what", "is", "plus", "the", "sum", "answer", "so", "that", "<think>", "</think>")
SIGNS = (":", "?", ".", "=", "+", "\\boxed{", "}")


def make_model(
    path: Path,
    seed: int = 0,
    hidden_size: int = 16,
    layers: int = 2,
    positions: int = 128,
    words: tuple[str, ...] = (),
) -> Path:
    """Save a Qwen3 of a few thousand parameters with a tokenizer that knows the words of the data, and more `words`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    vocabulary = ["<pad>", "<eos>", "<unk>", *WORDS, *SIGNS, *map(str, range(40)), *words]
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    # Not a Qwen2: for that type AutoTokenizer takes Qwen2's tokenizer, whatever was saved, and drops every other word.
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=hidden_size // 2,
        max_position_embeddings=positions,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        attention_dropout=0.0,
    )
    Qwen3ForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def save_adapter(base: Path | str, path: Path) -> Path:
    """Save a LoRA adapter of a model, with random weights that count, and the model's tokenizer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    targets = ["q_proj", "v_proj", "o_proj"]
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules=targets))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=1.0)
    adapted.save_pretrained(path)
    AutoTokenizer.from_pretrained(base).save_pretrained(path)
    return path


def make_data(path: Path, rows: int = 64, seed: int = 0) -> Path:
    """Write sums as prompts, with an answer, a completion, and a better and a worse response."""
    numbers = random.Random(seed)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(rows):
            a, b = numbers.randrange(20), numbers.randrange(20)
            wrong = (a + b + numbers.randrange(1, 9)) % 40
            row = {
                "prompt": f"what is {a} + {b} ?",
                "solution": str(a + b),
                "completion": f"<think> the sum is {a + b} . </think> so the answer is \\boxed{{ {a + b} }}",
                "chosen": f"<think> the sum is {a + b} . </think> \\boxed{{ {a + b} }}",
                "rejected": f"<think> the sum is {wrong} . </think> \\boxed{{ {wrong} }}",
                "domain": "math",
                "language": "en",
            }
            file.write(json.dumps(row) + "\n")
    return path


def make_config(path: Path, base: dict, **changes) -> Path:
    """Write a stage's YAML: `base` with changes; a change to `...` removes its key."""
    config = {key: value for key, value in {**base, **changes}.items() if value is not ...}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def digits(completions: list, **columns) -> list[float]:
    """A reward that differs between the samples of an untrained model: the share of words that are numbers."""
    texts = [each if isinstance(each, str) else each[-1]["content"] for each in completions]
    words = [text.split() or [""] for text in texts]
    return [sum(word.isdigit() for word in each) / len(each) for each in words]


def unjudged(completions: list, **columns) -> list[None]:
    """A reward that can judge nothing."""
    return [None] * len(completions)


def right(completions: list, **columns) -> list[float]:
    """A reward of accuracy that finds every answer right."""
    return [1.0] * len(completions)
