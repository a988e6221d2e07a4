"""How many cores this process may use. Torch-free."""

import os


def usable_cores() -> int:
    """Number of cores that this process may use: `os.process_cpu_count` of Python 3.13."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_of_rank() -> int:
    """Number of processes to start beside this one: its cores, shared among the ranks of its machine, at most 8."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    return max(1, min(8, usable_cores() // max(1, ranks)))
