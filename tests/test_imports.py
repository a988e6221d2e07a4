"""Imports point one way, and what plans or prints help loads no torch. The layers are those of docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trl_r1


PACKAGE = Path(trl_r1.__file__).parent

# Two programs, each from its lowest layer up: a package may import from its own layer and from those below it, in a program
# that has both. What both programs share is pure Python that reads text and files.
SHARED = [
    {"cores", "docstrings", "errors", "io", "kinds", "pools", "signals"},
    {"typed"},
    {"data_files", "text", "trace", "language", "ids", "lineage", "scores", "solved", "pass_rates", "solve_rates"},
]
TRAINING = [
    *SHARED,
    {"verify", "sandbox", "model_server"},
    {"rewards", "selection"},
    {"audit", "_compat", "adapters", "compact_generation", "data", "sampling", "sizes"},
    {"resume", "training_config"},
    {"grpo", "sft", "preference"},
    {"builders", "emergence", "evaluation", "inference", "paired", "playground"},
    {"stages"},
    {"rehearsal", "keys", "project"},
]
RUNNING = [
    *SHARED,
    {"verify", "sandbox", "model_server"},
    {"rewards", "selection"},
    {"recipe", "hub", "templates", "sizes"},
    {"runner", "report"},
    {"rehearsal", "keys", "project"},
    {"cli"},
]
PROGRAMS = (TRAINING, RUNNING)

TORCH_FREE = [
    "trl_r1",
    *(
        f"trl_r1.{package}"
        for package in [
            "errors",
            "text",
            "trace",
            "language",
            "sandbox",
            "selection",
            "inference",
            "ids",
            "lineage",
            "scores",
            "solved",
            "kinds",
            "io",
            "typed",
            "rewards",
            "verify",
            "audit",
            "model_server",
        ]
    ),
    *(
        f"trl_r1.{package}"
        for package in ["recipe", "runner", "report", "hub", "cli", "project", "rehearsal", "rehearsal.run"]
    ),
]


def package_of(path: Path, package: Path) -> str:
    """The first step below the package: `rewards` for `rewards/math.py`, the empty string for the package itself."""
    parts = path.relative_to(package).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def arrows(package: Path) -> list[tuple[str, str, str]]:
    """Every import of one package by another, wherever it stands in the file, as (from, to, where)."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = [package.name, *path.relative_to(package).parent.parts]
        source = package_of(path, package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = []
            if isinstance(node, ast.Import):
                targets = [alias.name.split(".") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = inside[: len(inside) - node.level + 1] if node.level else []
                stem = base + (node.module.split(".") if node.module else [])
                targets = [[*stem, alias.name] if stem == [package.name] else stem for alias in node.names]
            for target in targets:
                if target[:1] == [package.name] and len(target) > 1 and target[1] != source:
                    found.append((source, target[1], f"{path.relative_to(package)}:{node.lineno}"))
    return found


def packages(package: Path) -> set[str]:
    """Modules and folders directly inside the package."""
    found = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return found | {path.parent.name for path in package.glob("*/*.py")}


def layer(program: list[set[str]], package: str) -> int | None:
    return next((height for height, names in enumerate(program) if package in names), None)


def wrong_arrows(package: Path, programs: tuple[list[set[str]], ...] = PROGRAMS) -> list[str]:
    """Say of each arrow that runs back, or into the other program, where it stands."""
    known = {name for program in programs for names in program for name in names}
    there = packages(package)
    wrong = [f"{package}: in no layer of this test; give it one" for package in sorted(there - known)]
    for source, target, where in arrows(package):
        if target not in there or target not in known or (source and source not in known):
            continue  # a name of the package itself, such as its version; or named above
        heights = [(layer(program, source), layer(program, target)) for program in programs]
        if not source or not any(a is not None and b is not None and b <= a for a, b in heights):
            wrong.append(f"{where}: {source or package.name} imports {target}")
    return wrong


def loaded_by(modules: list[str], unwanted: tuple[str, ...], path: str = "") -> dict[str, list[str]]:
    """Import modules one after the other in a fresh interpreter; say after each which unwanted packages it brought."""
    program = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {path!r}) if {path!r} else None\n"
        f"unwanted, seen = {unwanted!r}, set()\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    new = {m for m in unwanted if m in sys.modules} - seen\n"
        "    seen |= new\n"
        "    if new: print(name, *sorted(new))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}


def test_imports_point_one_way():
    # The package itself names the packages of its public names for type checkers only.
    wrong = [line for line in wrong_arrows(PACKAGE) if not line.startswith("__init__.py:")]
    assert not wrong, "\n".join(wrong)


def test_there_are_arrows_to_judge():
    found = {(source, target) for source, target, _ in arrows(PACKAGE)}
    assert {("text", "errors"), ("rewards", "language"), ("selection", "trace")} <= found


def test_the_package_imports_its_packages_for_type_checkers_only():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    at_import = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level]
    assert at_import == []


def plant(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "planted"
    for name, text in {"__init__.py": "", **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


@pytest.mark.parametrize(
    "line",
    [
        "from .stages import grpo",
        "from . import stages",
        "import planted.stages",
        "def f():\n    from .stages import x",
    ],
)
def test_an_arrow_that_runs_back_is_found(tmp_path, line):
    package = plant(tmp_path, {"text.py": line, "stages/__init__.py": "", "stages/grpo.py": "from ..text import x"})
    assert wrong_arrows(package) == [f"text.py:{1 + line.count(chr(10))}: text imports stages"]


def test_an_arrow_between_the_programs_is_found(tmp_path):
    package = plant(tmp_path, {"runner/run.py": "from ..grpo import x", "grpo/trainer.py": "from ..errors import x"})
    plant(tmp_path, {"errors.py": ""})
    assert wrong_arrows(package) == ["runner/run.py:1: runner imports grpo"]


def test_a_package_without_a_layer_is_found(tmp_path):
    package = plant(tmp_path, {"helpers.py": ""})
    assert wrong_arrows(package) == ["helpers: in no layer of this test; give it one"]


def test_planning_and_help_load_no_torch():
    there = [name for name in TORCH_FREE if name.partition(".")[2] in {"", *packages(PACKAGE)}]
    assert loaded_by(there, ("torch", "transformers", "trl", "datasets")) == {}


def test_a_torch_on_import_is_found(tmp_path):
    (tmp_path / "torch.py").write_text("")
    plant(tmp_path, {"cli.py": "import torch"})
    assert loaded_by(["planted", "planted.cli"], ("torch",), str(tmp_path)) == {"planted.cli": ["torch"]}


def test_the_rewards_for_text_load_no_torch_and_no_word_lists_for_english_and_chinese():
    program = (
        "import sys\n"
        "from trl_r1.rewards.language import LanguageConsistency\n"
        "from trl_r1.rewards.format import think_format\n"
        "reward = LanguageConsistency(languages=('en', 'zh'))\n"
        "print(reward(completions=['<think>first 先 add 加</think> 3'], language=['en']))\n"
        "print([m for m in ('torch', 'wordfreq', 'regex') if m in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines() == ["[0.5]", "[]"], result.stderr
