"""
The way of a completion: through which of our files one generation passes, from TRL's call to the kept rollouts.

```bash
python -m tests.contract.trace_completion
```

Prints the files in the order in which they are entered. A call into a file other than the last one is a switch. Left out
is what every part of the package uses: `language`, `text`, `data` and `errors`.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trl_r1
from trl_r1 import R1GRPOTrainer

from ..grpo.tiny import DigitReward, grpo_config, save_tiny_model, sums


PACKAGE = Path(trl_r1.__file__).parent
NOT_COUNTED = ("language", "text.py", "data", "errors.py")


def entered(call: Callable[[], Any]) -> list[str]:
    """Run `call`; return the files of ours that it enters, one after another."""
    files: list[str] = []

    def watch(frame: Any, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_relative_to(PACKAGE):
            return
        name = str(path.relative_to(PACKAGE))
        if not name.startswith(NOT_COUNTED) and files[-1:] != [name]:
            files.append(name)

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return files


def way_of_a_completion(folder: Path) -> list[str]:
    """Score one generation of two groups and keep it; return the files that are entered."""
    found: list[list[str]] = []

    class Traced(R1GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            result: list[Any] = []
            score = super()._generate_and_score_completions
            found.append(entered(lambda: result.append(score(inputs))))
            return result[0]

    config = grpo_config(
        folder, beta=0.0, max_steps=1, per_device_train_batch_size=8, save_rollouts=True, save_strategy="no"
    )
    Traced(save_tiny_model(folder / "model"), DigitReward(), config, sums()).train()
    assert list((folder / "rollouts").glob("*.parquet"))
    return found[0]


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as temporary:
        way = way_of_a_completion(Path(temporary))
    print(f"{len(set(way))} files, {len(way)} switches: {' '.join(way)}")
