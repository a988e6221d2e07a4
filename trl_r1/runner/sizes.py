"""
What the figures of `trl-r1 plan` are made with: its options.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..recipe import ResolvedStage, read_document, shown
from ..sizes.throughput import Throughput
from ..typed import make


@dataclass(frozen=True)
class Sizing:
    """
    What figures are made with.

    Args:
        gpus (`int`, *optional*):
            GPUs of the machine. By default as many as its largest stage has processes.
        gpu_memory (`float`, *optional*, defaults to `80`):
            GiB of each.
        throughput ([`~sizes.throughput.Throughput`], *optional*):
            What is assumed.
        only (`Sequence[str]`, *optional*):
            The stages that are sized; by default all.
    """

    gpus: int | None = None
    gpu_memory: float = 80.0
    throughput: Throughput = field(default_factory=Throughput)
    only: Sequence[str] = ()

    def wants(self, name: str) -> bool:
        """Whether a stage is sized."""
        return not self.only or name in self.only

    def asked(self, name: str, reward_models: Mapping[str, Any]) -> dict[str, Any]:
        """What [`~stages._check.check_stage`] is told about it."""
        return {
            "name": name,
            "gpu_memory": self.gpu_memory,
            "throughput": asdict(self.throughput),
            "reward_models": dict(reward_models),
        }

    def too_few_gpus(self, item: ResolvedStage, record: Mapping[str, Any]) -> list[ConfigError]:
        """Refuse a stage of more processes than there are GPUs, where their number is stated."""
        needed = (record.get("figures") or {}).get("gpus") or 0
        if self.gpus is None or needed <= self.gpus:
            return []
        message = (
            f"`{item.name}` runs on {needed} GPUs, and there are {self.gpus} (`--gpus`); expected at most as many: "
            f"`num_processes: {self.gpus}`, with `batch_size` in the stage's config to keep its batch"
        )
        return [ConfigError(message, file=item.stage.at, key=f"stages.{item.name}")]


def make_sizing(gpus: int | None, gpu_memory: float, throughput: Path | None, only: Sequence[str]) -> Sizing:
    """
    Return what the options of `trl-r1 plan` ask for.

    Raises:
        [`~errors.ConfigError`]: a value or the file is wrong.
    """
    if gpus is not None and gpus < 1:
        raise ConfigError(f"is {gpus}; expected at least 1", key="--gpus")
    if gpu_memory <= 0:
        raise ConfigError(f"is {gpu_memory:g}; expected GiB above 0", key="--gpu-memory")
    if throughput is None:
        return Sizing(gpus, gpu_memory, only=only)
    document = read_document(throughput)
    try:
        (assumed,) = make([Throughput], document.data)
    except ConfigError as error:
        for problem in error.problems:
            problem.file = problem.file or shown(throughput)
        raise
    return Sizing(gpus, gpu_memory, assumed, only)
