"""
Data that is no reasoning: writing, factual questions, translation, self-cognition.

Paper, v1 2.3.3 and v2 B.3.3: parts of an existing SFT set are used again; for some tasks the chat model writes a chain of
thought before it answers, for simple queries such as "hello" there is none. Here:

- a row that has an answer (`completion`) keeps it; one that has none gets it from the model, the best of several by the
  rewards;
- the chain of thought is the one that the answer came with, or the row's own (`thought`), or what the model writes when
  it is shown the query and the answer;
- a simple query gets no chain of thought: an empty thinking block, or what `simple_thoughts` says.
"""

import dataclasses
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from ..data import load_rows
from ..errors import ConfigError
from ..io import whole_folder
from ..rewards.schedule import load_rewards
from ..sampling import SamplingConfig, named_rewards, score_traces
from ..selection import ShardSelection
from ..text import split_completion
from ..trace import Trace, by_prompt, read_traces, write_traces
from .config import GeneralConfig
from .instructions import INSTRUCTIONS, fill
from .job import Hooks, Job


_SHARD_TRACES = 10_000  # put together and scored at a time


def build_general(sampling: SamplingConfig, config: GeneralConfig, **hooks: Unpack[Hooks]) -> ShardSelection:
    """
    Put queries, thoughts and answers together, and write what was kept.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How the model writes what the rows lack.
        config ([`GeneralConfig`]):
            Which rows, which model, and what to keep.
        **hooks:
            See [`~builders.job.Hooks`].

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong, or a row lacks what only a model could write and
            there is none; nothing has been sampled then.
        [`~errors.StageError`]: if nothing was kept.
    """
    declared, weights = load_rewards(config.rewards) if config.rewards else ([], [])
    rewards = named_rewards(declared)
    job = Job(
        sampling,
        config,
        rewards,
        load=partial(load_rows, kind="general"),
        right_by=() if config.min_reward is None else ("reward",),
        **hooks,
    )
    if config.min_reward is not None:
        job.rules = dataclasses.replace(job.rules, min_reward=config.min_reward)
    simple, unanswered, thoughtless = [], [], []
    for i, row in enumerate(job.rows):
        simple.append(is_simple(row, config.simple_pattern))
        if not row["completion"]:
            unanswered.append(i)
        elif not simple[i] and not _thought(row):
            thoughtless.append(i)
    if (unanswered or thoughtless) and not config.model_name_or_path:
        what = "answer" if unanswered else "chain of thought"
        raise ConfigError(
            f"{len(unanswered or thoughtless)} of {len(job.rows)} rows have no {what}; expected a model to write one",
            key="model_name_or_path",
        )
    before = len(unanswered) * sampling.n_samples
    total = before + len(thoughtless)
    instruction = config.answer_instruction or "{prompt}"
    answers = _write(job, unanswered, "answers", instruction, 0, total, last=not thoughtless)
    instruction = config.thought_instruction or INSTRUCTIONS["thought"]
    thoughts = _write(job, thoughtless, "thoughts", instruction, before, total)

    counts = Counter(answers_written=0, thoughts_written=0)

    def candidates() -> Iterator[Trace]:
        for i, row in enumerate(job.rows):
            # One that was cut is no chain of thought. What a thinking model thought about how to write it is none either.
            written = [t.completion for t in thoughts.of(i) if t.finish_reason == "stop"]
            thought = _thought(row) or next((split_completion(text).answer for text in written), None)
            found = answers.of(i)
            counts.update(answers_written=len(found), thoughts_written=len(written))
            for trace in found or [Trace(completion=row["completion"] or "", **_of_row(row))]:
                if trace.completion:  # else the model gave no answer to this row
                    text = _put_together(row, thought, trace.completion, simple[i], config)
                    yield dataclasses.replace(trace, completion=text, **_of_row({**row, "simple": simple[i]}))

    shards: list[Path] = []
    place, put_together = Path(config.output_dir) / "candidates", candidates()
    with whole_folder(place) as partly:
        while batch := list(itertools.islice(put_together, _SHARD_TRACES)):
            shards.append(place / f"{len(shards):05d}.parquet")
            write_traces(partly / shards[-1].name, _by_reward(score_traces(batch, rewards), rewards, weights))
    if config.rewards:
        job.rules = dataclasses.replace(job.rules, max_per_prompt=config.keep_per_prompt)
    selection = job.select_shards(shards)
    job.write(
        map(job.row, selection.kept()),
        {
            **selection.report,
            "simple_queries": sum(simple),
            **counts,
        },
        selection,
    )
    return selection


