"""
The keys of the training stages that are no trainer's: where the data comes from, which rewards count, what is checked.

Everything else in a stage's YAML is a field of the stage's trainer config or of TRL's `ModelConfig`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ..data.source import parse_sources
from ..docstrings import help_from_docstring
from ..errors import ConfigError


@help_from_docstring
@dataclass
class StageArguments:
    """
    Keys that every training stage has.

    Args:
        data (`list[dict[str, Any]]`):
            Data sources, each a mapping with at least `path`: a Hub id or a local file.
        prompt_template (`str`):
            `chat`, `r1_zero` (paper, v1 Table 1), `plain`, or a text that contains `{prompt}`. There is no default: a
            model trained under one template and sampled under another only seems broken.
        expect_processes (`int`, *optional*):
            How many processes this stage must run in. By default what the launcher was asked for. The stage stops when
            it finds another number.
        merge_adapter (`bool`, *optional*, defaults to `False`):
            With `use_peft`: whether to save the full model, the adapter merged into its base, instead of the adapter.
        keep_checkpoints (`bool`, *optional*, defaults to `False`):
            Whether to keep the checkpoints of a stage that is done. They hold the state of the optimizer, 14 to 20 bytes
            a parameter, and serve a training that goes on; a changed config starts anew.
    """

    # Without a default: `None` is refused below, with the form that is expected.
    data: list[dict[str, Any]] = None  # type: ignore[assignment]
    prompt_template: str = None  # type: ignore[assignment]
    expect_processes: int | None = None
    merge_adapter: bool = False
    keep_checkpoints: bool = False

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("expected a list of data sources, each a mapping with at least `path`", key="data")
        parse_sources(self.data)
        if self.prompt_template is None:
            raise ConfigError(
                "expected `chat`, `r1_zero`, `plain` or a text that contains {prompt}", key="prompt_template"
            )
        if self.expect_processes is not None and self.expect_processes < 1:
            raise ConfigError(f"expected at least 1, got {self.expect_processes}", key="expect_processes")


@help_from_docstring
@dataclass
class GRPOStageArguments(StageArguments):
    """
    Keys of the `grpo` stage.

    Args:
        rewards (`list[dict[str, Any]]`):
            The rewards, each a mapping: `func` (a dotted import path), `weight`, `args`, `domains`, `from_step`,
            `until_step`.
    """

    rewards: list[dict[str, Any]] = None  # type: ignore[assignment]  # refused below

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rewards:
            raise ConfigError("expected a list of rewards, each a mapping with at least `func`", key="rewards")


@help_from_docstring
@dataclass
class RewardStageArguments(StageArguments):
    """
    Keys of the `reward` stage.

    Args:
        part (`str`, *optional*, defaults to `"all"`):
            What of a response is judged: `"all"` of it, or its `"summary"`, which follows the thought. Paper, v1 2.3.4:
            helpfulness looks at the final summary only, harmlessness at the whole response.
    """

    part: Literal["all", "summary"] = "all"
