"""A recipe of toy stages, and ways to run it."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from trl_r1.cli import main
from trl_r1.runner import configs
from trl_r1.stages import _data, _models, _needs
from trl_r1.stages._check import check_stage


TOYS = Path(__file__).parent


@dataclass
class Toys:
    """
    A folder with a recipe of toy stages.

    Args:
        folder (`Path`):
            Holds `recipe.yaml` and, after a run, `run/`.
        stages (`list[dict]`):
            The recipe's stages; edit them, then run.
        extra (`dict`):
            Further keys of the recipe.
    """

    folder: Path
    stages: list[dict]
    extra: dict = field(default_factory=dict)

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def set(self, stage: str, **keys) -> "Toys":
        entry = next(s for s in self.stages if s["name"] == stage)
        entry.setdefault("set", {}).update(keys)
        return self

    def write(self) -> Path:
        self.recipe.write_text(yaml.safe_dump({"name": "toy", **self.extra, "stages": self.stages}))
        return self.recipe

    def arguments(self, *more: str) -> list[str]:
        return ["run", str(self.write()), "--output-dir", str(self.run_dir), *more]

    def run(self, *more: str) -> int:
        """Run in this process."""
        return main(self.arguments(*more))

    def start(self, *more: str) -> subprocess.Popen:
        """Run in a process of its own."""
        command = [sys.executable, "-m", "trl_r1.cli", *self.arguments("--grace", "2", *more)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment(),
        )

    def metrics(self) -> dict[str, str]:
        return {path.parent.name: path.read_text() for path in sorted(self.run_dir.glob("*/metrics.json"))}

    def processes(self) -> list[int]:
        """Processes of this run that are alive."""
        return processes_of(self.run_dir)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TOYS)}


def processes_of(run_dir: Path) -> list[int]:
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get("TRL_R1_STAGE_DIR", "")
            if mark.startswith(str(run_dir.resolve())) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def check_here(stages: list[dict]) -> list[dict]:
    """
    Check configs in this process, which has torch already: the process of its own costs seconds a time. What such a process
    reads once is read anew.
    """
    for read_once in (_data._columns, _models.read_config, _models.read_tokenizer, _needs.unanswered):
        read_once.cache_clear()
    records = [check_stage(**stage) for stage in yaml.safe_load(yaml.safe_dump(stages))]
    return json.loads(json.dumps(records, default=str))


@pytest.fixture(autouse=True)
def _checked_here(monkeypatch):
    monkeypatch.setattr(configs, "ask", check_here)
    logger = logging.getLogger("datasets")  # its handler writes to a stream that an earlier test has closed
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture
def toys(tmp_path, monkeypatch) -> Toys:
    """`a` feeds `b` and `c`; both feed `d`."""
    monkeypatch.setenv("PYTHONPATH", str(TOYS))
    monkeypatch.syspath_prepend(str(TOYS))
    kind = "toys.stage"
    stages = [
        {"name": "a", "kind": kind, "set": {"value": 3}},
        {"name": "b", "kind": kind, "model": "a"},
        {"name": "c", "kind": kind, "model": "a", "set": {"value": 5}},
        {"name": "d", "kind": kind, "model": "b", "data": [{"path": "text.jsonl"}]},
    ]
    (tmp_path / "text.jsonl").write_text('{"prompt": "one"}\n')
    stages[3]["data"] = ["texts"]
    return Toys(tmp_path, stages, {"disk_gb": 0.001, "data": {"texts": {"path": "text.jsonl"}}})
