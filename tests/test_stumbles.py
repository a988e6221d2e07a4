"""
What a newcomer types wrong, and what he reads then: the file, the key as he wrote it, what was found, what to do.

One table. Each entry types one wrong thing and returns all that a person would see; no traceback is among it. (12, a card that
tells of a "fine-tuned version of None", is in tests/stages/test_training.py: a stage leaves no card of TRL's.)
"""

import json
import os
import sys
from types import SimpleNamespace

import pytest
import yaml
from datasets import Dataset

from tests.runner.conftest import check_here
from tests.stages.tiny import make_model
from trl_r1 import R1GRPOConfig, R1GRPOTrainer, project, rewards
from trl_r1.cli import main
from trl_r1.errors import TrlR1Error
from trl_r1.grpo.arguments import check_rewards, check_tokenizer
from trl_r1.keys.__main__ import main as keys
from trl_r1.recipe import known_recipes, load_recipe, resolve
from trl_r1.runner import configs
from trl_r1.runner.directory import Attempt, write_attempt
from trl_r1.runner.display import evaluation_table, run_text
from trl_r1.selection import LOOSENED_BY
from trl_r1.selection.rules import REASONS
from trl_r1.stages._training import _Printer
from trl_r1.stages.grpo import in_order


ROWS = [{"prompt": f"{i} + 1 ?", "solution": str(i + 1)} for i in range(20)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model without a chat template."""
    place = make_model(tmp_path_factory.mktemp("model") / "tiny", positions=2048)
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        path = place / name
        if path.suffix == ".jinja":
            path.unlink(missing_ok=True)
        else:
            path.write_text(
                json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "chat_template"})
            )
    return place


@pytest.fixture
def world(tmp_path, monkeypatch, capfd, model):
    """A project in order: a training, the selection of its samples, and what to type."""
    recipe = {
        "name": "mine",
        "base_model": str(model),
        "disk_gb": 0.001,
        "data": {"sums": {"path": "rows.jsonl", "domain": "math"}},
        "stages": [
            {"name": "zero", "kind": "grpo", "model": "base_model", "data": "sums", "config": "zero.yaml"},
            {"name": "kept", "kind": "rejection", "model": "zero", "data": "sums", "config": "kept.yaml"},
        ],
    }
    zero = {
        "prompt_template": "plain",
        "use_cpu": True,
        "bf16": False,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_completion_length": 64,
        "max_steps": 4,
        "rewards": [{"func": "trl_r1.rewards.MathAccuracy"}],
    }
    kept = {"prompt_template": "plain", "n_samples": 4, "max_completion_tokens": 64, "rewards": zero["rewards"]}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(configs, "ask", check_here)
    monkeypatch.setattr(project, "_write_schemas", lambda folder: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))

    def types(*argv, code=2, program=main):
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        (tmp_path / "zero.yaml").write_text(yaml.safe_dump(zero, sort_keys=False))
        (tmp_path / "kept.yaml").write_text(yaml.safe_dump(kept, sort_keys=False))
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made.rows))
        capfd.readouterr()
        assert program(list(argv)) == code
        return "".join(capfd.readouterr())

    made = SimpleNamespace(folder=tmp_path, recipe=recipe, zero=zero, kept=kept, rows=ROWS, types=types)
    return made


def refused(call, *given, **named):
    with pytest.raises(TrlR1Error) as error:
        call(*given, **named)
    return str(error.value)


def trainer(reward, rows=ROWS):
    """What is wrong is said before a model is loaded: there is none of this name."""
    return refused(
        R1GRPOTrainer, "nowhere/at-all", reward, R1GRPOConfig("out", use_cpu=True, bf16=False), Dataset.from_list(rows)
    )


# --- each stumble -------------------------------------------------------------------------------------------------------


def a_solution_that_is_a_mapping(world):
    world.rows = [{**row, "solution": {"value": row["solution"], "unit": "m"}} for row in ROWS]
    return world.types("plan", "recipe.yaml", "--data")


def no_solution_at_all(world):
    world.rows = [{**row, "solution": None} for row in ROWS]
    return world.types("plan", "recipe.yaml", "--data")


def no_solution_at_all_in_python(world):
    return trainer(rewards.math_accuracy, [{**row, "solution": None} for row in ROWS])


def a_model_without_a_chat_template(world):
    world.zero["prompt_template"] = "chat"
    return world.types("plan", "recipe.yaml")


def two_templates_along_a_chain(world):
    world.kept["prompt_template"] = "r1_zero"
    return world.types("plan", "recipe.yaml")


def accelerate_files_from_a_wheel(world):
    return world.types("init", "mine", code=0)


def keys_of_a_builder(world):
    return world.types("rejection", "n_samples", program=keys, code=0)


def defaults_that_differ(world):
    return world.types("grpo", program=keys, code=0)


def a_directory_that_cannot_be_written(world):
    (world.folder / "file").write_text("")
    return world.types("run", "recipe.yaml", "--output-dir", "file/run")


def a_tracker_s_name_for_a_run(world):
    world.recipe["report_to"] = "trackio"
    world.types("plan", "recipe.yaml", code=0)
    return yaml.safe_dump(resolve(load_recipe("recipe.yaml"))[0][0].placed("runs/mine"))


def a_tracker_that_there_is_not(world):
    world.recipe["report_to"] = "tensorbord"
    return world.types("plan", "recipe.yaml")


def a_wide_table(world):
    scores = {f"pass@{k}": 0.1 + k / 100 for k in range(1, 20)} | {f"pass@{k}_stderr": 0.01 for k in range(1, 20)}
    table = evaluation_table({name: {**scores, "pass@1": i} for i, name in enumerate("abcdef")}, 80)
    assert max(map(len, table.splitlines())) <= 80
    return table


def a_run_under_way(world):
    world.types("plan", "recipe.yaml", code=0)
    folder = world.folder / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"recipe": "mine", "seed": 0, "stages": ["zero", "kept"]}))
    return world.types("status", "runs/mine", code=0) + run_text(1, 2, 70.0, [30.0], [60.0])


def duplicates_are_dropped(world):
    args = R1GRPOConfig("out", use_cpu=True, bf16=False, num_generations=4, per_device_train_batch_size=8)
    return refused(in_order, Dataset.from_list(ROWS[:1]), [], args)


def a_reward_beside_the_recipe(world):
    (world.folder / "my_rewards.py").write_text(
        "def short(completions, **columns):\n    return [0.0 for _ in completions]\n"
    )
    world.zero["rewards"] = [*world.zero["rewards"], {"func": "my_rewards.short"}]
    (world.folder / "elsewhere").mkdir()
    world.types("plan", "recipe.yaml", code=0)
    os.chdir("elsewhere")
    sys.path[:] = [place for place in sys.path if place != str(world.folder)]
    sys.modules.pop("my_rewards")
    return world.types("plan", "../recipe.yaml", code=0)


def a_dotted_name_in_python(world):
    return trainer(["trl_r1.rewards.math_accuracy"])


def a_class_in_place_of_an_instance(world):
    return trainer([rewards.MathAccuracy])


def a_column_that_a_reward_reads(world):
    return trainer([rewards.code_accuracy])


def a_column_that_a_reward_reads_in_a_stage(world):
    world.rows = [{"prompt": row["prompt"], "answer": row["solution"]} for row in ROWS]
    return world.types("plan", "recipe.yaml")


def a_reward_that_is_called_without_its_column(world):
    return refused(rewards.math_accuracy, completions=["1"], answer=["1"], prefilled=[True], truncated=[False])


def text_in_place_of_messages(world):
    return trainer(rewards.math_accuracy, [{"prompt": ["1 + 1 ?"], "solution": "2"}])


def text_in_place_of_a_completions_messages(world):
    return refused(rewards.think_format, completions=[["<think>a</think>b"]])


def a_tokenizer_that_cannot_pad(world):
    return refused(check_tokenizer, SimpleNamespace(pad_token_id=None))


def a_key_that_resembles_two(world):
    world.kept["max_tokens"] = 64
    return world.types("plan", "recipe.yaml")


def a_config_that_has_changed(world):
    world.types("plan", "recipe.yaml", code=0)
    for item in resolve(load_recipe("recipe.yaml"))[0]:
        folder = world.folder / "runs" / "mine" / item.name
        folder.mkdir(parents=True)
        write_attempt(folder, Attempt("another"))
        (folder / "config.yaml").write_text(yaml.safe_dump(item.placed(folder.parent)))
    (world.folder / "runs" / "mine" / "run.json").write_text(
        json.dumps({"recipe": "mine", "stages": ["zero", "kept"]})
    )
    world.zero["rewards"] = [{"func": "trl_r1.rewards.MathAccuracy", "weight": 0.5}]
    world.zero["max_steps"] = 2
    return world.types("plan", "recipe.yaml", code=0)


def a_misspelt_recipe(world):
    return world.types("plan", "r1_zreo")


def a_line_of_the_log(world):
    logs = {"reward": 0.0, "reflection/wait": 0.0, "reflection/but": 2.5, "reflection_per_1000_words": 2.5}
    state = SimpleNamespace(is_local_process_zero=True, is_world_process_zero=True)
    return world.types(program=lambda _: _Printer().on_log(None, state, None, logs=logs) or 0, code=0)


STUMBLES = [
    (1, a_solution_that_is_a_mapping, "zero.yaml:9: `zero.rewards[0].args.gold_key`: `sums`: a `solution` is a mapping with the keys"),
    (2, no_solution_at_all, "`zero.data[0]`: `sums`: of 20 rows none has a reference answer that `math_accuracy`"),
    (2, no_solution_at_all_in_python, "`reward_funcs[0]`: math_accuracy can read a reference answer in none of the 20 rows"),
    (3, a_model_without_a_chat_template, "zero.yaml:1: `zero.prompt_template`: is `chat`, and", "has no chat template; expected another"),
    (4, two_templates_along_a_chain, "kept.yaml:1: `kept.prompt_template`: is 'r1_zero', but the stage `zero` trains the model with 'plain'; expected the same"),
    (5, accelerate_files_from_a_wheel, "accelerate/single_gpu.yaml", "trl-r1 plan recipe.yaml"),
    (6, keys_of_a_builder, "n_samples (rejection): a whole number", "default: 16"),
    (7, defaults_that_differ, "max_completion_length: 32768 (TRL: 512)", "num_generations: 16 (TRL: 8)"),
    (8, a_directory_that_cannot_be_written, "file/run: `--output-dir`: cannot be written to (Not a directory); expected"),
    (9, a_tracker_s_name_for_a_run, "project: mine", "run_name: mine-zero", "- trackio"),
    (9, a_tracker_that_there_is_not, "recipe.yaml:", "`report_to`: is 'tensorbord'; expected some of `trackio`, `wandb`, `tensorboard`"),
    (10, a_wide_table, "model ", "pass@1 ", "The same for all: pass@2 0.120 ±0.010"),
    (11, a_run_under_way, "0 of 2 stages done", "1 of 2 stages done, 1 min 10 s so far, about 1 min 30 s left"),
    (13, duplicates_are_dropped, "expected at least the 2 prompts that one generation takes", "got 1, each question counted once"),
    (14, a_reward_beside_the_recipe, "The recipe is in order"),
    (15, a_dotted_name_in_python, "`reward_funcs[0]`: is the text 'trl_r1.rewards.math_accuracy'", "`from trl_r1.rewards import math_accuracy`"),
    (16, a_class_in_place_of_an_instance, "`reward_funcs[0]`: is the class `MathAccuracy`; expected an instance of it: `MathAccuracy()`"),
    (17, a_column_that_a_reward_reads, "code_accuracy reads the column 'tests', which the data lack; they have `prompt`, `solution`\n"),
    (17, a_column_that_a_reward_reads_in_a_stage, "zero.yaml:9: `zero.rewards[0].func`", "reads the column `solution`, which `sums` lacks", "`answer`"),
    (17, a_reward_that_is_called_without_its_column, "`math_accuracy` needs the column `solution`; the data have `answer`\n"),
    (17, text_in_place_of_messages, "`train_dataset`: the first prompt is", "expected text, or a list of messages such as {'role': 'user'"),
    (17, text_in_place_of_a_completions_messages, "`completions`: a completion is", "expected text, or a list of messages"),
    (17, a_tokenizer_that_cannot_pad, "`processing_class`: the tokenizer has neither `pad_token` nor `eos_token`; expected one"),
    (18, a_key_that_resembles_two, "kept.yaml:6: `kept.max_tokens`: unknown key", "did you mean `max_completion_tokens`?"),
    (19, a_config_that_has_changed, "its `max_steps` 4 -> 2, `rewards.0.weight` not set -> 0.5 changed"),
    (20, a_misspelt_recipe, "did you mean `r1_zero`?", *(f"`{name}`" for name in known_recipes())),
    (21, a_line_of_the_log, "{'reward': '0', 'reflection/but': '2.5', 'reflection_per_1000_words': '2.5'}\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "stumble", "read"),
    [(n, do, read) for n, do, *read in STUMBLES],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_is_read(number, stumble, read, world):
    told = stumble(world) + "\n"
    for text in read:
        assert text in told
    assert "Traceback" not in told


def test_one_readable_answer_among_the_rows_is_enough():
    check_rewards(
        [rewards.math_accuracy], Dataset.from_list([{"prompt": "?", "solution": each} for each in (None, "2", None)])
    )


def test_every_reason_for_which_nothing_may_be_kept_says_what_helps():
    assert set(LOOSENED_BY) == set(REASONS)
