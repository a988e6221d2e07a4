"""
The data sets that R1 was trained on, built from prompts and models: cold start, rejection sampling, general data,
preference pairs, safety labels. Each builder writes `data/train.parquet`, `selection.json` and the traces from which it chose.
Importing this loads no torch.
"""

from .cold_start import build_cold_start
from .config import ColdStartConfig, GeneralConfig, PairsConfig, RejectionConfig, SafetyConfig
from .general import build_general
from .judges import ComparisonJudge, SafetyJudge
from .pairs import build_pairs
from .rejection import build_rejection
from .safety import build_safety


__all__ = [
    "ColdStartConfig",
    "ComparisonJudge",
    "GeneralConfig",
    "PairsConfig",
    "RejectionConfig",
    "SafetyConfig",
    "SafetyJudge",
    "build_cold_start",
    "build_general",
    "build_pairs",
    "build_rejection",
    "build_safety",
]
