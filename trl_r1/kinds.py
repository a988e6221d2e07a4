"""
What a kind of stage says about itself: one [`StageKind`] in the stage's module, under the name `STAGE`.

The recipe, its checks, the runner, the report and the cards ask it; none of them lists kinds. A kind of your own is a
module of your own with a `STAGE`, and a recipe names it by its dotted name:

```python
STAGE = StageKind(configs=("my_package.my_stage:MyArguments",), leaves=("data/train.parquet",))

main = program(STAGE, build)  # from trl_r1.stages

if __name__ == "__main__":
    sys.exit(main())
```

A stage's module is imported to read this, so it imports torch where it computes, not at its top.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .errors import ConfigError, did_you_mean, listed


@dataclass(frozen=True)
class Curve:
    """
    One panel of the report, drawn from a trainer's log.

    Args:
        title (`str`):
            Its heading, with the unit.
        keys (`tuple[str, ...]`):
            Names of the logged values that are drawn, a line each. `*` matches any text: `rewards/*/mean` is a line for
            each reward.
        labels (`tuple[str, ...]`, *optional*):
            Names of the lines, in the order of `keys`; by default what `*` matched, or the last part of the key.
        share (`bool`, *optional*, defaults to `False`):
            Whether the values are shares of 1.
        digits (`int`, *optional*, defaults to `2`):
            Digits after the point.
        axis (`str`, *optional*):
            Name of the vertical axis: the quantity or its unit. By default the heading.
    """

    title: str
    keys: tuple[str, ...]
    labels: tuple[str, ...] = ()
    share: bool = False
    digits: int = 2
    axis: str = ""


@dataclass(frozen=True)
class StageKind:
    """
    A kind of stage.

    Args:
        configs (`tuple[str, ...]`):
            The dataclasses whose fields are the keys of its config, `"module:Class"` each. Between them they have
            `output_dir` and `seed`.
        leaves (`tuple[str, ...]`):
            Files and folders that it leaves in its own folder: `"model"`, `"data/train.parquet"`, `"metrics.json"`.
            `"data"` alone: data sets under the names of `writes`. A data set may stand there in parts
            ([`~data_files`]).
        model (`str`, *optional*, defaults to `"one"`):
            How many models a recipe names for it: `"none"`, `"one"` (`model_name_or_path`) or `"several"` (`models`).
        reads (`tuple[str, ...]`, *optional*, defaults to `("prompt",)`):
            Columns that each of its data sources must offer. `None`: it reads no data.
        writes (`Mapping[str, tuple[str, ...]]`, *optional*):
            Columns of each `data/NAME.parquet` that it leaves, where it says.
        references (`Mapping[str, str]`, *optional*):
            Keys inside its config that name a `"model"`, `"data"` or a `"stage"` (of the same kind) of the recipe, or a
            `"file"` beside the config, dotted, with `*` for any key or position: `{"held_out": "data", "rewards.*.args.model": "model"}`. An
            argument of a reward counts where the reward's class says so (`recipe_models`).
        trains (`bool`, *optional*, defaults to `False`):
            Whether `accelerate launch` may start it in several processes.
        curves (`tuple[Curve, ...]`, *optional*):
            What the report draws of its log; of a training stage that names none, the loss, the reward, the learning
            rate and the norm of the gradient.
        card (`str`, *optional*):
            The card that its model gets on the Hub: `"model"` or `"reward_model"`.
        purpose (`str`, *optional*):
            One sentence on what such a stage is for, which the report shows where the recipe's stage states no
            `purpose` of its own.
    """

    configs: tuple[str, ...]
    leaves: tuple[str, ...]
    model: Literal["none", "one", "several"] = "one"
    reads: tuple[str, ...] | None = ("prompt",)
    writes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    references: Mapping[str, Literal["model", "data", "stage", "file"]] = field(default_factory=dict)
    trains: bool = False
    curves: tuple[Curve, ...] = ()
    card: Literal["model", "reward_model"] = "model"
    purpose: str = ""

    @property
    def makes(self) -> Literal["model", "dataset", "metrics"]:
        """What it is there for."""
        if "model" in self.leaves:
            return "model"
        return "metrics" if "metrics.json" in self.leaves else "dataset"

    @property
    def names(self) -> dict[str, str]:
        """`references`, and the keys in which the runner writes the recipe's models."""
        own = {"one": {"model_name_or_path": "model"}, "several": {"models.*": "model"}}.get(self.model, {})
        return {**own, **self.references}

    @property
    def samples(self) -> bool:
        """Whether it samples with an engine."""
        return any(name.endswith(":SamplingConfig") for name in self.configs)

    @property
    def paid(self) -> tuple[str, ...]:
        """What it leaves that stays when it runs again, since it knows itself what of it is still right: samples, verdicts, reviews."""
        return ("judge", "traces", "refined", "few_shot", "direct", "review.csv") if self.samples else ("judge",)

    def config_classes(self) -> list[type]:
        """Import and return the classes of `configs`; those of TRL and transformers load torch."""
        return [pkgutil.resolve_name(name) for name in self.configs]


def module_of(kind: str) -> str:
    """Return the module of a kind of stage, which `python -m` runs: one of `trl_r1.stages`, or the user's own."""
    return kind if "." in kind else f"trl_r1.stages.{kind}"


def kind_of(kind: str) -> StageKind:
    """
    Return what a kind of stage says about itself.

    Args:
        kind (`str`):
            A name of [`known_kinds`], or the dotted name of a module.

    Raises:
        [`~errors.ConfigError`]: there is no such module, it does not import, or has no `STAGE`.
    """
    module = module_of(kind)
    try:
        found = getattr(importlib.import_module(module), "STAGE", None)
    except Exception as error:  # whatever a module of the user's raises
        missing = isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name)
        reason = "there is none" if missing else f"it does not import ({type(error).__name__}: {error})"
        if missing and "." not in kind:
            hint = did_you_mean(kind, known_kinds())
            raise ConfigError(f"no kind of stage `{kind}`; expected one of {listed(known_kinds())}{hint}") from error
        raise ConfigError(f"no module `{module}`: {reason}; expected one that `python -m {module}` runs") from error
    if not isinstance(found, StageKind):
        raise ConfigError(f"`{module}` has no `STAGE`; expected a `trl_r1.kinds.StageKind` under this name")
    return found


def known_kinds() -> list[str]:
    """Return the names of the kinds that ship with the package."""
    package = importlib.import_module("trl_r1.stages")
    return [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
