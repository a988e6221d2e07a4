"""
The `playground` stage: tokenizer, base model and prompt sets of a world small enough to train from nothing on a CPU.

```bash
python -m trl_r1.stages.playground --config playground.yaml
```

It leaves `model/` and `data/*.parquet`; killed, it goes on at its last checkpoint and ends with the same weights. There
is no such stage in the paper, which is given its base model.
"""

import sys
from pathlib import Path

from ..io import whole_file, whole_folder, write_json
from ..kinds import StageKind
from ..playground.config import PlaygroundConfig
from ._common import Progress, program


STAGE = StageKind(
    configs=("trl_r1.playground.config:PlaygroundConfig",),
    leaves=("model", "data"),
    model="none",
    reads=None,
    writes={
        "train": ("prompt", "solution", "domain", "language"),
        "heldout": ("prompt", "solution", "domain", "language"),
        "general-train": ("prompt", "domain", "language", "reference", "simple"),
        "general-heldout": ("prompt", "domain", "language", "reference", "simple"),
        "general-answers": ("prompt", "completion", "domain", "language", "thought", "simple"),
        "preference-pairs": ("prompt", "chosen", "rejected", "domain", "language"),
    },
    purpose="A tokenizer, a base model and data, small enough for a CPU.",
)


def make_playground(config: PlaygroundConfig) -> None:
    """
    Make a playground.

    Args:
        config ([`PlaygroundConfig`]):
            Where, from which seed, and of which size.
    """
    write_data(config)
    if not (Path(config.output_dir) / "model").is_dir():
        write_model(config)


def write_data(config: PlaygroundConfig) -> None:
    """Write the prompt sets: `data/NAME.parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..playground.rows import make_rows

    for name, rows in make_rows(config).items():
        with whole_file(Path(config.output_dir) / "data" / f"{name}.parquet") as partial:
            pq.write_table(pa.Table.from_pylist(rows), partial)


def write_model(config: PlaygroundConfig) -> None:
    """Pre-train the base model and write `model/`; the skills on the way go to `metrics.json`."""
    import torch

    from ..playground.pretrain import pretrain
    from ..playground.tokenizer import make_tokenizer

    # One thread is fastest at this size, and sums in one order whatever the machine.
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    progress = Progress(config.output_dir, config.max_clean_steps + config.noisy_steps)

    def report(step: int, total: int, info: dict[str, float]) -> None:
        progress.update(step, total, **info)

    model, history = pretrain(config, tokenizer, report)
    with whole_folder(Path(config.output_dir) / "model") as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_json(Path(config.output_dir) / "metrics.json", {"skills": history[-1]["skills"], "history": history})


main = program(STAGE, make_playground)

if __name__ == "__main__":
    sys.exit(main())
