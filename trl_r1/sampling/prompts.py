"""
From questions to token ids, alike for every engine that loads a model.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..ids import parse_hub_id
from ..text import render_prompt
from .config import SamplingConfig


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_OPENING = re.compile(r"<think>\s*$")


def load_tokenizer(model: str) -> "PreTrainedTokenizerBase":
    """Load a tokenizer that pads on the left, as generation in batches needs it."""
    from transformers import AutoTokenizer

    name, revision = parse_hub_id(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, padding_side="left")
    except (OSError, ValueError) as error:
        raise ConfigError(f"its tokenizer cannot be loaded: {error}", file=model, key="model_name_or_path") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", questions: Sequence[str], config: SamplingConfig
) -> tuple[list[list[int]], list[str]]:
    """
    Turn questions into token ids, tokenized as TRL tokenizes prompts in training.

    Returns:
        `tuple`: the ids of each prompt, and the start of the completion that each prompt contains.
    """
    texts = [rendered(tokenizer, question, config) for question in questions]
    prefixes = [prefilled(text, config) for text in texts]
    # A chat template writes the special tokens itself.
    ids = tokenizer(texts, add_special_tokens=config.prompt_template != "chat")["input_ids"]
    return ids, prefixes


def rendered(tokenizer: "PreTrainedTokenizerBase", question: str, config: SamplingConfig) -> str:
    """Return a question as the model sees it, with `completion_prefix`."""
    prompt: Any = render_prompt(config.prompt_template, question)
    if not isinstance(prompt, str):
        try:
            prompt = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        except ValueError as error:
            raise ConfigError(
                f"`chat` needs a chat template; a model of R1-Zero takes `r1_zero`: {error}", key="prompt_template"
            ) from error
    text: str = prompt + config.completion_prefix
    return text


def prefilled(prompt: str, config: SamplingConfig) -> str:
    """Return the start of the completion that a rendered prompt contains: `completion_prefix`, or an opened thought."""
    opened = _OPENING.search(prompt)
    return config.completion_prefix or (opened[0] if opened else "")
