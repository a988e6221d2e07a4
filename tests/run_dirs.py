"""A run directory as `trl-r1 run` leaves it, made up in a moment: for the tests of what reads one."""

import json
import math
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from trl_r1.trace import Trace, write_traces


STAGES = [
    ("playground", "playground", None, None),
    ("r1-zero", "grpo", "base_model", ["playground/prompts"]),
    ("cold-start", "cold_start", "r1-zero", ["playground/prompts"]),
    ("dev1", "sft", "base_model", ["cold-start"]),
    ("dev2", "grpo", "dev1", ["playground/prompts"]),
    ("reasoning-data", "rejection", "dev2", ["playground/prompts"]),
    ("general-data", "general", "base_model", ["playground/general"]),
    ("dev3", "sft", "base_model", ["reasoning-data", {"source": "general-data", "share": 0.3}]),
    ("preference", "reward", "dev3", ["playground/pairs"]),
    ("r1", "grpo", "dev3", ["playground/prompts", "playground/general"]),
    ("scores", "evaluate", ["base_model", "r1-zero", "dev1", "dev2", "dev3", "r1"], ["playground/held-out"]),
]
ACCURACY = {"base": 0.27, "r1-zero": 0.924, "dev1": 0.842, "dev2": 0.953, "dev3": 0.941, "r1": 0.968}
MIXED = {"base": 0.66, "r1-zero": 0.71, "dev1": 0.09, "dev2": 0.012, "dev3": 0.021, "r1": 0.008}
FORMAT = {"base": 0.11, "r1-zero": 0.981, "dev1": 0.953, "dev2": 0.988, "dev3": 0.991, "r1": 0.994}
WIN = {"base": 0.05, "r1-zero": 0.07, "dev1": 0.11, "dev2": 0.1, "dev3": 0.22, "r1": 0.44}
VERSIONS = {"trl_r1": "0.1.0", "trl": "1.16.0", "transformers": "5.23.0", "torch": "2.13.0"}


