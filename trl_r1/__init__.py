"""
Train a model the way DeepSeek-R1 was trained, on top of TRL.

Names are loaded when they are first used: `import trl_r1` costs nothing, and no torch.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING


try:
    __version__ = version("trl_r1")
except PackageNotFoundError:
    __version__ = "0+unknown"

_HOME_OF = {
    "R1GRPOConfig": "configs",
    "R1SFTConfig": "configs",
    "R1GRPOTrainer": "trainers",
    "R1SFTTrainer": "trainers",
    "Trace": "trace",
    "read_traces": "trace",
    "write_traces": "trace",
}

if TYPE_CHECKING:
    from .configs import R1GRPOConfig, R1SFTConfig
    from .trace import Trace, read_traces, write_traces
    from .trainers import R1GRPOTrainer, R1SFTTrainer

__all__ = ["R1GRPOConfig", "R1GRPOTrainer", "R1SFTConfig", "R1SFTTrainer", "Trace", "read_traces", "write_traces"]


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
