"""
One GRPO step of TRL's trainer and of ours: the same weights, the same completions, in one process, taking turns.

    python -m tests.benchmarks.grpo_step [--pairs 5] [--rows 64 32] [--parts steps off zero_std memory]
    python -m tests.benchmarks.grpo_step --device cuda --attention flash_attention_2

The whole takes some twelve minutes on one quiet core (half with two, `OMP_NUM_THREADS=2`), the steps of 64 rows half of it.

Completions are written down beforehand (lognormal lengths, the longest at the limit, their mean a quarter of it), so
nothing is sampled and nothing but the step is timed. The phases:

- `score`: log-probabilities of the reference over the whole rollout;
- `update`: loss, backward pass and optimizer;
- `step`: all of it, with rewards, metrics and the rearrangement of rows.

Each figure is the median over the pairs of (time of TRL's trainer) / (time of ours), by the CPU time of the process (on
a GPU: by the clock, synchronised), so that a busy machine weighs on both. `trimmed` is our trainer with `trim_padding` alone,
`off` with every switch off.
The lines on groups without variance compare our trainer with and without `skip_zero_advantage`, at `beta` 0. Memory is measured in
a process of its own for each trainer: the most that is resident in a step, less what was before it. The last line is the
ratio of the update at the first number of rows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import Qwen3Config, Qwen3ForCausalLM, TrainerCallback
from trl import GRPOTrainer

from tests.grpo.tiny import VOCABULARY, make_tokenizer
from trl_r1 import R1GRPOConfig, R1GRPOTrainer


GROUP = 8
PARTS = ("steps", "off", "zero_std", "memory")
OFF = {"trim_padding": False, "group_by_length": False, "skip_zero_advantage": False}
TRIM = {**OFF, "trim_padding": True}  # each micro-batch as TRL makes it, at its own width
ON = {**TRIM, "group_by_length": True}


def lengths_like_r1(rows: int, longest: int, generator: torch.Generator, sigma: float = 0.8) -> list[int]:
    """Lognormal lengths, cut at the longest, which one row has; their mean is a quarter of it."""
    drawn = torch.exp(sigma * torch.randn(rows, generator=generator))
    low, high = 0.0, float(longest)
    for _ in range(60):  # the scale that gives the mean
        middle = (low + high) / 2
        lengths = (middle * drawn).clamp(1, longest)
        lengths[drawn.argmax()] = longest
        low, high = (middle, high) if lengths.mean() < longest / 4 else (low, middle)
    return lengths.round().int().tolist()


class Clock:
    """Time by phase of the step that is running."""

    def __init__(self, device: str):
        self.device = device
        self.phases: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = self.now()
        yield
        self.phases[name] += self.now() - start


class StepClock(TrainerCallback):
    def __init__(self, clock: Clock):
        self.clock = clock

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.clock.phases.clear()
        self.start = self.clock.now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        phases = self.clock.phases
        phases["step"] = self.clock.now() - self.start
        phases["update"] = phases["step"] - phases.pop("prepare")


def timed(trainer_class: type, clock: Clock, rows: int, longest: int) -> type:
    """The trainer, with completions written down beforehand and a clock in its phases."""

    class Timed(trainer_class):
        def _generate_single_turn(self, prompt_ids, *_: Any, **__: Any):
            # Each step has completions of its own, the same ones for every trainer.
            generator = torch.Generator().manual_seed(self._step)
            lengths = lengths_like_r1(rows, longest, generator)
            written = [torch.randint(3, len(VOCABULARY), (n,), generator=generator).tolist() for n in lengths]
            self.row_lengths = [len(ids) + n for ids, n in zip(prompt_ids, lengths)]
            return [[*ids[:-1], 1] for ids in written], None

        def _get_per_token_logps_and_entropies(self, *arguments: Any, batch_size: int | None = None, **named: Any):
            log_probabilities = super()._get_per_token_logps_and_entropies
            if batch_size is None:
                return log_probabilities(*arguments, **named)
            with clock.phase("score"):
                return log_probabilities(*arguments, batch_size=batch_size, **named)

        def _prepare_inputs(self, batch: Any):
            with clock.phase("prepare"):
                return super()._prepare_inputs(batch)

    Timed.__name__ = trainer_class.__name__
    return Timed


class Judge:
    """Rewards 0 and 1 in turns, and 1 throughout in a share of the groups."""

    __name__ = "judge"

    def __init__(self, zero_std: float):
        self.zero_std = zero_std

    def __call__(self, *, completions: list[Any], **columns: Any) -> list[float]:
        groups = len(completions) // GROUP
        # Spread, so that groups without variance are neither the first nor the last.
        equal = {round((i + 0.5) / max(self.zero_std, 1e-9)) % groups for i in range(round(self.zero_std * groups))}
        return [1.0 if row // GROUP in equal else float(row % 2) for row in range(len(completions))]


def save_model(folder: Path, device: str) -> str:
    """Five million parameters; on a GPU, half a billion of them. Random weights."""
    torch.manual_seed(0)
    if device == "cuda":
        size = {"vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24}
        heads = {"num_attention_heads": 14, "num_key_value_heads": 2, "head_dim": 64}
    else:
        size = {"vocab_size": 4096, "hidden_size": 320, "intermediate_size": 960, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 80}
    model = Qwen3ForCausalLM(
        Qwen3Config(
            **size, **heads, pad_token_id=0, eos_token_id=1, bos_token_id=None, tie_word_embeddings=device == "cuda"
        )
    )
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    say(f"model: {sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters")
    return str(folder)


class Bench:
    """A trainer of which one step after the other is timed."""

    def __init__(self, trainer_class: type, model: str, folder: Path, asked: argparse.Namespace, rows: int, **changes):
        self.clock = Clock(asked.device)
        zero_std = changes.pop("zero_std", 0.0)
        cuda = asked.device == "cuda"
        config = R1GRPOConfig(
            **{
                "output_dir": str(folder),
                "use_cpu": not cuda,
                "bf16": cuda,
                "gradient_checkpointing": False,
                "per_device_train_batch_size": asked.batch,
                "gradient_accumulation_steps": rows // asked.batch,
                "num_generations": GROUP,
                "max_completion_length": asked.longest,
                "beta": 0.001,
                "sync_ref_model": False,
                "max_steps": 1,
                "save_strategy": "no",
                "report_to": "none",
                "disable_tqdm": True,
                "logging_strategy": "no",
                "languages": ["en", "zh"],
                "model_init_kwargs": {
                    "dtype": "bfloat16" if cuda else "float32",
                    "attn_implementation": asked.attention,
                },
                **OFF,
                **changes,
            }
        )
        prompts = Dataset.from_dict({"prompt": [f"what is the sum of {i} and one ?" for i in range(rows // GROUP)]})
        self.trainer = timed(trainer_class, self.clock, rows, asked.longest)(
            model, Judge(zero_std), config, prompts, callbacks=[StepClock(self.clock)]
        )

    def step(self) -> dict[str, float]:
        self.trainer.train()
        return dict(self.clock.phases)


def take_turns(benches: dict[str, Bench], pairs: int) -> dict[str, list[dict[str, float]]]:
    """One step of each, in an order that turns round. Only a GPU has much to warm up."""
    for bench in benches.values():
        if bench.clock.device == "cuda":
            bench.step()
    times: dict[str, list[dict[str, float]]] = {name: [] for name in benches}
    for pair in range(pairs):
        for name in list(benches)[:: 1 if pair % 2 else -1]:
            times[name].append(benches[name].step())
    return times


def ratio(times: dict[str, list[dict[str, float]]], phase: str, slow: str, fast: str, **what: Any) -> dict[str, Any]:
    """The median over pairs, with the least and the most of them; said in a line."""
    ratios = [one[phase] / other[phase] for one, other in zip(times[slow], times[fast])]
    spent = [statistics.median(step[phase] for step in times[name]) for name in (slow, fast)]
    median, least, most = statistics.median(ratios), min(ratios), max(ratios)
    say(f"{median:6.2f}x  {phase:7} {spent[0]:7.2f} s -> {spent[1]:6.2f} s   ({least:.2f} to {most:.2f})")
    seconds = {f"{name}_s": each for name, each in zip((slow, fast), spent)}
    return {**what, "phase": phase, **seconds, "ratio": median, "least": least, "most": most}


def compare_steps(asked: argparse.Namespace, model: str, folder: Path) -> list[dict[str, Any]]:
    """Compare TRL's trainer with ours, phase by phase, for each number of rows."""
    found = []
    for rows in asked.rows:
        # The reference has its own line where there are fewer rows; there is no need to wait for it twice.
        beta = 0.0 if rows == asked.rows[0] != asked.rows[-1] else 0.001
        benches = {
            "trl": Bench(GRPOTrainer, model, folder / "trl", asked, rows, beta=beta),
            "trimmed": Bench(R1GRPOTrainer, model, folder / "trimmed", asked, rows, beta=beta, **TRIM),
            "ours": Bench(R1GRPOTrainer, model, folder / "ours", asked, rows, beta=beta, **ON),
        }
        times = take_turns(benches, asked.pairs)
        for name, what in (("trimmed", "ours with `trim_padding` alone"), ("ours", "ours")):
            say(f"\n{rows} rows in micro-batches of {asked.batch}, lengths to {asked.longest}: TRL's time / {what}")
            for phase in ("score", "update", "step") if beta else ("update", "step"):
                found.append(ratio(times, phase, "trl", name, rows=rows))
    return found


