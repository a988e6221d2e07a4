"""
Sampling by any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, `transformers serve`, a hosted API.

Servers differ in what they honour. `transformers serve` drops `n` and is greedy unless the model's generation config
says otherwise: so the choices of every answer are counted, missing ones asked for again with another seed, and a
server that answers a prompt n times alike at a temperature above 0 is reported. A request that fails for now (429,
5xx, no connection) is tried again after a wait that doubles; a prompt that the server refuses is left out and counted.
"""

import http.client
import json
import logging
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, StageError
from ..text import render_prompt
from .config import SamplingConfig
from .shards import Sample


logger = logging.getLogger(__name__)

# The server refuses the request whatever the prompt: no key, no such path, no such model.
_WRONG_SET_UP = (401, 403, 404, 405)


class PromptRefused(Exception):
    """The server refuses this prompt (too long, filtered); it may take the next one."""


@dataclass
class Server:
    """
    A client of an OpenAI-compatible server.

    Args:
        base_url (`str`):
            Where its API starts, such as `http://localhost:8000/v1`.
        model (`str`):
            The model's name there.
        api_key (`str`, *optional*):
            Its key.
        timeout_seconds (`float`, *optional*, defaults to `600.0`):
            How long one request may take.
        retries (`int`, *optional*, defaults to `6`):
            How often a request that failed for now is tried again.
        wait (`Callable`, *optional*, defaults to `time.sleep`):
            How to wait, in seconds.
    """

    base_url: str
    model: str
    api_key: str | None = None
    timeout_seconds: float = 600.0
    retries: int = 6
    wait: Callable[[float], None] = time.sleep

    def complete(self, prompt: str | list[dict[str, str]], n: int = 1, **parameters: Any) -> list[Sample]:
        """
        Complete a prompt `n` times.

        Args:
            prompt (`str` or `list[dict[str, str]]`):
                A text for `/completions` or messages for `/chat/completions`.
            n (`int`, *optional*, defaults to `1`):
                Number of completions.
            **parameters:
                Further keys of the request (`temperature`, `top_p`, `max_tokens`, `seed`).

        Raises:
            [`PromptRefused`]: if the server does not take this prompt.
            [`~errors.ConfigError`]: if it takes no request at all.
            [`~errors.StageError`]: if it still fails after all retries.
        """
        chat = not isinstance(prompt, str)
        path = "chat/completions" if chat else "completions"
        seed = parameters.pop("seed", None)
        samples: list[Sample] = []
        asked = 0
        while len(samples) < n:
            missing = n - len(samples)
            request = {"model": self.model, "n": missing, "stream": False, **parameters}
            request["messages" if chat else "prompt"] = prompt
            if seed is not None:
                # With the same seed the server would give the same completions once more.
                request["seed"] = seed + asked
            got = _samples(self.post(path, request), chat)[:missing]
            if not got:
                raise StageError(f"{self.base_url}/{path} answered without a completion")
            samples += got
            asked += 1
        return samples

    def post(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request, again and again where the server fails for now. Raises as [`complete`]."""
        url = f"{self.base_url.rstrip('/')}/{path}"
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        body = json.dumps(request).encode()
        for attempt in range(self.retries + 1):
            asked_to_wait = None
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(url, body, headers), timeout=self.timeout_seconds
                ) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                failure = f"{error.code} {error.read(2000).decode(errors='replace')}"
                if error.code in _WRONG_SET_UP:
                    raise ConfigError(f"{url} refuses every request: {failure}", key="base_url") from error
                if error.code < 500 and error.code not in (408, 409, 425, 429):
                    raise PromptRefused(failure) from error
                asked_to_wait = error.headers.get("Retry-After")
            except ValueError as error:
                failure = f"no JSON: {error}"
            except (OSError, http.client.HTTPException) as error:
                failure = f"{type(error).__name__}: {error}"
            if attempt < self.retries:
                self.wait(_seconds(asked_to_wait) or min(60.0, 0.5 * 2**attempt) * random.uniform(0.75, 1.25))
        raise StageError(f"{url} failed {self.retries + 1} times, the last time with: {failure}")


def connect(config: SamplingConfig, model: str) -> Server:
    """Return the client that a config describes. `model` is the name where the config gives none."""
    return Server(
        base_url=config.base_url or "",
        model=config.server_model or model,
        api_key=os.environ.get(config.api_key_variable),
        timeout_seconds=config.server_timeout_seconds,
        retries=config.server_retries,
    )


class ServerGenerator:
    """
    A model at a server.

    Args:
        model (`str`):
            The model's name there, unless the config has `server_model`.
        config ([`SamplingConfig`]):
            How to sample.
        server ([`Server`], *optional*):
            The client; by default one for the config.
    """

    def __init__(self, model: str, config: SamplingConfig, server: Server | None = None):
        self.config = config
        self.server = server or connect(config, model)
        self._warned = False

    def generate(self, questions: Sequence[str], n: int, seed: int) -> list[list[Sample]]:
        """Complete each question `n` times. See [`~sampling.Generator`]."""
        parameters: dict[str, Any] = {
            "temperature": self.config.temperature,
            "top_p": self.config.top_p,
            "max_tokens": self.config.max_completion_tokens,
        }
        if self.config.top_k:
            parameters["top_k"] = self.config.top_k
        refusals: list[str] = []

        def complete(i: int) -> list[Sample]:
            prompt = render_prompt(self.config.prompt_template, questions[i])
            if isinstance(prompt, str):
                prompt += self.config.completion_prefix
            try:
                # Room for the seeds of repeated requests between those of two prompts.
                return self.server.complete(prompt, n, seed=(seed + 1009 * i) % 2**31, **parameters)
            except PromptRefused as error:
                refusals.append(str(error))
                return []

        with ThreadPoolExecutor(self.config.server_concurrency) as pool:
            completions = list(pool.map(complete, range(len(questions))))
        if refusals and len(refusals) == len(questions):
            raise ConfigError(f"the server refuses every prompt: {refusals[0]}", key="base_url")
        if refusals:
            logger.warning("the server refused %d of %d prompts: %s", len(refusals), len(questions), refusals[0])
        self._look_for_greedy(completions)
        begun = self.config.completion_prefix
        return [[Sample(begun + s.text, s.finish_reason, s.n_tokens) for s in samples] for samples in completions]

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


def _samples(answer: dict[str, Any], chat: bool) -> list[Sample]:
    choices = answer.get("choices") or []
    total = (answer.get("usage") or {}).get("completion_tokens") or 0
    samples = []
    for position, choice in enumerate(choices):
        text = (choice.get("message") or {}).get("content") or "" if chat else choice.get("text") or ""
        # Servers with a reasoning parser give the thought apart from the answer.
        thought = chat and (choice["message"].get("reasoning_content") or choice["message"].get("reasoning"))
        if thought:
            text = f"<think>\n{thought.strip()}\n</think>\n\n{text}"
        # The protocol counts the tokens of all choices together: each gets an equal part, so that the mean is right.
        n_tokens = total * (position + 1) // len(choices) - total * position // len(choices)
        samples.append(Sample(text, "length" if choice.get("finish_reason") == "length" else "stop", n_tokens))
    return samples


def _seconds(text: str | None) -> float | None:
    try:
        return min(120.0, max(0.0, float(text))) if text is not None else None
    except ValueError:
        return None
