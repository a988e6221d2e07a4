"""
The memory of solve rates: how often each prompt was solved in training, and when. Torch-free.

A run with `prompt_curriculum` keeps it as `solve_rates.parquet` in its output directory and in each checkpoint. One row
per prompt that was ever judged:

| column | |
|---|---|
| `prompt_id` | the prompt, as in traces and data sets |
| `domain` | its domain; null where it has none |
| `steps` | the step of each group of it that was sampled, in order |
| `solved` | of each group: completions that were solved |
| `judged` | of each group: completions that were judged |
| `solve_rate` | share solved of all that were judged |
| `last_solve_rate` | the same of its last group |

```python
>>> from trl_r1.solve_rates import read_solve_rates
>>> rates = read_solve_rates("runs/r1/dev2/solve_rates.parquet")
>>> hard = [row for row in rows if 0 < rates[row["prompt_id"]].solve_rate < 0.5]
```
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import DataError
from .io import whole_file


FILE = "solve_rates.parquet"
# Weight of a group against the next one of its prompt: the policy has moved on in between.
MEMORY = 0.5


@dataclass
class SolveRates:
    """
    What is known of one prompt.

    Args:
        domain (`str`, *optional*):
            Its domain.
        steps (`list[int]`):
            When its groups were sampled.
        solved (`list[int]`):
            Of each group, how many completions were solved.
        judged (`list[int]`):
            Of each group, how many completions were judged.
    """

    domain: str | None = None
    steps: list[int] = field(default_factory=list)
    solved: list[int] = field(default_factory=list)
    judged: list[int] = field(default_factory=list)

    @property
    def solve_rate(self) -> float:
        """Share solved of all completions that were judged."""
        return sum(self.solved) / sum(self.judged)

    @property
    def last_solve_rate(self) -> float:
        """Share solved in the last group."""
        return self.solved[-1] / self.judged[-1]

    def add(self, step: int, solved: int, judged: int) -> None:
        """Remember a group."""
        self.steps.append(step)
        self.solved.append(solved)
        self.judged.append(judged)

    def chance_to_teach(self, num_generations: int) -> float:
        r"""
        Return the chance that the prompt's next group is neither all right nor all wrong.

        With a rate \\(p\\) it is \\(1 - p^G - (1-p)^G\\). Of \\(p\\) is known what the groups so far say: a Beta
        distribution, from Jeffreys' prior, in which each group counts half of the next one. Our own choice.

        Args:
            num_generations (`int`):
                Completions of a group, G.
        """
        right, wrong, weight = 0.5, 0.5, 1.0
        for solved, judged in zip(reversed(self.solved), reversed(self.judged)):
            right += weight * solved
            wrong += weight * (judged - solved)
            weight *= MEMORY
        total = right + wrong
        steps = range(num_generations)
        all_right = math.prod((right + i) / (total + i) for i in steps)
        all_wrong = math.prod((wrong + i) / (total + i) for i in steps)
        return 1 - all_right - all_wrong


def write_solve_rates(path: str | Path, rates: Mapping[str, SolveRates]) -> None:
    """
    Write the table, whole or not at all.

    Args:
        path (`str` or `Path`):
            The file.
        rates (`Mapping[str, SolveRates]`):
            What is known, by prompt id.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = pa.list_(pa.int64())
    of_prompt = [("prompt_id", pa.string()), ("domain", pa.string())]
    of_groups = [("steps", numbers), ("solved", numbers), ("judged", numbers)]
    derived = [("solve_rate", pa.float64()), ("last_solve_rate", pa.float64())]
    schema = pa.schema([*of_prompt, *of_groups, *derived])
    rows = [
        {"prompt_id": name, **vars(known), "solve_rate": known.solve_rate, "last_solve_rate": known.last_solve_rate}
        for name, known in rates.items()
    ]
    with whole_file(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial)


def read_solve_rates(path: str | Path) -> dict[str, SolveRates]:
    """
    Read the table.

    Args:
        path (`str` or `Path`):
            The file, or a folder that holds it: a run's output directory or a checkpoint.

    Returns:
        `dict[str, SolveRates]`: what is known, by prompt id, in the order in which the prompts first came.

    Raises:
        [`~errors.DataError`]: if there is none, or it is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    path = path / FILE if path.is_dir() else path
    try:
        rows = pq.read_table(path, columns=["prompt_id", "domain", "steps", "solved", "judged"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"expected a table of solve rates: {error}", file=str(path)) from error
    return {row.pop("prompt_id"): SolveRates(**row) for row in rows}
