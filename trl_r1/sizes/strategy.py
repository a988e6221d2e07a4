"""
How a training's weights, gradients and optimizer are divided over processes, as its accelerate file says. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..io import read_json


# DeepSpeed's defaults, which accelerate leaves in place: elements of a bucket of gradients, of a group of parameters that
# the optimizer updates at once, and of parameters that stay gathered at most.
REDUCE_BUCKET = 500_000_000
SUB_GROUP = 1_000_000_000
MAX_LIVE = 1_000_000_000


@dataclass(frozen=True)
class Strategy:
    """
    How a training is divided.

    Args:
        kind (`str`):
            `"single"`, `"ddp"`, `"zero"` (DeepSpeed) or `"fsdp"` (FSDP2, or FSDP with everything sharded).
        processes (`int`):
            Over how many processes.
        stage (`int`, *optional*, defaults to `0`):
            ZeRO's: 1 divides the optimizer, 2 the gradients too, 3 the weights too.
        offloads_optimizer (`bool`, *optional*, defaults to `False`):
            Whether gradients and optimizer are in the host's memory.
        offloads_weights (`bool`, *optional*, defaults to `False`):
            Whether the weights are.
    """

    kind: Literal["single", "ddp", "zero", "fsdp"]
    processes: int
    stage: int = 0
    offloads_optimizer: bool = False
    offloads_weights: bool = False

    @property
    def shards_weights(self) -> bool:
        """Whether each process holds only its part of the weights."""
        return self.kind == "fsdp" or self.stage == 3

    @property
    def name(self) -> str:
        """How a table calls it."""
        name = {"single": "one process", "ddp": "DDP", "fsdp": "FSDP2"}.get(self.kind) or f"ZeRO-{self.stage}"
        return name + (", offloaded" if self.offloads_optimizer or self.offloads_weights else "")


def strategy_of(accelerate: Mapping[str, Any], processes: int, deepspeed: Any = None) -> Strategy:
    """
    Read an accelerate file.

    Args:
        accelerate (`Mapping[str, Any]`):
            What it holds; nothing where there is none.
        processes (`int`):
            In how many processes the stage runs.
        deepspeed (`dict` or `str`, *optional*):
            DeepSpeed's own config, or its JSON file, as the key `deepspeed` of a stage's config gives it.

    Returns:
        [`Strategy`]: how it divides the training.
    """
    kind = str(accelerate.get("distributed_type") or "NO").upper()
    given = accelerate.get("deepspeed_config") or {}
    deepspeed = deepspeed or given.get("deepspeed_config_file")
    if deepspeed:
        zero = (deepspeed if isinstance(deepspeed, Mapping) else read_json(deepspeed)).get("zero_optimization") or {}
        devices = {part: (zero.get(f"offload_{part}") or {}).get("device") for part in ("optimizer", "param")}
        given = {"zero_stage": zero.get("stage"), **{f"offload_{part}_device": name for part, name in devices.items()}}
    if kind == "DEEPSPEED" or deepspeed:
        return Strategy(
            "zero",
            processes,
            stage=int(given.get("zero_stage") or 0),
            offloads_optimizer=str(given.get("offload_optimizer_device") or "none") != "none",
            offloads_weights=str(given.get("offload_param_device") or "none") != "none",
        )
    if kind == "FSDP":
        offloads = bool((accelerate.get("fsdp_config") or {}).get("fsdp_offload_params"))
        return Strategy("fsdp", processes, offloads_optimizer=offloads, offloads_weights=offloads)
    return Strategy("ddp" if processes > 1 else "single", processes)
