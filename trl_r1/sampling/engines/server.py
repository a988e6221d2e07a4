"""
The engine `server`: any server that speaks the OpenAI protocol. See [`~model_server.Server`] for what servers differ in.

Each request is for one completion, and a next one is sent as soon as one is done. `transformers serve` is greedy unless the
model's generation config says otherwise: a server that answers prompts alike each time at a temperature above 0 is reported.
A prompt that the server refuses is recorded, and so is one that fails after all retries.
"""

import asyncio
import dataclasses
import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from ...errors import ConfigError, ServerError
from ...model_server import Connection, PromptRefused, Server
from ...text import render_prompt, thoughts_opened
from ..config import SamplingConfig
from ..engine import Engine, Request, Sample
from ..prompts import prefilled


logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.05  # before it is asked again for requests where there was none just now
_WATCHED = 8  # questions whose answers are compared, to see whether the server samples


class ServerEngine(Engine):
    """A model at one or several servers: `server_model` of the config, or else `model`, is its name there."""

    rolling = True
    loads_model = False

    def __init__(self, model: str, config: SamplingConfig) -> None:
        super().__init__(model, config)
        self.servers = [
            Server(
                base_url=address,
                model=config.server_model or model,
                api_key_variable=config.api_key_variable,
                timeout_seconds=config.server_timeout_seconds,
                retries=config.server_retries,
                concurrency=config.server_concurrency,
            )
            for address in config.servers
        ]
        self.parameters: dict[str, Any] = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_completion_tokens,
            **({"top_k": config.top_k} if config.top_k else {}),
        }
        self._answered: dict[str, list[str]] = {}  # of the first questions, how they were answered
        self._refused = 0
        self._took_one = False  # whether a server has taken a prompt yet
        # What the server's chat template writes of the completion; `None` while nobody knows.
        self._opening = None if config.prompt_template == "chat" else ""

    @classmethod
    def check(cls, config: SamplingConfig) -> None:
        """Refuse a config without an address, or with a prefix that the chat API cannot take."""
        if not config.servers:
            raise ConfigError("expected the server's address, since `backend` is `server`", key="base_url")
        if config.completion_prefix and config.prompt_template == "chat":
            raise ConfigError(
                "a server's chat API cannot start the model's completion; expected another `prompt_template`",
                key="completion_prefix",
            )

    def sampling_as(self, config: SamplingConfig) -> Engine:
        """Return another client of the same servers."""
        return type(self)(self.model_name, config)

    def complete(self, requests: Iterator[Request | None]) -> Iterator[tuple[Request, Sample]]:
        """Keep `server_concurrency` requests under way at each server. See [`~sampling.Engine`]."""
        room = self.config.server_concurrency * len(self.servers)
        done: queue.SimpleQueue[tuple[Request, Sample | BaseException]] = queue.SimpleQueue()
        under_way, more = 0, True
        with _Loop() as loop:
            clients = loop.run(self._connect())
            try:
                while True:
                    waits = False
                    while more and not waits and under_way < room:
                        request = next(requests, _END)
                        if isinstance(request, Request):
                            under_way += 1
                            loop.start(self._answer(clients, request, done))
                        else:
                            more, waits = request is not _END, request is None
                    if not under_way:
                        return
                    try:
                        request, found = done.get(timeout=AGAIN_SECONDS if waits else None)
                    except queue.Empty:
                        continue
                    if isinstance(found, BaseException):
                        raise found
                    under_way -= 1
                    yield request, found
            finally:
                loop.cancel()
                loop.run(clients.close())
                if self._refused:
                    logger.warning("the server refused %d requests", self._refused)

    async def _connect(self) -> "_Clients":
        clients = _Clients()
        for server in self.servers:
            await clients.add(server)
        if self._opening is None:
            end = await clients.connections[0].prompt_end([{"role": "user", "content": "?"}])
            self._opening = None if end is None else prefilled(end, self.config)
        return clients

    async def _answer(
        self, clients: "_Clients", request: Request, done: "queue.SimpleQueue[tuple[Request, Any]]"
    ) -> None:
        try:
            done.put((request, await self._sample(clients, request)))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # which ends the job, in its own thread
            done.put((request, error))

    async def _sample(self, clients: "_Clients", request: Request) -> Sample:
        prompt = self._prompt(request.question)
        try:
            choice = await clients.complete(prompt, seed=request.seed, **self.parameters)
        except PromptRefused as error:
            if not self._refused:
                logger.warning("the server refuses a prompt: %s", error)
            self._refused += 1
            await self._check_that_it_takes_any(clients)
            return Sample.missing("refused")
        except ServerError as error:
            return Sample.failed(str(error))
        self._took_one = True
        prefix = prefilled(prompt, self.config) if isinstance(prompt, str) else ""
        self._look_for_greedy(request.question, choice.text)
        return self._with_opening(Sample(prefix + choice.text, choice.finish_reason, choice.n_tokens))

    async def _check_that_it_takes_any(self, clients: "_Clients") -> None:
        """Ask what any server takes, where it has taken nothing yet: is it this prompt, or every prompt?"""
        if self._took_one:
            return
        try:
            await clients.complete(self._prompt("1 + 1 = ?"), **self.parameters)
        except PromptRefused as error:
            raise ConfigError(f"the server refuses every prompt: {error}", key="base_url") from error
        except ServerError:
            return
        self._took_one = True

    def _prompt(self, question: str) -> str | list[dict[str, str]]:
        prompt = render_prompt(self.config.prompt_template, question)
        return prompt + self.config.completion_prefix if isinstance(prompt, str) else prompt

    def _with_opening(self, sample: Sample) -> Sample:
        """
        Put back the `<think>` that the server's chat template wrote. Where the server does not say what that writes, a
        completion that closes a thought without opening one tells it.
        """
        if self._opening is None and any(thoughts_opened([[]], [sample.text])):
            self._opening = "<think>\n"
        # A server that parses thoughts has given it whole.
        if not self._opening or self.config.prompt_template != "chat" or sample.text.startswith("<think>"):
            return sample
        return dataclasses.replace(sample, text=self._opening + sample.text)

    def _look_for_greedy(self, question: str, text: str) -> None:
        if self.config.temperature == 0 or self.config.n_samples == 1 or len(self._answered) > _WATCHED:
            return
        self._answered.setdefault(question, []).append(text)
        several = [texts for texts in self._answered.values() if len(texts) > 1]
        if len(several) >= 4 and all(len(set(texts)) == 1 for texts in several):
            self._answered = {str(i): [] for i in range(_WATCHED + 1)}  # said once
            logger.warning(
                "the server gave only equal completions for each of %d prompts at temperature %g: does it sample? "
                "(`transformers serve` does so only where the model's generation config says `do_sample: true`)",
                len(several),
                self.config.temperature,
            )


