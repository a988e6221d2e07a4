"""
How often each prompt of a job was solved: `pass_rates.parquet` in the folder of a builder or an evaluation.

| column | |
|---|---|
| `prompt_id` | the prompt, as in traces and data sets |
| `model` | whose samples they are, as in the traces |
| `samples` | how many were sampled |
| `judged` | of these, how many an accuracy reward judges |
| `solved` | of these, how many are solved |

`solved:` of a data source keeps the prompts that were solved so and so often ([`~data.DataSource`]).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .errors import DataError
from .io import whole_file
from .solved import is_solved


FILE = "pass_rates.parquet"


def write_pass_rates(path: str | Path, shards: Mapping[str, Iterable[Path]], accuracy: Sequence[str]) -> None:
    """
    Count the samples of finished shards, one shard at a time, and write the table, whole or not at all.

    Args:
        path (`str` or `Path`):
            The file.
        shards (`Mapping[str, Iterable[Path]]`):
            The shards of each model, by its name.
        accuracy (`Sequence[str]`):
            Names of the rewards that say whether a sample is solved.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts = [(name, pa.int64()) for name in ("samples", "judged", "solved")]
    schema = pa.schema([("prompt_id", pa.string()), ("model", pa.string()), *counts])
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for model, paths in shards.items():
            for shard in paths:
                found: dict[str, dict[str, int]] = {}
                for row in pq.read_table(shard, columns=["prompt_id", "finish_reason", "rewards"]).to_pylist():
                    rates = found.setdefault(row["prompt_id"], {"samples": 0, "judged": 0, "solved": 0})
                    if row["finish_reason"] in ("stop", "length"):
                        rewards = json.loads(row["rewards"] or "{}")
                        verdict = is_solved(rewards.get(name) for name in accuracy)
                        rates["samples"] += 1
                        rates["judged"] += verdict is not None
                        rates["solved"] += verdict is True
                rows = [{"prompt_id": prompt, "model": model, **rates} for prompt, rates in found.items()]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def read_pass_rates(path: str | Path) -> dict[str, float]:
    """
    Return the share of solved samples of each prompt that was judged, over all models of the table.

    Args:
        path (`str` or `Path`):
            The file, or the folder of the builder or the evaluation.

    Raises:
        [`~errors.DataError`]: if there is none, or it is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    path = path / FILE if path.is_dir() else path
    try:
        rows = pq.read_table(path, columns=["prompt_id", "judged", "solved"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"expected a table of pass rates: {error}", file=str(path)) from error
    sums: dict[str, list[int]] = {}
    for row in rows:
        both = sums.setdefault(row["prompt_id"], [0, 0])
        both[0] += row["judged"]
        both[1] += row["solved"]
    return {prompt: solved / judged for prompt, (judged, solved) in sums.items() if judged}
