"""
Asking a model at a server for verdicts, with all that can go wrong: what [`~rewards.judge.Judge`] and the comparisons of
the builder of preference pairs share.

A verdict that cannot be had is `None` with a reason, never a silent 0: `unreachable` (no answer after all retries),
`refused` (the server does not take this prompt), `unparsable` (asked twice, no verdict could be read), `over_budget`.
The first three are failures, and a judge that fails too often stops the stage; a budget that is spent is none.
"""

import asyncio
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import ConfigError, JudgeError, ServerError, expect
from ..model_server import Connection, PromptRefused, Replies, Server, Spending
from .forgery import own_verdict


logger = logging.getLogger(__name__)

T = TypeVar("T")

FAILURES = ("unreachable", "refused", "unparsable")
REASONS = (*FAILURES, "over_budget")
# The share of failures is taken over the last so many verdicts that this process asked for, once there are so many.
WINDOW, AT_LEAST = 200, 20


@dataclass(frozen=True)
class Case:
    """
    Something to be judged.

    Args:
        text (`str`):
            What the judge is asked.
        material (`tuple[str, ...]`):
            What in it was written by a policy: a verdict found there is not the judge's.
        time (`int`, *optional*, defaults to `1`):
            Which time it is asked: cases that differ in this alone are judged each for itself.
    """

    text: str
    material: tuple[str, ...]
    time: int = 1


@dataclass(frozen=True)
class Judged(Generic[T]):
    """
    What came of a case.

    Args:
        value (`T`, *optional*):
            The verdict; `None` where there is none.
        reason (`str`):
            `"judged"`, or why there is no verdict.
        analysis (`str`):
            What the judge said for it.
    """

    value: T | None
    reason: str
    analysis: str = ""


