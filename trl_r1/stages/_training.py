"""
What the training stages do alike: resume from the last whole checkpoint, train, save the model under its final name.

```python
def train(args: SFTConfig, stage: StageArguments, model: ModelConfig) -> None:
    if not has_to_train(args, stage):
        return
    rows = ...
    trainer = SFTTrainer(train_dataset=rows, **trainer_arguments(args, model))
    train_and_save(trainer, merge_adapter=stage.merge_adapter, keep_checkpoints=stage.keep_checkpoints)
```
"""

import logging
import os
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ..adapters import MERGED, full_model, is_adapter, lora_targets
from ..errors import ConfigError
from ..ids import parse_hub_id
from ..io import numbered_checkpoints, publish, read_json, write_json
from ..scores import number
from ._common import Progress
from ._interrupt import train
from ._ranks import check_world_of, for_this_world, resharded, world_of
from ._world import SameWeightsEverywhere, check_strategy, check_world


if TYPE_CHECKING:
    from trl import ModelConfig

    from ._arguments import StageArguments

logger = logging.getLogger(__name__)

# Where a stage puts the full model of an adapter from elsewhere, from which it starts.
START_MODEL = "start_model"

# What of a trainer's log the runner's live line shows, and under which name.
SHOWN = {
    "reward": "reward",
    "loss": "loss",
    "completions/mean_length": "tokens",
    "mean_token_accuracy": "accuracy",
    "accuracy": "accuracy",
}


def has_to_train(args: TrainingArguments, stage: "StageArguments") -> bool:
    """
    Check the world, and return whether the stage's model is still to be made; print it where it is there already.

    Args:
        args ([`~transformers.TrainingArguments`]):
            The trainer's.
        stage ([`~stages._arguments.StageArguments`]):
            How many processes are expected.

    Raises:
        [`~errors.MachineError`]: if the world is another one than was asked for.
    """
    check_world(args, stage.expect_processes)
    model = Path(str(args.output_dir)) / "model"
    if not model.is_dir():
        return True
    if args.process_index == 0:
        print(f"{model} is there: this stage is done. Delete it to train again.", flush=True)
        if not stage.keep_checkpoints:  # it may have been killed before it came to that
            remove_checkpoints(model.parent)
    return False


def trainer_arguments(args: Any, model: "ModelConfig") -> dict[str, Any]:
    """
    Return what any trainer of TRL is made with, of the model to start from; an adapter is merged into its base first.

    Args:
        args ([`~transformers.TrainingArguments`]):
            The trainer's. Their `model_init_kwargs`, which take precedence, are filled from the keys of `model`.
        model ([`~trl.ModelConfig`]):
            The model, LoRA and quantization.

    Returns:
        `dict[str, Any]`: `model` (a path or Hub id), `args`, `peft_config`, `quantization_config`.

    Raises:
        [`~errors.ConfigError`]: if there is no such model.
    """
    from trl import get_peft_config, get_quantization_config

    path, revision = _model_path(model.model_name_or_path, args)
    args.model_init_kwargs = {
        "revision": revision or model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        "trust_remote_code": args.trust_remote_code,
        **(args.model_init_kwargs or {}),
    }
    model.lora_target_modules = lora_targets(model.lora_target_modules)
    return {
        "model": path,
        "args": args,
        "peft_config": get_peft_config(model),
        "quantization_config": get_quantization_config(model),
    }


def last_whole_checkpoint(output_dir: str | os.PathLike[str]) -> Path | None:
    """
    Return the last checkpoint that was written to its end, or `None`.

    A checkpoint is whole when its `trainer_state.json`, which is written last, parses, and when the files that other
    ranks write at the same time are whole as well.
    """
    return next((checkpoint for checkpoint in numbered_checkpoints(output_dir) if _is_whole(checkpoint)), None)


def remove_checkpoints(output_dir: str | os.PathLike[str]) -> None:
    """Remove the checkpoints of a stage whose model is there: nothing goes on from them, and 7B take 137 GB each."""
    for checkpoint in numbered_checkpoints(output_dir):
        shutil.rmtree(checkpoint)


