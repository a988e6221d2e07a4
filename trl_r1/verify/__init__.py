r"""
Is this answer equal to that one?

[`equivalent`] compares two answers; [`judge`] compares many pairs at once and is what the rewards call. Plain numbers,
fractions, money, units and words are decided in the caller's process in microseconds. The rest goes to math-verify and
SymPy in worker processes that are killed when a pair costs more than its deadline in CPU time; the caller's process
never imports either. A pair that cannot be judged is `None`, never wrong.
"""

from .convention import Convention
from .extract import ends_in_box, final_answer
from .golds import read_gold, read_golds
from .judge import DEADLINE_CPU_SECONDS, equivalent, judge, judge_any, start_workers


__all__ = [
    "DEADLINE_CPU_SECONDS",
    "Convention",
    "ends_in_box",
    "equivalent",
    "final_answer",
    "judge",
    "judge_any",
    "read_gold",
    "read_golds",
    "start_workers",
]
