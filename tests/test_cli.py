"""The command line: what it says, what it imports, and what it ends with."""

import json
import os
import pty
import re
import subprocess
import sys
import time

import pytest
import yaml

from trl_r1.cli import main, make_parser


HEAVY = ("torch", "transformers", "trl", "datasets", "accelerate", "pandas")


def imported_by(code: str) -> set[str]:
    """Return the heavy modules that are loaded after `code`, in a fresh interpreter."""
    text = f"{code}\nimport sys, json\nprint('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


CALL = """
from trl_r1.cli import main
try:
    code = main({argv!r})
except SystemExit as error:
    code = error.code
assert code == {code}, code
"""


@pytest.fixture
def recipe(tmp_path):
    """A recipe of every kind of input that a plan looks into: GRPO with a reward, local data, SFT."""
    rows = [{"prompt": f"{i}+1?", "solution": str(i + 1), "completion": "<think>.</think> 1"} for i in range(20)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"prompt_template": "plain", "rewards": [{"func": "trl_r1.rewards.MathAccuracy"}]}
    stages = [
        {"name": "zero", "kind": "grpo", "model": "base_model", "data": "sums", "set": config},
        {"name": "dev", "kind": "sft", "model": "zero", "data": "sums", "set": {"prompt_template": "plain"}},
    ]
    path = tmp_path / "recipe.yaml"
    data = {"sums": {"path": "sums.jsonl", "domain": "math"}}
    path.write_text(
        yaml.safe_dump({"name": "small", "base_model": "org/base", "disk_gb": 0.001, "data": data, "stages": stages})
    )
    return path


def test_help_imports_nothing_heavy():
    assert imported_by(CALL.format(argv=["--help"], code=0)) == set()


def test_plan_imports_nothing_heavy(recipe, tmp_path):
    argv = ["plan", str(recipe), "--output-dir", str(tmp_path / "run")]
    assert imported_by(CALL.format(argv=argv, code=0)) == set()


def test_status_imports_nothing_heavy(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"recipe": "x", "seed": 0, "stages": ["a"]}))
    assert imported_by(CALL.format(argv=["status", str(tmp_path)], code=0)) == set()


def test_the_check_of_imports_can_fail():
    assert "trl" in imported_by("import trl")


def test_help_shows_every_command_with_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("run", "plan", "status", "push", "report", "playground"):
        assert re.search(rf"\n    {command}\s", text)
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert f"trl-r1 {command} " in capsys.readouterr().out
    assert "exit codes: 0 done" in text


def test_without_a_command_it_prints_help(capsys):
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("trl_r1 ")


def test_wrong_options_end_with_2(capsys):
    for argv in (["run"], ["plan", "x", "--seed", "many"], ["nothing"]):
        with pytest.raises(SystemExit) as caught:
            main(argv)
        assert caught.value.code == 2
    assert main(["run", "playground", "--parallel", "0"]) == 2
    assert "--parallel" in capsys.readouterr().err


def test_the_console_script_is_there():
    done = subprocess.run(
        [sys.executable, "-m", "trl_r1.cli", "plan", "no-such-recipe"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no-such-recipe: no such file")
    assert "Traceback" not in done.stderr


def test_a_users_own_reward_in_the_current_folder_is_found(recipe, tmp_path):
    """As `python -m`, which runs the stages, would find it; a console script by itself does not."""
    (tmp_path / "my_rewards.py").write_text(
        "class Mine:\n    def __call__(self, *, completions, **_):\n        return []\n"
    )
    argv = [*("plan", str(recipe), "--output-dir", str(tmp_path / "run"), "--set")]
    argv.append("zero.rewards=[{func: my_rewards.Mine}]")
    code = f"import sys\nsys.path = [p for p in sys.path if p]\nfrom trl_r1.cli import main\nsys.exit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_status_of_a_directory_that_is_not_there(capsys):
    assert main(["status", "no/such/run"]) == 2
    assert "no/such/run" in capsys.readouterr().err


def test_options_of_run():
    args = make_parser().parse_args(
        ["run", "r1", "--output-dir", "o", "--seed", "2", "--from", "a", "--only", "b", "--set", "a.b=c", "--dry-run"]
    )
    assert (
        args.recipe,
        str(args.output_dir),
        args.seed,
        args.again_from,
        args.only,
        args.overrides,
        args.dry_run,
    ) == (*("r1", "o", 2, ["a"], ["b"], ["a.b=c"], True),)


def test_a_terminal_shows_one_live_line_per_running_stage(tmp_path):
    toys = os.path.join(os.path.dirname(__file__), "runner")
    stages = [
        {"name": name, "kind": "toys.stage", "set": {"steps": 8, "step_seconds": 0.5}} for name in ("first", "second")
    ]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"name": "toy", "parallel": 2, "disk_gb": 0.001, "stages": stages}))
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "trl_r1.cli", "run", str(path), "--output-dir", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env={**os.environ, "PYTHONPATH": toys})
    os.close(follower)
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        seen += part
    os.close(leader)
    assert process.wait(30) == 0, seen.decode()
    text = seen.decode()
    assert "\x1b[3A\x1b[J" in text  # two lines and that of the run, written over
    assert "0 of 2 stages done, " in text
    assert "8 steps" in text
    assert "left" in text
    assert text.count("first: done in") == 1


def test_playground_runs_its_stage_with_the_options_it_is_given(tmp_path, capfd):
    assert main(["playground", str(tmp_path / "world"), "--head_dim", "7"]) == 2
    assert "`head_dim`: expected an even number, got 7" in capfd.readouterr().err
