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
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from ..data import load_rows
from ..errors import ConfigError
from ..rewards.schedule import load_rewards
from ..sampling import SamplingConfig, named_rewards, score_traces
from ..selection import Selection
from ..text import split_completion
from ..trace import Trace, by_prompt
from .config import GeneralConfig
from .instructions import INSTRUCTIONS, fill
from .job import Hooks, Job


def build_general(sampling: SamplingConfig, config: GeneralConfig, **hooks: Unpack[Hooks]) -> Selection:
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
    rows = list(job.rows)
    simple = [is_simple(row, config.simple_pattern) for row in rows]

    unanswered = [i for i, row in enumerate(rows) if not row["completion"]]
    thoughtless = [i for i, row in enumerate(rows) if row["completion"] and not simple[i] and not _thought(row)]
    if (unanswered or thoughtless) and not config.model_name_or_path:
        what = "answer" if unanswered else "chain of thought"
        raise ConfigError(
            f"{len(unanswered or thoughtless)} of {len(rows)} rows have no {what}; expected a model to write one",
            key="model_name_or_path",
        )
    before = len(unanswered) * sampling.n_samples
    total = before + len(thoughtless)
    instruction = config.answer_instruction or "{prompt}"
    answers = _written(job, rows, unanswered, "answers", instruction, 0, total, last=not thoughtless)
    instruction = config.thought_instruction or INSTRUCTIONS["thought"]
    written = _written(job, rows, thoughtless, "thoughts", instruction, before, total)
    # One that was cut is no chain of thought. What a thinking model thought about how to write it is none either.
    thoughts = {
        i: split_completion(trace.completion).answer
        for i, traces in written.items()
        for trace in traces
        if trace.finish_reason == "stop"
    }
    candidates = []
    for i, row in enumerate(rows):
        thought = _thought(row) or thoughts.get(i)
        for trace in answers.get(i) or [Trace(completion=row["completion"] or "", **_of_row(row))]:
            if trace.completion:  # else the model gave no answer to this row
                text = _put_together(row, thought, trace.completion, simple[i], config)
                candidates.append(dataclasses.replace(trace, completion=text, **_of_row({**row, "simple": simple[i]})))
    candidates = _by_reward(score_traces(candidates, rewards), rewards, weights)
    if config.rewards:
        job.rules = dataclasses.replace(job.rules, max_per_prompt=config.keep_per_prompt)
    selection = job.select(candidates)
    job.write(
        map(job.row, selection.kept),
        {
            **selection.report,
            "simple_queries": sum(simple),
            "answers_written": sum(map(len, answers.values())),
            "thoughts_written": len(thoughts),
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


def _written(
    job: Job,
    rows: list[dict[str, Any]],
    which: list[int],
    stem: str,
    instruction: str,
    before: int,
    total: int,
    last: bool = True,
) -> dict[int, list[Trace]]:
    """
    Have the model write what some rows lack.

    Args:
        job ([`~builders.job.Job`]):
            What samples.
        rows (`list[dict[str, Any]]`), which (`list[int]`):
            All rows, and the positions of those that lack it.
        stem (`str`):
            What it is, and the beginning of its shards' names: `"answers"` (several to a row) or `"thoughts"` (one).
        instruction (`str`):
            What the model is asked.
        before (`int`), total (`int`):
            Samples that are done, and all of the stage's.
        last (`bool`, *optional*, defaults to `True`):
            Whether nothing is written after it.

    Returns:
        `dict[int, list[Trace]]`: what the model wrote, by the row's position.
    """
    found: dict[int, list[Trace]] = {i: [] for i in which}
    if not which:
        return found
    on_progress = job.on_progress

    def tell(done: int, _: int, /, **info: float) -> None:
        if on_progress is not None:
            on_progress(before + done, total, **info)

    traces = job.sample(
        rows=[
            {
                "prompt_id": str(i),
                "prompt": fill(instruction, prompt=rows[i]["prompt"], answer=_answer(rows[i]["completion"] or "")),
            }
            for i in which
        ],
        config=job.sampling if stem == "answers" else dataclasses.replace(job.sampling, n_samples=1),
        stem=stem,
        on_progress=tell,
        last=last,
    )
    for trace in traces:
        if trace.was_sampled:
            found[int(trace.prompt_id)].append(trace)
    return found


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