@dataclass(frozen=True)
class AskedModel(Server):
    """
    A model at a server that is asked for verdicts in JSON. What is not said here is said of [`~model_server.Server`].

    Args:
        base_url (`str`):
            Where the API of an OpenAI-compatible server starts, such as `http://localhost:8000/v1`.
        model (`str`):
            The model's name there.
        rubric (`str`, *optional*):
            What the judge shall go by, in place of the one that comes with the class.
        temperature (`float`, *optional*, defaults to `0.0`):
            Temperature; the second try, where no verdict could be read, is at 1.
        max_tokens (`int`, *optional*, defaults to `1024`):
            Where its reply is cut. A judge that thinks first needs more.
        concurrency (`int`, *optional*, defaults to `32`):
            Requests under way at once, for each rank.
        timeout_seconds (`float`, *optional*, defaults to `600.0`), retries (`int`, *optional*, defaults to `6`),
        api_key_variable (`str`, *optional*, defaults to `"OPENAI_API_KEY"`):
            See [`~model_server.Server`].
        cache_dir (`str`, *optional*):
            Folder in which verdicts are kept by what was asked. Any number of ranks and runs may share it. Defaults to
            `judge` in the stage's folder where `trl-r1 run` has started the stage; else nothing is kept.
        max_calls (`int`, *optional*), max_total_tokens (`int`, *optional*):
            The budget: so many calls, so many tokens of prompts and replies. What is beyond it is not judged. It is
            counted in `cache_dir`, for this model at this server, over all ranks and restarts; without a folder, by
            each process for itself.
        max_failed_share (`float`, *optional*, defaults to `0.25`):
            The stage stops when more than this share of the last 200 verdicts (and at least 20) could not be had, or
            when the server has not answered even once. `1`: it never does.

    Raises:
        [`~errors.ConfigError`]: if an argument is wrong.
    """

    rubric: str | None = None
    temperature: float = 0.0
    max_tokens: int = 1024
    cache_dir: str | None = None
    max_calls: int | None = None
    max_total_tokens: int | None = None
    max_failed_share: float = 0.25

    __name__: ClassVar[str] = "asked_model"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("max_calls", "max_total_tokens"):
            budget = getattr(self, key)
            expect(self, key, budget is None or (isinstance(budget, int) and budget >= 0), "a number from 0 on")
        expect(self, "max_failed_share", 0 <= self.max_failed_share <= 1, "a share from 0 to 1")
        expect(self, "temperature", self.temperature >= 0, "0 or more")
        expect(self, "max_tokens", isinstance(self.max_tokens, int) and self.max_tokens >= 1, "a number from 1 on")
        rubric = self.rubric
        expect(self, "rubric", rubric is None or (isinstance(rubric, str) and rubric.strip() != ""), "a text")

    def check_machine(self) -> None:
        """
        Check that the key is there, where a variable is named for it; `trl-r1 plan` does so before anything runs.

        Raises:
            [`~errors.ConfigError`]: if it is not.
        """
        self.key()

    async def ask(self, cases: Sequence[Case], verdict: str, read: Callable[[dict[str, Any]], T]) -> list[Judged[T]]:
        """
        Ask for the verdicts on all cases at once; cases that are alike are asked once.

        Args:
            cases (`Sequence[Case]`):
                What is to be judged.
            verdict (`str`):
                The field of the judge's JSON that makes it a verdict.
            read (`Callable`):
                Makes the value of the JSON; raises `ValueError`, `KeyError` or `TypeError` where it makes nothing of it.

        Raises:
            [`~errors.JudgeError`]: if too many verdicts could not be had.
            [`~errors.ConfigError`]: if the server refuses every request, from the first on.
        """
        if not cases:
            return []
        slots = asyncio.Semaphore(self.concurrency)

        async def in_turn(case: Case) -> Judged[T]:
            async with slots:  # so that no budget is reserved for what only waits for its turn
                return await self._one(case, verdict, read, connection)

        try:
            async with self.connect() as connection, asyncio.TaskGroup() as group:
                asked = {case: group.create_task(in_turn(case)) for case in dict.fromkeys(cases)}
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        judged = [asked[case].result() for case in cases]
        missing = Counter(one.reason for one in judged if one.reason != "judged")
        if missing:
            listed = ", ".join(f"{n} {reason}" for reason, n in missing.items())
            logger.warning("%s: no verdict on %d of %d: %s", self.__name__, missing.total(), len(cases), listed)
        return judged

    async def _one(
        self, case: Case, verdict: str, read: Callable[[dict[str, Any]], T], connection: Connection
    ) -> Judged[T]:
        state = self._state()
        for attempt in range(2):
            request: dict[str, Any] = {
                "temperature": self.temperature if attempt == 0 else 1.0,
                "max_tokens": self.max_tokens,
                "seed": 2 * (case.time - 1) + attempt,
            }
            address = Replies.address(self.base_url, self.model, case.text, request)
            reply = kept = state.replies.get(address)
            if reply is None:
                if not state.spending.reserve():
                    return Judged(None, "over_budget")
                paid = None
                try:
                    choice = (await connection.complete([{"role": "user", "content": case.text}], **request))[0]
                    reply, paid = choice.text, choice.paid_tokens
                except PromptRefused as error:
                    state.count("refused", self, str(error))
                    return Judged(None, "refused")
                except (ServerError, ConfigError) as error:
                    # What refuses everything from the first request on is set up wrongly; later it is a failure.
                    if isinstance(error, ConfigError) and not state.answered:
                        raise
                    state.count("unreachable", self, str(error))
                    return Judged(None, "unreachable")
                finally:
                    state.spending.settle(paid)
                state.answered = True
            try:
                said = own_verdict(reply, verdict, case.material)
                value = read(said)
            except (ValueError, KeyError, TypeError, OverflowError):
                continue
            if kept is None:
                state.replies.put(address, reply)
                state.count("judged", self)
            return Judged(value, "judged", str(said.get("analysis", "")))
        state.count("unparsable", self, f"no verdict in {reply[:200]!r}")  # type: ignore[index]
        return Judged(None, "unparsable")

    def _state(self) -> "_State":
        stage = os.environ.get("TRL_R1_STAGE_DIR")
        key = (repr(self), self.cache_dir or (os.path.join(stage, "judge") if stage else None), os.getpid())
        with _STATES_LOCK:
            if key not in _STATES:
                folder = Path(key[1]) if key[1] else None
                account = Replies.address(self.base_url, self.model)[:16]
                file = folder / "spent" / f"{account}.json" if folder else None
                _STATES[key] = _State(Replies(folder), Spending(file, self.max_calls, self.max_total_tokens))
            return _STATES[key]


@dataclass
class _State:
    """What a process knows of one judge: kept replies, spending, and how often it has failed of late."""

    replies: Replies
    spending: Spending
    answered: bool = False
    recent: deque[Any] = field(default_factory=lambda: deque(maxlen=WINDOW))
    lock: threading.Lock = field(default_factory=threading.Lock)
    last_failure: str = ""

    def count(self, reason: str, judge: AskedModel, why: str = "") -> None:
        """Count a verdict that was asked for; raise where too many have failed."""
        with self.lock:
            self.recent.append(reason)
            self.last_failure = why or self.last_failure
            failed = Counter(one for one in self.recent if one in FAILURES)
            n, share = failed.total(), failed.total() / len(self.recent)
        never = reason == "unreachable" and not self.answered
        if judge.max_failed_share >= 1 or not (
            never or (len(self.recent) >= AT_LEAST and share > judge.max_failed_share)
        ):
            return
        listed = ", ".join(f"{count} {kind}" for kind, count in failed.items())
        raise JudgeError(
            f"`{judge.__name__}` ({judge.model} at {judge.base_url}): {n} of the last {len(self.recent)} verdicts could "
            f"not be had ({listed}), expected at most a share of {judge.max_failed_share:g} (`max_failed_share`); the "
            f"last one: {self.last_failure}"
        )


# States of this process, kept out of the reward, so that a pickled one is what was declared and no more.
_STATES: dict[tuple[str, str | None, int], _State] = {}
_STATES_LOCK = threading.Lock()
