"""The directory of a run: whose it is, who holds it, what is moved aside, and which processes are its own."""

import contextlib
import json
import os
import re
import subprocess
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from trl_r1.errors import MachineError
from trl_r1.recipe import Artifact
from trl_r1.recipe.records import Recipe, Stage
from trl_r1.runner import directory
from trl_r1.runner.directory import (
    LOCK_FILE,
    OLD_FOLDER,
    RUN_FILE,
    STAGE_VARIABLE,
    STARTED_FILE,
    Attempt,
    artifact_of,
    check_owner,
    claim,
    end_leftovers,
    locked,
    read_attempt,
    retire,
    runner_of,
    write_attempt,
)
from trl_r1.runner.record import lost_seconds


@pytest.fixture
def recipe(tmp_path):
    return Recipe("toy", tmp_path / "recipe.yaml", (Stage("a", "sft"), Stage("b", "grpo")), seed=7)


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


# What is known of an attempt


def test_an_attempt_is_read_as_it_was_written(run_dir):
    attempt = Attempt("f", "then", attempts=3, wall_seconds=2.5, outcome="failed", begun=9.0)
    write_attempt(run_dir, attempt)
    assert read_attempt(run_dir) == attempt


def test_an_attempt_of_a_version_with_other_fields_is_read_and_one_without_a_fingerprint_is_none(run_dir):
    (run_dir / STARTED_FILE).write_text('{"fingerprint": "f", "colour": "red"}')
    assert read_attempt(run_dir) == Attempt("f", attempts=1, wall_seconds=0.0, outcome=None, begun=0.0)
    (run_dir / STARTED_FILE).write_text('{"started": "then"}')
    assert read_attempt(run_dir) is None
    (run_dir / STARTED_FILE).write_text('{"fingerp')
    assert read_attempt(run_dir) is None


# Whose it is


def test_a_directory_that_is_not_there_or_empty_is_anybody_s(recipe, run_dir):
    assert check_owner(run_dir / "new", recipe) is None
    assert check_owner(run_dir, recipe) is None
    (run_dir / LOCK_FILE).touch()
    assert check_owner(run_dir, recipe) is None


def test_a_file_and_a_folder_of_somebody_s_are_refused(recipe, run_dir):
    (run_dir / "thesis.tex").touch()
    (run_dir / "notes").mkdir()
    found = check_owner(run_dir, recipe)
    assert found.key == "--output-dir"
    assert "holds 2 files and folders that are no run" in found.message
    found = check_owner(run_dir / "thesis.tex", recipe)
    assert found.key == "--output-dir"
    assert "is a file" in found.message


def owner(recipe, changes=None):
    return {"recipe": recipe.name, "path": str(recipe.path.resolve()), "stages": ["a", "b"], **(changes or {})}


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({}, True),
        ({"path": "/moved/recipe.yaml"}, True),  # a stage of this name tells it
        ({"stages": ["x"]}, True),  # its file tells it, whatever its stages are called now
        ({"path": "/another/recipe.yaml", "stages": ["x"]}, False),
        ({"path": "/another/recipe.yaml", "stages": None}, False),
        ({"recipe": "other"}, False),
    ],
)
def test_a_run_is_its_recipe_s_by_name_and_by_file_or_stage(changes, ours, recipe, run_dir):
    (run_dir / RUN_FILE).write_text(json.dumps(owner(recipe, changes)))
    found = check_owner(run_dir, recipe)
    assert (found is None) is ours
    if not ours:
        assert found.key == "recipe"
        assert found.file.endswith(RUN_FILE)


def test_a_claim_says_what_runs_here_and_keeps_when_it_began(recipe, run_dir, monkeypatch):
    times = iter(["one", "one", "two"])
    monkeypatch.setattr(directory, "now", lambda: next(times))
    monkeypatch.setattr(
        directory, "surroundings", lambda path: {"machine": {"cores": 2}, "commits": {"trl_r1": "abc"}}
    )
    claim(run_dir, recipe, ["trl-r1", "run"])
    first = json.loads((run_dir / RUN_FILE).read_text())
    assert first == {
        **owner(recipe),
        "seed": 7,
        "created": "one",
        "last_started": "one",
        "command": ["trl-r1", "run"],
        "machine": {"cores": 2},
        "commits": {"trl_r1": "abc"},
    }
    assert check_owner(run_dir, recipe) is None
    claim(run_dir, recipe, [])
    second = json.loads((run_dir / RUN_FILE).read_text())
    assert second == {**first, "last_started": "two", "command": []}


