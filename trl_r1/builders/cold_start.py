"""
Cold-start data: readable outputs of R1-Zero, refined by a chat model, and answers that a chat model writes itself.

Paper, v1 2.3.1: few-shot prompting with a long chain of thought as an example, prompting directly for detailed answers with
reflection and verification, readable outputs of R1-Zero, and post-processing by people. v2 B.3.2: R1-Zero samples several trajectories at T = 1.0; those with the right final answer and a readable text
are kept (symbolic comparison, repetition detection, language-mixing filter); a chat model refines the reasoning (first
person, in the question's language) and writes a faithful summary with the boxed answer. Here the refined text is verified
again by the rules, and is given up where it fails them. Humans verified the result: [`~builders.review`].
"""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from ..data import load_rows
from ..sampling import SamplingConfig, Worker, accuracy_of, load_named, sample, score_traces
from ..selection import Selection, ShardSelection, select
from ..text import split_completion
from ..trace import Trace
from .config import FORM, ColdStartConfig
from .instructions import INSTRUCTIONS, fill
from .job import Hooks, Job
from .outputs import sft_row
from .review import FILE, Reviews


_NAMES = {"en": "English", "zh": "Chinese", "fr": "French", "de": "German", "es": "Spanish", "ja": "Japanese"}


def build_cold_start(
    sampling: SamplingConfig, config: ColdStartConfig, **hooks: Unpack[Hooks]
) -> list[dict[str, Any]]:
    """
    Sample, select, refine, and write what was kept.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample. The paper's temperature is 1.0.
        config ([`ColdStartConfig`]):
            From which model, on which prompts, what to keep and how to refine it.
        **hooks:
            See [`~builders.job.Hooks`].

    Returns:
        `list[dict[str, Any]]`: the rows of `data/train.parquet`.

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.StageError`]: if nothing was kept.
    """
    rewards = load_named(config.rewards)
    job = Job(sampling, config, rewards, right_by=accuracy_of(rewards), **hooks)
    examples = load_rows(config.examples, "sft", sampling.seed).to_list() if config.examples else []
    sheet = Path(config.output_dir) / FILE
    reviews = Reviews.read(config.reviewed, sheet if sheet.is_file() else None)
    finish = partial(score_traces, rewards=rewards)
    # What was sampled may have a form of its own (`<answer>` tags); a chat model writes the plain one.
    plain = dataclasses.replace(job.rules, style="think")
    rows: list[dict[str, Any]] = []
    selections: dict[str, Selection | ShardSelection] = {}
    refined: dict[str, Any] = {}
    if Worker.of_environment().rank:  # the others have a part in what is sampled from R1-Zero alone
        if "zero" in config.sources:
            job.take_part(finish, config.rewards)
        raise SystemExit(0)
    for source in config.sources:
        if source == "zero":
            sampled = selections[source] = job.select_shards(job.shards(finish, config.rewards))
            kept = list(sampled.kept())
            found: list[dict[str, Any] | None] = [job.row(trace, config.form) for trace in kept]
            if config.refine_url and kept:
                found, refined = _refined(kept, found, job, config)
        else:
            written = selections[source] = job.select(finish(list(_written(source, examples, job, config))), plain)
            found = [{**job.row(trace), **sft_row(trace, FORM)} for trace in written.kept]
        rows += [row for row in found if row is not None]
    reviews.write(sheet, rows)
    rows, reviewed = reviews.apply(rows)
    report = {**_together({name: one.report for name, one in selections.items()}), "kept": len(rows)}
    report |= {"reviewed": reviewed, **({"refined": refined} if refined else {})}
    job.write(rows, report, *selections.values())
    return rows


