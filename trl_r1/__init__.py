"""
Train a model the way DeepSeek-R1 was trained, on top of TRL.

Names are loaded when they are first used: `import trl_r1` costs nothing, and no torch.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any


try:
    __version__ = version("trl_r1")
except PackageNotFoundError:
    __version__ = "0+unknown"

_HOME_OF = {
    "R1GRPOConfig": "grpo.config",
    "R1SFTConfig": "sft.config",
    "R1GRPOTrainer": "grpo.trainer",
    "R1SFTTrainer": "sft.trainer",
    "Trace": "trace",
    "read_traces": "trace",
    "write_traces": "trace",
}

if TYPE_CHECKING:
    from .grpo.config import R1GRPOConfig
    from .grpo.trainer import R1GRPOTrainer
    from .sft.config import R1SFTConfig
    from .sft.trainer import R1SFTTrainer
    from .trace import Trace, read_traces, write_traces

__all__ = ["R1GRPOConfig", "R1GRPOTrainer", "R1SFTConfig", "R1SFTTrainer", "Trace", "read_traces", "write_traces"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
