"""
The sampling engine of a rehearsal: the engine that the recipe names writes a few tokens, for its own errors' sake; then
the completions of [`~rehearsal.completions`] take the place of what it wrote.

`TRL_R1_REHEARSED_BACKEND` names that engine, since `backend` names this module. With `TRL_R1_REHEARSED_IN_FULL`
(`trl-r1 run --smoke`) it writes all that the stage asks for, and to the maximum length.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..data import load_rows
from ..errors import StageError
from ..sampling import Engine, Request, Sample, SamplingConfig, engine_of
from ..sampling.engine import FAILED
from ..sampling.engines.transformers import TransformersEngine
from ..text import chat_template_opens_thought, render_prompt, style_of_template
from .completions import completions_of
from .ends import check_end
from .engine_names import BACKEND_VARIABLE, FULL_VARIABLE, TOKENS_VARIABLE


# What the engine itself is asked for.
QUESTIONS, SAMPLES, TOKENS = 2, 2, 8

_Inner = engine_of(os.environ.get(BACKEND_VARIABLE, "transformers"))


class RehearsalEngine(Engine):
    """The configured engine for a few tokens, and completions that are right or spoilt."""

    loads_model = _Inner.loads_model
    needs_own_process = _Inner.needs_own_process

    def __init__(self, model: str, config: SamplingConfig) -> None:
        super().__init__(model, config)
        name = os.environ.get(BACKEND_VARIABLE, "transformers")
        self.in_full = FULL_VARIABLE in os.environ
        tokens = config.max_completion_tokens if self.in_full else TOKENS
        self.inner = _Inner(model, dataclasses.replace(config, backend=name, max_completion_tokens=tokens))
        if self.in_full and isinstance(self.inner, TransformersEngine):
            self.inner.generation.min_new_tokens = tokens  # vLLM's memory does not grow with what it samples
        self.tokenizer: Any = getattr(self.inner, "tokenizer", None)
        if self.tokenizer is not None:
            check_end(model, self.tokenizer, config.prompt_template)
        self.stage = _stage_config()
        self.rows = _rows(self.stage)

    @classmethod
    def check(cls, config: SamplingConfig) -> None:
        """Refuse what the configured engine refuses."""
        _Inner.check(config)

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """Complete each question `n` times. See [`~sampling.Engine`]."""
        if not self.in_full:
            self._have_sampled(questions[:QUESTIONS], min(n, SAMPLES), seed)
        else:
            self._have_sampled(questions, n, seed)
        style = self._style()
        return [
            [
                Sample(self._begun(one.text), one.finish_reason, self._length(one.text))
                for one in completions_of(self.rows.get(question) or {"prompt": question}, n, style, i)
            ]
            for i, question in enumerate(questions)
        ]

    def _have_sampled(self, questions: Sequence[str], n: int, seed: int) -> None:
        """Have the configured engine sample, for its own errors' sake."""
        if not self.inner.rolling:
            self.inner.generate(questions, n, seed)
            return
        requests = iter([Request(question, seed + i) for question in questions for i in range(n)])
        for _, sample in self.inner.complete(requests):
            if sample.finish_reason == FAILED:
                raise StageError(sample.text)

    def close(self) -> None:
        """Close the configured engine."""
        self.inner.close()

    def _style(self) -> str:
        prompt = render_prompt(self.config.prompt_template, "")
        template = prompt if isinstance(prompt, str) else getattr(self.tokenizer, "chat_template", None)
        return style_of_template(template) if isinstance(template, str) else "think"

    def _begun(self, text: str) -> str:
        """The completion with what the prompt contains of it."""
        prefix = self.config.completion_prefix
        if not prefix and self.config.prompt_template == "chat" and self.tokenizer is not None:
            prefix = "<think>\n" if chat_template_opens_thought(self.tokenizer) else ""
        return text if text.startswith(prefix.rstrip()) else prefix + text

    def _length(self, text: str) -> int:
        """A length in tokens that the stage's rules let pass where any does: these texts are shorter than real ones."""
        rules = self.stage.get("rules") or {}
        length = len(self.tokenizer(text)["input_ids"]) + 1 if self.tokenizer is not None else len(text) // 3
        length = max(length, rules.get("min_tokens") or 0)
        longest = int(os.environ.get(TOKENS_VARIABLE, self.config.max_completion_tokens))
        return min(length, rules.get("max_tokens") or length, longest)


def _stage_config() -> dict[str, Any]:
    path = Path(os.environ.get("TRL_R1_STAGE_DIR", "")) / "config.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _rows(stage: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = load_rows(stage["data"], "prompts", seed=stage.get("seed") or 0) if stage.get("data") else []
    return {row["prompt"]: row for row in rows}


ENGINE = RehearsalEngine
