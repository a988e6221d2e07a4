"""
How many processes share the work on a data set.
"""

from ..cores import usable_cores


ROWS_PER_PROCESS = 1000


def processes_for(rows: int) -> int | None:
    """
    Return `num_proc` of a `datasets.Dataset.map`: every core that this process may use, each with 1,000 rows at least.

    Args:
        rows (`int`):
            How many rows there are.

    Returns:
        `int`, *optional*: `None` where this process does the work itself.
    """
    processes = min(usable_cores(), rows // ROWS_PER_PROCESS)
    return processes if processes > 1 else None
