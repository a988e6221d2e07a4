"""What the recipe of `test_faults` names: rewards and a stage of a user's own, each with its fault."""

import sys
from dataclasses import dataclass, field
from typing import Any

from trl_r1.kinds import StageKind
from trl_r1.stages import program


def constant(completions: list[Any], **columns: Any) -> list[float]:
    return [0.5] * len(completions)


def raises_on_real_rows(completions: list[Any], solution: list[str], **columns: Any) -> list[float]:
    return [float(gold.split("=")[1]) for gold in solution]


STAGE = StageKind(
    configs=("tests.rehearsal.faulty:Arguments",),
    leaves=("data/train.parquet",),
    model="none",
    writes={"train": ("prompt", "completion")},
)


@dataclass
class Arguments:
    output_dir: str
    data: list[dict[str, Any]] = field(default_factory=list)
    seed: int = 0


def build(config: Arguments) -> None:
    """Write another column than `STAGE` says."""
    import datasets

    rows = datasets.Dataset.from_list([{"prompt": "one?", "answer": "<think>one</think> 1"}])
    rows.to_parquet(f"{config.output_dir}/data/train.parquet")


main = program(STAGE, build)

if __name__ == "__main__":
    sys.exit(main())
