"""
Rejection sampling: several completions per prompt, of which the right and readable ones are kept.

Paper, v1 2.3.3 and v2 B.3.3: several samples per prompt from the checkpoint of RL stage 1, only correct ones kept; some
prompts judged by a generative reward model; chains of thought with mixed languages, long paragraphs or code blocks
removed. Samples per prompt are not stated.
"""

from functools import partial
from typing import Unpack

from ..sampling import SamplingConfig, accuracy_of, load_named, score_traces
from ..selection import ShardSelection
from .config import RejectionConfig
from .job import Hooks, Job


def build_rejection(sampling: SamplingConfig, config: RejectionConfig, **hooks: Unpack[Hooks]) -> ShardSelection:
    """
    Sample, select, and write what was kept.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How to sample.
        config ([`RejectionConfig`]):
            From which model, on which prompts, and what to keep.
        **hooks:
            See [`~builders.job.Hooks`].

    Raises:
        [`~errors.ConfigError`]: if the config or the data are wrong; nothing has been sampled then.
        [`~errors.StageError`]: if nothing was kept.
    """
    rewards = load_named(config.rewards)
    job = Job(sampling, config, rewards, right_by=accuracy_of(rewards), **hooks)
    selection = job.select_shards(job.shards(partial(score_traces, rewards=rewards), config.rewards))
    job.write((job.row(trace, config.form) for trace in selection.kept()), selection.report, selection)
    return selection
