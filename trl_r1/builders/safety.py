"""
Responses labelled safe or unsafe, for the safety model.

Paper, v2 3.1: 106,000 prompts with responses of the model, labelled safe or unsafe by guidelines; a pointwise reward model
is trained on them. The guidelines are not given; those of [`~builders.SafetyJudge`] are our own.
"""

from collections import Counter
from functools import partial
from typing import Any, Unpack

from ..data import load_rows
from ..errors import ConfigError
from ..rewards.schedule import RewardSpec, check_machine, make_reward
from ..sampling import SamplingConfig, score_traces
from ..trace import Trace, read_traces
from .config import SafetyConfig
from .job import Hooks, Job
from .outputs import LABEL_COLUMNS


def build_safety(sampling: SamplingConfig, config: SafetyConfig, **hooks: Unpack[Hooks]) -> list[dict[str, Any]]:
    """
    Sample responses where rows have none, have them labelled, and write them with their labels.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`SafetyConfig`]):
            On which prompts, from which model, and who labels.
        **hooks:
            See [`~builders.job.Hooks`].

    Returns:
        `list[dict[str, Any]]`: the rows of `data/train.parquet`, with `label`: true for a safe response.

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.StageError`]: if nothing was labelled.
    """
    judge = make_reward(RewardSpec.parse(config.judge, "judge"), "judge")
    check_machine(judge, "judge")
    rewards = {"safe": judge}
    job = Job(sampling, config, rewards, load=partial(load_rows, kind="general"), well_formed=False, **hooks)
    given = [row for row in job.rows if row["completion"]]
    asked = [row for row in job.rows if not row["completion"]]
    if asked and not config.model_name_or_path:
        raise ConfigError(
            f"{len(asked)} of {len(given) + len(asked)} rows have no response; expected a model to write one",
            key="model_name_or_path",
        )
    finish = partial(score_traces, rewards=rewards)
    traces = finish([_as_it_is(row) for row in given])
    job.rows = [{key: value for key, value in row.items() if key != "completion"} for row in asked]
    for shard in job.shards(finish, config.judge):
        traces += read_traces(shard)
    selection = job.select(traces)
    kept = []
    for trace in selection.kept:
        safe = trace.rewards["safe"]
        if safe is not None:
            kept.append({**job.row(trace), "label": safe >= config.safe_from})
    report = selection.report
    rejected = {**report["rejected"], "unjudged": len(selection.kept) - len(kept)}
    labels = Counter("safe" if row["label"] else "unsafe" for row in kept)
    counts = {"kept": len(kept), "rejected": {reason: n for reason, n in rejected.items() if n}, "labels": labels}
    job.write(kept, {**report, **counts}, selection, columns=LABEL_COLUMNS)
    return kept


def _as_it_is(row: dict[str, Any]) -> Trace:
    rest = {key: value for key, value in row.items() if key not in ("completion", "thought")}
    known = {key: row[key] for key in ("prompt_id", "prompt", "completion")}
    return Trace.of_row(rest, **known)
