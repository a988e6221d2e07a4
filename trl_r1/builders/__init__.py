"""
The data sets that R1 was trained on, built from prompts and models: cold start, rejection sampling, general data,
preference pairs. Each builder writes `data/train.parquet`, `selection.json` and the traces from which it chose.
Importing this loads no torch.
"""

import importlib
from typing import TYPE_CHECKING


_HOME_OF = {
    "ColdStartConfig": "config",
    "ComparisonJudge": "judges",
    "GeneralConfig": "config",
    "PairsConfig": "config",
    "RejectionConfig": "config",
    "build_cold_start": "cold_start",
    "build_general": "general",
    "build_pairs": "pairs",
    "build_rejection": "rejection",
}

if TYPE_CHECKING:
    from .cold_start import build_cold_start
    from .config import ColdStartConfig, GeneralConfig, PairsConfig, RejectionConfig
    from .general import build_general
    from .judges import ComparisonJudge
    from .pairs import build_pairs
    from .rejection import build_rejection

__all__ = [
    "ColdStartConfig",
    "ComparisonJudge",
    "GeneralConfig",
    "PairsConfig",
    "RejectionConfig",
    "build_cold_start",
    "build_general",
    "build_pairs",
    "build_rejection",
]


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
