"""Every recipe that ships is rehearsed, models and data of the Hub standing in a cache made on the spot."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.hub_cache import environment, make_hub_cache
from trl_r1.recipe import known_recipes


ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trl_r1.cli", *arguments]


def surroundings(folder: Path) -> dict[str, str]:
    (folder / "tmp").mkdir()
    return {**os.environ, **environment(make_hub_cache(folder / "hub")), "TMPDIR": str(folder / "tmp")}


# The playground runs for real, in as short a time; test_faults.py rehearses the kinds that are in neither.
IN_CI = ("dpo",)
AT_NIGHT = tuple(name for name in known_recipes() if name not in ("playground", *IN_CI))


@pytest.mark.parametrize(
    "recipes",
    [
        pytest.param(IN_CI, marks=pytest.mark.slow, id="in CI"),
        pytest.param(AT_NIGHT, marks=pytest.mark.nightly, id="at night"),
    ],
)
def test_every_recipe_that_ships_is_rehearsed_and_nothing_is_wrong(tmp_path, recipes):
    ran = subprocess.run(
        command("rehearse", *recipes), cwd=ROOT, env=surroundings(tmp_path), capture_output=True, text=True
    )
    print(ran.stdout)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    assert "nothing was found wrong" in ran.stdout
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_rehearsal_that_is_stopped_leaves_nothing_behind(tmp_path, number):
    recipe = tmp_path / "recipe.yaml"
    settings = {"prompt_template": "chat", "n_samples": 4}
    data = {"path": "openai/gsm8k", "config": "main", "prompt_column": "question", "solution_column": "answer"}
    stage = {"name": "one", "kind": "rejection", "model": "Qwen/Qwen3-0.6B", "data": ["data"], "set": settings}
    recipe.write_text(yaml.safe_dump({"name": "stopped", "data": {"data": data}, "stages": [stage]}))
    before = set(recipe.parent.iterdir())
    process = subprocess.Popen(
        command("rehearse", str(recipe)), cwd=ROOT, env=surroundings(tmp_path), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "one: started" in line:
            break
    process.send_signal(number)
    process.stdout.read()
    assert process.wait() == 130
    assert not list((tmp_path / "tmp").iterdir())
    assert set(recipe.parent.iterdir()) - before == {tmp_path / "tmp", tmp_path / "hub"}
