"""
The settings that the configs of all our trainers have in common: a batch that does not depend on the number of processes,
and a time-out that a long training does not reach.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from .docstrings import help_from_docstring
from .errors import ConfigError
from .typed import default_of, inherited_default


def defaults_in_force(config: Any) -> list[str]:
    """
    Name the defaults of ours that a config has, and that are not TRL's or transformers'.

    Args:
        config (`Any`):
            A config of ours or of TRL's.

    Returns:
        `list[str]`: `"beta 0.001 (TRL: 0.0)"`, a text each; none of a config of TRL's.
    """
    mro = type(config).__mro__
    ours = next((base for base in mro if base.__module__.startswith("trl_r1.")), None)
    found: list[str] = []
    if ours is None:
        return found
    for field in fields(ours):
        theirs, default = inherited_default(ours, field.name), default_of(field)
        value = getattr(config, field.name)
        if field.name == "gradient_accumulation_steps":  # 1 here as well, or what `batch_size` asks for
            continue
        # `None` stands for what the config has made of it.
        if theirs is not MISSING and theirs not in (default, value) and default in (value, None):
            found.append(f"{field.name} {getattr(value, 'value', value)} (TRL: {getattr(theirs, 'value', theirs)})")
    return found


@help_from_docstring
@dataclass
class TrainingConfig:
    r"""
    A base class of configs, to be named before TRL's. It is no `TrainingArguments` itself, whose defaults would then take
    the place of TRL's.

    Args:
        batch_size (`int`, *optional*):
            Rows per optimizer step over all processes: completions in GRPO, pairs in preference training. From it
            `gradient_accumulation_steps` is computed, so that the same file trains alike on any number of processes
            that divides it. In GRPO, the size of a rollout is then given by `generation_batch_size`, which counts the
            completions of all processes as well.
        gradient_accumulation_steps (`int`, *optional*):
            Forward and backward passes per optimizer step. By default what `batch_size` asks for, and 1 without it.
        ddp_timeout (`int`, *optional*, defaults to `14400`):
            Seconds that a process waits for the others. Our own choice: twice the two hours that one process takes to
            tokenize 349k reasoning traces (transformers' 1,800 end such a stage), and more than 65,536 tokens take at
            10 a second. Over gloo without a GPU transformers does not pass it on.
    """

    batch_size: int | None = None
    gradient_accumulation_steps: int = None  # type: ignore[assignment]  # a number once the config is made
    ddp_timeout: int = 14400

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            self._accumulate()
        elif self.gradient_accumulation_steps is None:
            self.gradient_accumulation_steps = 1
        super().__post_init__()  # type: ignore[misc]

    def _accumulate(self: Any) -> None:  # of `TrainingArguments` too
        """Compute `gradient_accumulation_steps`: before TRL and DeepSpeed read it."""
        _ = self.device  # sets up the world
        rows = self.world_size * self.per_device_train_batch_size
        if self.batch_size is None or self.batch_size < 1 or self.batch_size % rows:
            raise ConfigError(
                f"expected a multiple of {rows} (processes {self.world_size} x per_device_train_batch_size "
                f"{self.per_device_train_batch_size}), got {self.batch_size}",
                key="batch_size",
            )
        steps = self.batch_size // rows
        if self.gradient_accumulation_steps not in (None, steps):
            raise ConfigError(
                f"is {self.gradient_accumulation_steps}; expected nothing beside `batch_size`, which asks for {steps} "
                f"({self.batch_size} / {rows}; processes {self.world_size} x per_device_train_batch_size "
                f"{self.per_device_train_batch_size})",
                key="gradient_accumulation_steps",
            )
        self.gradient_accumulation_steps = steps
