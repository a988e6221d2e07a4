"""What every stage does alike: refuse what is wrong with file and key, report progress, end with a code."""

import gc
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from trl_r1.errors import ConfigError, DataError
from trl_r1.stages._common import Progress, importing, run_stage
from trl_r1.stages._parser import StageParser


@dataclass
class Arguments:
    output_dir: str = "out"
    num_generations: int = field(default=16)
    learning_rate: float = 1e-6
    sync_ref_model: bool = False
    data: list[dict] | None = None
    part: Literal["all", "summary"] = "all"
    lengths: dict | str | None = None

    def __post_init__(self):
        if self.num_generations < 2:
            raise ValueError(f"num_generations must be at least 2, got {self.num_generations}")


@pytest.fixture
def parse(tmp_path):
    def parse(text, *more):
        file = tmp_path / "stage.yaml"
        file.write_text(text)
        return StageParser([Arguments], prog="stage").parse_stage(["--config", str(file), *more])[0]

    return parse


def test_values_come_from_the_file_and_the_command_line_wins(parse):
    arguments = parse("learning_rate: 1e-5\ndata: [{path: a}]\nnum_generations: 8\n", "--num_generations", "4")
    assert (arguments.learning_rate, arguments.data, arguments.num_generations) == (1e-5, [{"path": "a"}], 4)


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("los_type: grpo", "los_type", "unknown key"),
        ("num_generation: 4", "num_generation", "did you mean `num_generations`?"),
        ("num_generations: many", "num_generations", "is 'many'; expected a whole number"),
        ("num_generations: 3.5", "num_generations", "is 3.5; expected a whole number"),
        ("num_generations: true", "num_generations", "is True; expected a whole number"),
        ("learning_rate: [1]", "learning_rate", "expected a number"),
        ("sync_ref_model: perhaps", "sync_ref_model", "expected true or false"),
        ("data: train.jsonl", "data", "expected a list of which each is a mapping or null"),
        ("part: half", "part", "expected one of `all`, `summary`"),
        ("output_dir: 3", "output_dir", "expected text"),
        ("num_generations: 1", "num_generations", "must be at least 2"),
    ],
)
def test_a_wrong_config_is_refused_with_file_and_key(parse, text, key, says):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.key == key
    assert caught.value.file.endswith("stage.yaml")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (["--los_type", "x"], "los_type"),
        (["--num_gen", "4"], "num_gen"),
        (["--num_generations", "x"], "num_generations"),
    ],
)
def test_a_wrong_command_line_is_refused_with_its_key(parse, more, key):
    with pytest.raises(ConfigError) as caught:
        parse("part: all", *more)
    assert caught.value.key == key


@pytest.mark.parametrize("text", ["- a\n- b", "a: [", ""])
def test_a_file_that_is_no_mapping_is_refused(parse, text):
    with pytest.raises(ConfigError, match=r"stage\.yaml"):
        parse(text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*No such file"):
        StageParser([Arguments]).parse_stage(["--config", str(tmp_path / "nowhere.yaml")])


def test_an_error_becomes_one_message_a_code_and_a_line_of_progress(tmp_path, capsys):
    def stage(arguments):
        raise DataError("there is no column 'solution'", key="data[0]")

    code = run_stage(stage, StageParser([Arguments], prog="stage"), ["--output_dir", str(tmp_path)])
    assert code == 2
    assert capsys.readouterr().err == "stage: `data[0]`: there is no column 'solution'\n"
    assert json.loads((tmp_path / "progress.json").read_text())["exit_code"] == 2


def test_only_the_first_process_speaks(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert run_stage(lambda arguments: None, StageParser([Arguments]), ["--config", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err == ""


def test_progress_is_written_at_most_so_often_and_always_at_the_end(tmp_path):
    progress = Progress(tmp_path, total=100, seconds_between=3600)
    for step in range(1, 100):
        progress.update(step)
    assert json.loads((tmp_path / "progress.json").read_text())["step"] == 1
    progress.update(100, reward=0.5)
    assert json.loads((tmp_path / "progress.json").read_text()) == {
        "step": 100,
        "total": 100,
        "unit": "steps",
        "info": {"reward": 0.5},
    }


def test_parsing_needs_no_torch():
    code = "import trl_r1.stages._common, trl_r1.stages._arguments, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_stage_of_the_docs_is_one(tmp_path):
    """As a recipe's `kind` it describes itself, without torch; as a program it refuses what its dataclass lacks."""
    docs = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
    section = docs.partition("## A stage of your own")[2]
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_stage.py").write_text(re.search(r"```python\n(.*?)```", section, re.S)[1])
    (tmp_path / "good.yaml").write_text("output_dir: out\nmodel_name_or_path: org/model\nseed: 3\n")
    (tmp_path / "wrong.yaml").write_text("output_dir: out\nmodel_name_or_path: org/model\nsead: 3\n")

    def python(*arguments):
        path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
        environment = {**os.environ, "PYTHONPATH": path}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    code = "from trl_r1.kinds import kind_of; import sys; print(kind_of('my_package.my_stage').makes, 'torch' in sys.modules)"
    assert python("-c", code).stdout == "dataset False\n"
    done = python("-m", "my_package.my_stage", "--config", "good.yaml")
    assert done.returncode == 0, done.stderr
    refused = python("-m", "my_package.my_stage", "--config", "wrong.yaml")
    assert (refused.returncode, "`sead`: unknown key; did you mean `seed`?" in refused.stderr) == (2, True)


def test_the_garbage_collector_goes_on_after_an_import_that_fails():
    seen = []

    def fails():
        seen.append(gc.isenabled())
        raise ImportError

    with pytest.raises(ImportError), importing():
        fails()
    assert seen == [False]
    assert gc.isenabled()
