"""
Cold-start data: readable outputs of R1-Zero, refined by a chat model.

Paper, v2 B.3.2: R1-Zero samples several trajectories at T = 1.0; those with the right final answer and a readable text
are kept (symbolic comparison, repetition detection, language-mixing filter); a chat model refines the reasoning (first
person, in the question's language) and writes a faithful summary with the boxed answer. Humans verified the result; here
the refined text is verified again by the rules, and is given up where it fails them.
"""

import dataclasses
from typing import Any, Unpack

from ..sampling import SamplingConfig, Worker, sample, score_traces
from ..select import Selection, select
from ..text import split_completion
from ..trace import Trace
from .config import FORM, ColdStartConfig
from .instructions import INSTRUCTIONS, fill
from .job import Hooks, Job
from .outputs import sft_row
from .rejection import sample_and_select


_NAMES = {"en": "English", "zh": "Chinese", "fr": "French", "de": "German", "es": "Spanish", "ja": "Japanese"}


def build_cold_start(sampling: SamplingConfig, config: ColdStartConfig, **hooks: Unpack[Hooks]) -> Selection:
    """
    Sample, select, refine, and write what was kept.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample. The paper's temperature is 1.0.
        config ([`ColdStartConfig`]):
            From which model, on which prompts, what to keep and how to refine it.
        **hooks:
            See [`~builders.job.Hooks`].

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.StageError`]: if nothing was kept.
    """
    job, selection = sample_and_select(sampling, config, **hooks)
    report = selection.to_json()
    # What was sampled may have a form of its own (`<answer>` tags); a refined text is written in the plain one.
    texts: list[str | None] = [sft_row(t, config.form, job.rules.style)["completion"] for t in selection.kept]
    if config.refine_url and selection.kept:
        texts, report["refined"] = _refined(selection.kept, texts, job, config)
    rows = [{**sft_row(trace), "completion": text} for trace, text in zip(selection.kept, texts) if text is not None]
    report["kept"] = len(rows)
    job.write(rows, report)
    return selection


def _refined(
    kept: list[Trace], texts: list[str | None], job: Job, config: ColdStartConfig
) -> tuple[list[str | None], dict[str, Any]]:
    """Return each kept completion refined, or what becomes of it where that fails, and how often which happened."""
    asking = dataclasses.replace(
        job.sampling,
        backend="server",
        base_url=config.refine_url,
        server_model=config.refine_model,
        prompt_template="chat",
        completion_prefix="",
        n_samples=1,
        until_accepted=None,
        temperature=config.refine_temperature,
        top_p=1.0,
        top_k=0,
        max_completion_tokens=config.refine_max_tokens,
    )
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
        candidates[i] = dataclasses.replace(kept[i], completion=said, finish_reason=answer.finish_reason, rewards={})
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
    result: list[str | None] = texts if config.if_not_refined == "original" else [None] * len(texts)
    for i, trace in scored.items():
        if id(trace) in passed:
            result[i] = sft_row(trace, FORM)["completion"]
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
        language=_NAMES.get(trace.language or "", trace.language or "the question's language"),
        prompt=trace.prompt,
        thought=parts.thought or "",
        answer=parts.answer or "",
    )