def remove_broken_checkpoints(output_dir: str | os.PathLike[str]) -> None:
    """Remove what a killed process left half-written, so that rotation does not count it as a checkpoint."""
    for checkpoint in numbered_checkpoints(output_dir):
        if not _is_whole(checkpoint):
            logger.warning("%s was not written to its end; it is removed", checkpoint)
            shutil.rmtree(checkpoint)


def _is_whole(checkpoint: Path) -> bool:
    if not read_json(checkpoint / "trainer_state.json"):
        return False
    # torch writes zip archives, whose directory comes last: one that was cut is none.
    return all(zipfile.is_zipfile(path) for pattern in ("*.pt", "*.pth") for path in checkpoint.rglob(pattern))


def _model_path(model_name_or_path: str | None, args: TrainingArguments) -> tuple[str, str | None]:
    """The path and the revision of the model a stage starts from; an adapter that no stage of ours has
    merged is merged into `start_model/`."""
    if not model_name_or_path:
        raise ConfigError("expected a Hub id or a local directory", key="model_name_or_path")
    path, revision = parse_hub_id(model_name_or_path)
    local = Path(path).expanduser()
    if local.is_dir():
        # An adapter remembers the path of its base, and must find it from anywhere.
        path = str(local.resolve())
    elif path.startswith(("/", ".", "~")):
        raise ConfigError(f"expected a directory, but there is none: {path}", key="model_name_or_path")
    into = (Path(str(args.output_dir)) / START_MODEL).resolve()
    with args.main_process_first(local=False, desc="merging the adapter"):
        return full_model(path, into), revision


class ReportProgress(TrainerCallback):
    """Keep `progress.json` up to date."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._info: dict[str, float] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the step training starts from."""
        if state.is_world_process_zero:
            self._progress = Progress(str(args.output_dir), state.max_steps)
            self._progress.update(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the numbers worth showing."""
        for name, shown in SHOWN.items():
            if (value := number((logs or {}).get(name))) is not None:
                self._info[shown] = round(value, 4)
        if self._progress is not None:
            self._progress.update(state.global_step, **self._info)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the step; one that is to be logged, with its own numbers, then."""
        if self._progress is not None and not control.should_log:
            self._progress.update(state.global_step, **self._info)


class _WithoutZeros:
    """Leaves out of a printed line the words of reflection that did not occur; the trainer's log and trackers keep them."""

    def on_log(self, *given: Any, logs: Mapping[str, Any] | None = None, **named: Any) -> None:
        shown = {name: value for name, value in (logs or {}).items() if value or not name.startswith("reflection/")}
        super().on_log(*given, logs=shown, **named)  # type: ignore[misc]


class _Progress(_WithoutZeros, ProgressCallback):
    pass


class _Printer(_WithoutZeros, PrinterCallback):
    pass


def train_and_save(
    trainer: Trainer,
    *,
    merge_adapter: bool = False,
    keep_checkpoints: bool = False,
    complete: Callable[[Path], None] | None = None,
) -> None:
    """
    Train, from the last whole checkpoint where there is one, and save what the stage leaves behind.

    `trainer_state.json` and `metrics.json` are written before `model/` gets its name: where that exists, all is there.

    Args:
        trainer ([`~transformers.Trainer`]):
            The stage's trainer, set up.
        merge_adapter (`bool`, *optional*, defaults to `False`):
            Whether a LoRA adapter is saved as the full model.
        keep_checkpoints (`bool`, *optional*, defaults to `False`):
            Whether the checkpoints stay when `model/` is there.
        complete (`Callable`, *optional*):
            Called with the directory of the saved model before it gets its name, to put further files there.

    Raises:
        [`~errors.Interrupted`]: if SIGTERM ended the training; see [`~stages._interrupt`].
    """
    args, accelerator = trainer.args, trainer.accelerator
    output_dir = Path(str(args.output_dir))
    check_strategy(accelerator)
    for theirs, ours in ((ProgressCallback, _Progress), (PrinterCallback, _Printer)):
        if trainer.pop_callback(theirs) is not None:
            trainer.add_callback(ours)
    trainer.add_callback(ReportProgress())
    trainer.add_callback(SameWeightsEverywhere())
    if not args.push_to_hub:
        # TRL's card calls what starts from a local folder "a fine-tuned version of None"; `trl_r1.hub` writes ours.
        trainer.create_model_card = lambda *args, **kwargs: None

    checkpoint = _checkpoint_to_resume(args)
    if checkpoint is not None:
        check_world_of(checkpoint, trainer)
        before = world_of(checkpoint)["processes"]
        accelerator.print(
            f"Resuming from {checkpoint}", f"written by {before} processes" * (before != args.world_size)
        )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        remove_broken_checkpoints(output_dir)
    accelerator.wait_for_everyone()

    if checkpoint is not None:
        _end_at_last_step(trainer, checkpoint)
        resharded(checkpoint, trainer)
    numbers = train(trainer, str(checkpoint) if checkpoint is not None else None)
    trainer.save_state()
    if accelerator.is_main_process:
        write_json(output_dir / "metrics.json", _metrics(trainer.state, numbers))

    temporary = output_dir / "model.tmp"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
    accelerator.wait_for_everyone()
    if trainer.is_fsdp_enabled:
        accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(temporary))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        # The arguments of one training, pickled: no part of the model.
        (temporary / "training_args.bin").unlink(missing_ok=True)
        if merge_adapter and is_adapter(temporary):
            _merge_in_place(temporary)
        full_model(temporary, output_dir / MERGED)  # of an adapter, for all that comes after it
        if complete is not None:
            complete(temporary)
        if not is_adapter(temporary):
            shutil.rmtree(output_dir / START_MODEL, ignore_errors=True)  # an adapter would need it as its base
        publish(temporary, output_dir / "model")
        if not keep_checkpoints:
            remove_checkpoints(output_dir)
        print(f"The model is in {output_dir / 'model'}", flush=True)
    accelerator.wait_for_everyone()
    if hasattr(trainer, "end"):
        trainer.end()
    # Threads of a process group that is left to the end of the interpreter may abort it: a stage that is done would fail.
    accelerator.end_training()


