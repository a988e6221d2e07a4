"""
A client of any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, `transformers serve`, a hosted API.

Servers differ in what they honour. `transformers serve` drops `n`: so the choices of every answer are counted, and
missing ones asked for together, each with another seed. A long completion is asked for as a stream, of which no silence may
be too long, however long the whole takes; a server that does not stream gives it at once. A request that fails for now (429, 5xx, a time-out, a connection that is
refused or cut, an answer that is not the protocol's JSON) is tried again after a wait that doubles, or that the server
names; a prompt that the server refuses is the caller's to leave out. A request names every parameter of sampling, so that
it is sampled from the distribution that it asks for: vLLM and SGLang put the values of the model's own generation config
(a top-k, penalties) in the place of those that it leaves out. What a server does not know of them, by the text of its
refusal, is not sent to it again. A key is read from the environment when a request
is made: no config, log or message contains it.
"""

import asyncio
import contextlib
import email.utils
import json
import logging
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from ..errors import ConfigError, ServerError, expect
from .named import address_of, server_name
from .stream import whole_answer


logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
CONNECT_SECONDS = 30.0
# Between two tries at a server beside the stage that is not there at the moment.
RESTART_SECONDS = 2.0

# The server refuses the request whatever the prompt: no key, no such path, no such model.
_WRONG_SET_UP = (401, 403, 404, 405)
_FAILS_FOR_NOW = (408, 409, 425, 429)
# The values that leave the model's distribution as it is. The protocol has no `top_k`, `min_p` and `repetition_penalty`;
# -1 is the top-k that vLLM, SGLang and llama.cpp alike take for none.
UNALTERED: dict[str, float] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
}
# Those that the model at an address has refused by name, in this process.
_NOT_TAKEN: dict[tuple[str, str], frozenset[str]] = {}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"https?://[^/@\s]+(/\S*)?")


class PromptRefused(Exception):
    """The server refuses this prompt (too long, filtered); it may take the next one."""


@dataclass(frozen=True)
class Choice:
    """
    One completion, as a server gave it.

    Args:
        text (`str`):
            The completion; a thought that the server parsed out of it is put back between `<think>` and `</think>`.
        finish_reason (`str`):
            `"stop"` or `"length"`.
        n_tokens (`int`):
            Its length in tokens, 0 where the server does not report it.
        paid_tokens (`int`):
            Its part of the tokens of prompt and completions; where the server does not report them, a fourth of the characters.
    """

    text: str
    finish_reason: str
    n_tokens: int
    paid_tokens: int


