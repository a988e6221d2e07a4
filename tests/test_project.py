"""A project of one's own: what `trl-r1 init` writes is the recipe, in one folder, with what was asked for in it."""

import json
import os
import re
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.runner.conftest import check_here
from tests.stages.tiny import make_model
from trl_r1 import project
from trl_r1.cli import main
from trl_r1.data import load_prompts
from trl_r1.errors import ConfigError
from trl_r1.keys import recipe_schema, stage_schema
from trl_r1.project import InitOptions, init
from trl_r1.recipe import known_recipes, load_recipe, resolve
from trl_r1.recipe.edit import edited
from trl_r1.runner import configs


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, with GSM8K's columns in a file beside it. The schemas, which take seconds, are left out."""
    rows = [{"question": f"What is {i} + 1?", "answer": f"One more.\n#### {i + 1}"} for i in range(200)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "_write_schemas", lambda folder: None)
    monkeypatch.setattr(configs, "ask", check_here)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    return tmp_path


def test_what_it_writes_passes_plan_from_any_folder(place, capsys, monkeypatch):
    make_model(place / "tiny", positions=2048)
    asked = ["--model", "tiny", "--data", "rows.jsonl", "--gpus", "0"]
    assert main(["init", "mine", *asked]) == 0, capsys.readouterr().err
    assert "question as prompt, answer as solution" in capsys.readouterr().out
    monkeypatch.delitem(sys.modules, "rewards", raising=False)
    assert main(["plan", "mine/recipe.yaml"]) == 0, capsys.readouterr().err  # where `rewards.py` is no neighbour
    assert "The recipe is in order. 0 of 2 stages are done" in capsys.readouterr().out
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(place / "mine")
    assert sys.modules.pop("rewards").__file__ == str(place / "mine" / "rewards.py")

    recipe = load_recipe("mine/recipe.yaml")
    assert (recipe.name, recipe.base_model) == ("mine", "../tiny")
    monkeypatch.chdir("mine")
    parts = [set(load_prompts(recipe.data[name])["prompt"]) for name in ("train", "test")]
    assert [len(part) for part in parts] == [180, 20]
    assert not parts[0] & parts[1]


def test_data_to_evaluate_on_may_be_a_file_of_their_own(place, capsys):
    (place / "test.jsonl").write_text(json.dumps({"prompt": "What is 7 + 1?", "solution": "8"}) + "\n")
    assert main(["init", "mine", "--data", "rows.jsonl", "--test", "test.jsonl", "--gpus", "0"]) == 0
    assert "zero.yaml: sizes for a first look on a CPU: max_steps 10" in capsys.readouterr().out
    recipe = load_recipe("mine/recipe.yaml")
    assert (recipe.data["train"][0]["split"], recipe.data["test"][0]["prompt_column"]) == ("train", "prompt")
    assert [stage.config.get("batch_size") for stage in recipe.stages] == [16, None]
    assert main(["init", "other", "--data", "rows.jsonl", "--test", "tset.jsonl"]) == 2
    assert "`--test`: no such file" in capsys.readouterr().err
    assert not (place / "other").exists()


def test_the_reward_that_it_writes_passes_the_test_that_it_writes(place, monkeypatch):
    init(InitOptions(place / "mine"))
    monkeypatch.syspath_prepend(str(place / "mine"))
    monkeypatch.delitem(sys.modules, "rewards", raising=False)
    space: dict = {}
    exec((place / "mine" / "test_rewards.py").read_text(), space)
    space["test_a_completion_that_marks_its_answer_is_paid"]()
    sys.modules.pop("rewards")


@pytest.mark.parametrize("name", known_recipes())
def test_of_every_recipe_it_writes_the_same_stages(name, place):
    init(InitOptions(place / "mine", name))
    (before, problems), (after, also) = resolve(load_recipe(name)), resolve(load_recipe("mine"))
    assert not problems
    assert not also
    assert [item.config for item in after] == [item.config for item in before]
    for item, former in zip(after, before, strict=True):
        assert (item.stage.accelerate is None) == (former.stage.accelerate is None)
        for file in (item.stage.accelerate, item.stage.config_file):
            assert file is None or place / "mine" in file.parents
        if item.stage.config_file is not None:
            text = item.stage.config_file.read_text()
            assert text.startswith(f"# yaml-language-server: $schema=schemas/{item.stage.kind}.json\n")
            jsonschema.validate(yaml.safe_load(text), stage_schema(item.stage.kind))
    jsonschema.validate(yaml.safe_load((place / "mine" / "recipe.yaml").read_text()), recipe_schema())


@pytest.mark.slow
def test_the_schemas_lie_where_the_files_name_them(place, monkeypatch):
    monkeypatch.undo()
    init(InitOptions(place / "mine"))
    for path in (place / "mine").glob("*.yaml"):
        named = re.match(r"# yaml-language-server: \$schema=(.+)\n", path.read_text())[1]
        jsonschema.validate(yaml.safe_load(path.read_text()), json.loads((place / "mine" / named).read_text()))


def test_the_current_folder_may_be_the_project_s(place, monkeypatch):
    (place / "mine").mkdir()
    monkeypatch.chdir("mine")
    init(InitOptions(Path("."), data="../rows.jsonl"))
    assert load_recipe("recipe.yaml").name == "mine"
    assert load_recipe("recipe.yaml").data["train"][0]["path"] == "../rows.jsonl"
    assert sorted(path.name for path in place.iterdir()) == ["mine", "rows.jsonl"]


