"""
A checkpoint goes on with another number of ranks than wrote it: which does, and what is done to it first.

What each rank kept is put together by [`~resume.ExactResume.for_another_world`].
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import Trainer

from ..errors import MachineError
from ..io import read_json
from ..resume import WORLD_FILE


def world_of(checkpoint: Path) -> dict[str, Any]:
    """By how many processes a checkpoint was written, and what else it says of that."""
    ranks = len(list(checkpoint.glob("rng_state_*.pth"))) or 1
    return {"processes": ranks, **read_json(checkpoint / WORLD_FILE)}


def for_this_world(checkpoints: Iterable[Path], ranks: int) -> Path | None:
    """
    Return the first of some checkpoints, the latest first, that this number of ranks can go on from; `None` where there is none.

    A rollout belongs to the ranks that sampled it: another number goes on from the last checkpoint between two rollouts.

    Raises:
        [`~errors.MachineError`]: if there are only such as it cannot.
    """
    last = None
    for checkpoint in checkpoints:
        last = last or checkpoint
        if world_of(checkpoint)["processes"] == ranks or not world_of(checkpoint).get("within_rollout"):
            return checkpoint
    if last is None:
        return None
    raise MachineError(
        f"{last} was written within a rollout, by {world_of(last)['processes']} processes, and there is none between two "
        f"rollouts, from which {ranks} could go on. Use as many, or delete the checkpoint to start again."
    )


def check_world_of(checkpoint: Path, trainer: Any) -> None:
    """
    Refuse a checkpoint that this number of processes cannot go on from: one that another number wrote, at other rows a step,
    or under FSDP.
    """
    world, args = world_of(checkpoint), trainer.args
    before, now = world["processes"], args.world_size
    if before == now:
        return
    some = f"{before} process{'es' if before > 1 else ''}"
    rows, own = world.get("rows_per_step"), getattr(trainer, "rows_per_step", None)
    if rows is None or own is None or world.get("within_rollout") or trainer.is_fsdp_enabled:
        raise MachineError(
            f"{checkpoint} was written by {some} and cannot be resumed by {now}. Use {before}, or delete the checkpoint to "
            "start again."
        )
    if rows != own:
        raise MachineError(
            f"{checkpoint} was written by {some} with {rows} rows to a step, and {now} would take {own}. Expected as many: "
            f"`batch_size: {rows}` in the stage's config says so for any number of processes."
        )


def resharded(checkpoint: Path, trainer: Trainer) -> None:
    """Let DeepSpeed take up a checkpoint of another number of ranks: by its universal checkpoints, which name no ranks."""
    plugin, world = trainer.accelerator.state.deepspeed_plugin, world_of(checkpoint)
    shards = next(iter(sorted(checkpoint.glob("global_step*[0-9]"))), None)
    if plugin is None or shards is None or world["processes"] == trainer.args.world_size:
        return
    if trainer.accelerator.is_main_process and not (checkpoint / "latest_universal").exists():
        universal = shards.with_name(f"{shards.name}_universal")
        shutil.rmtree(universal, ignore_errors=True)
        convert = [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", "--inject_missing_state"]
        folders = ["--input_folder", str(shards), "--output_folder", str(universal)]
        # In a process of its own, and alone: it knows nothing of the ranks that wait here.
        alone = {key: value for key, value in os.environ.items() if key not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
        ran = subprocess.run([*convert, *folders], capture_output=True, text=True, env=alone)
        if ran.returncode:
            raise MachineError(f"{shards} could not be converted: {' '.join(ran.stderr.strip().splitlines()[-1:])}")
    trainer.accelerator.wait_for_everyone()
    plugin.deepspeed_config["checkpoint"] = {**plugin.deepspeed_config.get("checkpoint", {}), "load_universal": True}
