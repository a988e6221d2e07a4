"""
Many samples, one answer: votes, weighted votes, the best of n, and what they gain. Importing this loads no torch.
"""

from .scaling import Pool, scaling_curves
from .votes import best_of_k, consensus_at_k, group_answers, is_decided, winner


__all__ = ["Pool", "best_of_k", "consensus_at_k", "group_answers", "is_decided", "scaling_curves", "winner"]
