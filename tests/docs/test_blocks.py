"""Every block of the documentation runs, or says what it needs; and what it names is there."""

import ast
import importlib.util
import json
import os
import pydoc
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.stages.tiny import make_model
from trl_r1.cli import make_parser
from trl_r1.keys import keys_of, kinds_with_pages, recipe_schema, stage_schema

from .blocks import PAGES, ROOT, Block, blocks_of


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pages_with(language: str, run: bool = False) -> list:
    found = [page for page in PAGES if any(b.language == language and b.run >= run for b in blocks_of(page))]
    return [pytest.param(page, id=named(page)) for page in found]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("docs") / "my-model", positions=32768)


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    """A folder as a reader would have it: a model, problems, and a clone's recipes."""
    (tmp_path / "my-model").symlink_to(model)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    sums = [(a, b) for a in range(8) for b in range(4)]
    rows = [{"question": f"what is {a} + {b} ?", "answer": f"{a} and {b} .\n#### {a + b}"} for a, b in sums]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write_files(page: Path, folder: Path) -> None:
    for block in blocks_of(page):
        if block.file:
            (folder / block.file).write_text(block.text)


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page, folder, monkeypatch):
    write_files(page, folder)
    names = {"__name__": "documentation"}
    before = set(sys.modules)
    try:
        for block in blocks_of(page):
            if block.language != "python":
                continue
            code = compile(block.text, block.place, "exec")
            if block.run:
                # A dataclass looks for its module.
                monkeypatch.setitem(sys.modules, "documentation", sys.modules[__name__])
                exec(code, names)
            else:
                check_imports(block)
    finally:
        for module in set(sys.modules) - before:
            if (file := getattr(sys.modules[module], "__file__", None)) and Path(file).is_relative_to(folder):
                del sys.modules[module]


def check_imports(block: Block) -> None:
    """What is not run imports at least what there is."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("trl", "trl_r1"):
            for alias in node.names:
                assert pydoc.locate(f"{node.module}.{alias.name}") is not None, f"{block.place}: {alias.name}"


@pytest.fixture(scope="module")
def validators():
    schemas = [recipe_schema(), *map(stage_schema, kinds_with_pages())]
    return [jsonschema.Draft202012Validator(schema) for schema in schemas]


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_yaml_has_keys_and_rewards_that_exist(page, validators):
    for block in blocks_of(page):
        if block.language != "yaml":
            continue
        content = yaml.safe_load(block.text)
        if not block.run:  # a file of another program
            continue
        content = {"rewards": content} if isinstance(content, list) else content
        errors = [next(validator.iter_errors(content), None) for validator in validators]
        assert None in errors, f"{block.place}: {errors[0].message}"
        for name in reward_names(content):
            assert name.split(".")[0] not in ("trl", "trl_r1") or pydoc.locate(name), f"{block.place}: {name}"


def reward_names(content) -> list[str]:
    if isinstance(content, dict):
        own = [content["func"]] if "func" in content else []
        return own + [name for value in content.values() for name in reward_names(value)]
    return [name for value in content for name in reward_names(value)] if isinstance(content, list) else []


@pytest.mark.parametrize("page", pages_with("bash"))
def test_commands_have_flags_modules_and_files_that_exist(page, capsys):
    for block in blocks_of(page):
        for words in block.commands() if block.language == "bash" else ():
            check_command(words, block.place, capsys)


def check_command(words: list[str], place: str, capsys) -> None:
    said = f"{place}: {' '.join(words)}"
    # `[--seed N]` says that it may be left out.
    words = ["1" if word == "N" else word for word in (word.strip("[]") for word in words) if word]
    if words[:2] == ["python", "-m"] or (words[0] == "accelerate" and "-m" in words):
        assert importlib.util.find_spec(words[words.index("-m") + 1]) is not None, said
    for word in words:
        if word.startswith(("recipes/", "tests/")):
            assert (ROOT / word.partition("::")[0]).exists(), said
        if word.startswith("trl_r1.rewards."):
            assert pydoc.locate(word) is not None, said
    if words[0] != "trl-r1":
        return
    try:
        arguments, options = make_parser().parse_known_args(words[1:])
    except SystemExit:
        pytest.fail(f"{said}\n{capsys.readouterr().err}")
    options += getattr(arguments, "options", [])
    kind = words[1] if options else "infer"
    assert not options or kind in ("infer", "playground"), f"{said}: {options}"
    known = {key.name for key in keys_of(kind)} if options else set()
    assert [word for word in options if word.startswith("--") and word[2:] not in known] == [], said


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("bash", run=True))
def test_commands_run(page, folder):
    write_files(page, folder)
    assert shutil.which("trl-r1"), "the package is installed in the environment that runs its tests"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks_of(page):
        if block.language == "bash" and block.run:
            script = ["bash", "-euo", "pipefail", "-c", block.text]
            ended = subprocess.run(script, capture_output=True, text=True, env={**os.environ, "PATH": path})
            assert ended.returncode == 0, f"{block.place}\n{ended.stdout}{ended.stderr}"