def make_run(
    run: Path, *, steps: int = 60, hub: dict | None = None, prompts: int = 6, base_model: str = "playground"
) -> Path:
    """Write a finished run of the playground recipe with made-up numbers, always the same."""
    rng = random.Random(0)
    recipe = {"name": "playground", "base_model": base_model, "seed": 1, "stages": []}
    if hub is not None:
        recipe["hub"] = hub
    for name, kind, model, data in STAGES:
        entry = {"name": name, "kind": kind, "model": model, "data": data}
        recipe["stages"].append({k: v for k, v in entry.items() if v is not None})
    _write(run / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
    command = ["trl-r1", "run", "playground", "--output-dir", str(run), "--seed", "1"]
    started = {"recipe": "playground", "path": "recipes/playground/recipe.yaml", "seed": 1, "command": command}
    _write(run / "run.json", json.dumps({**started, "created": "2026-11-20T14:03:11+00:00", "versions": VERSIONS}))
    for index, (name, kind, _, _) in enumerate(STAGES):
        _stage(run, name, kind, rng, steps, 20 + 13 * index)
    _evaluation(run / "scores", rng, prompts)
    return run


def add_general_scores(run: Path, data: str = "playground/general") -> None:
    """A second `evaluate` stage: general requests, to some of the models that `scores` measures, and other numbers."""
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    models = {"base_model": "base", "dev3": "dev3", "r1": "r1"}
    recipe["stages"].append({"name": "general-scores", "kind": "evaluate", "model": [*models], "data": [data]})
    _write(run / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
    numbers = {"base": (0.25, 0.125), "dev3": (0.875, 0.5), "r1": (0.9375, 0.75)}
    measured = {
        name: {"format": form, "format_stderr": 0.03, "general_win_rate": won, "n_prompts": 120, "n_samples": 480}
        for name, (form, won) in numbers.items()
    }
    _write(run / "general-scores" / "metrics.json", json.dumps({"models": measured}))
    _write(run / "general-scores" / "config.yaml", "seed: 1\n")
    _write(run / "general-scores" / "artifact.json", json.dumps({"stage": "general-scores"}))


def _stage(run: Path, name: str, kind: str, rng: random.Random, steps: int, seconds: float) -> None:
    home = run / name
    config = {"output_dir": str(home), "seed": 1, "model_name_or_path": str(run / "playground" / "model")}
    if kind in ("grpo", "sft", "reward", "cold_start", "rejection"):
        prompts = {"name": "prompts", "path": str(run / "playground" / "data" / "prompts.parquet"), "domain": "math"}
        config.update(prompt_template="chat", learning_rate=1e-3, data=[prompts])
    if kind == "grpo":
        config["rewards"] = [
            {"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]},
            {"func": "trl_r1.rewards.ThinkFormat", "weight": 0.5},
        ]
        if name != "r1-zero":
            config["rewards"].append({"func": "trl_r1.rewards.LanguageConsistency", "weight": 0.5})
        if name == "r1":
            model = str(run / "preference" / "model")
            arguments = {"model": model}
            preference = {"func": "trl_r1.rewards.PreferenceModel", "args": arguments, "domains": ["general"]}
            config["rewards"].append({**preference, "from_step": 20})
        _write(home / "trainer_state.json", json.dumps({"log_history": _history(name, rng, steps)}))
    if kind in ("sft", "reward"):
        entries = [{"step": s, "loss": 2 * math.exp(-s / steps * 3) + rng.gauss(0, 0.03)} for s in range(1, steps + 1)]
        for entry in entries:
            entry.update(
                {"loss/math": entry["loss"] * 0.9, "loss/general": entry["loss"] * 1.2} if kind == "sft" else {}
            )
        _write(home / "trainer_state.json", json.dumps({"log_history": entries}))
    _write(home / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    if kind in ("playground", "grpo", "sft", "reward"):
        _write(home / "model" / "config.json", json.dumps({"model_type": "qwen3", "hidden_size": 64}))
        (home / "model" / "model.safetensors").write_bytes(rng.randbytes(5000))
        (home / "model" / "training_args.bin").write_bytes(b"pickle")
        (home / "checkpoint-10").mkdir()
        (home / "checkpoint-10" / "model.safetensors").write_bytes(b"checkpoint")
    if kind == "playground":
        for data in ("prompts", "general", "pairs", "held-out"):
            _parquet(home / "data" / f"{data}.parquet", 8)
    if kind in ("cold_start", "rejection", "general"):
        rows = {"cold_start": 40, "rejection": 90, "general": 30}[kind]
        if kind == "rejection":  # as builders leave it: in parts, with a sample of what was rejected beside it
            for part in range(2):
                _parquet(home / "data" / f"train-0000{part}-of-00002.parquet", rows // 2)
            _parquet(home / "rejected" / "train-00000-of-00001.parquet", 5)
        else:
            _parquet(home / "data" / "train.parquet", rows)
        _write(home / "selection.json", json.dumps(_selection(kind)))
    parents = {"fingerprint": f"{abs(hash_of(name)):016x}", "wall_seconds": seconds, "versions": VERSIONS}
    _write(home / "artifact.json", json.dumps({"stage": name, **parents}))
    _write(home / "log.txt", "log\n")


def hash_of(name: str) -> int:
    return sum(ord(c) * 257**i for i, c in enumerate(name)) % 2**63


def _history(name: str, rng: random.Random, steps: int) -> list[dict]:
    history = []
    for step in range(1, steps + 1):
        rise = 1 - math.exp(-4 * step / steps)

        def noisy(low, high, spread=0.04, rise=rise):
            value = low + (high - low) * rise + rng.gauss(0, spread)
            return min(value, 1.0) if high <= 1 else value

        entry = {
            "step": step,
            "loss": rng.gauss(0, 0.01),
            "reward": noisy(0.4, 1.4, 0.06),
            "rewards/MathAccuracy/mean": noisy(0.3, 0.94),
            "rewards/ThinkFormat/mean": noisy(0.1 if name == "r1-zero" else 0.9, 0.98, 0.02),
            "completions/mean_length": noisy(22, 31, 1.5),
            "truncated": max(0.0, noisy(0.08, 0.0, 0.01)),
            "language_share": noisy(0.55, 0.56 if name == "r1-zero" else 0.97, 0.03),
            "reflection_per_1000_words": max(0.0, noisy(30, 4 if name == "r1-zero" else 42, 3)),
            "solve_rate": noisy(0.3, 0.94),
            "solve_rate/math": noisy(0.3, 0.95),
            "solve_rate/table": noisy(0.25, 0.9),
            "pass@G": noisy(0.7, 0.99, 0.02),
            "frac_reward_zero_std": noisy(0.1, 0.7),
            "kl": noisy(0, 0.08, 0.004),
            "entropy": noisy(0.8, 0.15, 0.02),
            "learning_rate": 1e-3 * (1 - step / steps),
        }
        if name != "r1-zero":
            entry["rewards/LanguageConsistency/mean"] = noisy(0.6, 0.98, 0.02)
        if name == "r1":
            entry["rewards/PreferenceModel/mean"] = noisy(0.1, 0.5) if step > steps // 3 else float("nan")
        history.append(entry)
    history.append({"step": steps, "train_runtime": 61.3, "train_loss": 0.01})
    return history


def _selection(kind: str) -> dict:
    if kind == "rejection":
        rejected = {"wrong": 412, "language": 96, "format": 61, "repetitive": 18, "overlong": 9, "duplicate": 204}
        domains = {name: {"samples": n, "rounds": 1.0, "tokens": 31.5} for name, n in (("math", 700), ("table", 500))}
        lengths = {"tokens": 37800, "mean": 31.5, "p10": 12, "median": 30, "p90": 49, "p99": 61, "longest": 64}
        accepted = {"source": {"prompts": {"seen": 2000, "kept": 1200}}}
        kept = {"kept": 1200, "kept_by_domain": {"math": 700, "table": 500}}
        return {
            "seen": 2000,
            **kept,
            "rejected": rejected,
            "statistics": {"domains": domains},
            "lengths": lengths,
            "accepted": accepted,
        }
    if kind == "cold_start":
        rejected = {"wrong": 210, "language": 530, "format": 40}
        return {"seen": 1000, "kept": 220, "rejected": rejected, "kept_by_domain": {"math": 140, "table": 80}}
    return {"seen": 320, "kept": 300, "rejected": {"unanswered": 20}, "kept_by_domain": {"general": 300}}


def _evaluation(home: Path, rng: random.Random, prompts: int) -> None:
    models = {}
    for name, accuracy in ACCURACY.items():
        models[name] = {
            "pass@1": accuracy,
            "pass@1_stderr": 0.0125 * (1.4 - accuracy),
            "pass@4": min(1.0, accuracy + 0.05 if accuracy > 0.5 else 0.61),
            "cons@4": min(1.0, accuracy + 0.02 if accuracy > 0.5 else 0.33),
            "format": FORMAT[name],
            "format_stderr": 0.004,
            "language_consistency": 1 - 0.7 * MIXED[name],
            "language_consistency_stderr": 0.006,
            "mixed_language": MIXED[name],
            "mean_tokens": 20 + 14 * accuracy,
            "truncated": 0.12 if name == "base" else 0.004,
            "reflection_per_1000_words": 31.0 if name in ("base", "r1-zero") else 44.5,
            "general_win_rate": WIN[name] if name != "r1-zero" else float("nan"),
            "general_win_rate_stderr": 0.021,
            "hard": {"hard_below": 0.5, "n_prompts": 31, "pass@1": 0.31, "pass@4": 0.74, "cons@4": 0.47},
            "n_prompts": 240,
            "n_samples": 960,
            "by_domain": {"math": {"pass@1": accuracy}, "table": {"pass@1": accuracy - 0.02}},
        }
        traces = [t for index in range(prompts) for t in _answers(name, index, rng, accuracy)]
        write_traces(home / "traces" / f"{name}.parquet", traces)
    _write(home / "metrics.json", json.dumps({"models": models}))


def _answers(model: str, index: int, rng: random.Random, accuracy: float) -> list[Trace]:
    domain = ("math", "table", "general")[index % 3]
    language = ("en", "zh")[index % 2]
    if domain == "general":
        prompt, solution = f"please say hello to guest number {index}, politely.", None
        good = f"<think>the guest wants a greeting. I check the tone: polite.</think>Good day, guest {index}, and welcome."
    else:
        a, b = 11 + index, 7 + 2 * index
        prompt = f"what is A{a}+B{b}?" if language == "en" else f"A{a}+B{b}是多少?"
        solution = str(a + b)
        middle = f"first add A{a}+B{b}={a + b}. wait, check: {a + b}-{b}={a}. right."
        if language == "zh":
            middle = f"首先计算A{a}+B{b}={a + b}。等等,验证: {a + b}-{b}={a}。正确。"
        good = f"<think>{middle}</think>\\boxed{{{a + b}}}"
    found = []
    for sample in range(2):
        right = rng.random() < accuracy
        text = good if right else good.replace("\\boxed{", "\\boxed{9").replace("Good day", "go away")
        if model == "base" and not right:
            text = "so the answer is 那么 maybe 12 <script>alert('no')</script> </think> 答案 13"
        rewards = {"math_accuracy": float(right)} if solution else {"preference": 0.8 if right else -0.4}
        found.append(
            Trace(
                prompt_id=f"p{index:03d}",
                prompt=prompt,
                completion=text,
                solution=solution,
                domain=domain,
                language=language,
                rewards=rewards,
                model=model,
                finish_reason="stop" if right else "length",
                n_tokens=20 + sample,
            )
        )
    return found


def _parquet(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "prompt_id": [f"p{i}" for i in range(rows)],
        "prompt": [f"what is A{i}+B{i}?" for i in range(rows)],
        "solution": [str(2 * i) for i in range(rows)],
        "domain": ["math"] * rows,
        "language": ["en"] * rows,
        "completion": [f"<think>A{i}+B{i}={2 * i}</think>\\boxed{{{2 * i}}}" for i in range(rows)],
    }
    pq.write_table(pa.table(columns), path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
