"""Does a model that was trained on a chat template ever stop? Torch-free."""

import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io import read_json


_PROBE = "the end of a turn"


def check_end(model: str, tokenizer: Any, prompt_template: str, ends: list[int] | None = None) -> None:
    """
    Refuse a model of this run which is sampled through a chat template whose turns end in no token that ends a completion.

    An SFT through such a template teaches a token at which generation goes on: every completion is cut at its maximum
    length.

    Args:
        model (`str`):
            The model's folder. Others than those of the run pass: what they were trained on is not known.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            Its tokenizer.
        prompt_template (`str`):
            How it is prompted. Only `"chat"` has turns.
        ends (`list[int]`, *optional*):
            The tokens that end a completion; by default those of its generation config, and its tokenizer's.

    Raises:
        [`~errors.ConfigError`]: if no token that ends a turn ends a completion.
    """
    stage = os.environ.get("TRL_R1_STAGE_DIR")
    if prompt_template != "chat" or not stage or not Path(model).is_relative_to(Path(stage).parent):
        return
    if not tokenizer.chat_template:
        return  # refused where the prompt is rendered
    if ends is None:
        named = read_json(Path(model) / "generation_config.json").get("eos_token_id")
        ends = [*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    tail = tokenizer(text.rpartition(_PROBE)[2], add_special_tokens=False)["input_ids"]
    if not set(tail) & {end for end in ends if end is not None}:
        raise ConfigError(
            f"its completions never end: a turn of its chat template ends in {tokenizer.decode(tail)!r}, and generation "
            f"ends at {[tokenizer.decode([end]) for end in ends if end is not None]}; expected the same token. The `sft` "
            "stage takes it as `eos_token`",
            key="eos_token",
        )
