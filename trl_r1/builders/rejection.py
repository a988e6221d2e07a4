"""
Rejection sampling: several completions per prompt, of which the right and readable ones are kept.

Paper, v1 2.3.3 and v2 B.3.3: several samples per prompt from the checkpoint of RL stage 1, only correct ones kept; some
prompts judged by a generative reward model; chains of thought with mixed languages, long paragraphs or code blocks
removed. Samples per prompt are not stated.
"""

from functools import partial
from typing import Unpack

from ..sampling import SamplingConfig, accuracy_of, load_named, score_traces
from ..selection import Selection
from .config import RejectionConfig
from .job import Hooks, Job
from .outputs import sft_row


def build_rejection(sampling: SamplingConfig, config: RejectionConfig, **hooks: Unpack[Hooks]) -> Selection:
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
    job, selection = sample_and_select(sampling, config, **hooks)
    job.write([sft_row(trace, config.form, job.rules.style) for trace in selection.kept], selection.report)
    return selection


def sample_and_select(
    sampling: SamplingConfig, config: RejectionConfig, **hooks: Unpack[Hooks]
) -> tuple[Job, Selection]:
    """Sample and select by the config's rewards."""
    rewards = load_named(config.rewards)
    job = Job(sampling, config, rewards, right_by=accuracy_of(rewards), **hooks)
    scored = job.sample(finish=partial(score_traces, rewards=rewards), finish_key=config.rewards)
    return job, job.select(scored)
