"""A model that answers as it is told, and rows to ask it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trl_r1.data_files import data_files
from trl_r1.sampling import Sample, SamplingConfig


class Scripted:
    """
    A generator whose completions a function writes.

    Args:
        write (`Callable`):
            Called with the question and the number of the sample; gives the text, or a whole [`~sampling.Sample`].
    """

    def __init__(self, write: Callable[[str, int], str | Sample]):
        self.write = write
        self.asked: list[str] = []

    def generate(self, questions, n, seed):
        self.asked += questions
        return [[self._sample(self.write(question, i)) for i in range(n)] for question in questions]

    @staticmethod
    def _sample(written):
        return written if isinstance(written, Sample) else Sample(written, "stop", len(written.split()))


def write_rows(path: Path, *rows: dict) -> str:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def read_data_set(stage: Path | str, name: str = "data") -> pa.Table:
    """The data set that a builder left in `data/`, or what it rejected in `rejected/`."""
    files = data_files(Path(stage, name, "train.parquet"))
    assert files, f"{stage}: no data set in {name}"
    return pq.read_table(files)


def sampling(**changes) -> SamplingConfig:
    return SamplingConfig(**{"prompt_template": "plain", "n_samples": 4, "shard_prompts": 2, **changes})
