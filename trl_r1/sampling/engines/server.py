"""
The engine `server`: any server that speaks the OpenAI protocol. See [`~model_server.Server`] for what servers differ in.

`transformers serve` is greedy unless the model's generation config says otherwise: a server that answers a prompt n
times alike at a temperature above 0 is reported. A prompt that the server refuses is left out and counted.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ...errors import ConfigError
from ...model_server import Connection, PromptRefused, Server, run_coroutine
from ...text import render_prompt
from ..config import SamplingConfig
from ..engine import Engine, Sample


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
        prefix = self.config.completion_prefix
        refusals: list[str] = []

        async def complete(connection: Connection, i: int) -> list[Sample]:
            prompt = render_prompt(self.config.prompt_template, questions[i])
            if isinstance(prompt, str):
                prompt += prefix
            try:
                # Room for the seeds of repeated requests between those of two prompts.
                choices = await connection.complete(prompt, n, seed=(seed + 1009 * i) % 2**31, **parameters)
            except PromptRefused as error:
                refusals.append(str(error))
                return []
            return [Sample(prefix + choice.text, choice.finish_reason, choice.n_tokens) for choice in choices]

        async def complete_all() -> list[list[Sample]]:
            async with self.server.connect() as connection:
                return await asyncio.gather(*(complete(connection, i) for i in range(len(questions))))

        completions = run_coroutine(complete_all())
        if refusals and len(refusals) == len(questions):
            raise ConfigError(f"the server refuses every prompt: {refusals[0]}", key="base_url")
        if refusals:
            logger.warning("the server refused %d of %d prompts: %s", len(refusals), len(questions), refusals[0])
        self._look_for_greedy(completions)
        return completions

    def _look_for_greedy(self, completions: list[list[Sample]]) -> None:
        several = [samples for samples in completions if len(samples) > 1]
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