def test_a_folder_that_is_not_empty_stays_as_it_is(place, capsys):
    (place / "mine").mkdir()
    (place / "mine" / "recipe.yaml").write_text("mine")
    assert main(["init", "mine"]) == 2
    assert "mine: `directory`: is not empty; expected a new or an empty folder" in capsys.readouterr().err
    assert [path.name for path in (place / "mine").iterdir()] == ["recipe.yaml"]
    assert (place / "mine" / "recipe.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "other.jsonl"], "other.jsonl: `solution_column`: none of its columns is called `answer`, `solution`; it "
         "has `problem`, `result`"),
        (["--data", "nowhere.jsonl"], "nowhere.jsonl: `--data`: no such file"),
        (["--model", "./nowhere"], "`--model`: is './nowhere'; expected a Hub id (`owner/name`, `owner/name@revision`) or a folder"),
        (["--model", "gpt2"], "`--model`: is 'gpt2'; expected a Hub id"),
        (["--data", "."], "`--data`: is a folder; expected a file (.jsonl, .json, .parquet"),
        (["--gpus", "3"], "`--gpus`: is 3; expected a divisor of 16 (`batch_size` 128"),
        (["--gpus", "-1"], "`--gpus`: is -1"),
    ],
)  # fmt: skip
def test_what_does_not_go_is_said_and_nothing_is_written(place, capsys, arguments, message):
    (place / "other.jsonl").write_text('{"problem": "1+1", "result": "2"}\n')
    assert main(["init", "mine", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == ["other.jsonl", "rows.jsonl"]


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        ("distill", {"model": "org/model"}, "`distill` has no base model"),
        ("r1", {"data": "rows.jsonl"}, "no data called `train`"),
        ("r1", {"gpus": 0}, r"needs GPUs \(accelerate: zero3\)"),
        ("playground", {"gpus": 1}, "trains on no GPU"),
    ],
)
def test_an_option_that_a_recipe_has_no_place_for_is_refused(place, recipe, arguments, message):
    with pytest.raises(ConfigError, match=message):
        init(InitOptions(place / "mine", recipe, **arguments))


def test_the_accelerate_file_is_that_of_so_many_gpus(place):
    for gpus, name in ((0, "cpu"), (1, "single_gpu"), (4, "ddp")):
        init(InitOptions(place / f"on{gpus}", gpus=gpus))
        (stage, _) = load_recipe(f"on{gpus}").stages
        assert stage.accelerate == place / f"on{gpus}" / "accelerate" / f"{name}.yaml"
        assert yaml.safe_load(stage.accelerate.read_text())["num_processes"] == max(1, gpus)
        assert stage.config["bf16"] is (gpus > 0)
    init(InitOptions(place / "sharded", "r1_zero/4gpu", gpus=2))
    recipe = load_recipe("sharded")
    assert {stage.num_processes for stage in recipe.stages if stage.accelerate} == {2}


def test_what_is_not_given_is_asked_for(place):
    answers = {"base model": "org/model", "data": "rows.jsonl", "GPUs": "2"}
    asked = []

    def ask(question, default):
        asked.append(default)
        return next(answer for start, answer in answers.items() if question.startswith(start))

    init(InitOptions(place / "mine", ask=ask))
    assert asked == ["Qwen/Qwen2.5-0.5B", "openai/gsm8k", "1"]
    recipe = load_recipe("mine")
    assert recipe.base_model == "org/model"
    assert recipe.data["train"][0]["path"] == "../rows.jsonl"
    assert recipe.stages[0].accelerate.name == "ddp.yaml"


def test_a_data_set_of_the_hub_is_asked_for_its_configuration_and_splits(place, monkeypatch):
    monkeypatch.setattr("datasets.get_dataset_config_names", lambda name, revision: ["main", "socratic"])
    monkeypatch.setattr("datasets.get_dataset_split_names", lambda name, config, revision: ["train", "test"])
    monkeypatch.setattr("trl_r1.data.rows.columns_of", lambda source: ["question", "answer"])
    told = init(InitOptions(place / "mine", data="openai/gsm8k@v1.0"))
    assert "test: openai/gsm8k@v1.0, main, test; question as prompt, answer as solution" in told
    source = load_recipe("mine").data["test"][0]
    assert (source["path"], source["config"], source["split"]) == ("openai/gsm8k@v1.0", "main", "test")
    assert (source["domain"], source["limit"]) == ("math", 200)


def test_without_a_network_a_data_set_of_the_hub_is_refused(place):
    with pytest.raises(ConfigError, match="`--data`: no such file, and not to be read from the Hub"):
        init(InitOptions(place / "mine", data="nobody/nothing-at-all"))


def test_a_recipe_of_ones_own_is_none_to_begin_from(place):
    (place / "own.yaml").write_text("name: own\nstages: []\n")
    with pytest.raises(ConfigError, match=r"own.yaml: `RECIPE`: is a file of your own; expected the name .*`starter`"):
        init(InitOptions(place / "mine", "own.yaml"))


def test_an_edit_leaves_comments_and_layout_alone():
    text = "# head\na: &x 1   # one\nb:\n  - {c: old, d: *x}  # two\n  # three\ne:\n  f: 1\n  # of f\n  g: 2\n# end\nh: 3\n"
    values = {("a",): 2, ("b", 0, "c"): "new: text", ("e",): {"f": [1]}, ("i",): None}
    assert edited(text, values) == (
        "# head\na: &x 2   # one\nb:\n  - {c: 'new: text', d: *x}  # two\n  # three\ne:\n  {f: [1]}\n# end\nh: 3\ni: null\n"
    )
    with pytest.raises(KeyError):
        edited(text, {("b", 1, "c"): 1})


def test_a_path_in_the_project_is_relative_where_it_is_near(place):
    far = Path("/").resolve() / "usr"
    assert project._local("rows.jsonl", place / "mine") == "../rows.jsonl"
    assert project._local(str(far), place / "mine") == str(far)
    assert project._local("org/model", place / "mine") == "org/model"
