"""
What a plan says of a stage, and what it depends on besides the stage's own configs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError
from .model import ModelSize
from .throughput import Throughput
from .work import cache_tokens


GB = 10**9
GIB = 1 << 30


@dataclass(frozen=True)
class Setting:
    """
    What a stage's figures depend on besides its configs.

    Args:
        name (`str`):
            The stage's name.
        accelerate (`Mapping[str, Any]`):
            What its accelerate file holds.
        processes (`int`):
            In how many processes it runs.
        gpu (`bool`):
            Whether on GPUs.
        gpu_memory (`float`):
            GiB of each.
        models (`Mapping[str, tuple[str, Any]]`):
            The models that it reads, by name, empty where there is one: where the config of each is from, and the config;
            `None` where it is not known.
        reward_models (`Mapping[str, tuple[str, Any]]`, *optional*):
            Those that its rewards read, by place.
        rows (`int`, *optional*):
            Rows of its data, where they are known.
        pairs (`bool`, *optional*, defaults to `False`):
            Whether a row of its data is two rows of a micro-batch, `chosen` and `rejected`.
        throughput ([`~sizes.throughput.Throughput`]):
            What is assumed.
    """

    name: str
    accelerate: Mapping[str, Any]
    processes: int
    gpu: bool
    gpu_memory: float
    models: Mapping[str, tuple[str, Any]]
    reward_models: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    rows: int | None = None
    pairs: bool = False
    throughput: Throughput = field(default_factory=Throughput)

    def config_of(self, name: str = "") -> Any:
        """
        Return the config of a model that the stage reads.

        Raises:
            [`~errors.ConfigError`]: it is not known.
        """
        place, config = {**self.reward_models, **self.models}.get(name, ("", None))
        if config is None:
            raise ConfigError(
                f"the config of {place or 'a model that the run makes'} is neither here nor in the Hub's cache"
            )
        return config


@dataclass
class Figures:
    """
    The figures of a stage; bytes, hours of the clock, and `None` for what is not known.

    Args:
        stage (`str`):
            Its name.
        model (`str`):
            Where its `config.json` is.
        parameters (`int`), trainable (`int`):
            Of its model.
        strategy (`str`), gpus (`int`):
            How and on how many GPUs it runs; 0 on a CPU.
        questions (`float`), completions (`int`), tokens (`int`):
            In a step; of an SFT, rows are completions, and of preferences pairs. Of a stage that samples, in all of it.
        micro_batch (`tuple[int, int]`):
            Rows and tokens of the longest micro-batch.
        steps (`int`):
            Steps of the optimizer.
        memory (`dict`):
            Of one GPU, or of one process on a CPU, as [`~sizes.memory.Memory`] has it.
        cache (`dict`):
            Of vLLM: `tokens`, and sequences `at_longest` and `at_mean`, with these lengths.
        disk (`dict[str, int]`):
            Bytes by what they are.
        keeps_checkpoints (`bool`):
            Whether its checkpoints stay when it is done.
        hours (`dict[str, float]`):
            Of the clock, by what takes them.
        notes (`list[str]`):
            What could not be sized, and why.
        problems (`list[dict]`):
            What does not fit, each with `key` and `message`.
    """

    stage: str
    model: str | None = None
    parameters: int | None = None
    trainable: int | None = None
    strategy: str | None = None
    gpus: int = 0
    questions: float | None = None
    completions: int | None = None
    tokens: int | None = None
    micro_batch: tuple[int, int] | None = None
    steps: int | None = None
    memory: dict[str, int] | None = None
    cache: dict[str, float] | None = None
    disk: dict[str, int] = field(default_factory=dict)
    keeps_checkpoints: bool = False
    hours: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)


def cache_of(
    model: ModelSize, share: float, gpus: int, longest: int, mean: float, setting: Setting
) -> dict[str, float]:
    reserve = setting.throughput.vllm_reserve_gb * GB
    tokens = cache_tokens(model, 2, share, setting.gpu_memory * GIB, gpus, reserve)
    return {
        "tokens": tokens,
        "at_longest": tokens / longest,
        "at_mean": tokens / mean,
        "longest": longest,
        "mean": mean,
    }


def no_cache(key: str, share: float, cache: Mapping[str, float], name: str = "") -> dict[str, str]:
    """Say that vLLM's cache does not hold a single sequence, of the model of that name where there are several."""
    message = (
        f"does not fit: with a share of {share:g} the weights{f' of `{name}`' if name else ''} leave vLLM a cache of "
        f"{cache['tokens']:,.0f} tokens, less than one sequence of {cache['longest']:,.0f}; expected a larger share, more "
        "tensor_parallel_size, or a shorter model length"
    )
    return {"key": key, "message": message}
