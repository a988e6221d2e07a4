"""
What a trainer is given, looked at before a model is loaded: rewards, data and tokenizer. Each of these would otherwise fail in
the middle of the first rollout, or score nothing without a word.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate.logging import get_logger

from ..errors import ConfigError, DataError, listed
from ..rewards.scheduled import gold_columns, missing_columns, name_of, required_columns


logger = get_logger(__name__)

# Columns that the stages add to what the data have.
_ADDED = {"prompt_id", "question", "source", "domain", "language"}


def check_rewards(rewards: Any, rows: Any = None, key: str = "reward_funcs") -> None:
    """
    Refuse rewards that a trainer would take and could not call, and rows that they cannot read.

    Args:
        rewards (`Callable`, `str`, `list`, *optional*):
            What TRL's trainer takes as `reward_funcs`.
        rows (`datasets.Dataset`, *optional*):
            The training data. A stream is not looked at.
        key (`str`, *optional*, defaults to `"reward_funcs"`):
            Under what name the user gave the rewards.

    Raises:
        [`~errors.ConfigError`]: a reward is a dotted name or a class.
        [`~errors.DataError`]: a column is missing, a prompt is no prompt, or no row has a reference answer that a reward of
            accuracy can read.
    """
    rewards = list(rewards) if isinstance(rewards, (list, tuple)) else [] if rewards is None else [rewards]
    for i, reward in enumerate(rewards):
        if isinstance(reward, str) and _is_dotted_name(reward):
            module, _, name = reward.rpartition(".")
            raise ConfigError(
                f"is the text {reward!r}, which would be looked for on the Hub as a reward model; expected the reward itself: "
                f"`from {module} import {name}`",
                key=f"{key}[{i}]",
            )
        if isinstance(reward, type):
            raise ConfigError(
                f"is the class `{reward.__name__}`; expected an instance of it: `{reward.__name__}()`",
                key=f"{key}[{i}]",
            )
    from datasets import Dataset

    if not isinstance(rows, Dataset):  # a stream, or one set for each name
        return
    columns = rows.column_names
    _check_prompts(rows, columns)
    domains = rows.unique("domain") if "domain" in columns else ()
    for i, reward in enumerate(rewards):
        if isinstance(reward, str) or hasattr(reward, "forward"):  # a model
            continue
        for column in missing_columns(reward, columns, domains):
            raise DataError(
                f"{name_of(reward)} reads the column {column!r}, which the data lack; they have "
                f"{listed(sorted({*columns} - _ADDED) or sorted(columns))}",
                key=f"{key}[{i}]",
            )
        _check_answers(reward, rows, f"{key}[{i}]")


def check_tokenizer(tokenizer: Any) -> None:
    """
    Refuse a tokenizer without a token to pad with, which the first batch would need.

    Raises:
        [`~errors.ConfigError`]: it has neither `pad_token` nor `eos_token`.
    """
    if tokenizer.pad_token_id is None:
        raise ConfigError(
            "the tokenizer has neither `pad_token` nor `eos_token`; expected one of them, which pads completions: "
            "`tokenizer.pad_token = ...`, a token of its vocabulary",
            key="processing_class",
        )


def without_moving_reference(model: Any, args: Any, peft_config: Any) -> None:
    """Switch off `sync_ref_model` with PEFT, where it is on by default: the reference is the base, the adapter left out."""
    from accelerate.utils import is_peft_model

    has_adapter = peft_config is not None or (not isinstance(model, str) and is_peft_model(model))
    if has_adapter and args.sync_ref_model and getattr(args, "sync_ref_model_by_default", False):
        logger.warning("With PEFT there is no reference model to replace: `sync_ref_model` is off.")
        args.sync_ref_model = False


def _is_dotted_name(text: str) -> bool:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", text) or Path(text).exists():
        return False
    return find_spec(text.partition(".")[0]) is not None


def _check_prompts(rows: Any, columns: Sequence[str]) -> None:
    if "prompt" not in columns:
        raise DataError(f"the data have no column `prompt`; they have {listed(columns)}", key="train_dataset")
    prompt = rows[0]["prompt"] if len(rows) else ""
    messages = isinstance(prompt, list) and all(isinstance(each, Mapping) and "role" in each for each in prompt)
    if not isinstance(prompt, str) and not (messages and prompt):
        raise DataError(
            f"the first prompt is {str(prompt)[:80]!r}, a {type(prompt).__name__}; expected text, or a list of messages such as "
            "{'role': 'user', 'content': ...}",
            key="train_dataset",
        )


def _check_answers(reward: Any, rows: Any, key: str) -> None:
    """Refuse data of which no row has a reference answer that the reward reads: it would be `None` throughout."""
    inner = getattr(reward, "reward", reward)
    reads, domains = getattr(inner, "reads_gold", None), getattr(reward, "domains", None)
    if not callable(reads):
        return
    first, judged = None, 0
    for row in rows.select_columns(gold_columns(inner, rows.column_names)):
        if domains is None or row.get("domain") in domains:
            if reads(row):
                return
            first = first if judged else {name: row[name] for name in required_columns(inner)}
            judged += 1
    if judged:
        raise DataError(
            f"{name_of(reward)} can read a reference answer in none of the {judged} rows that it is to score, so that it would "
            f"say nothing of any completion; expected answers in {listed(required_columns(inner))}. The first row has "
            f"{str(first)[:120]}",
            key=key,
        )