@dataclass(frozen=True)
class Server:
    """
    A model at a server.

    Args:
        base_url (`str`):
            Where its API starts, such as `http://localhost:8000/v1`; or `server:NAME`, a server that the runner has started
            beside the stage. While nothing answers there, requests wait: the runner starts it again, or ends the stage.
        model (`str`):
            The model's name there.
        api_key_variable (`str`, *optional*, defaults to `"OPENAI_API_KEY"`):
            Environment variable that holds the key. Another one than the default must be set.
        timeout_seconds (`float`, *optional*, defaults to `600.0`):
            How long one request may take, from the first byte that is sent to the last that is read; of a stream, how long
            nothing may come.
        retries (`int`, *optional*, defaults to `6`):
            How often a request that failed for now is tried again.
        concurrency (`int`, *optional*, defaults to `32`):
            Requests under way at once, over one [`connect`].

    Raises:
        [`~errors.ConfigError`]: if an argument is wrong.
    """

    base_url: str
    model: str
    _: KW_ONLY
    api_key_variable: str = "OPENAI_API_KEY"
    timeout_seconds: float = 600.0
    retries: int = 6
    concurrency: int = 32

    def __post_init__(self) -> None:
        if not isinstance(self.base_url, str) or not (server_name(self.base_url) or _ADDRESS.fullmatch(self.base_url)):
            # What is not an address may be a key, or hold one.
            raise ConfigError(
                "expected an address such as http://localhost:8000/v1, without a key, or `server:NAME`", key="base_url"
            )
        expect(self, "model", isinstance(self.model, str) and self.model != "", "the model's name at the server")
        if not isinstance(self.api_key_variable, str) or not _VARIABLE.fullmatch(self.api_key_variable):
            raise ConfigError(
                "expected the name of an environment variable that holds the key, not the key", key="api_key_variable"
            )
        expect(self, "timeout_seconds", self.timeout_seconds > 0, "seconds above 0")
        for key, least in (("retries", 0), ("concurrency", 1)):
            value = getattr(self, key)
            expect(self, key, isinstance(value, int) and value >= least, f"a number from {least} on")

    @contextlib.asynccontextmanager
    async def connect(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> AsyncIterator["Connection"]:
        """
        Open a connection that many requests share. It belongs to the event loop that runs it.

        Args:
            sleep (`Callable`, *optional*, defaults to `asyncio.sleep`):
                How to wait between tries, in seconds.
        """
        import httpx2

        async with httpx2.AsyncClient(
            # The whole of a request is timed below; an address where nothing answers fails sooner.
            timeout=httpx2.Timeout(None, connect=min(CONNECT_SECONDS, self.timeout_seconds)),
            limits=httpx2.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency),
            follow_redirects=True,
        ) as client:
            yield Connection(self, client, sleep)

    def key(self) -> str | None:
        """
        Return the key from the environment.

        Raises:
            [`~errors.ConfigError`]: if a variable is named and not set.
        """
        key = os.environ.get(self.api_key_variable)
        if not key and self.api_key_variable != Server.api_key_variable:
            raise ConfigError(
                f"expected a key in the environment variable {self.api_key_variable}, which is not set",
                key="api_key_variable",
            )
        return key or None


