"""
Would a known exploit pay? A battery of them, tried on the rewards that a recipe declares. Loads no torch by itself.

`trl-r1 audit RECIPE` runs it; `python -m trl_r1.audit` is the program behind it.
"""

from .battery import Exploit, Question, load_battery
from .measure import Audit, Outcome, audit_reward


__all__ = ["Audit", "Exploit", "Outcome", "Question", "audit_reward", "load_battery"]
