"""
Rejection: traces in, kept ones and reasons out. Pure, but for the files in which a shard's reasons are stored.

Every trace that is not kept is counted under exactly one reason, the first of `REASONS` that applies. Nothing here
depends on chance but the order in which `prefer="random"` picks, and that on the seed alone.
"""

from .columns import Seen
from .held_out import BOILERPLATE, HeldOut, Overlap, contaminated
from .memory import Selection, select
from .rules import LOOSENED_BY, REASONS, Rules, read_rules
from .shards import ShardSelection, select_shards
from .targets import Target
from .words import normalized, repetition


__all__ = [
    "BOILERPLATE",
    "LOOSENED_BY",
    "REASONS",
    "HeldOut",
    "Overlap",
    "Rules",
    "Seen",
    "Selection",
    "ShardSelection",
    "Target",
    "contaminated",
    "normalized",
    "read_rules",
    "repetition",
    "select",
    "select_shards",
]
