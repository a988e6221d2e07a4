"""One thin program per kind of stage: `python -m trl_r1.stages.KIND --config FILE`."""

from ._common import program


__all__ = ["program"]
