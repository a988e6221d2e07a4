"""
Trainings that are SIGKILLed at random moments and go on with another number of ranks: what they have in common with one
that was let alone.

`python -m tests.integration.other_ranks FOLDER 10` kills each of them ten times, and prints the largest difference of a loss,
beside that of one rank and two which nobody killed; with `sft-cpu_ddp` and the like behind it, these alone.
"""

import json
import math
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import yaml

from tests.integration.killing import SECONDS, processes_of, said, start
from tests.stages.tiny import make_data, make_model
from trl_r1.trace import read_traces


COMMON = {
    "save_steps": 1,
    "logging_steps": 1,
    "learning_rate": 1.0e-2,
    "max_length": 64,
    "prompt_template": "chat",
    "per_device_train_batch_size": 4,
    "batch_size": 16,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "disable_tqdm": True,
    "gradient_checkpointing": False,
    "keep_checkpoints": True,
    "save_total_limit": 3,
}
# Two steps to a rollout, so that one checkpoint of two is within one.
OF_GRPO = {
    "max_length": ...,
    "rewards": [{"func": "tests.stages.tiny.digits"}],
    "num_generations": 4,
    "generation_batch_size": 32,
    "max_completion_length": 8,
    "save_rollouts": True,
}
# At ten times this rate rounding grows a thousandfold in ten steps, whoever divides the rows.
OF_REWARD = {"learning_rate": 1.0e-3}
KINDS = {"sft": {}, "reward": OF_REWARD, "grpo": OF_GRPO}


def make_recipe(folder: Path, kind: str, accelerate: str, steps: int) -> Path:
    """Write a recipe of one stage `a`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "base").exists():
        make_model(folder / "base")
        make_data(folder / "sums.jsonl")
    config = {key: value for key, value in {**COMMON, **KINDS[kind]}.items() if value is not ...} | {
        "max_steps": steps
    }
    env = {"OMP_NUM_THREADS": 1} | ({"DS_ACCELERATOR": "cpu"} if accelerate == "cpu_zero3" else {})
    stage = {"name": "a", "kind": kind, "model": "base_model", "data": "sums", "accelerate": accelerate}
    recipe = {"name": "ranks", "base_model": "base", "disk_gb": 0.01, "env": env}
    recipe |= {"data": {"sums": {"path": "sums.jsonl"}}, "stages": [{**stage, "set": config}]}
    path = folder / f"{kind}-{accelerate}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def whole_run(recipe: Path, run_dir: Path, ranks: int = 2) -> Path:
    """Run a recipe on so many ranks, and let it alone."""
    runner = start(recipe, run_dir, "--set", f"a.num_processes={ranks}")
    assert runner.wait(SECONDS) == 0, said(run_dir)
    return run_dir / "a"


def killed_run(recipe: Path, run_dir: Path, kills: int, steps: int, seed: int = 0) -> tuple[Path, list[int]]:
    """
    Run a recipe, kill it at random moments, and go on with two ranks and one in turn.

    Returns:
        `tuple[Path, list[int]]`: the stage's folder, and the step that each attempt went on from.
    """
    dice, resumed = random.Random(seed), []
    for attempt in range(kills + 1):
        before = step_of(run_dir)
        runner = start(recipe, run_dir, "--set", f"a.num_processes={2 - attempt % 2}")
        if attempt < kills:
            # From the first step of this attempt on: it dies between two, within one, or while it saves.
            share = (steps - before - 2) / (kills - attempt)
            until = before + 1 + dice.random() * max(0.0, share - 1)
            deadline = time.monotonic() + SECONDS
            while step_of(run_dir) < until and runner.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(dice.uniform(0, 0.3))
            runner.kill()
            runner.wait()
            while processes_of(run_dir):
                time.sleep(0.1)
        else:
            assert runner.wait(SECONDS) == 0, said(run_dir)
    log = (run_dir / "a" / "log.txt").read_text()
    resumed = [int(line.split("checkpoint-")[1].split()[0]) for line in log.splitlines() if "Resuming from" in line]
    return run_dir / "a", resumed


def step_of(run_dir: Path) -> int:
    """Return the last step of which there is a checkpoint."""
    steps = [int(path.parent.name[11:]) for path in run_dir.glob("a/checkpoint-*/trainer_state.json")]
    return max(steps, default=0)


def losses(stage: Path) -> dict[int, float]:
    """Return the loss of each step."""
    log = json.loads((stage / "trainer_state.json").read_text())["log_history"]
    return {line["step"]: line["loss"] for line in log if "loss" in line}


def difference(stage: Path, other: Path) -> float:
    """Return the largest difference between two stages' losses."""
    ours, theirs = losses(stage), losses(other)
    assert ours.keys() == theirs.keys(), (ours, theirs)
    assert not any(math.isnan(value) for value in (*ours.values(), *theirs.values()))
    return max(abs(ours[step] - theirs[step]) for step in ours)


def prompts(stage: Path) -> dict[int, list[str]]:
    """Return the prompts of each rollout, by the step that it was sampled at."""
    found = defaultdict(set)
    for path in sorted((stage / "rollouts").glob("*.parquet")):
        step = int(path.stem.split("-")[0].removeprefix("step"))
        found[step] |= {trace.prompt for trace in read_traces(path)}
    return {step: sorted(texts) for step, texts in found.items()}


def compared(folder: Path, name: str, kills: int) -> tuple[float, bool, list[int]]:
    """
    Compare a training that is killed with one that is let alone.

    Args:
        folder (`Path`):
            Where to put both.
        name (`str`):
            Kind and launch: `sft-cpu_ddp`.
        kills (`int`):
            How often it is killed.

    Returns:
        `tuple`: the largest difference of a loss, whether GRPO sampled the same prompts, and the steps it went on from.
    """
    kind, accelerate = name.split("-")
    steps = max(12, 4 * kills)  # a few for each, however long a machine takes to kill it
    recipe = make_recipe(folder, kind, accelerate, steps)
    alone = whole_run(recipe, folder / f"{name}-whole")
    stage, resumed = killed_run(recipe, folder / f"{name}-killed", kills, steps)
    assert len(losses(stage)) == steps
    return difference(alone, stage), prompts(alone) == prompts(stage), resumed


def main(folder: Path, kills: int, names: list[str]) -> int:
    for name in names or [f"{kind}-{launch}" for kind in KINDS for launch in ("cpu_ddp", "cpu_zero3")]:
        since = time.monotonic()
        largest, same, resumed = compared(folder, name, kills)
        took = time.monotonic() - since
        one = whole_run(folder / f"{name}.yaml", folder / f"{name}-one", ranks=1)
        ranks = difference(folder / f"{name}-whole" / "a", one)
        print(
            f"{name}: {largest:.2e}, same prompts {same}, resumed at {resumed}, {took:.0f} s; "
            f"two ranks and one, both let alone: {ranks:.2e}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
    except subprocess.TimeoutExpired as error:
        sys.exit(str(error))
