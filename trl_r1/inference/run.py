"""Sample questions, choose an answer for each, and write both."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..adapters import full_model
from ..builders.dataset import write_data_set
from ..data import load_prompts
from ..data.rows import prompt_id
from ..errors import DataError
from ..sampling import (
    SamplingConfig,
    Worker,
    check_budget,
    check_columns,
    engine_of,
    load_named,
    sample,
    sample_within_budget,
    score_traces,
)
from ..sampling.progress import OnProgress
from ..text import split_completion
from ..trace import Trace, by_prompt
from ..verify import final_answer
from .config import InferenceConfig
from .votes import group_answers, is_decided, tally, winner


FIRST_SAMPLES = 4  # before a vote is looked at for the first time; then twice as many each time


@dataclass(frozen=True)
class Answer:
    """
    What was chosen for one question.

    Args:
        question (`Mapping[str, Any]`):
            Its row.
        chosen (`Trace`, *optional*):
            The sample that stands for the answer; `None` where no sample has one.
        share (`float`, *optional*):
            Its share of the votes, or of their weights; `None` with `"best_of_n"`.
        n_samples (`int`):
            Samples drawn.
        n_tokens (`int`):
            Tokens of all of them.
    """

    question: Mapping[str, Any]
    chosen: Trace | None
    share: float | None
    n_samples: int
    n_tokens: int

    @property
    def text(self) -> str | None:
        """The final answer, as the sample writes it; the whole of what follows the thought where that ends in none."""
        if self.chosen is None:
            return None
        part = split_completion(self.chosen.completion).answer or self.chosen.completion
        return final_answer(part) or part.strip()


def infer(
    sampling: SamplingConfig, config: InferenceConfig, on_progress: OnProgress | None = None, engine: Any = None
) -> list[Answer]:
    """
    Answer questions, and write `data/answers.parquet`: `prompt_id`, `prompt`, `completion` (the chosen sample), `answer`,
    `share`, `samples`, `tokens`, `solution`, `domain`, `language`.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample; `n_samples` is the most that a question gets.
        config ([`InferenceConfig`]):
            Which questions, and how to choose.
        on_progress ([`~sampling.progress.OnProgress`], *optional*):
            Told how far sampling is.
        engine ([`~sampling.Engine`], *optional*):
            What samples; by default the engine that `sampling` names.

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.DataError`]: if a weight of a vote is negative.
    """
    rewards = load_named([config.reward], "reward") if config.reward else {}
    rows = load_prompts(config.data, sampling.seed) if config.data else None
    questions = list(rows or []) + [_row(question) for question in config.questions]
    check_columns(rewards, rows.column_names if rows else ["prompt"], {row["domain"] for row in questions})
    draw: Callable[..., Iterable[Trace]] = sample
    if config.thought_budget is not None:
        check_budget(sampling, key="thought_budget")
        draw = partial(sample_within_budget, budget=config.thought_budget)
    traces_dir = f"{config.output_dir}/traces"
    most = sampling.n_samples
    n = min(FIRST_SAMPLES, most) if config.choose == "vote" and config.stop_early else most
    answers: dict[str, Answer] = {}
    left = questions
    with ExitStack() as stack:
        if engine is None:
            named = engine_of(sampling.backend)
            model = config.model_name_or_path
            full = full_model(model, f"{traces_dir}/merged") if named.loads_model else model
            engine = stack.enter_context(closing(named(full, sampling)))
        while left:
            settings = dataclasses.replace(sampling, n_samples=n)
            drawn = draw(
                config.model_name_or_path,
                left,
                settings,
                traces_dir,
                on_progress=on_progress,
                engine=engine,
                worker=Worker(),
            )
            samples = by_prompt(score_traces(list(drawn), rewards))
            for row in left:
                answers[row["prompt_id"]] = answer(row, samples.get(row["prompt_id"], []), config.choose)
            if n == most:
                break
            left = [row for row in left if not is_decided(_votes(samples.get(row["prompt_id"], [])), most - n)]
            n = min(2 * n, most)
    found = [answers[row["prompt_id"]] for row in questions]
    _write(found, Path(config.output_dir))
    return found


def answer(question: Mapping[str, Any], samples: Sequence[Trace], choose: str) -> Answer:
    """
    Choose one of a question's samples.

    Args:
        question (`Mapping[str, Any]`):
            Its row.
        samples (`Sequence[Trace]`):
            Its samples, with the reward that chooses as their only one.
        choose (`str`):
            See [`InferenceConfig`].
    """
    drawn = [trace for trace in samples if trace.was_sampled]
    chosen, share = None, None
    if choose == "best_of_n":
        scored = [(score, trace) for trace in drawn if (score := _reward(trace)) is not None]
        chosen = max(scored, key=lambda pair: pair[0])[1] if scored else None
    else:
        weights = [_weight(trace) for trace in drawn] if choose == "weighted_vote" else None
        groups = _votes(drawn)
        position = winner(groups, weights)
        if position is not None:
            counts = tally(groups, weights)
            chosen, total = drawn[position], sum(counts.values())
            share = counts[groups[position]] / total if total else 0.0  # type: ignore[index]  # a winner has a group
    return Answer(question, chosen, share, len(samples), sum(trace.n_tokens for trace in samples))


def _votes(samples: Sequence[Trace]) -> list[int | None]:
    """The group for which each sample votes; one that was cut has no answer."""
    return group_answers(trace.completion if trace.was_sampled else "" for trace in samples)


def _reward(trace: Trace) -> float | None:
    return next(iter(trace.rewards.values()), None)


def _weight(trace: Trace) -> float:
    weight = _reward(trace) or 0.0
    if weight < 0:
        raise DataError(f"the reward gave {weight}; expected weights of at least 0", key="reward")
    return weight


def _row(question: str) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id("question", question),
        "prompt": question,
        "solution": None,
        "domain": "question",
        "language": None,
    }


def _write(answers: Sequence[Answer], output_dir: Path) -> None:
    import pyarrow as pa

    texts = ("prompt_id", "prompt", "solution", "domain", "language")
    schema = pa.schema(
        [(name, pa.string()) for name in (*texts, "completion", "answer")]
        + [("share", pa.float64()), ("samples", pa.int64()), ("tokens", pa.int64())]
    )
    rows = (
        {
            **{name: each.question.get(name) for name in texts},
            "completion": each.chosen.completion if each.chosen else None,
            "answer": each.text,
            "share": each.share,
            "samples": each.n_samples,
            "tokens": each.n_tokens,
        }
        for each in answers
    )
    write_data_set(rows, output_dir / "data", "answers", schema)