# Who holds it


def test_one_runner_at_a_time_holds_a_directory_and_its_process_is_named(tmp_path):
    run_dir = tmp_path / "deep" / "run"
    assert runner_of(run_dir) is None
    with locked(run_dir):
        assert runner_of(run_dir) == os.getpid()
        with pytest.raises(MachineError, match=rf"another trl-r1 \(process {os.getpid()}\)"), locked(run_dir):
            pytest.fail("two hold it")
    assert runner_of(run_dir) is None
    with locked(run_dir):
        assert (run_dir / LOCK_FILE).read_text() == str(os.getpid())


def test_a_holder_that_did_not_say_who_it_is_has_no_number(run_dir):
    with locked(run_dir):
        (run_dir / LOCK_FILE).write_text("")
        assert runner_of(run_dir) == 0
        with pytest.raises(MachineError, match=r"process unknown"), locked(run_dir):
            pytest.fail("two hold it")


# What is moved aside


def test_nothing_is_moved_where_nothing_is(run_dir):
    assert retire(run_dir, "a") is None
    (run_dir / "a").mkdir()
    assert retire(run_dir, "a") is None
    assert (run_dir / "a").is_dir()


def test_old_outputs_are_kept_side_by_side(run_dir, monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 2, 12, 0, 0)

    monkeypatch.setattr(directory, "datetime", Noon)
    for text in ("one", "two", "three"):
        (run_dir / "a").mkdir()
        (run_dir / "a" / "metrics.json").write_text(text)
        place = retire(run_dir, "a")
        assert not (run_dir / "a").exists()
        assert (place / "metrics.json").read_text() == text
    names = sorted(path.name for path in (run_dir / OLD_FOLDER).iterdir())
    assert names == ["a-20260102-120000", "a-20260102-120000-2", "a-20260102-120000-3"]


@pytest.mark.parametrize("kill", range(5))
def test_what_was_paid_for_stays_with_its_stage_whenever_the_runner_is_killed(run_dir, monkeypatch, kill):
    names = ["artifact.json", "data", "started.json", "traces"]
    for name in names:
        (run_dir / "a" / name).mkdir(parents=True)
    rename, moved = os.rename, []

    def killed(source, target):
        if len(moved) == kill:
            raise KeyboardInterrupt
        moved.append(Path(source).name)
        rename(source, target)

    monkeypatch.setattr(os, "rename", killed)
    with contextlib.suppress(KeyboardInterrupt):
        retire(run_dir, "a", ("judge", "traces"))
    monkeypatch.undo()
    assert moved == ["started.json", "artifact.json", "data"][:kill]  # never one that looks begun without its artifact
    retire(run_dir, "a", ("judge", "traces"))
    assert os.listdir(run_dir / "a") == ["traces"]
    assert retire(run_dir, "a", ("judge", "traces")) is None
    old = (run_dir / OLD_FOLDER).glob("*/*")
    assert sorted(path.name for path in old) == names[:3]


# Whose processes


