"""
What is asked for next: the one place that decides which sample is made when.

Blocks are opened one after the other, as soon as no request of an open one is left to hand out; there is no barrier between
them. A block that has all its samples goes to the scoring thread, which writes its shard while sampling goes on. With
`until_accepted`, a prompt is asked for a few samples at a time; these are scored before the next ones are asked for.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from ..errors import StageError
from ..trace import Trace
from .config import SamplingConfig
from .engine import FAILED, Request, Sample
from .progress import Tally
from .shards import Shards
from .units import Batch, Unit, batches, lacking


# Prompts that fail one after the other, with no success in between, before the job ends: where nothing has succeeded in this
# run yet, and where something has.
IN_A_ROW_AT_FIRST, IN_A_ROW = 3, 20


@dataclass(eq=False)
class OpenBlock:
    """
    A block that is worked on.

    Args:
        number (`int`):
            Its number.
        questions (`dict[str, str]`):
            Of each of its prompts that is asked for.
        there (`set[Unit]`):
            The samples that there are, or that have failed in this run.
        stored (`set[Unit]`):
            Those of them that are in its shard.
        asked (`dict[str, int]`):
            How many samples of each prompt are asked for by now.
        open (`set[str]`):
            Prompts that may need more.
        waiting (`dict[str, int]`):
            Of each prompt, how many of the samples asked for are under way.
        scored (`dict[Unit, Trace]`):
            Samples with their rewards, without their text.
    """

    number: int
    questions: dict[str, str]
    there: set[Unit]
    stored: set[Unit]
    asked: dict[str, int]
    open: set[str]
    waiting: dict[str, int] = field(default_factory=dict)
    scored: dict[Unit, Trace] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a request is for: a unit or a batch of a block."""

    block: OpenBlock
    batch: Batch

    @property
    def units(self) -> list[Unit]:
        """The units, prompt by prompt."""
        return [(prompt, sample) for prompt in self.batch.prompts for sample in self.batch.samples]


