"""
The engine `server`: any server that speaks the OpenAI protocol. See [`~model_server.Server`] for what servers differ in.

`transformers serve` is greedy unless the model's generation config says otherwise: a server that answers a prompt n
times alike at a temperature above 0 is reported. A prompt that the server refuses is left out and counted.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from ...errors import ConfigError
from ...model_server import Connection, PromptRefused, Server, run_coroutine
from ...text import render_prompt, thoughts_opened
from ..config import SamplingConfig
from ..engine import Engine, Sample, prompt_seed
from ..prompts import prefilled


logger = logging.getLogger(__name__)


class ServerEngine(Engine):
    """A model at a server: `server_model` of the config, or else `model`, is its name there."""

    loads_model = False

    def __init__(self, model: str, config: SamplingConfig) -> None:
        super().__init__(model, config)
        self.server = Server(
            base_url=config.base_url or "",
            model=config.server_model or model,
            api_key_variable=config.api_key_variable,
            timeout_seconds=config.server_timeout_seconds,
            retries=config.server_retries,
            concurrency=config.server_concurrency,
        )
        self._warned = False
        self._answers = False  # whether it has taken a prompt yet
        # What the server's chat template writes of the completion; `None` while nobody knows.
        self._opening = None if config.prompt_template == "chat" else ""

    @classmethod
    def check(cls, config: SamplingConfig) -> None:
        """Refuse a config without an address, or with a prefix that the chat API cannot take."""
        if not config.base_url:
            raise ConfigError("expected the server's address, since `backend` is `server`", key="base_url")
        if config.completion_prefix and config.prompt_template == "chat":
            raise ConfigError(
                "a server's chat API cannot start the model's completion; expected another `prompt_template`",
                key="completion_prefix",
            )

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """Complete each question `n` times. See [`~sampling.Engine`]."""
        parameters: dict[str, Any] = {
            "temperature": self.config.temperature,
            "top_p": self.config.top_p,
            "max_tokens": self.config.max_completion_tokens,
        }
        if self.config.top_k:
            parameters["top_k"] = self.config.top_k
        asked = 1 if self.config.temperature == 0 else n  # greedy ones are all alike, and vLLM refuses to give several
        refusals: list[str] = []

        async def complete(connection: Connection, i: int) -> list[Sample]:
            prompt = self._prompt(questions[i])
            try:
                choices = await connection.complete(prompt, asked, seed=prompt_seed(seed, i, n), **parameters)
            except PromptRefused as error:
                refusals.append(str(error))
                return [Sample.missing("refused")] * n
            self._answers = True
            prefix = prefilled(prompt, self.config) if isinstance(prompt, str) else ""
            samples = [Sample(prefix + choice.text, choice.finish_reason, choice.n_tokens) for choice in choices]
            return samples * (n // asked)

        async def complete_all() -> list[list[Sample]]:
            async with self.server.connect() as connection:
                if self._opening is None:
                    end = await connection.prompt_end([{"role": "user", "content": "?"}])
                    self._opening = None if end is None else prefilled(end, self.config)
                completions = await asyncio.gather(*(complete(connection, i) for i in range(len(questions))))
                if refusals and not self._answers:  # these prompts, or every prompt?
                    try:
                        await connection.complete(self._prompt("1 + 1 = ?"), 1, **parameters)
                    except PromptRefused as error:
                        raise ConfigError(f"the server refuses every prompt: {error}", key="base_url") from error
                    self._answers = True
                return completions

        completions = run_coroutine(complete_all())
        if refusals:
            logger.warning("the server refused %d of %d prompts: %s", len(refusals), len(questions), refusals[0])
        self._look_for_greedy(completions)
        return self._with_opening(completions) if self.config.prompt_template == "chat" else completions

    def _prompt(self, question: str) -> str | list[dict[str, str]]:
        prompt = render_prompt(self.config.prompt_template, question)
        return prompt + self.config.completion_prefix if isinstance(prompt, str) else prompt

    def _with_opening(self, completions: list[list[Sample]]) -> list[list[Sample]]:
        """
        Put back the `<think>` that the server's chat template wrote. Where the server does not say what that writes, a
        completion that closes a thought without opening one tells it.
        """
        if self._opening is None:
            texts = [sample.text for samples in completions for sample in samples]
            self._opening = "<think>\n" if any(thoughts_opened([[]] * len(texts), texts)) else None
        if not self._opening:
            return completions
        return [
            [
                # A server that parses thoughts has given it whole; what it refused is no completion.
                sample
                if sample.text.startswith("<think>") or sample.finish_reason == "refused"
                else dataclasses.replace(sample, text=self._opening + sample.text)
                for sample in samples
            ]
            for samples in completions
        ]

    def _look_for_greedy(self, completions: list[list[Sample]]) -> None:
        several = [samples for samples in completions if len(samples) > 1 and samples[0].finish_reason != "refused"]
        alike = sum(len({sample.text for sample in samples}) == 1 for samples in several)
        if self.config.temperature > 0 and len(several) >= 4 and alike == len(several) and not self._warned:
            self._warned = True
            logger.warning(
                "the server gave only equal completions for each of %d prompts at temperature %g: does it sample? "
                "(`transformers serve` does so only where the model's generation config says `do_sample: true`)",
                alike,
                self.config.temperature,
            )


ENGINE = ServerEngine