@pytest.fixture
def start():
    started = []

    def start(mark: Path | None) -> subprocess.Popen:
        environment = {key: value for key, value in os.environ.items() if key != STAGE_VARIABLE}
        if mark is not None:
            environment[STAGE_VARIABLE] = str(mark)
        started.append(subprocess.Popen(["sleep", "600"], env=environment, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_processes_of_a_run_are_ended_and_no_others(run_dir, start):
    """Runs lie side by side: `run` and `run-seed2`."""
    ours = [start(run_dir / "a"), start(run_dir / "b"), start(run_dir)]
    others = [start(run_dir.with_name("run-seed2") / "a"), start(run_dir.with_name("run-seed2")), start(None)]
    others.append(start(Path("/elsewhere") / run_dir.name / "a"))
    ended = end_leftovers(run_dir)
    assert ended == sorted(process.pid for process in ours)
    assert not any(psutil.pid_exists(process.pid) for process in ours)
    assert [process.poll() for process in others] == [None] * 4
    assert end_leftovers(run_dir) == []


def test_the_processes_of_a_stage_are_ended_and_not_those_of_the_others(run_dir, start):
    a, b = start(run_dir / "a"), start(run_dir / "b")
    assert end_leftovers(run_dir / "a") == [a.pid]
    assert b.poll() is None


def test_a_runner_that_is_itself_part_of_a_stage_does_not_end_itself(run_dir, start, monkeypatch):
    monkeypatch.setenv(STAGE_VARIABLE, str(run_dir / "a"))
    left = start(run_dir / "a")
    monkeypatch.setattr(os, "getpid", lambda: left.pid)
    assert end_leftovers(run_dir) == []
    assert left.poll() is None


def test_one_that_will_not_go_is_said(run_dir, start, monkeypatch):
    stubborn = start(run_dir / "a")
    monkeypatch.setattr(psutil.Process, "send_signal", lambda self, number: None)
    with pytest.raises(MachineError, match=f"processes {stubborn.pid} of a former run would not end"):
        end_leftovers(run_dir, patience_s=0.1)


def test_one_that_cannot_be_looked_at_or_is_gone_meanwhile_hides_no_other(run_dir, start, monkeypatch):
    ours = [start(run_dir / "a"), start(run_dir / "b")]

    class Hidden:
        pid = 0

        def environ(self):
            raise psutil.AccessDenied(self.pid)

    iterate, send = psutil.process_iter, psutil.Process.send_signal

    def send_and_be_told_that_it_is_gone(self, number):
        send(self, number)
        raise psutil.NoSuchProcess(self.pid)

    monkeypatch.setattr(psutil, "process_iter", lambda: iter([Hidden(), *iterate()]))
    monkeypatch.setattr(psutil.Process, "send_signal", send_and_be_told_that_it_is_gone)
    assert end_leftovers(run_dir) == sorted(process.pid for process in ours)


# What is finished


def test_a_stage_is_finished_with_its_fingerprint_and_all_its_files(run_dir):
    assert artifact_of(run_dir, "f") is None
    (run_dir / "metrics.json").write_text("{}")
    artifact = Artifact("a", "metrics", "metrics.json", "f", files={"metrics.json": 2})
    artifact.write(run_dir)
    assert artifact_of(run_dir, "f") == artifact
    assert artifact_of(run_dir, "g") is None
    (run_dir / "metrics.json").write_text("{")
    assert artifact_of(run_dir, "f") is None
    (run_dir / "metrics.json").unlink()
    assert artifact_of(run_dir, "f") is None


# What a killed attempt took


def test_the_time_of_an_attempt_that_was_killed_ends_with_its_log(tmp_path):
    log = tmp_path / "log.txt"
    attempt = Attempt("print", begun=1000.0)
    assert lost_seconds(attempt, tmp_path) == 0.0  # there is no log
    log.write_text("a line")
    os.utime(log, (1060.0, 1060.0))
    assert lost_seconds(attempt, tmp_path) == 60.0
    assert lost_seconds(Attempt("print", begun=2000.0), tmp_path) == 0.0  # the log is of an attempt before
    assert lost_seconds(Attempt("print"), tmp_path) == 0.0  # nothing says when it began


def test_the_surroundings_name_the_machine_the_versions_and_the_commits(tmp_path):
    found = directory.surroundings(tmp_path / "recipe.yaml")
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["memory_gib"] > 0
    assert {"python", "trl", "torch"} <= found["versions"].keys()
    assert "recipe" not in found["commits"], "a folder outside any repository has no commit"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(tmp_path)]
    (tmp_path / "recipe.yaml").write_text("name: mine")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "recipe.yaml").write_text("name: changed")
    assert re.fullmatch(r"[0-9a-f]{12}-dirty", directory.surroundings(tmp_path / "recipe.yaml")["commits"]["recipe"])
