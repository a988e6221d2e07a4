"""
Wall time to pass@1 .90 in the playground's R1-Zero, against TRL's own `GRPOTrainer` with the same hyperparameters.

```bash
python -m tests.benchmarks.grpo_to_target                                   # makes a base model, then 3 seeds, all switches
python -m tests.benchmarks.grpo_to_target --base runs/playground-1/base     # from a base that is there
python -m tests.benchmarks.grpo_to_target --base ... --seeds 1 --switches all each
```

Every run is the recipe's (`recipes/playground/r1_zero.yaml`), from one base model; TRL's trainer and ours take turns, a
step at a time, so that what else the machine does slows all alike. Every `--eval-every` steps the policy answers the held-out problems, `--samples` times each at temperature 1; the
clock stands still meanwhile, and the random state is put back. Beyond the target only the end is evaluated. The time to the target is read off the line between the
evaluations on both sides of it. Beside the wall time stands the CPU time of the process, which a busy machine disturbs
less. The last line is the ratio of the medians over the seeds.

`--switches`: `all` (every switch at once), `each` (each one alone), or names of switches, each alone.
"""

import argparse
import dataclasses
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread is faster than two at this size

import numpy
import torch
import yaml
from datasets import disable_progress_bars
from transformers import GenerationConfig, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging
from trl import GRPOTrainer

from trl_r1 import R1GRPOConfig, R1GRPOTrainer
from trl_r1.compact_generation import compact_rows
from trl_r1.data import load_prompts, parse_sources, render
from trl_r1.rewards.schedule import load_rewards


RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "playground"
# What each switch is set to when it is on; off is its field's "off" below. Switches that share a purpose go together.
ON: dict[str, dict[str, Any]] = {
    "none": {},
    "trim_padding": {"trim_padding": True},
    "token_budget": {"trim_padding": True, "group_by_length": True, "max_tokens_per_micro_batch": 2048},
    "skip_zero_advantage": {"skip_zero_advantage": True},
    "compact_generation": {"compact_generation": True},
    "dynamic_sampling": {"dynamic_sampling": True},
    "prompt_curriculum": {"prompt_curriculum": True},
}
OFF = {
    "trim_padding": False,
    "group_by_length": False,
    "max_tokens_per_micro_batch": None,
    "skip_zero_advantage": False,
    "compact_generation": False,
    "dynamic_sampling": False,
    "prompt_curriculum": False,
}
# Those that together are fastest here.
TOGETHER = ("token_budget", "skip_zero_advantage", "compact_generation")


class Turns:
    """
    Lets several runs in threads of one process go on one step at a time, one after another: what the machine does
    besides slows all of them alike. Each finds the random state as it left it.
    """

    def __init__(self, names: list[str]):
        self.names, self.turn = list(names), 0
        self.changed = threading.Condition()
        self.random: dict[str, Any] = {}

    def wait(self, name: str) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.names[self.turn] == name)
        if name in self.random:
            python, numbers, tensors = self.random.pop(name)
            random.setstate(python)
            numpy.random.set_state(numbers)
            torch.set_rng_state(tensors)

    def pass_on(self, name: str) -> None:
        self.random[name] = (random.getstate(), numpy.random.get_state(), torch.get_rng_state())
        with self.changed:
            self.turn = (self.turn + 1) % len(self.names)
            self.changed.notify_all()

    def leave(self, name: str) -> None:
        with self.changed:
            self.names.remove(name)
            self.turn = self.turn % max(1, len(self.names))
            self.changed.notify_all()


class Clock(TrainerCallback):
    """The time a run takes in its own turns and without its evaluations, and what they find."""

    def __init__(self, evaluate, every: int, target: float, stop: bool, turns: Turns, name: str):
        self.evaluate, self.every, self.target, self.stop = evaluate, every, target, stop
        self.turns, self.name = turns, name
        self.taken = (0.0, 0.0)  # wall and CPU seconds
        self.curve: list[tuple[int, float, float, float, float]] = []  # step, wall, CPU, pass@1, its standard error

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def on_train_begin(self, args, state, control, **kwargs):
        self.begun = self._now()

    def on_step_end(self, args, state, control, **kwargs):
        self.taken = tuple(sum_ + now - begun for sum_, now, begun in zip(self.taken, self._now(), self.begun))
        # Once the target is reached, only where the run ends is still asked for.
        reached = any(point[3] >= self.target for point in self.curve)
        if state.global_step == state.max_steps or not (reached or state.global_step % self.every):
            self.curve.append((state.global_step, *self.taken, *self.evaluate(kwargs["model"])))
            control.should_training_stop |= self.stop and self.curve[-1][3] >= self.target
        self.turns.pass_on(self.name)
        self.turns.wait(self.name)
        self.begun = self._now()

    def to_target(self) -> tuple[float, float, float]:
        """Return steps, wall seconds and CPU seconds to the target; infinite where it was not reached."""
        before = (0, 0.0, 0.0, 0.0)
        for point in self.curve:
            if point[3] >= self.target:
                share = (self.target - before[3]) / (point[3] - before[3])
                return tuple(before[i] + share * (point[i] - before[i]) for i in range(3))
            before = point
        return (math.inf,) * 3


