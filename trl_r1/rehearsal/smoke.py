"""
`trl-r1 run RECIPE --smoke`: a stage at its real size for one step, with all lengths at their maximum. Torch-free.

What decides whether a step fits is as it will be: the models, the processes, the micro-batches, the longest rows and
completions, the reference and its replacement, the checkpoint. What only takes time is cut: one optimizer step, the
completions of that step alone, few prompts for builders and evaluations.

Completions in training are sampled on to their maximum length. What a builder samples is too, and then replaced by right
and spoilt completions as in a rehearsal, since a model's first samples may leave a filter nothing to keep, and the stages
after it nothing to read.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from ..recipe import ResolvedStage
from .engine_names import BACKEND_VARIABLE, FULL_VARIABLE
from .shrink import ENGINE, samples, trains


PROMPTS = 4  # of each source of a builder or an evaluation
ROWS = 1024  # of each source of a training stage at most
_KINDS = {kind: f"trl_r1.rehearsal.smoke_{kind}" for kind in ("sft", "reward", "pointwise", "dpo")}


def smoke(item: ResolvedStage) -> ResolvedStage:
    """Return a stage as `--smoke` runs it."""
    config = deepcopy(item.config)
    stage = item.stage
    trainer = trains(item.kind)
    if trainer is not None:
        config |= {"max_steps": 1, "logging_steps": 1, "save_strategy": "steps", "save_steps": 1, "report_to": "none"}
        config |= {"push_to_hub": False}
        _limit(config, ROWS)
        if trainer == "GRPO":
            _one_rollout(config)
        stage = replace(stage, kind=_KINDS.get(stage.kind, stage.kind))
    if samples(item.kind):
        own = {BACKEND_VARIABLE: str(config.get("backend") or "transformers"), FULL_VARIABLE: "1"}
        config["env"] = {**(config.get("env") or {}), **own}
        config["backend"] = ENGINE
        _limit(config, PROMPTS)
    return replace(item, stage=stage, config=config)


def _limit(config: dict[str, Any], rows: int) -> None:
    for source in config.get("data") or ():
        if isinstance(source, dict):
            source["limit"] = min(source.get("limit") or rows, rows)


def _one_rollout(config: dict[str, Any]) -> None:
    """One step's completions, all as long as any may be, and every reward and source from the start."""
    schedule = config.pop("max_completion_length_schedule", None)
    pairs = list(schedule.items() if isinstance(schedule, dict) else schedule or ())
    lengths = [config.get("max_completion_length") or 32768, *(length for _, length in pairs)]
    config["max_completion_length"] = max(lengths)
    on = {"ignore_eos": True} if config.get("use_vllm") else {"min_new_tokens": max(lengths)}
    config["generation_kwargs"] = {**(config.get("generation_kwargs") or {}), **on}
    config.pop("generation_batch_size", None)
    config.pop("steps_per_generation", None)  # those of one step
    config |= {
        "skip_zero_advantage": False,  # no sample of the first step may earn anything
        "mask_truncated_completions": False,
        "dynamic_sampling": False,
    }
    if config.get("sync_ref_model", True):
        config["ref_model_sync_steps"] = 1
    for one in [*(config.get("rewards") or ()), *(config.get("data") or ())]:
        if isinstance(one, dict):
            one.pop("from_step", None)
            one.pop("until_step", None)
