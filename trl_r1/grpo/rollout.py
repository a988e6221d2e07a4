"""
What one generation gave, as one record, and where it is kept.

With `save_rollouts` each generation and rank leaves a shard of [`~trace.Trace`], named after both
(`step000012-call00000024-rank000.parquet`), so that a resumed run writes over what the interrupted one had sampled after
its last checkpoint, and no completion is there twice. Selection reads these shards.
"""

import re
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..data_files import parquet_files
from .metrics import Group


logger = get_logger(__name__)

FOLDER = "rollouts"
# Updates done when it was sampled; batches done, which tells apart two generations of one step; the further round of
# dynamic sampling, or nothing; the rank.
SHARD = "step{step:06d}-call{call:08d}{further}-rank{rank:03d}.parquet"
_SHARD = re.compile(r"step(\d+)-call\d+(-round\d+)?-rank\d+\.parquet")


class Rollout(list[dict[str, Any]]):
    """
    One generation of one rank (B rows of the N of all ranks): the data set's rows, copied, and what became of them. It is
    a list, since TRL hands the list of rows that it generates for on to the rewards.

    Attributes:
        prefilled (`list[bool]` of length B):
            Whether the prompt, as the model saw it, had opened the thought.
        texts (`list[str]` of length B):
            The completions.
        completion_ids (`list[list[int]]` of length B):
            Their tokens.
        truncated (`list[bool]` of length B):
            Whether the length limit cut the completion.
        rewards (`torch.Tensor` of shape `(N, F)`):
            Of all ranks' completions under each function, NaN where one does not apply.
        reward_seconds (`float`):
            How long the rewards took.
        groups (`list[Group]`):
            Of all ranks, in the order of `rewards`.
        domains (`list`):
            Theirs; `None` where there is none.
    """

    prefilled: list[bool]
    texts: list[str]
    completion_ids: list[list[int]]
    truncated: list[bool]
    rewards: torch.Tensor
    reward_seconds: float
    groups: list[Group]
    domains: list[Any]


class RemoveStaleRollouts(TrainerCallback):
    """Removes the shards of the steps that a run samples itself, which an earlier one has left."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remove them before the first step."""
        if state.is_world_process_zero:
            removed = remove_rollouts_from(args.output_dir, state.global_step)
            if removed:
                logger.warning(
                    f"{removed} shards of rollouts were sampled at step {state.global_step} or later by an earlier run "
                    f"in {args.output_dir}; they are removed, since this run samples those steps itself."
                )
        args.distributed_state.wait_for_everyone()


def remove_rollouts_from(output_dir: str, step: int) -> int:
    """
    Remove the shards of a step and of all that follow it, which a run that starts at this step will sample again.

    Returns:
        `int`: how many were removed.
    """
    shards = parquet_files(Path(output_dir, FOLDER))
    stale = [path for path in shards if (match := _SHARD.fullmatch(path.name)) and int(match[1]) >= step]
    for path in stale:
        path.unlink()
    return len(stale)
