"""
Every wrong input is found before anything runs: exit code 2 from `plan` and from `run`, no traceback, and a message
that names the file, the key and what was expected.
"""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from trl_r1.cli import main


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A recipe of one GRPO stage and one SFT stage that is in order, and what to break it with."""
    rows = [{"prompt": f"{i}+1?", "solution": str(i + 1), "completion": "<think>.</think> 1"} for i in range(20)]
    write_rows(tmp_path / "sums.jsonl", rows)
    recipe = {
        "name": "small",
        "base_model": "some-org/some-model",
        "disk_gb": 0.001,
        "data": {"sums": {"path": "sums.jsonl", "domain": "math"}},
        "stages": [
            {"name": "zero", "kind": "grpo", "model": "base_model", "data": "sums", "config": "zero.yaml"},
            {"name": "tuned", "kind": "sft", "model": "zero", "data": ["sums"], "config": "sft.yaml"},
        ],
    }
    zero = {
        "prompt_template": "plain",
        "learning_rate": "3e-6",
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "rewards": [{"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]}],
    }
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(folder=tmp_path, recipe=recipe, zero=zero, sft={"prompt_template": "plain"}, args=[])


def write_rows(path: Path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def messages(world, capsys, *commands) -> str:
    """Run `plan` and `run`, which must agree; return what they said."""
    (world.folder / "recipe.yaml").write_text(
        world.recipe if isinstance(world.recipe, str) else yaml.safe_dump(world.recipe, sort_keys=False)
    )
    for name, config in (("zero.yaml", world.zero), ("sft.yaml", world.sft)):
        if config is not None:
            (world.folder / name).write_text(yaml.safe_dump(config))
    told = []
    for command in ("plan", "run"):
        assert main([command, "recipe.yaml", *world.args]) == 2, command
        told.append(capsys.readouterr().err)
        assert "Traceback" not in told[-1]
    assert told[0] == told[1]
    assert not list(world.folder.glob("runs/*/*/log.txt"))  # nothing ran
    return told[0]


def test_the_recipe_without_a_fault_is_in_order(world, capsys):
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(world.recipe))
    (world.folder / "zero.yaml").write_text(yaml.safe_dump(world.zero))
    (world.folder / "sft.yaml").write_text(yaml.safe_dump(world.sft))
    assert main(["plan", "recipe.yaml"]) == 0, capsys.readouterr().err
    assert "0 of 2 stages are done, 2 to run" in capsys.readouterr().out


def test_unknown_kind(world, capsys):
    world.recipe["stages"][1]["kind"] = "stf"
    told = messages(world, capsys)
    assert "recipe.yaml:" in told
    assert "`stages[1].kind`: unknown kind 'stf' of stage `tuned`" in told
    assert "did you mean `sft`?" in told


def test_a_module_of_ones_own_that_is_not_there(world, capsys):
    world.recipe["stages"][1]["kind"] = "nowhere.at_all"
    assert "no module `nowhere.at_all`" in messages(world, capsys)


def test_two_stages_of_one_name(world, capsys):
    world.recipe["stages"][1]["name"] = "zero"
    assert "two stages are called `zero`" in messages(world, capsys)


@pytest.mark.parametrize(
    "sizes",
    [
        {"per_device_train_batch_size": 6},
        {"per_device_train_batch_size": 2, "steps_per_generation": 3},
        {"generation_batch_size": 12},
        {"generation_batch_size": 8, "num_generations": 16},
        {"generation_batch_size": 8, "steps_per_generation": 1},
        {"num_generations": 1},
    ],
    ids=str,
)
def test_a_batch_that_does_not_hold_whole_groups(world, capsys, sizes):
    world.zero.update(sizes)
    told = messages(world, capsys)
    assert "zero.yaml:" in told
    assert "expected" in told
    assert "num_generations" in told or "generation_batch_size" in told


def test_the_batch_counts_all_processes(world, capsys):
    world.zero.update(per_device_train_batch_size=2, num_generations=4, ddp_timeout=3600)
    (world.folder / "two.yaml").write_text("distributed_type: MULTI_GPU\nnum_processes: 2\n")
    (world.folder / "zero.yaml").write_text(yaml.safe_dump(world.zero))
    (world.folder / "sft.yaml").write_text(yaml.safe_dump(world.sft))
    world.recipe["stages"][0]["accelerate"] = "two.yaml"
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(world.recipe))
    assert main(["plan", "recipe.yaml"]) == 0, capsys.readouterr().err
    world.recipe["stages"][0].pop("accelerate")
    told = messages(world, capsys)
    assert "zero.yaml:3: `zero.num_generations`: is 4; expected what `R1GRPOConfig` accepts in 1 process: " in told
    assert "generation_batch_size (2) must be divisible by num_generations (4)" in told


def test_unknown_key_of_a_config(world, capsys):
    world.zero["los_type"] = "grpo"
    told = messages(world, capsys)
    assert "zero.yaml:2: `zero.los_type`: unknown key" in told or "`zero.los_type`: unknown key" in told
    assert "did you mean `loss_type`?" in told


def test_unknown_key_of_the_recipe_of_a_stage_and_of_data(world, capsys):
    world.recipe["base_modle"] = "x"
    world.recipe["stages"][0]["dta"] = "sums"
    world.recipe["data"]["sums"]["prompt_colum"] = "prompt"
    told = messages(world, capsys)
    assert "`base_modle`: unknown key" in told
    assert "`stages[0].dta`: unknown key" in told
    assert "prompt_colum`: unknown key" in told
    assert "problems; nothing was run" in told


def test_a_key_that_is_given_twice(world, capsys):
    world.zero = None
    (world.folder / "zero.yaml").write_text("learning_rate: 1e-6\nprompt_template: plain\nlearning_rate: 1e-5\n")
    assert "zero.yaml:3: `learning_rate`: is given twice" in messages(world, capsys)


@pytest.mark.parametrize("value", ["dev9", ["zero", "dev9"]])
def test_missing_parent(world, capsys, value):
    key = "model" if isinstance(value, str) else "data"
    world.recipe["stages"][1][key] = value
    told = messages(world, capsys)
    assert "recipe.yaml:" in told
    assert f"`stages.tuned.{key}`: `dev9` is" in told
    assert "expected" in told


def test_a_base_model_that_is_used_and_not_named(world, capsys):
    world.recipe.pop("base_model")
    assert "expected a top-level `base_model`" in messages(world, capsys)


def test_a_parent_that_makes_something_else(world, capsys):
    world.recipe["stages"][1]["data"] = ["zero"]
    assert "`zero` (grpo) makes `model`, not `data/train.parquet`" in messages(world, capsys)


def test_cycle(world, capsys):
    world.recipe["stages"][0]["model"] = "tuned"
    told = messages(world, capsys)
    assert "a cycle: zero -> tuned -> zero" in told
    assert "`stages.zero`" in told


def test_a_stage_that_reads_itself(world, capsys):
    world.recipe["stages"][0]["model"] = "zero"
    assert "`stages.zero`: reads its own output" in messages(world, capsys)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("learning_rate", "fast", "expected a number"),
        ("max_steps", 2.5, "expected a whole number"),
        ("gradient_checkpointing", "perhaps", "expected true or false"),
        ("save_strategy", False, "write them in quotes"),
        ("save_strategy", "sometimes", "expected one of `no`, `steps`, `epoch`, `best`"),
        ("rewards", "trl_r1.rewards.MathAccuracy", "expected a list"),
        ("prompt_template", 3, "expected text"),
    ],
)
def test_wrong_type(world, capsys, key, value, expected):
    world.zero[key] = value
    told = messages(world, capsys)
    assert "zero.yaml:" in told
    assert f"`zero.{key}`: is {value!r}; {expected}" in told or (f"`zero.{key}`: is" in told and expected in told)


def test_a_key_that_has_no_default_and_is_missing(world, capsys):
    world.zero.pop("prompt_template")
    assert "`zero.prompt_template`: is missing" in messages(world, capsys)


def test_a_model_and_data_that_are_missing(world, capsys):
    kept = {"name": "kept", "kind": "rejection", "set": {"prompt_template": "plain"}}
    scores = {"name": "scores", "kind": "evaluate", "set": {"prompt_template": "plain"}}
    world.recipe["stages"] += [kept, scores]
    for key in ("model", "data"):
        world.recipe["stages"][0].pop(key)
    told = messages(world, capsys)
    assert "recipe.yaml:" in told
    assert "`stages.zero.model`: is missing" in told
    for stage, key, given in [
        ("zero", "data", "data"),
        ("kept", "data", "data"),
        ("scores", "models", "model"),
        ("scores", "data", "data"),
    ]:
        assert f"`{stage}.{key}`: is missing" in told
        assert f"expected `{given}:` in the recipe" in told


def test_what_the_class_of_a_config_refuses_is_refused_with_file_line_and_key(world, capsys):
    world.zero |= {"auto_find_batch_size": True, "tf32": True}
    world.sft |= {"max_truncated_share": 7}
    told = messages(world, capsys)
    assert (
        "zero.yaml:1: `zero.auto_find_batch_size`: is True; expected what `R1GRPOConfig` accepts in 1 process: "
        in told
    )
    assert "sft.yaml:1: `tuned.max_truncated_share`: expected a share from 0 to 1, got 7" in told
    assert "tf32" not in told  # the machine that plans need have no GPU


def test_a_model_at_a_server_that_is_called_as_a_stage_is_none(world, capsys):
    server = {"backend": "server", "base_url": "http://localhost:1/v1", "server_model": "tuned"}
    kept = {"name": "kept", "kind": "rejection", "model": "org/x", "data": "sums"}
    world.recipe["stages"].append({**kept, "set": {"prompt_template": "plain", **server}})
    for name, config in (("zero.yaml", world.zero), ("sft.yaml", world.sft)):
        (world.folder / name).write_text(yaml.safe_dump(config))
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(world.recipe))
    assert main(["plan", "recipe.yaml"]) == 0, capsys.readouterr().err
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("kept"))
    assert line.split()[:4] == ["kept", "rejection", "-", "1"]


def test_a_column_that_a_reward_reads_and_the_data_lack(world, capsys):
    write_rows(world.folder / "sums.jsonl", [{"prompt": "1+1?", "completion": "2", "answer": "2"}])
    told = messages(world, capsys)
    assert "zero.yaml:" in told
    assert "`zero.rewards[0].func`" in told
    assert "reads the column `solution`, which `sums` lacks" in told
    world.recipe["data"]["sums"]["solution_column"] = "answer"
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(world.recipe))
    assert main(["plan", "recipe.yaml"]) == 0


def test_a_mixture_may_lack_a_column_where_the_reward_does_not_apply(world, capsys):
    write_rows(world.folder / "chat.jsonl", [{"prompt": "hello", "completion": "<think>.</think> hi"}])
    world.recipe["data"]["chat"] = {"path": "chat.jsonl", "domain": "general"}
    world.recipe["stages"][0]["data"] = ["sums", "chat"]
    for name, config in (("zero.yaml", world.zero), ("sft.yaml", world.sft)):
        (world.folder / name).write_text(yaml.safe_dump(config))
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(world.recipe))
    assert main(["plan", "recipe.yaml"]) == 0, capsys.readouterr().err
    world.zero["rewards"][0]["domains"] = ["math", "general"]
    assert "reads the column `solution`, which `chat` lacks" in messages(world, capsys)


def test_a_column_that_the_data_name_and_lack(world, capsys):
    world.recipe["data"]["sums"]["solution_column"] = "anwser"
    assert "`anwser` is no column of" in messages(world, capsys)


def test_a_column_that_a_stage_reads_and_the_data_lack(world, capsys):
    write_rows(world.folder / "sums.jsonl", [{"prompt": "1+1?", "solution": "2"}])
    told = messages(world, capsys)
    assert "`sums` has no column `completion`, which `sft` reads" in told
    assert "It has `prompt`, `solution`\n" in told
    world.recipe["data"]["sums"]["prompt_column"] = "solution"
    write_rows(world.folder / "sums.jsonl", [{"solution": "2"}])
    assert "It has `solution`\n" in messages(world, capsys)  # what the file has, not what is made of it


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_empty_data(world, capsys, content):
    (world.folder / "sums.jsonl").write_text(content)
    told = messages(world, capsys)
    assert "sums.jsonl: `data.sums.path`: expected at least one row" in told


def test_empty_parquet(world, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), world.folder / "sums.parquet")
    world.recipe["data"]["sums"]["path"] = "sums.parquet"
    assert "sums.parquet: `data.sums.path`: expected at least one row, got none" in messages(world, capsys)


@pytest.mark.parametrize("name", ["sums.jsonl", "sums.parquet", "sums.json", "sums.docx", "sums.jsonl.gz"])
def test_unreadable_data(world, capsys, name):
    (world.folder / name).write_text("{this is nothing that\n can be read")
    world.recipe["data"]["sums"]["path"] = name
    told = messages(world, capsys)
    where = f"{name}: `data.sums.path`: "
    assert f"{where}cannot be read" in told or f"{where}expected a file that ends in" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_data_without_permission(world, capsys):
    (world.folder / "sums.jsonl").chmod(0)
    assert "cannot be read: Permission denied" in messages(world, capsys)


def test_missing_data_file(world, capsys):
    world.recipe["data"]["sums"]["path"] = "smus.jsonl"
    told = messages(world, capsys)
    assert "`smus.jsonl`: no such file" in told


def test_missing_config_file(world, capsys):
    world.recipe["stages"][0]["config"] = "zeor.yaml"
    told = messages(world, capsys)
    assert "`stages[0].config`: is 'zeor.yaml', and no such file" in told


@pytest.mark.parametrize("content", [b"learning_rate: [", b"\xff\xfe\x00", b"- a list\n"])
def test_unreadable_config_file(world, capsys, content):
    world.zero = None
    (world.folder / "zero.yaml").write_bytes(content)
    told = messages(world, capsys)
    assert "zero.yaml" in told
    assert "is no YAML" in told or "expected a" in told


def test_a_folder_that_is_no_model(world, capsys):
    (world.folder / "base").mkdir()
    world.recipe["base_model"] = "./base"
    assert "base holds no model; expected a folder with `config.json`" in messages(world, capsys)


def test_missing_accelerate_file(world, capsys):
    world.recipe["stages"][0]["accelerate"] = "zero9"
    told = messages(world, capsys)
    assert "`stages[0].accelerate`: is 'zero9', and no such file; expected one of" in told


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        ("nowhere.Reward", "`nowhere.Reward` does not import (ModuleNotFoundError"),
        ("trl_r1.rewards.MathAcuracy", "did you mean `MathAccuracy`?"),
        ("MathAccuracy", "expected a dotted import path"),
        ("broken_rewards.Reward", "does not import (ZeroDivisionError"),
    ],
)
def test_a_reward_that_does_not_import(world, capsys, monkeypatch, func, expected):
    monkeypatch.syspath_prepend(str(world.folder))
    (world.folder / "broken_rewards.py").write_text("1 / 0\n")
    world.zero["rewards"][0]["func"] = func
    told = messages(world, capsys)
    assert "zero.yaml:" in told
    assert "`zero.rewards[0].func`" in told
    assert expected in told


def test_a_reward_with_wrong_arguments_and_an_unknown_key(world, capsys):
    world.zero["rewards"].append(dict(world.zero["rewards"][0]))
    world.zero["rewards"][0] |= {"wieght": 2}
    world.zero["rewards"][1] |= {"args": {"no_such_argument": 1}}
    told = messages(world, capsys)
    assert "`zero.rewards[1].args`: the arguments do not fit" in told
    assert "`zero.rewards[0].wieght`: unknown key" in told
    assert "did you mean `weight`?" in told


def test_a_disk_that_fills_up_while_running(world, capsys, monkeypatch):
    import errno

    from trl_r1.runner import work as runner

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name, config in (("zero.yaml", world.zero), ("sft.yaml", world.sft)):
        (world.folder / name).write_text(yaml.safe_dump(config | {"use_cpu": True, "bf16": False}))
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(world.recipe))
    monkeypatch.setattr(runner, "claim", full)
    assert main(["run", "recipe.yaml"]) == 2
    assert "no space left on the disk" in capsys.readouterr().err


def test_a_directory_of_another_recipe(world, capsys):
    (world.folder / "there").mkdir()
    found = {"recipe": "other", "path": "/elsewhere/recipe.yaml", "stages": ["zero"]}
    (world.folder / "there" / "run.json").write_text(json.dumps(found))
    world.args = ["--output-dir", "there"]
    told = messages(world, capsys)
    assert "there/run.json: `recipe`: holds a run of the recipe `other`" in told


def test_a_directory_that_holds_something_else(world, capsys):
    (world.folder / "there").mkdir()
    (world.folder / "there" / "thesis.txt").write_text("mine")
    world.args = ["--output-dir", "there"]
    assert "no run of trl-r1" in messages(world, capsys)
    assert (world.folder / "there" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["stages: [", "- a\n- b\n", "", "name: x\nstages: []\n", "name: x\nstages: {a: 1}\n"])
def test_a_recipe_that_is_none(world, capsys, text):
    world.recipe = text
    told = messages(world, capsys)
    assert "recipe.yaml" in told
    assert "expected" in told or "is no YAML" in told


def test_no_recipe_of_this_name(capsys):
    assert main(["plan", "plaground"]) == 2
    told = capsys.readouterr().err
    assert "plaground: no such file, and no recipe of this name" in told


@pytest.mark.parametrize("text", ["zero", "nobody.learning_rate=1", "=3", "zero.=3"])
def test_a_wrong_set(world, capsys, text):
    world.args = ["--set", text]
    assert "--set" in messages(world, capsys)


def test_a_wrong_value_in_set_says_where_it_stands(world, capsys):
    world.args = ["--set", "zero.max_steps=soon"]
    assert "--set zero.max_steps=soon: `zero.max_steps`: is 'soon'; expected a whole number" in messages(world, capsys)


def test_all_problems_are_told_at_once(world, capsys):
    world.zero |= {"los_type": "grpo", "max_steps": "soon", "num_generations": 3}
    world.sft["lerning_rate"] = 1
    (world.folder / "sums.jsonl").write_text("")
    told = messages(world, capsys)
    for part in ("los_type", "max_steps", "num_generations", "lerning_rate", "expected at least one row"):
        assert part in told
    assert "5 problems; nothing was run." in told


def test_a_wrong_hub_section(world, capsys):
    world.recipe["hub"] = {"namespase": "me"}
    assert "namespase" in messages(world, capsys)


def test_recipes_are_copied_nowhere_by_a_failed_check(world, capsys):
    world.zero["los_type"] = "grpo"
    messages(world, capsys)
    assert not (world.folder / "runs").exists()
    shutil.rmtree(world.folder / "runs", ignore_errors=True)


def test_an_unknown_rule_of_a_builder(world, capsys):
    rules = {"min_rewrad": 1, "max_tokens": "many"}
    more = {"set": {"prompt_template": "plain", "rules": rules}}
    world.recipe["stages"].append({"name": "kept", "kind": "rejection", "model": "zero", "data": "sums", **more})
    told = messages(world, capsys)
    assert "`kept.rules.min_rewrad`: unknown key" in told
    assert "did you mean `min_reward`?" in told
    assert "`kept.rules.max_tokens`: is 'many'; expected a whole number" in told
