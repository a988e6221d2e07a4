"""
R1's rewards. Each class has a ready instance where it needs no argument, so that
`trl grpo --reward_funcs trl_r1.rewards.math_accuracy` works as it stands.

Names are loaded when they are first used; none of them imports torch before it is called.
"""

import importlib
from typing import TYPE_CHECKING


_HOME_OF = {
    "ChoiceAccuracy": "choice",
    "CodeAccuracy": "code",
    "GroupLength": "length",
    "Judge": "judge",
    "LanguageConsistency": "language",
    "MathAccuracy": "math",
    "PreferenceModel": "preference",
    "RewardSpec": "schedule",
    "Scheduled": "schedule",
    "ThinkFormat": "format",
    "choice_accuracy": "choice",
    "code_accuracy": "code",
    "group_length": "length",
    "language_consistency": "language",
    "load_rewards": "schedule",
    "math_accuracy": "math",
    "think_format": "format",
}

if TYPE_CHECKING:
    from .choice import ChoiceAccuracy, choice_accuracy
    from .code import CodeAccuracy, code_accuracy
    from .format import ThinkFormat, think_format
    from .judge import Judge
    from .language import LanguageConsistency, language_consistency
    from .length import GroupLength, group_length
    from .math import MathAccuracy, math_accuracy
    from .preference import PreferenceModel
    from .schedule import RewardSpec, Scheduled, load_rewards

__all__ = [
    "ChoiceAccuracy",
    "CodeAccuracy",
    "GroupLength",
    "Judge",
    "LanguageConsistency",
    "MathAccuracy",
    "PreferenceModel",
    "RewardSpec",
    "Scheduled",
    "ThinkFormat",
    "choice_accuracy",
    "code_accuracy",
    "group_length",
    "language_consistency",
    "load_rewards",
    "math_accuracy",
    "think_format",
]


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