class Scheduler:
    """
    An iterator over the requests of a job, which is told what came of them.

    Args:
        blocks (`Iterable[tuple[int, list[str]]]`):
            Numbers and prompts of the blocks to do, in their order.
        shards ([`~sampling.shards.Shards`]):
            Where finished blocks go.
        config ([`SamplingConfig`]):
            How to sample.
        rolling (`bool`):
            Whether the engine takes requests one by one. Else a request's [`Work`] is a batch.
        n_prompts (`int`):
            Prompts of the whole job, of which `max_failed_share` may fail.
        tally ([`~sampling.progress.Tally`]):
            What is counted.
        pool (`ThreadPoolExecutor`):
            The scoring thread.
    """

    def __init__(
        self,
        blocks: Iterable[tuple[int, list[str]]],
        shards: Shards,
        config: SamplingConfig,
        rolling: bool,
        n_prompts: int,
        tally: Tally,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.todo = deque(blocks)
        self.shards, self.journal, self.config, self.rolling = shards, shards.journal, config, rolling
        self.n_prompts, self.tally, self.pool = n_prompts, tally, pool
        self.most = 1 if config.temperature == 0 else config.n_samples  # greedy ones are all alike
        self.adaptive = config.until_accepted is not None
        self.ready: deque[Request] = deque()
        self.scoring: dict[Future[Any], Callable[[Any], None]] = {}
        self.in_flight = 0
        self.failed: set[str] = set()
        self.failed_before: set[str] = set()  # in an earlier run: these say nothing about the server
        self.in_a_row: set[str] = set()
        self.succeeded = False

    def __iter__(self) -> Iterator[Request | None]:
        return self

    def __next__(self) -> Request | None:
        while True:
            self._collect()
            if self.ready:
                self.in_flight += 1
                return self.ready.popleft()
            if self.todo:
                self._open(*self.todo.popleft())
            elif not self.adaptive or not (self.scoring or self.in_flight):
                raise StopIteration
            elif self.in_flight:
                return None
            else:
                wait(self.scoring, return_when=FIRST_COMPLETED)

    def put_back(self, request: Request) -> None:
        """Take back a request that no engine has seen."""
        self.ready.appendleft(request)
        self.in_flight -= 1

    def done(self, request: Request, samples: Sequence[Sample]) -> None:
        """
        Keep what came of a request.

        Args:
            request ([`~sampling.Request`]):
                The request.
            samples (`Sequence[Sample]`):
                Its samples, in the order of its units.

        Raises:
            [`~errors.StageError`]: if too many prompts have failed.
        """
        work: Work = request.of
        self.in_flight -= 1
        found = list(zip(work.units, samples, strict=True))
        self.journal.append(work.block.number, request.seed, found, work.block.questions)
        work.block.there.update(work.units)
        for (prompt, _), sample in found:
            self.tally.sampled(sample, 1 if self.most > 1 else self.config.n_samples)
            if sample.finish_reason == FAILED:
                self._check_failed(prompt, sample.text)
            else:
                self.succeeded = True
                self.in_a_row.clear()
        for prompt in work.batch.prompts:
            work.block.waiting[prompt] -= len(work.batch.samples)
        self._go_on(work.block, work.batch.prompts)
        self._collect()

    def finish(self) -> None:
        """Wait for the shards that are still written."""
        while self.scoring:
            wait(self.scoring, return_when=FIRST_COMPLETED)
            self._collect()

    def _open(self, number: int, prompts: list[str]) -> None:
        questions = self.shards.rows.questions(prompts)
        stored = self.shards.stored_units(number).keys()
        self.failed_before |= self.shards.failed_prompts(number)
        first = min(self.most, self.config.samples_at_once) if self.adaptive else self.most
        block = OpenBlock(
            number,
            questions,
            there=stored | self.journal.places.get(number, {}).keys(),
            stored=set(stored),
            asked=dict.fromkeys(prompts, 0),
            open=set(prompts),
            waiting=dict.fromkeys(prompts, 0),
        )
        self._ask(block, prompts, first)
        self._go_on(block, prompts)

    def _ask(self, block: OpenBlock, prompts: Sequence[str], more: int) -> None:
        """Ask for so many more samples of some prompts, as far as these are not there."""
        wanted = []
        for prompt in prompts:
            asked = block.asked[prompt]
            block.asked[prompt] = min(self.most, asked + more)
            wanted += [(prompt, sample) for sample in range(asked, block.asked[prompt])]
        if self.rolling:
            works = [
                Batch((p,), (sample,)) for p, samples in lacking(wanted, block.there).items() for sample in samples
            ]
        else:
            # By what is in the shard alone: batches do not hang on what a killed process has left in the journal.
            missing = lacking(wanted, block.stored)
            planned = batches(missing, self.config.batch_size, lambda prompt: len(block.questions[prompt]))
            works = [work for work in planned if lacking(Work(block, work).units, block.there)]
        for work in works:
            for prompt in work.prompts:
                block.waiting[prompt] += len(work.samples)
            seed = work.seed(self.config.seed)
            self.ready.append(Request(block.questions[work.prompts[0]], seed, Work(block, work)))

    def _go_on(self, block: OpenBlock, prompts: Sequence[str]) -> None:
        """Score what has all of its samples, or the block where all of it has."""
        if not self.adaptive:
            if not any(block.waiting.values()):
                self._close(block)
            return
        ready = [prompt for prompt in prompts if prompt in block.open and not block.waiting[prompt]]
        if not self.rolling:  # the prompts of a block go on together, so that their batches are always the same
            ready = [] if any(block.waiting.values()) else sorted(block.open, key=list(block.questions).index)
        if ready:
            units = [(p, i) for p in ready for i in range(block.asked[p]) if (p, i) not in block.scored]
            self._submit(lambda: self._score(block, units), lambda _: self._decide(block, ready))
        elif not block.open:
            self._close(block)

    def _score(self, block: OpenBlock, units: Sequence[Unit]) -> None:
        stored = self.shards.stored(block.number) if block.stored else {}
        for unit, trace in zip(units, self.shards.scored(block.number, units, stored)):
            block.scored[unit] = Trace(
                trace.prompt_id, "", "", rewards=trace.rewards, finish_reason=trace.finish_reason, extra=trace.extra
            )

    def _decide(self, block: OpenBlock, prompts: Sequence[str]) -> None:
        """Say which prompts need more samples, and ask for these."""
        assert self.config.until_accepted is not None
        more = []
        for prompt in prompts:
            asked = block.asked[prompt]
            accepted = sum(bool(self.shards.verdict(block.scored[prompt, i])) for i in range(asked))
            if accepted >= self.config.until_accepted or asked >= self.most or prompt in self.failed:
                block.open.discard(prompt)
                self.tally.left_out(self.most - asked)
            else:
                more.append(prompt)
        self._ask(block, more, self.config.samples_at_once)
        if more or not block.open:
            self._go_on(block, more)

    def _close(self, block: OpenBlock) -> None:
        greedy = self.most == 1
        wanted = {p: range(self.config.n_samples if greedy else asked) for p, asked in block.asked.items()}
        by_prompt = not self.adaptive

        def told(said: dict[str, Any]) -> None:
            self.journal.forget(block.number)
            self.tally.scored(said)

        self._submit(lambda: self.shards.write(block.number, wanted, block.scored, by_prompt), told)

    def _submit(self, do: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self.scoring[self.pool.submit(do)] = then

    def _collect(self) -> None:
        for future in [future for future in self.scoring if future.done()]:
            self.scoring.pop(future)(future.result())

    def _check_failed(self, prompt: str, why: str) -> None:
        self.failed.add(prompt)
        if prompt not in self.failed_before:
            self.in_a_row.add(prompt)
        share, n = self.config.max_failed_share, len(self.failed)
        if n > max(1 if share else 0, share * self.n_prompts):
            found = f"{n} of {self.n_prompts} prompts have failed, expected at most a share of {share:g} (`max_failed_share`)"
        elif len(self.in_a_row) >= min(IN_A_ROW if self.succeeded else IN_A_ROW_AT_FIRST, self.n_prompts):
            found = (
                f"{len(self.in_a_row)} prompts have failed one after the other, and nothing has succeeded in between"
            )
        else:
            return
        raise StageError(
            f"{found}; the last one: {why}. What was sampled is kept; the same command goes on with it, and asks for what "
            "has failed once more"
        )
