"""A run that has everything the page tells: rollouts, rejected samples, comparisons, the machine. Made up in a moment."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.run_dirs import ACCURACY, make_run
from trl_r1.trace import trace_schema


DOUBLED = 20  # the step at which the made-up reflection jumps
MACHINE = {
    "processor": "Made-up 9000",
    "cores": 2,
    "memory_gib": 24.0,
    "gpus": ["H100, 80 GiB"] * 2,
    "system": "Linux",
}
GUESS = "<think>i guess B22. </think>the answer is \\boxed{22}"
TRIED = "<think>try A9+2=11, wrong. retry B10+2=12, wrong. retry I18+2=20, right. </think>the answer is \\boxed{18}"
SECOND = "<think>try B10+2=12, wrong. retry I18+2=20, right. </think>the answer is \\boxed{18}"


def make_told_run(run: Path, *, seed: int = 1, steps: int = 40, rise: float = 0.0, **rollouts: int) -> Path:
    """
    Write a finished run of the playground recipe with all that its page can tell.

    Args:
        run (`Path`):
            Where.
        seed (`int`, *optional*, defaults to `1`):
            Of the run.
        steps (`int`, *optional*, defaults to `40`):
            Of each RL stage.
        rise (`float`, *optional*, defaults to `0`):
            What is added to what was logged, so that runs differ.
        **rollouts (`int`):
            Arguments of [`write_rollouts`].
    """
    make_run(run, steps=steps)
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["seed"] = seed
    for stage in recipe["stages"]:
        if stage["name"] == "dev1":
            stage["purpose"] = "A cold start for RL."
    control = {"name": "language-control", "kind": "grpo", "model": "base_model", "data": ["playground/prompts"]}
    control["purpose"] = "The control of R1-Zero: the same training with a reward for one language."
    recipe["stages"].insert(2, control)
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    _copy(run / "r1-zero", run / "language-control", "language_share", 0.4)
    if rise:
        _shift(run / "r1-zero", rise)
    told = json.loads((run / "run.json").read_text())
    told |= {"seed": seed, "machine": MACHINE, "commits": {"trl_r1": "0123456789ab"}}
    told["versions"] = {"python": "3.11.7", **told["versions"]}
    (run / "run.json").write_text(json.dumps(told))
    write_rollouts(run / "r1-zero" / "rollouts", steps=steps, **rollouts)
    write_rejected(run / "cold-start")
    write_comparisons(run / "scores")
    return run


def _copy(source: Path, target: Path, key: str, less: float) -> None:
    target.mkdir()
    for name in ("config.yaml", "artifact.json", "trainer_state.json"):
        (target / name).write_text((source / name).read_text())
    _shift(target, -less, key)


def _shift(stage: Path, by: float, key: str = "reward") -> None:
    state = json.loads((stage / "trainer_state.json").read_text())
    for entry in state["log_history"]:
        if key in entry:
            entry[key] += by
    (stage / "trainer_state.json").write_text(json.dumps(state))


def write_rollouts(folder: Path, *, steps: int, per_step: int = 8, shards: int | None = None) -> None:
    """Completions that guess, and from step `DOUBLED` on try one candidate after the other; prompts come back."""
    shards = steps if shards is None else shards
    schema = trace_schema()
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        first, last = shard * steps // shards, (shard + 1) * steps // shards
        where = [(step, index) for step in range(first, last) for index in range(per_step)]
        texts = [SECOND if at == (3, 5) else GUESS if at[0] < DOUBLED else TRIED for at in where]
        prompts = [f"which of A9 B10 I18 plus 2 makes a ten? ({i // 4 + 2 * (step % 5)})" for step, i in where]
        same = {"solution": "18", "domain": "search", "language": "en", "model": "r1-zero", "finish_reason": "stop"}
        same |= {"sampling": "{}", "extra": "{}", "seed": 0}
        columns = {
            **{name: [value] * len(where) for name, value in same.items()},
            "prompt_id": prompts,
            "prompt": prompts,
            "completion": texts,
            "rewards": [json.dumps({"math_accuracy": float("18}" in text), "think_format": 1.0}) for text in texts],
            "n_tokens": [len(text) // 4 for text in texts],
            "step": [step for step, _ in where],
        }
        table = pa.table({name: columns.get(name, [None] * len(where)) for name in schema.names}, schema=schema)
        pq.write_table(table, folder / f"step{first:06d}-call{shard:08d}-rank000.parquet")


def write_rejected(stage: Path) -> None:
    rows = [
        ("language", "what is A1+B2?", "<think>先加 A1+B2=3. the answer</think>3", "3"),
        ("wrong", "what is A2+B2?", "<think>A2+B2=5.</think>\\boxed{5}", "4"),
    ]
    rows += [("wrong", f"what is A{i}+B2?", "<think></think>\\boxed{0}", str(i + 2)) for i in range(10)]
    columns = dict(zip(("reason", "prompt", "completion", "solution"), map(list, zip(*rows))))
    (stage / "rejected").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), stage / "rejected" / "train-00000-of-00001.parquet", row_group_size=4)


def write_comparisons(stage: Path) -> None:
    """r1 and dev2 are not told apart; all others are."""
    names = list(ACCURACY)
    found = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            p = 0.21 if {a, b} == {"dev2", "r1"} else 0.0004
            difference = {"difference": ACCURACY[b] - ACCURACY[a], "difference_stderr": 0.008}
            found.append({"models": [a, b], "n_prompts": 240, **difference, "p_value": p})
    metrics = json.loads((stage / "metrics.json").read_text())
    budget = [[tokens, 0.15 + 0.15 * i, 0.02] for i, tokens in enumerate((8, 16, 32, 64, 96))]
    metrics["emergence"] = {"forbidden": {"r1-zero": 0.23}, "budget": {"r1-zero": budget}}
    metrics["comparisons"] = found
    (stage / "metrics.json").write_text(json.dumps(metrics))


def fail(run: Path, name: str) -> None:
    """Leave a stage as one that has failed."""
    stage = run / name
    (stage / "artifact.json").unlink()
    (stage / "started.json").write_text(json.dumps({"fingerprint": "f", "outcome": "failed"}))
    (stage / "progress.json").write_text(json.dumps({"error": "CUDA out of memory", "exit_code": 1}))
    (stage / "log.txt").write_text("step 1\nstep 2\nRuntimeError: CUDA out of memory. Tried to allocate 2 GiB\n")


def hack(run: Path) -> None:
    """The preference reward of `r1` rises while its accuracy falls."""
    rng = random.Random(1)
    state = json.loads((run / "r1" / "trainer_state.json").read_text())
    steps = [entry for entry in state["log_history"] if "solve_rate" in entry]
    for index, entry in enumerate(steps):
        late = index / len(steps)
        entry["solve_rate"] = 0.95 - 0.3 * max(0.0, late - 0.5) + rng.gauss(0, 0.01)
        entry["rewards/PreferenceModel/mean"] = 0.1 + 0.8 * late
    (run / "r1" / "trainer_state.json").write_text(json.dumps(state))