class Playground:
    """The recipe's stage: what every run has in common."""

    def __init__(self, base: Path, samples: int, max_steps: int | None):
        config = yaml.safe_load((RECIPES / "r1_zero.yaml").read_text(encoding="utf-8"))
        self.template = config.pop("prompt_template")
        self.rewards, config["reward_weights"] = load_rewards(config.pop("rewards"))
        # The playground's languages: with them, the metrics load no word lists.
        config |= {"languages": ["en", "zh"], "save_strategy": "no", "report_to": "none", "disable_tqdm": True}
        self.config = config
        self.config.pop("save_steps")
        if max_steps:
            self.config["max_steps"] = max_steps
        self.base, self.samples = base, samples
        self.heldout = self.prompts("heldout", seed=0).to_list()

    def prompts(self, name: str, seed: int):
        sources = parse_sources([{"path": str(self.base / "data" / f"{name}.parquet"), "name": name}])
        return render(load_prompts(sources, seed=seed), "grpo", self.template)

    def run(self, name: str, switches: dict[str, Any], seed: int, options: argparse.Namespace, turns: Turns):
        """Train, in turns with the others; return the clock and the log."""
        turns.wait(name)
        try:
            return self._run(name, switches, seed, options, turns)
        finally:
            turns.leave(name)

    def _run(self, name: str, switches: dict[str, Any], seed: int, options: argparse.Namespace, turns: Turns):
        trainer_class = GRPOTrainer if name == "stock" else R1GRPOTrainer
        known = {field.name for field in dataclasses.fields(R1GRPOConfig)}
        settings = {key: value for key, value in {**OFF, **switches}.items() if key in known}
        with tempfile.TemporaryDirectory() as folder:
            args = R1GRPOConfig(**{**self.config, **settings, "output_dir": folder, "seed": seed})
            trainer = trainer_class(str(self.base / "model"), self.rewards, args, self.prompts("train", seed))
            clock = Clock(
                lambda model: self.pass_at_1(model, trainer.processing_class),
                options.eval_every,
                options.target,
                options.stop,
                turns,
                name,
            )
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(clock)
            trainer.train()
            return clock, trainer.state.log_history

    def pass_at_1(self, model, tokenizer) -> tuple[float, float]:
        """Return pass@1 on the held-out problems, and its standard error, clustered by problem."""
        rows = [row for row in self.heldout for _ in range(self.samples)]
        generation = GenerationConfig(
            max_new_tokens=self.config["max_completion_length"],
            do_sample=True,
            temperature=1.0,
            top_k=0,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        texts = []
        training = model.training
        model.eval()
        with torch.random.fork_rng(), torch.no_grad(), compact_rows(model, tokenizer.eos_token_id):
            torch.manual_seed(0)
            for start in range(0, len(rows), 640):
                prompts = [row["prompt"] for row in rows[start : start + 640]]
                inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
                inputs = {name: inputs[name].to(model.device) for name in ("input_ids", "attention_mask")}
                output = model.generate(**inputs, generation_config=generation)[:, inputs["input_ids"].size(1) :]
                texts += tokenizer.batch_decode(output, skip_special_tokens=True)
        model.train(training)
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["prompts"] = columns.pop("prompt")
        verdicts = [
            reward(completions=texts, **columns) for reward in self.rewards if getattr(reward, "is_accuracy", False)
        ]
        right = [float(any(verdict == 1 for verdict in by_reward)) for by_reward in zip(*verdicts)]
        by_problem = [
            sum(right[i : i + self.samples]) / self.samples for i in range(0, len(right), self.samples)
        ]  # fmt: skip
        return statistics.mean(by_problem), statistics.stdev(by_problem) / math.sqrt(len(by_problem))


def make_base(folder: Path) -> Path:
    """Run the recipe's first stage."""
    command = [sys.executable, "-m", "trl_r1.stages.playground", "--config", str(RECIPES / "base.yaml")]
    subprocess.run([*command, "--output_dir", str(folder), "--seed", "1"], check=True)
    return folder


def variants(switches: list[str]) -> dict[str, dict[str, Any]]:
    """Return what our trainer is run with, by name."""
    known = {field.name for field in dataclasses.fields(R1GRPOConfig)}
    available = {name: settings for name, settings in ON.items() if settings.keys() <= known}
    chosen: dict[str, dict[str, Any]] = {}
    for name in switches:
        if name == "all":
            chosen["all"] = {k: v for one in TOGETHER if one in available for k, v in available[one].items()}
        elif name == "each":
            chosen |= available
        elif name in available:
            chosen[name] = available[name]
        else:
            raise SystemExit(f"--switches: expected all, each or some of {', '.join(available)}; got {name!r}")
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--base", type=Path, help="folder of a finished `playground` stage; made anew without it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--switches", nargs="+", default=["all"])
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--eval-every", type=int, default=4)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--max-steps", type=int, help="fewer steps than the recipe's, for a quick look")
    parser.add_argument(
        "--stop", action="store_true", help="end each run at the target: no final accuracy, for a quick look"
    )
    parser.add_argument("--json", type=Path, help="where to write every evaluation of every run")
    options = parser.parse_args()
    logging.set_verbosity_error()
    disable_progress_bars()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        base = options.base or make_base(Path(folder) / "base")
        return compare(Playground(base, options.samples, options.max_steps), options)


