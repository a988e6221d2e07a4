"""
Would a known exploit pay, and a right answer be refused? A battery of both, tried on the rewards that a recipe declares.
Loads no torch by itself.

`trl-r1 audit RECIPE` runs it; `python -m trl_r1.audit` is the program behind it.
"""

from .battery import Battery, Exploit, Question, Rewriting, load_battery
from .measure import Audit, Outcome, audit_reward


__all__ = ["Audit", "Battery", "Exploit", "Outcome", "Question", "Rewriting", "audit_reward", "load_battery"]
