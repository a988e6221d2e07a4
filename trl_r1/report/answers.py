"""
The same prompts answered by every model, from the traces of an evaluation.

Prompts are chosen by a hash of their id, first those that every model answered: always the same ones, and not picked
for how they turned out. Of each model the first sample is shown, whatever it is.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..data_files import parquet_files
from ..lineage import RunRecord, StageRecord
from ..scores import number
from ..solved import is_solved
from ..trace import Trace
from .rollouts import COLUMNS, Sampled, sampled_of, typical
from .texts import Piece, pieces_of


MOST_PROMPTS = 2000  # of an evaluation, among which a pair of answers is chosen
PROMPTS_PER_DOMAIN = 2
MOST_DOMAINS = 6


@dataclass(frozen=True)
class Answer:
    """
    What one model wrote to a prompt.

    Args:
        model (`str`):
            The model's name in the evaluation.
        pieces (`tuple[Piece, ...]`):
            The completion in order: nothing is left out but the middle of very long pieces.
        verdict (`str`):
            `"right"`, `"wrong"`, or empty where nothing says it.
        rewards (`tuple[tuple[str, float | None], ...]`):
            Rewards by name.
        n_tokens (`int`):
            Length in tokens.
        truncated (`bool`):
            Whether it was cut at the maximum length.
    """

    model: str
    pieces: tuple[Piece, ...]
    verdict: str
    rewards: tuple[tuple[str, float | None], ...]
    n_tokens: int
    truncated: bool


@dataclass(frozen=True)
class Question:
    """A prompt with every model's answer, `None` for a model that was not asked."""

    prompt: str
    domain: str
    language: str
    solution: str
    answers: tuple[tuple[str, Answer | None], ...]


def questions_of(run: RunRecord) -> list[Question]:
    """A few prompts per domain with the answer of every model, for every evaluation that kept its traces."""
    found = []
    for stage in run.stages:
        if stage.name in run.continued:
            continue
        models = stage.metrics.get("models")
        shards = parquet_files(stage.directory / "traces")
        if shards and (stage.makes == "metrics" or isinstance(models, dict)):
            found += _questions(shards, list(models) if isinstance(models, dict) else [])
    return found


def _questions(shards: list[Path], models: list[str]) -> list[Question]:
    try:
        chosen, seen = _choose(shards)
        first = _first_samples(shards, chosen)
    except (OSError, ValueError, KeyError):  # a shard that is no parquet file, or has other columns
        return []
    models = models or seen
    questions = []
    for prompt_id in chosen:
        asked = {model: first[model, prompt_id] for model in models if (model, prompt_id) in first}
        if not asked:
            continue
        one = next(iter(asked.values()))
        answers = tuple((model, _answer(model, asked[model]) if model in asked else None) for model in models)
        questions.append(Question(one.prompt, one.domain or "", one.language or "", one.solution or "", answers))
    return questions


def _choose(shards: list[Path]) -> tuple[list[str], list[str]]:
    """Prompt ids to show, by domain, and the models in order of appearance. Reads the small columns only."""
    import pyarrow.parquet as pq

    answered: dict[tuple[str, str], set[str]] = {}
    models: dict[str, None] = {}
    for shard in shards:
        table = pq.read_table(shard, columns=["prompt_id", "domain", "model"])
        for row in table.group_by(["prompt_id", "domain", "model"]).aggregate([]).to_pylist():
            models[row["model"]] = None
            answered.setdefault((row["domain"] or "", row["prompt_id"]), set()).add(row["model"])
    by_domain: dict[str, list[tuple[int, str, str]]] = {}
    for (domain, prompt_id), by in answered.items():
        order = hashlib.sha256(prompt_id.encode()).hexdigest()
        by_domain.setdefault(domain, []).append((-len(by), order, prompt_id))
    domains = sorted(by_domain, key=lambda domain: (-len(by_domain[domain]), domain))[:MOST_DOMAINS]
    return [p for d in domains for _, _, p in sorted(by_domain[d])[:PROMPTS_PER_DOMAIN]], list(models)


def _first_samples(shards: list[Path], prompt_ids: list[str]) -> dict[tuple[str, str], Trace]:
    """The first sample of each model to each of these prompts. Other rows are filtered out as they are read."""
    import json

    import pyarrow.dataset as ds

    found: dict[tuple[str, str], Trace] = {}
    columns = ["prompt_id", "prompt", "completion", "solution", "domain", "language", "rewards", "model"]
    columns += ["finish_reason", "n_tokens"]
    scanner = ds.dataset([str(s) for s in shards], format="parquet")
    wanted = ds.field("prompt_id").isin(prompt_ids)
    # Little is read ahead: an evaluation of long thoughts is larger than the memory of who looks at it.
    for batch in scanner.to_batches(columns=columns, filter=wanted, batch_readahead=2, fragment_readahead=1):
        for row in batch.to_pylist():
            key = (row["model"], row["prompt_id"])
            if key not in found:
                rewards = json.loads(row["rewards"]) if row["rewards"] else {}
                found[key] = Trace(**{**row, "rewards": rewards if isinstance(rewards, dict) else {}})
    return found


def _answer(model: str, trace: Trace) -> Answer:
    rewards = tuple((name, number(value)) for name, value in trace.rewards.items())
    solved = is_solved(value for name, value in rewards if "accuracy" in name.lower())
    verdict = "" if solved is None else "right" if solved else "wrong"
    return Answer(
        model, pieces_of(trace.completion), verdict, rewards, trace.n_tokens, trace.finish_reason == "length"
    )


def before_and_after(run: RunRecord, stage: StageRecord, domain: str) -> tuple[Sampled | None, Sampled | None, int]:
    """
    The same prompt of an evaluation, answered by the model from which a stage started and by the stage's own; and among how
    many prompts it was chosen.

    Args:
        run (`RunRecord`):
            The run.
        stage (`StageRecord`):
            The stage.
        domain (`str`):
            The domain of the prompts; empty for any.
    """
    before = next(("base" if name == "base_model" else name for name in stage.model_from), "")
    for evaluation in run.stages:
        measured = evaluation.metrics.get("models")
        if not isinstance(measured, dict) or not {before, stage.name} <= measured.keys():
            continue
        try:
            first = {name: _first_of(evaluation, name, domain) for name in (before, stage.name)}
        except (OSError, ValueError, KeyError):
            continue
        common = first[before].keys() & first[stage.name].keys()
        found = typical([(first[before][prompt], first[stage.name][prompt]) for prompt in sorted(common)])
        if found[2]:
            return found
    return None, None, 0


def _first_of(evaluation: StageRecord, model: str, domain: str) -> dict[str, Sampled]:
    """The first sample of a model to each prompt, of at most `MOST_PROMPTS` prompts."""
    import pyarrow.dataset as ds

    wanted = ds.field("model") == model
    if domain:
        wanted &= ds.field("domain") == domain
    found: dict[str, Sampled] = {}
    scanner = ds.dataset(list(map(str, parquet_files(evaluation.directory / "traces"))), format="parquet")
    for batch in scanner.to_batches(columns=COLUMNS, filter=wanted, batch_readahead=2, fragment_readahead=1):
        for sampled in sampled_of(batch.to_pylist()):
            found.setdefault(sampled.prompt_id, sampled)
        if len(found) >= MOST_PROMPTS:
            break
    return found
