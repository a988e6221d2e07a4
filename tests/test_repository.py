"""What the README, the workflows and the constraints say of each other."""

import re
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


def commands(name: str) -> list[str]:
    return [step["run"] for job in workflow(name)["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("name", "environment", "page", "ci"),
    [
        ("playground", ".venv", "README.md", "ci"),
        ("tests", ".venv", "README.md", "ci"),
        ("vllm", ".venv-vllm", ".github/CONTRIBUTING.md", "vllm"),
    ],
)
def test_each_command_that_a_page_marks_is_one_line_that_ci_runs(name, environment, page, ci):
    said = subprocess.run([ROOT / ".ci" / "readme", name], capture_output=True, text=True, check=True).stdout
    assert said.count("\n") == 1
    assert said.startswith(f"python3 -m venv {environment} && ")
    assert said in (ROOT / page).read_text()
    assert any(f"$(.ci/readme {name})" in command for command in commands(ci))


def test_a_command_that_no_page_marks_is_an_error():
    assert subprocess.run([ROOT / ".ci" / "readme", "nothing"], capture_output=True).returncode == 1


def test_ci_runs_the_tests_on_every_python_that_the_package_is_for():
    said = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert set(workflow("ci")["jobs"]["tests"]["strategy"]["matrix"]["python"]) == said
    assert PROJECT["requires-python"] == f">={min(said, key=lambda version: int(version[2:]))}"


def test_new_versions_of_trl_are_tried_on_tests_that_are_there():
    (command,) = (command for command in commands("nightly") if "tests/contract" in command)
    paths = [word for word in command.split() if word.startswith("tests")]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("constraints", "extras"),
    [("constraints.txt", ["test", "deepspeed", "docs"]), ("constraints-vllm.txt", ["test", "deepspeed", "vllm"])],
)
def test_what_is_installed_has_one_exact_version_within_its_range(constraints, extras):
    lines = (ROOT / constraints).read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in lines if "==" in line}
    declared = [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, [*PROJECT["dependencies"], *declared]):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_versions_of_vllm_are_those_that_trl_supports():
    (ours,) = PROJECT["optional-dependencies"]["vllm"]
    theirs = next(
        requirement
        for requirement in map(Requirement, metadata("trl").get_all("Requires-Dist"))
        if requirement.name == "vllm"
    )
    for minor in range(15, 40):
        version = f"0.{minor}.0"
        assert Requirement(ours).specifier.contains(version) == theirs.specifier.contains(version), version


def test_changelog_and_citation_tell_the_version_that_is_built():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert f"\n## {PROJECT['version']}\n" in (ROOT / "docs" / "changelog.md").read_text()