def compare_off(asked: argparse.Namespace, model: str, folder: Path) -> dict[str, Any]:
    """Compare our trainer with every switch off with TRL's, on short rows, where what we add would weigh most."""
    short = argparse.Namespace(**{**vars(asked), "longest": asked.longest // 4})
    rows = asked.rows[-1]
    benches = {
        "off": Bench(R1GRPOTrainer, model, folder / "off", short, rows),
        "trl": Bench(GRPOTrainer, model, folder / "trl", short, rows),
    }
    times = take_turns(benches, asked.pairs)
    say(f"\n{rows} rows, lengths to {short.longest}: our time with every switch off / TRL's")
    return ratio(times, "step", "off", "trl", rows=rows)


def compare_zero_std(asked: argparse.Namespace, model: str, folder: Path, zero_std: float) -> dict[str, Any]:
    """Compare our trainer without and with `skip_zero_advantage`."""
    rows = asked.rows[0]
    benches = {
        name: Bench(
            R1GRPOTrainer,
            model,
            folder / name,
            asked,
            rows,
            beta=0.0,
            zero_std=zero_std,
            **{**ON, "skip_zero_advantage": on},
        )
        for name, on in (("kept", False), ("skipped", True))
    }
    times = take_turns(benches, asked.pairs)
    say(f"\n{rows} rows, {zero_std:.0%} of the groups without variance: time without `skip_zero_advantage` / with")
    return ratio(times, "update", "kept", "skipped", rows=rows, zero_std=zero_std)


def say(line: str) -> None:
    print(line, flush=True)


def resident(name: str) -> float:
    """A figure of this process in MiB: `VmRSS`, or `VmHWM`, the most since it was reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def measure_memory(asked: argparse.Namespace, model: str, folder: Path) -> None:
    """Print the MiB that a step takes at most, beyond what the process holds before it."""
    changes = {} if asked.memory == "trl" else {**(TRIM if asked.memory == "trimmed" else ON)}
    changes |= {"max_tokens_per_micro_batch": asked.tokens}
    trainer_class = GRPOTrainer if asked.memory == "trl" else R1GRPOTrainer
    bench = Bench(trainer_class, model, folder, asked, asked.rows[0], **changes)
    if asked.device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        bench.step()
        most = torch.cuda.max_memory_allocated() / 2**20
    else:
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        bench.step()
        most = resident("VmHWM")
    print(json.dumps({"mib": most - before}))


def compare_memory(asked: argparse.Namespace, model: str) -> dict[str, float]:
    """Measure, in MiB and in processes of their own: TRL's, ours (trimmed alone; whole), and ours with a budget of tokens."""
    found: dict[str, float] = {}
    budget = asked.tokens or asked.longest + 64  # one row of the full length, with its prompt
    alone = [(name, name, None) for name in ("trl", "trimmed", "ours")]
    for name, who, tokens in (*alone, (f"{budget} tokens", "ours", budget)):
        command = [sys.executable, "-m", "tests.benchmarks.grpo_step", "--memory", who, "--model", model]
        for option in ("device", "attention", "batch", "longest"):
            command += [f"--{option}", str(getattr(asked, option))]
        command += ["--rows", str(asked.rows[0])] + (["--tokens", str(tokens)] if tokens else [])
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = json.loads(said.splitlines()[-1])["mib"]
    say(f"\n{asked.rows[0]} rows: the most memory of a step (MiB beyond what is there before it)")
    for name, mib in found.items():
        say(f"{mib / found['trl']:6.2f}   {name:12} {mib:8.0f}")
    return found


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 32])
    parser.add_argument("--batch", type=int, default=8, help="rows of a micro-batch")
    parser.add_argument("--longest", type=int, help="tokens of the longest completion (1,024; 8,192 on a GPU)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--attention", default="sdpa", help="sdpa, or flash_attention_2 on a GPU")
    parser.add_argument("--tokens", type=int, help="the budget of the last line on memory")
    parser.add_argument("--memory", choices=("trl", "trimmed", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    asked.longest = asked.longest or (8192 if asked.device == "cuda" else 1024)
    return asked


def main() -> None:
    asked = read_arguments()
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or save_model(Path(folder) / "model", asked.device)
        if asked.memory:
            measure_memory(asked, model, Path(folder))
            return
        steps = compare_steps(asked, model, Path(folder)) if "steps" in asked.parts else []
        if "off" in asked.parts:
            compare_off(asked, model, Path(folder))
        if "zero_std" in asked.parts:
            for zero_std in (0.25, 0.75):
                compare_zero_std(asked, model, Path(folder), zero_std)
        if "memory" in asked.parts:
            compare_memory(asked, model)
    for row in [row for row in steps if row["phase"] == "update" and "ours_s" in row][:1]:
        say(f"\nupdate, {asked.rows[0]} rows: {row['ratio']:.2f}x")


if __name__ == "__main__":
    main()
