"""
A budget of thought: a thought that goes on after so many tokens is cut, and the answer asked for.

Two jobs, one after the other: completions of at most the budget, and answers that go on from those that were cut. Each is kept
as soon as it is there, as of any job. The paper does not limit thoughts so; that it can be done to any model is what shows
how accuracy grows with the length of its thoughts.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import ConfigError
from ..text import render_prompt
from ..trace import Trace
from .config import SamplingConfig
from .engine import Engine, engine_of
from .job import sample
from .prompts import load_tokenizer, prefilled, rendered


# What follows a thought that was cut, for the model to go on from.
ASK = "</think>the answer is \\boxed{"
_ANSWER_TOKENS = 32  # enough for an answer that goes into a box


def check_budget(config: SamplingConfig, key: str) -> None:
    """Raise [`~errors.ConfigError`] where there is no text for a cut thought to go on from."""
    if config.prompt_template == "chat" and not engine_of(config.backend).loads_model:
        raise ConfigError(
            f"expected none, or another `prompt_template`: through `backend: {config.backend}` a conversation cannot be "
            "gone on with in the middle of the model's turn",
            key=key,
        )


def sample_within_budget(
    model: str,
    rows: Iterable[Mapping[str, Any]],
    config: SamplingConfig,
    out_dir: str | os.PathLike[str],
    *,
    budget: int,
    engine: Engine | None = None,
    **arguments: Any,
) -> list[Trace]:
    """
    Sample completions whose thoughts have at most `budget` tokens.

    Args:
        model, rows, config, out_dir, **arguments:
            Those of [`~sampling.sample_to_shards`]; `max_completion_tokens` does not count. No `finish`: score the traces.
        budget (`int`):
            Tokens after which a completion is cut and the answer asked for.
        engine ([`~sampling.Engine`], *optional*):
            What samples. By default the one that the config names, loaded for each of the two jobs.

    Returns:
        `list[Trace]`: in the order of [`~sampling.sample`]; tokens are those of the thought and of the answer.
    """
    thinking = replace(config, max_completion_tokens=budget)
    answering = replace(
        thinking, prompt_template="plain", completion_prefix="", max_completion_tokens=_ANSWER_TOKENS, n_samples=1
    )
    of = [None, None] if engine is None else [engine.sampling_as(each) for each in (thinking, answering)]
    traces = list(sample(model, rows, thinking, os.path.join(out_dir, "thoughts"), engine=of[0], **arguments))
    cut = {f"{t.prompt_id}-{t.sample}": i for i, t in enumerate(traces) if t.finish_reason == "length"}
    if not cut:
        return traces
    prompts = _prompts(model, {traces[i].prompt for i in cut.values()}, config)
    thoughts = {name: traces[i].completion.split("</think>")[0] + ASK for name, i in cut.items()}
    asked = [
        # A sample's text begins with what the prompt contains of it.
        {"prompt_id": name, "prompt": text + thoughts[name][len(prefilled(text, config)) :]}
        for name, text in ((name, prompts[traces[i].prompt]) for name, i in cut.items())
    ]
    for answer in sample(model, asked, answering, os.path.join(out_dir, "answers"), engine=of[1], **arguments):
        i = cut[answer.prompt_id]
        traces[i] = replace(
            traces[i],
            completion=thoughts[answer.prompt_id] + answer.completion,
            finish_reason=answer.finish_reason,
            n_tokens=traces[i].n_tokens + answer.n_tokens,
        )
    return traces


def _prompts(model: str, questions: Iterable[str], config: SamplingConfig) -> dict[str, str]:
    """Return questions as the model sees them, with the start of the completion that the prompt contains."""
    if config.prompt_template != "chat":
        return {each: f"{render_prompt(config.prompt_template, each)}{config.completion_prefix}" for each in questions}
    tokenizer = load_tokenizer(model)
    # Tokenized as a text it gets the token with which a text begins; the chat template has written one.
    return {each: rendered(tokenizer, each, config).removeprefix(tokenizer.bos_token or "") for each in questions}
