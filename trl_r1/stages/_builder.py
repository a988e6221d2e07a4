"""
What the stages that build data sets do alike: sample, select, write `data/train.parquet`.
"""

import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..builders.outputs import SFT_COLUMNS
from ..kinds import StageKind
from ._common import Progress, program


def builder(
    config: str,
    function: str,
    columns: tuple[str, ...] = SFT_COLUMNS,
    references: Mapping[str, Literal["model", "data", "stage", "file"]] | None = None,
    *,
    purpose: str,
) -> tuple[StageKind, Callable[..., int]]:
    """
    Return the description and the `main` of a stage that samples and builds a data set.

    Args:
        config (`str`):
            The builder's dataclass in `trl_r1.builders.config`; the other is [`~sampling.SamplingConfig`].
        function (`str`):
            The builder's function in `trl_r1.builders`.
        columns (`tuple[str, ...]`, *optional*):
            The columns of what it writes.
        references (`Mapping[str, str]`, *optional*):
            Further keys that name something; see [`~kinds.StageKind`].
        purpose (`str`):
            What it is for, in one sentence.
    """
    stage = StageKind(
        configs=("trl_r1.sampling.config:SamplingConfig", f"trl_r1.builders.config:{config}"),
        leaves=("data/train.parquet",),
        writes={"train": columns},
        references={
            "held_out": "data",
            "against": "data",
            "samples_from": "data",
            "rewards.*.args.model": "model",
            "judge.args.model": "model",
            **(references or {}),
        },
        purpose=purpose,
    )

    def build(sampling: Any, config: Any) -> None:
        builds = pkgutil.resolve_name(f"trl_r1.builders:{function}")
        builds(sampling, config, on_progress=Progress(config.output_dir, 0, unit="samples").update)

    return stage, program(stage, build)