class Connection:
    """Requests to one server over shared connections. See [`Server.connect`], which makes it."""

    def __init__(self, server: Server, client: Any, sleep: Callable[[float], Awaitable[None]]):
        self.server = server
        self.address = address_of(server.base_url).rstrip("/")
        self._client = client
        self._sleep = sleep
        self._slots = asyncio.Semaphore(server.concurrency)

    async def complete(self, prompt: str | list[dict[str, str]], n: int = 1, **parameters: Any) -> list[Choice]:
        """
        Complete a prompt `n` times.

        Args:
            prompt (`str` or `list[dict[str, str]]`):
                A text for `/completions` or messages for `/chat/completions`.
            n (`int`, *optional*, defaults to `1`):
                Number of completions.
            **parameters:
                Further keys of the request (`temperature`, `top_p`, `max_tokens`, `seed`). Parameters of sampling that
                are not among them are sent with the values that alter nothing.

        Raises:
            [`PromptRefused`]: if the server does not take this prompt.
            [`~errors.ConfigError`]: if it takes no request at all.
            [`~errors.ServerError`]: if it still fails after all retries.
        """
        return await self._as_taken(parameters, lambda taken: self._complete(prompt, n, taken))

    async def stream(self, prompt: str | list[dict[str, str]], **parameters: Any) -> Choice:
        """
        Complete a prompt once, however long that takes: `timeout_seconds` is how long the server may be silent. Of one that
        does not stream, it is how long the whole answer may take. Arguments and errors as of [`complete`].
        """
        streaming = {"stream": True, "stream_options": {"include_usage": True}}
        return await self._as_taken(parameters, lambda taken: self._streamed(prompt, taken), streaming)

    async def _as_taken(
        self,
        parameters: Mapping[str, Any],
        send: Callable[[dict[str, Any]], Awaitable[T]],
        wished: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a request with all that this server is known to take; what its refusal names is left out from then on."""
        address = (self.server.base_url, self.server.model)
        not_taken = _NOT_TAKEN.get(address, frozenset())
        while True:
            unaltered = {n: value for n, value in {**UNALTERED, **(wished or {})}.items() if n not in not_taken}
            try:
                found = await send({**unaltered, **parameters})
            except PromptRefused as refusal:
                named = {name for name in unaltered if re.search(rf"\b{name}\b", str(refusal))} - parameters.keys()
                if not named:
                    raise
                not_taken |= named
            else:
                break
        if not_taken - _NOT_TAKEN.get(address, frozenset()):
            _NOT_TAKEN[address] = not_taken | _NOT_TAKEN.get(address, frozenset())
            logger.warning(
                "%s at %s takes no %s", self.server.model, self.server.base_url, ", ".join(sorted(not_taken))
            )
        return found

    async def prompt_end(self, messages: list[dict[str, str]]) -> str | None:
        """
        Return the end of the prompt that the server's chat template makes of messages, as vLLM tells it outside of the
        protocol; `None` where the server does not.
        """
        import httpx2

        async def ask(path: str, **request: Any) -> Any:
            url = f"{self.address.removesuffix('/v1')}/{path}"
            request["model"] = self.server.model
            answer = await asyncio.wait_for(
                self._client.post(url, json=request, headers=_headers(self.server.key())), CONNECT_SECONDS
            )
            return answer.raise_for_status().json()

        try:
            tokens = (await ask("tokenize", messages=messages))["tokens"]
            return str((await ask("detokenize", tokens=tokens[-8:]))["prompt"])
        except (httpx2.HTTPError, OSError, TimeoutError, ValueError, KeyError, TypeError):
            return None

    async def _complete(
        self, prompt: str | list[dict[str, str]], n: int, parameters: Mapping[str, Any]
    ) -> list[Choice]:
        """Ask for all at once, and for those that are missing then all together."""
        request = self._request(prompt, {"stream": False, **parameters})
        choices = (await self._post({**request, "n": n}))[:n]
        # With the same seed, the server would give the same ones once more.
        seeds = [{"seed": request["seed"] + i} if "seed" in request else {} for i in range(len(choices), n)]
        further = [asyncio.create_task(self._post({**request, "n": 1, **seed})) for seed in seeds]
        try:
            return choices + [found[0] for found in await asyncio.gather(*further)]
        finally:
            for task in further:
                task.cancel()

    async def _streamed(self, prompt: str | list[dict[str, str]], parameters: Mapping[str, Any]) -> Choice:
        return (await self._post(self._request(prompt, parameters)))[0]

    def _request(self, prompt: str | list[dict[str, str]], parameters: Mapping[str, Any]) -> dict[str, Any]:
        request = {"model": self.server.model, **parameters}
        request["prompt" if isinstance(prompt, str) else "messages"] = prompt
        return request

    async def _post(self, request: dict[str, Any]) -> list[Choice]:
        """Send one request, again and again where the server fails for now. Raises as [`complete`]."""
        import httpx2

        path = "chat/completions" if "messages" in request else "completions"
        url = f"{self.address}/{path}"
        key = self.server.key()
        headers = {"Content-Type": "application/json", **_headers(key)}
        body = json.dumps(request).encode()  # in ASCII, so that half of a surrogate pair passes
        failure, attempt = "", 0
        while attempt <= self.server.retries:
            asked_to_wait, gone = 0.0, False
            async with self._slots:
                try:
                    async with (
                        asyncio.timeout(self.server.timeout_seconds) as limit,
                        self._client.stream("POST", url, content=body, headers=headers) as answer,
                    ):
                        if answer.is_success and "event-stream" in answer.headers.get("Content-Type", ""):
                            return _choices(await whole_answer(answer, limit, self.server.timeout_seconds), request)
                        await answer.aread()
                    if answer.is_success:
                        return _choices(json.loads(answer.content), request)
                    failure = f"{answer.status_code} {_without(key, answer.text[:2000])}"
                    if answer.status_code in _WRONG_SET_UP:
                        raise ConfigError(f"{url} refuses every request: {failure}", key="base_url")
                    if answer.status_code < 500 and answer.status_code not in _FAILS_FOR_NOW:
                        raise PromptRefused(failure)
                    asked_to_wait = _seconds(answer.headers.get("Retry-After", ""))
                except TimeoutError:
                    silent = "nothing came for" if request.get("stream") else "no answer within"
                    failure = f"{silent} {self.server.timeout_seconds:g} s"
                except ValueError as error:
                    failure = f"no answer in the protocol's JSON: {_without(key, str(error))}"
                except (httpx2.HTTPError, OSError) as error:
                    failure = f"{type(error).__name__}: {_without(key, str(error))}"
                    # Beside the stage: the runner starts it again, or ends the stage.
                    gone = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError) and bool(
                        server_name(self.server.base_url)
                    )
            if gone:
                await self._sleep(RESTART_SECONDS)
                continue
            if attempt < self.server.retries:
                doubled = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt) * random.uniform(0.75, 1.25)
                await self._sleep(min(asked_to_wait, self.server.timeout_seconds) if asked_to_wait > 0 else doubled)
            attempt += 1
        raise ServerError(f"{url} failed {self.server.retries + 1} times, the last time with: {failure}")


def run_coroutine(awaitable: Awaitable[T]) -> T:
    """Return what an awaitable gives, from code that is not asynchronous, also where an event loop runs this thread."""

    async def wait() -> T:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, wait()).result()


def _choices(answer: Any, request: dict[str, Any]) -> list[Choice]:
    """Read an answer; a `ValueError` where it is not the protocol's."""
    if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list) or not answer["choices"]:
        raise ValueError("an answer without a completion")
    chat = "messages" in request
    prompt = request["messages" if chat else "prompt"]
    texts = [_text(choice, chat) for choice in answer["choices"]]
    usage = answer["usage"] if isinstance(answer.get("usage"), dict) else {}
    completion, total = usage.get("completion_tokens"), usage.get("total_tokens")
    if not isinstance(total, int) or total <= 0:
        total = (len(json.dumps(prompt, ensure_ascii=False)) + sum(map(len, texts))) // 4
    # The protocol counts the tokens of all choices together: each gets an equal part, so that the mean is right.
    completion_parts = _parts(completion if isinstance(completion, int) else 0, len(texts))
    return [
        Choice(text, "length" if choice.get("finish_reason") == "length" else "stop", tokens, paid)
        for choice, text, tokens, paid in zip(answer["choices"], texts, completion_parts, _parts(total, len(texts)))
    ]


def _text(choice: Any, chat: bool) -> str:
    said = choice.get("message") if chat and isinstance(choice, dict) else choice
    if not isinstance(said, dict):
        raise ValueError("a choice without a text")
    text = said.get("content" if chat else "text") or ""
    if isinstance(text, list):  # [{"type": "text", "text": ...}]
        text = "".join(part.get("text") or "" for part in text if isinstance(part, dict))
    # Servers with a reasoning parser give the thought apart from the answer.
    thought = chat and (said.get("reasoning_content") or said.get("reasoning"))
    if not thought:
        return str(text)
    if not text and choice.get("finish_reason") == "length":
        return f"<think>\n{thought.lstrip()}"  # cut within the thought, which nothing has closed
    return f"<think>\n{thought.strip()}\n</think>\n\n{text}"


def _parts(total: int, n: int) -> list[int]:
    return [total * (i + 1) // n - total * i // n for i in range(n)]


def _seconds(text: str) -> float:
    """Read a `Retry-After`: seconds, or a date; 0 where it says nothing."""
    with contextlib.suppress(ValueError):
        return float(text)
    with contextlib.suppress(ValueError):
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    return 0.0


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _without(key: str | None, text: str) -> str:
    return text.replace(key, "***") if key else text