def is_simple(row: Mapping[str, Any], pattern: str | None = None) -> bool:
    """
    Tell whether a query is so simple that it gets no chain of thought.

    Args:
        row (`Mapping[str, Any]`):
            With `prompt` and, where it is known, `simple`.
        pattern (`str`, *optional*):
            What a simple query matches as a whole, in lower case and without punctuation around it. By default
            that of `instructions.yaml`; the empty text matches none.
    """
    if row.get("simple") is not None:
        return bool(row["simple"])
    if pattern == "":
        return False
    query = row["prompt"].strip().lower().strip(" .!?,~。！？，～")
    return re.fullmatch(INSTRUCTIONS["simple"] if pattern is None else pattern, query, re.IGNORECASE) is not None


class _Written:
    """
    What the model wrote for some rows, read from its shards as the rows come. In memory is only what a later row shares with
    an earlier one.

    Args:
        shards (`Sequence[Path]`):
            The shards, in the order in which the rows asked.
        asked (`Mapping[int, tuple[str, str]]`):
            The id and the text with which each row asked, by the row's position.
    """

    def __init__(self, shards: Sequence[Path], asked: Mapping[int, tuple[str, str]]) -> None:
        self._asked, self._left = asked, Counter(asked.values())
        traces = (trace for shard in shards for trace in read_traces(shard))
        self._groups = itertools.groupby(traces, lambda trace: (trace.prompt_id, trace.prompt))
        self._read: dict[tuple[str, str], list[Trace]] = {}

    def of(self, row: int) -> list[Trace]:
        """Return the samples for the row of a position; none where it did not ask. Rows are asked about in their order."""
        key = self._asked.get(row)
        if key is None:
            return []
        while key not in self._read:
            found, traces = next(self._groups)
            self._read[found] = [trace for trace in traces if trace.was_sampled]
        self._left[key] -= 1
        return self._read[key] if self._left[key] else self._read.pop(key)


def _write(
    job: Job,
    which: Sequence[int],
    stem: str,
    instruction: str,
    before: int,
    total: int,
    last: bool = True,
) -> _Written:
    """
    Have the model write what some rows lack.

    Args:
        job ([`~builders.job.Job`]):
            What samples.
        which (`Sequence[int]`):
            Positions of the rows that lack it.
        stem (`str`):
            What it is, and the beginning of its shards' names: `"answers"` (several to a row) or `"thoughts"` (one).
        instruction (`str`):
            What the model is asked.
        before (`int`), total (`int`):
            Samples that are done, and all of the stage's.
        last (`bool`, *optional*, defaults to `True`):
            Whether nothing is written after it.
    """
    if not which:
        return _Written([], {})
    on_progress = job.on_progress

    def tell(done: int, _: int, /, **info: float) -> None:
        if on_progress is not None:
            on_progress(before + done, total, **info)

    asked = {}
    for i, row in zip(which, job.rows.select(which)):
        text = fill(instruction, prompt=row["prompt"], answer=_answer(row["completion"] or ""))
        asked[i] = row["prompt_id"], text
    shards = job.sample_to_shards(
        rows=[{"prompt_id": name, "prompt": text} for name, text in dict.fromkeys(asked.values())],
        config=job.sampling if stem == "answers" else dataclasses.replace(job.sampling, n_samples=1),
        stem=stem,
        on_progress=tell,
        last=last,
    )
    return _Written(shards, asked)


def _of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a trace holds of the row that it answers."""
    known = ("prompt_id", "prompt", "solution", "domain", "language")
    extra = {k: v for k, v in row.items() if k not in (*known, "completion", "thought") and v is not None}
    return {**{key: row[key] for key in known}, "extra": extra}


def _answer(completion: str) -> str:
    return (split_completion(completion).answer or "").strip()


def _thought(row: Mapping[str, Any]) -> str | None:
    """The chain of thought that a row brings with it: within its answer, or beside it."""
    return split_completion(row["completion"] or "").thought or row["thought"]


def _put_together(
    row: Mapping[str, Any], thought: str | None, completion: str, simple: bool, config: GeneralConfig
) -> str:
    if simple:
        # In the default form an empty thought is written as R1 itself writes it: `<think>\n\n</think>\n\n`.
        return fill(
            config.form, thought=config.simple_thoughts.get(row["language"] or "", ""), answer=_answer(completion)
        )
    if not thought or split_completion(completion).thought:
        return completion  # as it was written; one without a thought is counted as malformed
    return fill(config.form, thought=thought.strip(), answer=_answer(completion))


def _by_reward(
    traces: list[Trace], rewards: Mapping[str, Callable[..., Any]], weights: Sequence[float]
) -> list[Trace]:
    """Add the weighted sum of the rewards that apply, and put each prompt's best first."""
    if not rewards:
        return traces
    summed = []
    for trace in traces:
        parts = [w * v for name, w in zip(rewards, weights) if (v := trace.rewards.get(name)) is not None]
        summed.append(dataclasses.replace(trace, rewards={**trace.rewards, "reward": sum(parts) if parts else None}))

    def best_first(trace: Trace) -> float:
        reward = trace.rewards["reward"]
        return math.inf if reward is None else -reward

    return [trace for group in by_prompt(summed).values() for trace in sorted(group, key=best_first)]
