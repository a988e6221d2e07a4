"""Faults that show only late, each in a stage of one recipe: every one is found, under its stage, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.hub_cache import environment, make_hub_cache


ROOT = Path(__file__).resolve().parents[2]
THOUGHT = "<think>\nWe add the two numbers and look at the sum again.\n</think>\n\nThe answer is \\boxed{{{}}}."
MATH = {"func": "trl_r1.rewards.MathAccuracy"}
FORMAT = {"func": "trl_r1.rewards.ThinkFormat"}
QWEN = "Qwen/Qwen2.5-0.5B"
GRPO = {"prompt_template": "chat", "max_completion_length": 4096, "rewards": [MATH, FORMAT]}
SAMPLING = {"prompt_template": "chat", "n_samples": 8, "max_completion_tokens": 4096}


def stage(name: str, kind: str, data: str, settings: dict, model: str | list[str] | None = QWEN) -> dict:
    entry = {"name": name, "kind": kind, "data": [data], "set": settings}
    return entry if model is None else {**entry, "model": model}


# The fault, its stage, and what is said of it.
PLANTED = {
    "domains": "applied to none of the rows .* its domains are",
    "template-drops-thoughts": "drops the reasoning",
    "judge": "no server answers at http://127.0.0.1:9/v1",
    "constant": "the rewards never vary",
    "filter": "none of .* was kept: .*long_paragraph",
    "raises": "IndexError",
    "golds": "in none of the .* rows",
    "window": "do not fit in a window of 4100",
    "goes-on": "completions never end",
    "template-refuses": "expected a system turn",
    "cut": "longer than `max_length` 64",
    "pairs": "two different responses",
    "evaluation": "all .* the same solution|no completion of",
    "unread": "no column 'completion'",
    "missing-split": "split",
}


def faulty_recipe(folder: Path) -> Path:
    rows = {
        "problems": [{"prompt": f"What is {i} and {i + 3}?", "solution": str(2 * i + 3)} for i in range(40)],
        "unsolved": [{"prompt": f"What is {i} and {i + 3}?", "solution": None} for i in range(40)],
        "told": [{"prompt": f"What is {i} and 3?", "completion": THOUGHT.format(i + 3)} for i in range(40)],
        "alike": [{"prompt": f"What is {i}?", "chosen": "It is.", "rejected": "It is."} for i in range(40)],
    }
    for name, content in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    (folder / "strict.jinja").write_text(
        "{% if messages[0].role != 'system' %}{{ raise_exception('expected a system turn') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    gsm8k = {"path": "openai/gsm8k", "config": "main", "prompt_column": "question", "domain": "math", "language": "en"}
    data = {name: {"path": f"{name}.jsonl", "domain": "math", "language": "en"} for name in rows}
    data |= {
        "gsm8k-nowhere": {**gsm8k, "solution_column": "answer", "split": "validation"},
        "math-500": {
            "path": "HuggingFaceH4/MATH-500",
            "split": "test",
            "prompt_column": "problem",
            "solution_column": "subject",
            "domain": "math",
            "language": "en",
        },
    }
    judge = {"func": "trl_r1.rewards.Judge", "args": {"base_url": "http://127.0.0.1:9/v1", "model": "judge"}}
    sft = {"prompt_template": "chat", "eos_token": "<|im_end|>"}
    own = "tests.rehearsal.faulty"
    stages = [
        stage("domains", "evaluate", "problems", {**SAMPLING, "rewards": [{**MATH, "domains": ["maths"]}]}, [QWEN]),
        stage("missing-split", "evaluate", "gsm8k-nowhere", SAMPLING, [QWEN]),
        stage("template-drops-thoughts", "sft", "told", sft, "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B")
        | {"set": {"prompt_template": "chat"}},
        stage("judge", "rejection", "problems", {**SAMPLING, "rewards": [judge]}),
        stage("constant", "grpo", "problems", {**GRPO, "rewards": [{"func": f"{own}.constant"}]}),
        stage("filter", "rejection", "problems", {**SAMPLING, "rules": {"max_paragraph_words": 5}}),
        stage("raises", "grpo", "problems", {**GRPO, "rewards": [MATH, {"func": f"{own}.raises_on_real_rows"}]}),
        stage("golds", "grpo", "unsolved", GRPO),
        stage("window", "evaluate", "problems", {**SAMPLING, "backend": "vllm", "max_model_length": 4100}, [QWEN]),
        stage("ends-elsewhere", "sft", "told", {"prompt_template": "chat"}),
        stage("goes-on", "grpo", "problems", GRPO, "ends-elsewhere"),
        stage("template-refuses", "sft", "told", {**sft, "chat_template_path": str(folder / "strict.jinja")}),
        stage("cut", "sft", "told", {**sft, "max_length": 64}),
        stage("pairs", "reward", "alike", {"prompt_template": "chat"}),
        stage("evaluation", "evaluate", "math-500", SAMPLING, [QWEN]),
        stage("own", own, "problems", {}, None),
        stage("unread", "sft", "own", sft),
        # And three without a fault.
        stage("right-data", "rejection", "problems", SAMPLING),
        stage("right-sft", "sft", "right-data", sft),
        stage("right-rl", "grpo", "problems", GRPO, "right-sft"),
    ]
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"name": "faulty", "data": data, "stages": stages}))
    return folder / "recipe.yaml"


@pytest.mark.slow
def test_every_planted_fault_is_found_under_its_stage_and_nothing_else(tmp_path):
    import re

    hub = make_hub_cache(tmp_path / "hub", [QWEN, "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"])
    (tmp_path / "recipe").mkdir()
    (tmp_path / "tmp").mkdir()
    recipe = faulty_recipe(tmp_path / "recipe")
    ran = subprocess.run(
        [sys.executable, "-m", "trl_r1.cli", "rehearse", str(recipe)],
        cwd=ROOT,
        env={**os.environ, **environment(hub), "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
    )
    found: dict[str, str] = {}
    for line in ran.stderr.splitlines():
        if match := re.match(r"error: stage `([\w-]+)`: (.*)", line):
            found[match[1]] = f"{found.get(match[1], '')}\n{match[2]}"
    missed = {name: found.get(name) for name, text in PLANTED.items() if not re.search(text, found.get(name, ""))}
    assert not missed, (missed, ran.stdout, ran.stderr)
    assert set(found) == set(PLANTED), ran.stderr
    assert ran.returncode == 1  # some are failures of a stage, not of its config
    assert re.search(r"right-rl +grpo +done", ran.stdout)
    assert not list((tmp_path / "tmp").iterdir())