def compare(playground: Playground, options: argparse.Namespace) -> int:
    ours = variants(options.switches)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("stock", *ours)}
    for seed in options.seeds:
        turns = Turns(list(runs))
        with ThreadPoolExecutor(len(runs)) as threads:
            started = {
                name: threads.submit(playground.run, name, ours.get(name, {}), seed, options, turns) for name in runs
            }
        for name, running in started.items():
            clock, log = running.result()
            steps, wall, cpu = clock.to_target()
            last = clock.curve[-1]
            extra = [
                entry["dynamic_sampling/extra_completions"] for entry in log if "dynamic_sampling/rounds" in entry
            ]
            zero_std = [entry["frac_reward_zero_std"] for entry in log if "frac_reward_zero_std" in entry]
            run = {
                "steps": steps, "wall": wall, "cpu": cpu, "cpu/step": last[2] / last[0], "wall/step": last[1] / last[0],
                "final": last[3], "stderr": last[4], "zero_std": statistics.mean(zero_std),
                "extra": statistics.mean(extra) if extra else 0.0, "curve": clock.curve,
            }  # fmt: skip
            runs[name].append(run)
            print(
                f"seed {seed}  {name:20} steps {steps:6.1f}  wall {wall:6.1f} s  CPU {cpu:6.1f} s  "
                f"({run['cpu/step']:.3f} CPU s a step)  final {last[3]:.3f} +- {last[4]:.3f}  "
                f"groups without variance {run['zero_std']:.2f}  extra completions {run['extra']:.1f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1))
    print("\n| trainer | steps | wall s | CPU s | CPU s a step | final pass@1 | wall ratio | CPU ratio |")
    print("|---" * 8 + "|")
    medians = {
        name: {key: statistics.median(run[key] for run in of) for key in of[0] if key != "curve"}
        for name, of in runs.items()
    }
    stock = medians["stock"]
    for name, median in medians.items():
        print(
            f"| {name} | {median['steps']:.0f} | {median['wall']:.1f} | {median['cpu']:.1f} | {median['cpu/step']:.3f} "
            f"| {median['final']:.3f} | {median['wall'] / stock['wall']:.2f} | {median['cpu'] / stock['cpu']:.2f} |"
        )
    best = medians["all"] if "all" in medians else min(list(medians.values())[1:], key=lambda median: median["wall"])
    behind = (stock["final"] - best["final"]) / max(stock["stderr"], 1e-9)
    print(
        f"\nratio {best['wall'] / stock['wall']:.2f} wall, {best['cpu'] / stock['cpu']:.2f} CPU, to pass@1 "
        f"{options.target:g}, median of {len(options.seeds)} seeds; final pass@1 {best['final']:.3f} against "
        f"{stock['final']:.3f} ({behind:+.1f} standard errors behind)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
