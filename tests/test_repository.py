"""What the README, the workflows and the constraints say of each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml


ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


def commands(name: str) -> list[str]:
    return [step["run"] for job in workflow(name)["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", ["playground", "tests"])
def test_each_command_of_the_readme_is_one_line_that_ci_runs(name):
    said = subprocess.run([ROOT / ".ci" / "readme", name], capture_output=True, text=True, check=True).stdout
    assert said.count("\n") == 1
    assert said.startswith("python3 -m venv .venv && ")
    assert said in (ROOT / "README.md").read_text()
    assert any(f"$(.ci/readme {name})" in command for command in commands("ci"))


def test_a_command_that_the_readme_does_not_mark_is_an_error():
    assert subprocess.run([ROOT / ".ci" / "readme", "nothing"], capture_output=True).returncode == 1


def test_ci_runs_the_tests_on_every_python_that_the_package_is_for():
    said = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert set(workflow("ci")["jobs"]["tests"]["strategy"]["matrix"]["python"]) == said
    assert PROJECT["requires-python"] == f">={min(said, key=lambda version: int(version[2:]))}"


def test_new_versions_of_trl_are_tried_on_tests_that_are_there():
    (command,) = (command for command in commands("nightly") if "pytest" in command)
    paths = [word for word in command.split() if word.startswith("tests")]
    assert "tests/contract" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_what_the_readme_installs_has_one_exact_version():
    pinned = {
        re.sub(r"[-_.]+", "-", name).lower()
        for name in re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    }
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["test"], *extras["deepspeed"]]:
        name = re.match(r"[\w.-]+", requirement)[0]
        assert re.sub(r"[-_.]+", "-", name).lower() in pinned, requirement
