"""
What one rank of `test_two_ranks_training.py` does: run a stage, and write down what it tokenizes and gathers.

    accelerate launch --config_file FILE -m tests.integration.watched_ranks KIND CONFIG FOLDER [TERMINATED]

Where TERMINATED is named and not there, the second rank makes it, and gets SIGTERM within the fifth step.
"""

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, trainer
from trl.trainer import sft_trainer

from trl_r1.grpo.reference import SyncReference


RANK = int(os.environ["RANK"])
TOKENIZED, TERMINATED = "TOKENIZED", "TERMINATED"
plainly = sft_trainer._tokenize


def tokenize(*args: Any, **named: Any) -> Any:
    """As TRL's, in whichever process; a line for each call. It names nothing that differs between ranks: it is hashed."""
    with open(os.environ[TOKENIZED], "a") as file:
        file.write(f"{os.environ['RANK']} {os.getpid()}\n")
    return plainly(*args, **named)


class Watch(TrainerCallback):
    """SIGTERM for one rank of two."""

    def on_step_begin(self, args, state, control, **kwargs):
        marker = os.environ[TERMINATED]
        if RANK == 1 and state.global_step == 4 and marker and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGTERM)


def watch_gathering(found: dict[str, Any]) -> None:
    """Note how many elements the reference's move has gathered at once, and whether it came out right."""
    import deepspeed

    move = SyncReference.sync_target_model

    class Watched(deepspeed.zero.GatheredParameters):  # type: ignore[misc]
        at_once = 0

        def __init__(self, params: Any, **named: Any) -> None:
            self.counted = sum(parameter.ds_numel for parameter in params)
            super().__init__(params, **named)

        def __enter__(self) -> Any:
            Watched.at_once += self.counted
            found["gathered"] = max(found["gathered"], Watched.at_once)
            return super().__enter__()

        def __exit__(self, *error: Any) -> Any:
            Watched.at_once -= self.counted
            return super().__exit__(*error)

    def watched(model: Any, target_model: Any, alpha: float) -> None:
        plain, deepspeed.zero.GatheredParameters = deepspeed.zero.GatheredParameters, Watched
        move(model, target_model, alpha)
        deepspeed.zero.GatheredParameters = plain
        pairs = list(zip(model.parameters(), target_model.parameters(), strict=True))
        found["moves"] += 1
        found["equal"] &= all(torch.equal(one.ds_tensor, other.ds_tensor) for one, other in pairs)
        found["largest"] = max(one.ds_numel for one, _ in pairs)
        found["model"] = sum(one.ds_numel for one, _ in pairs)

    SyncReference.sync_target_model = staticmethod(watched)  # type: ignore[method-assign]


def main(kind: str, config: str, folder: Path, terminated: str = "") -> int:
    os.environ[TOKENIZED], os.environ[TERMINATED] = str(folder / "tokenized.txt"), terminated
    found: dict[str, Any] = {"gathered": 0, "moves": 0, "equal": True}
    sft_trainer._tokenize = tokenize
    trainer.DEFAULT_CALLBACKS.append(Watch)
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        watch_gathering(found)
    code: int = importlib.import_module(f"trl_r1.stages.{kind}").main(["--config", config])
    (folder / f"found_{RANK}.json").write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *sys.argv[4:]))
