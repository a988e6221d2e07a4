"""`trl-r1 plan --data`: rows, reference answers and lengths, from local files and from the cache of the Hub."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.hub_cache import make_hub_cache, write_model
from trl_r1.cli import main


SAMPLING = {"prompt_template": "plain", "max_completion_tokens": 1024}


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    model = write_model(tmp_path, "Qwen/Qwen2.5-0.5B")
    stage = {"name": "one", "kind": "rejection", "model": str(model), "data": "sums", "set": SAMPLING}
    return {"name": "small", "disk_gb": 0.001, "data": {"sums": {"path": "sums.jsonl"}}, "stages": [stage]}


def write_rows(rows: list[dict], name: str = "sums.jsonl") -> None:
    with open(name, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def plan(world, capsys, code: int = 0) -> str:
    """Return the table of the data, or what is refused."""
    with open("recipe.yaml", "w") as file:
        yaml.safe_dump(world, file)
    assert main(["plan", "recipe.yaml", "--data"]) == code, capsys.readouterr()
    told = capsys.readouterr()
    return told.err if code else told.out


def line(told: str, source: str) -> list[str]:
    return next(line.split()[1:] for line in told.splitlines() if line.split()[1:2] == [source])


def test_rows_golds_and_lengths_are_counted(world, capsys):
    rows = [{"prompt": f"{i}+1?", "solution": str(i + 1)} for i in range(10)]
    rows += [{"prompt": "?", "solution": ""}, {"prompt": " ", "solution": "1"}]
    rows.append({"prompt": "What is left?", "solution": "Hence \\boxed{4"})  # an answer that was cut
    write_rows(rows)
    told = plan(world, capsys)
    _, usable, without, empty, unreadable, longest, cut = line(told, "sums")
    assert (usable, without, empty, unreadable, cut) == ("12", "1", "1", "1", "0")
    assert int(longest) >= 4

    world["data"]["sums"]["limit"] = 5
    assert line(plan(world, capsys), "sums")[1] in ("4", "5")


@pytest.mark.parametrize(
    ("func", "rows", "first"),
    [
        ("MathAccuracy", [{"prompt": "1+1?", "solution": "Hence \\boxed{4"}], "Hence \\boxed{4"),
        ("MathAccuracy", [{"prompt": "1+1?", "solution": None}, {"prompt": "2?", "solution": " "}], "None"),
        ("ChoiceAccuracy", [{"prompt": "Which?", "solution": "Z", "options": ["1", "2"]}], "Z"),
        ("CodeAccuracy", [{"prompt": "Add.", "tests": "{}"}], "{}"),
    ],
)
def test_a_source_without_one_readable_gold(world, capsys, func, rows, first):
    write_rows(rows)
    world["stages"][0]["set"] = SAMPLING | {"rewards": [{"func": f"trl_r1.rewards.{func}"}]}
    told = plan(world, capsys, 2)
    assert f"`one.data[0]`: `sums`: of {len(rows)} rows none has a reference answer" in told
    assert "(`rewards[0]`) can read" in told
    assert f"The first: {first}" in told


def test_golds_count_where_a_reward_applies(world, capsys):
    write_rows([{"prompt": "1+1?", "solution": "2", "domain": "math"}, {"prompt": "hi", "domain": "general"}])
    world["stages"][0]["set"] = SAMPLING | {"rewards": [{"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]}]}
    assert line(plan(world, capsys), "sums")[3:5] == ["0", "0"]


def test_columns_of_the_rows_and_data_that_is_not_there(world, capsys):
    write_rows([{"question": "1+1?", "solution": "2"}])
    assert "`sums` has no column `prompt`, which `rejection` reads" in plan(world, capsys, 2)
    world["data"]["sums"] = {"path": "org/no-such-data"}
    world["stages"][0]["model"] = "org/model"
    told = plan(world, capsys, 2)
    assert "org/no-such-data: `data.sums.path`: cannot be read: " in told
    assert "the config of `org/model` cannot be fetched" in told


def test_a_prompt_that_leaves_no_room_for_a_completion(world, tmp_path, capsys):
    model = str(write_model(tmp_path, "Qwen/Qwen2.5-Math-7B"))
    write_rows([{"prompt": "one " * 3000, "solution": "1"}, {"prompt": "1+1?", "solution": "2"}])
    config = {"prompt_template": "plain", "max_completion_length": 1024, "dtype": "float32"}
    config["rewards"] = [{"func": "trl_r1.rewards.MathAccuracy"}]
    world["stages"][0] |= {"kind": "grpo", "model": model, "set": config}
    told = plan(world, capsys, 2)
    assert "`sums`: 1 prompts leave no room for a completion; the longest has " in told
    assert "of 4096" in told
    world["stages"][0] |= {"kind": "rejection", "set": SAMPLING}
    assert line(plan(world, capsys), "sums")[-1] == "1"  # cut short


def test_the_cache_of_the_hub_is_used_and_what_is_not_in_it_is_named(tmp_path):
    """In processes of their own, since the place of the cache is read once."""
    home = tmp_path / "home"
    make_hub_cache(home, ["Qwen/Qwen2.5-7B"], [("openai/gsm8k", "main")])
    data = {
        "gsm8k": {"path": "openai/gsm8k", "config": "main", "prompt_column": "question", "solution_column": "answer"},
        "far": {"path": "org/far"},
    }
    stage = {"name": "one", "kind": "rejection", "model": "Qwen/Qwen2.5-7B", "data": ["gsm8k"], "set": SAMPLING}
    other = {**stage, "name": "two", "model": "org/absent", "data": ["far"]}
    recipe = {"name": "small", "disk_gb": 0.001, "data": data, "stages": [stage, other]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE"):
        env.pop(name, None)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trl_r1.cli", "plan", "recipe.yaml", *options]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    plain = run()
    assert plain.returncode == 0, plain.stderr
    assert "  - models: `org/absent`\n  - data: `org/far`\n" in plain.stdout
    data["gsm8k"]["solution_column"] = "solved"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert "`solved` is no column of" in run().stderr  # which the cache says
    data["gsm8k"]["solution_column"] = "answer"
    recipe["stages"] = [stage]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    whole = run("--data")
    assert whole.returncode == 0, whole.stderr
    assert "Not checked" not in whole.stdout
    assert line(whole.stdout, "gsm8k")[2:5] == ["0", "0", "0"]