def _together(reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One report of several selections, with each of them in it; of a single one, its own."""
    if len(reports) == 1:
        return dict(*reports.values())
    by_reason, by_domain = Counter[str](), Counter[str]()
    for each in reports.values():
        by_reason.update(each["rejected"])
        by_domain.update(each["kept_by_domain"])
    seen = sum(each["seen"] for each in reports.values())
    return {"seen": seen, "rejected": by_reason, "kept_by_domain": by_domain, "by_source": reports}


def _chat(job: Job, config: ColdStartConfig, **changes: Any) -> SamplingConfig:
    """How the chat model is asked."""
    return dataclasses.replace(
        job.sampling,
        backend="server",
        base_url=config.refine_url,
        server_model=config.refine_model,
        prompt_template="chat",
        completion_prefix="",
        until_accepted=None,
        max_completion_tokens=config.refine_max_tokens,
        **changes,
    )


def _written(source: str, examples: list[dict[str, Any]], job: Job, config: ColdStartConfig) -> Iterator[Trace]:
    """What the chat model writes for the prompts, as traces of these."""
    rows = list(job.rows)
    requests = [
        {
            "prompt_id": str(i),
            "prompt": _question(row, source, examples, job.sampling.seed, config.examples_per_prompt),
        }
        for i, row in enumerate(rows)
    ]
    asking = _chat(job, config, n_samples=config.chat_samples)
    folder = f"{config.output_dir}/{source}"
    for answer in sample(config.refine_model or "", requests, asking, folder, worker=Worker()):
        row = rows[int(answer.prompt_id)]
        taken = ("model", "sampling", "completion", "finish_reason", "n_tokens", "sample", "seed")
        known = {name: getattr(answer, name) for name in taken}
        yield Trace.of_row(row, prompt_id=row["prompt_id"], prompt=row["prompt"], **known)


def _question(row: Mapping[str, Any], source: str, examples: list[dict[str, Any]], seed: int, shown: int) -> str:
    """What the chat model is asked for a row; the examples depend on nothing but the row, the seed and what there is."""
    values = {"language": _language_of(row["language"]), "prompt": row["prompt"]}
    if source == "few_shot":
        others = [one for one in examples if one["prompt_id"] != row["prompt_id"]]
        alike = [one for one in others if one["language"] == row["language"]] or others
        drawn = random.Random(f"{seed}:{row['prompt_id']}").sample(alike, min(shown, len(alike)))
        texts = (fill(INSTRUCTIONS["example"], prompt=one["prompt"], completion=one["completion"]) for one in drawn)
        values["examples"] = "\n\n".join(texts)
    return fill(INSTRUCTIONS[source], **values)


def _refined(
    kept: list[Trace], rows: list[dict[str, Any] | None], job: Job, config: ColdStartConfig
) -> tuple[list[dict[str, Any] | None], dict[str, Any]]:
    """Return the row of each kept sample refined, or what becomes of it where that fails, and how often which happened."""
    asking = _chat(job, config, n_samples=1, temperature=config.refine_temperature, top_p=1.0, top_k=0)
    requests = [
        {"prompt_id": str(i), "prompt": _request(trace, config.refine_instruction or INSTRUCTIONS["refine"])}
        for i, trace in enumerate(kept)
    ]
    candidates: dict[int, Trace] = {}
    # What is refined is known to the first worker alone.
    for answer in sample(config.refine_model or "", requests, asking, f"{config.output_dir}/refined", worker=Worker()):
        if not answer.was_sampled:
            continue
        i, said = int(answer.prompt_id), answer.completion
        known: dict[str, Any] = {"finish_reason": answer.finish_reason, "n_tokens": answer.n_tokens}
        candidates[i] = dataclasses.replace(kept[i], completion=said, rewards={}, **known)
    # Length in tokens is the sampled text's; about duplicates and a prompt's share, selection has decided.
    rules = dataclasses.replace(
        job.rules,
        style="think",
        min_tokens=None,
        max_tokens=None,
        drop_duplicates=False,
        max_per_prompt=None,
    )
    scored = dict(zip(candidates, score_traces(list(candidates.values()), job.rewards)))
    verdict = select(scored.values(), rules)
    passed = {id(trace) for trace in verdict.kept}
    result: list[dict[str, Any] | None] = list(rows) if config.if_not_refined == "original" else [None] * len(rows)
    for i, trace in scored.items():
        if id(trace) in passed:
            result[i] = {**job.row(trace), **sft_row(trace, FORM)}
    outcome = {
        "asked": len(kept),
        "refined": len(passed),
        "failed": verdict.counts,
        "without_answer": len(kept) - len(scored),
        "if_not_refined": config.if_not_refined,
    }
    return result, outcome


def _request(trace: Trace, instruction: str) -> str:
    parts = split_completion(trace.completion)
    return fill(
        instruction,
        language=_language_of(trace.language),
        prompt=trace.prompt,
        thought=parts.thought or "",
        answer=parts.answer or "",
    )


def _language_of(code: str | None) -> str:
    return _NAMES.get(code or "", code or "the question's language")