def _checkpoint_to_resume(args: TrainingArguments) -> Path | None:
    """The config's own checkpoint where it names one; otherwise the last whole one of this stage."""
    asked = args.resume_from_checkpoint
    if str(asked).lower() == "false":
        return None
    if not asked or str(asked).lower() == "true":
        return for_this_world(filter(_is_whole, numbered_checkpoints(str(args.output_dir))), args.world_size)
    if not _is_whole(Path(asked)):
        raise ConfigError(f"expected a whole checkpoint, found none at {asked}", key="resume_from_checkpoint")
    return Path(asked)


def _end_at_last_step(trainer: Trainer, checkpoint: Path) -> None:
    """
    Let a training that is resumed from its last step load all and train nothing.

    transformers (5.23) asks whether it is done only after a step, so that a stage which was killed between its last
    checkpoint and its model would take one step more than asked for (docs/upstream/step_too_many.md). With no epochs
    left, its loop does not begin.
    """
    step = read_json(checkpoint / "trainer_state.json")["global_step"]
    initial_values = trainer.set_initial_training_values

    def with_no_epoch_left(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        epochs, *between, max_steps = initial_values(*args, **kwargs)
        return (0 if step >= max_steps else epochs, *between, max_steps)

    trainer.set_initial_training_values = with_no_epoch_left


def _merge_in_place(adapter: Path) -> None:
    merged = full_model(adapter, adapter.with_name("model.merged"))
    shutil.rmtree(adapter)
    Path(merged).replace(adapter)
    (adapter / "merged_from.json").unlink(missing_ok=True)


def _metrics(state: TrainerState, result: Mapping[str, float]) -> dict[str, Any]:
    """The stage's numbers: steps, run time, and each logged metric averaged over the last tenth of its log lines."""
    lines = [line for line in state.log_history if "train_runtime" not in line]
    train = dict(result)
    if "train_loss" in train:
        # The trainer's own mean begins at the checkpoint that was resumed; the log goes back to the first step.
        train["train_loss"] = _means(lines).get("loss", train["train_loss"])
    return {"steps": state.global_step, "train": train, "last": _means(lines[-max(1, len(lines) // 10) :])}


def _means(lines: list[dict[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for name, value in line.items():
            if isinstance(value, (int, float)) and name not in ("step", "epoch"):
                values[name].append(value)
    return {name: sum(values[name]) / len(values[name]) for name in sorted(values)}