_END: Any = object()


class _Clients:
    """Connections to servers with the same model."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.under_way: list[int] = []
        self._stack = AsyncExitStack()

    async def add(self, server: Server) -> None:
        self.connections.append(await self._stack.enter_async_context(server.connect()))
        self.under_way.append(0)

    async def complete(self, prompt: str | list[dict[str, str]], **parameters: Any) -> Any:
        """Complete a prompt at the server with the fewest requests under way; at another where that one fails."""
        order = sorted(range(len(self.connections)), key=self.under_way.__getitem__)
        for i in order:
            self.under_way[i] += 1
            try:
                return await self.connections[i].stream(prompt, **parameters)
            except ServerError:
                if i == order[-1]:
                    raise
            finally:
                self.under_way[i] -= 1
        raise AssertionError("there is at least one server")

    async def close(self) -> None:
        await self._stack.aclose()


class _Loop:
    """An event loop in a thread, so that requests go on while samples are written, and in a notebook too."""

    def __enter__(self) -> "_Loop":
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="requests", daemon=True)
        self.thread.start()
        self.tasks: set[Any] = set()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def start(self, coroutine: Any) -> None:
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        self.tasks.add(future)
        future.add_done_callback(self.tasks.discard)

    def cancel(self) -> None:
        """Cancel what is under way, and wait until it is gone."""

        async def gone() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(gone())


ENGINE = ServerEngine
