"""
R1's rewards. Each class has a ready instance where it needs no argument, so that
`trl grpo --reward_funcs trl_r1.rewards.math_accuracy` works as it stands.

None of them imports torch before it is called.
"""

from .choice import ChoiceAccuracy, choice_accuracy
from .code import CodeAccuracy, code_accuracy
from .format import ThinkFormat, think_format
from .judge import Judge
from .language import LanguageConsistency, language_consistency
from .length import GroupLength, group_length
from .math import MathAccuracy, math_accuracy
from .preference import PreferenceModel
from .schedule import RewardSpec, load_rewards
from .scheduled import Scheduled


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
