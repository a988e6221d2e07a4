"""Trackers: one line of the recipe, names that say what was trained, and the same outputs whatever is tracked."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
import yaml

from tests.stages.tiny import make_model
from trl_r1.cli import main
from trl_r1.recipe import fingerprints, load_recipe, resolve
from trl_r1.runner.launch import environment_of


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    rows = [{"prompt": f"what is {i} ?", "completion": f"<think> so </think> {i}"} for i in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = {
        "prompt_template": "plain",
        "use_cpu": True,
        "bf16": False,
        "max_length": 64,
        "max_steps": 1,
        "logging_steps": 1,
    }
    content = {
        "name": "mine",
        "report_to": "tensorboard",
        "base_model": "./tiny",
        "disk_gb": 0.001,
        "data": {"rows": {"path": "rows.jsonl"}},
        "stages": [
            {"name": "tuned", "kind": "sft", "model": "base_model", "data": "rows", "set": common},
            {"name": "again", "kind": "sft", "model": "tuned", "data": "rows", "set": {**common, "report_to": "none"}},
            {
                "name": "scores",
                "kind": "evaluate",
                "model": ["tuned"],
                "data": "rows",
                "set": {"prompt_template": "plain", "max_completion_tokens": 8},
            },
        ],
    }
    make_model(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def stages(*overrides):
    return {item.name: item for item in resolve(load_recipe("recipe.yaml", overrides=overrides))[0]}


def test_a_training_reports_under_the_names_of_recipe_and_stage(recipe, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "of my own")
    found = {name: item.placed("runs/mine-seed2") for name, item in stages("report_to=[trackio, wandb]").items()}
    named = {key: found["tuned"][key] for key in ("report_to", "project", "run_name")}
    assert named == {"report_to": ["trackio", "wandb"], "project": "mine", "run_name": "mine-seed2-tuned"}
    assert found["again"]["report_to"] == "none"  # as the stage says
    assert not {"report_to", "project", "run_name"} & found["scores"].keys()
    environment = environment_of(stages()["tuned"], recipe / "runs" / "mine-seed2" / "tuned")
    assert environment["WANDB_PROJECT"] == "of my own"
    assert environment["WANDB_RUN_GROUP"] == "mine-seed2"
    assert environment["TENSORBOARD_LOGGING_DIR"] == str(recipe / "runs" / "mine-seed2" / "tensorboard" / "tuned")
    told = environment_of(stages()["scores"], recipe / "runs" / "mine" / "scores")
    assert json.loads(told["TRL_R1_TRACKERS"]) == {
        "report_to": ["tensorboard"],
        "project": "mine",
        "run_name": "mine-scores",
    }
    assert told["WANDB_RUN_GROUP"] == "mine"


def test_what_is_made_does_not_depend_on_what_is_tracked(recipe):
    assert fingerprints(list(stages().values())) == fingerprints(list(stages("report_to=[]").values()))


def test_an_unknown_tracker_is_refused_at_its_line(recipe, capsys):
    assert main(["plan", "recipe.yaml", "--set", "report_to=tensorbord"]) == 2
    told = capsys.readouterr().err
    assert (
        "`report_to`: is 'tensorbord'; expected some of `trackio`, `wandb`, `tensorboard`; did you mean `tensorboard`?"
        in told
    )


@pytest.mark.slow
def test_a_run_is_found_by_its_trackers_without_a_network(recipe):
    pytest.importorskip("tensorboard")
    pytest.importorskip("trackio")
    pytest.importorskip("wandb")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    command = [sys.executable, "-m", "trl_r1.cli", "run", "recipe.yaml", "--only", "tuned", "--only", "scores"]
    environment = {
        **os.environ,
        "TRACKIO_DIR": str(recipe / "trackio"),
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
    }
    ran = subprocess.run(
        [*command, "--set", "report_to=[tensorboard, trackio, wandb]"], capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    events = EventAccumulator(str(recipe / "runs" / "mine" / "tensorboard" / "tuned")).Reload()
    assert "train/loss" in events.Tags()["scalars"]
    (database,) = (recipe / "trackio").glob("mine*.db")
    with sqlite3.connect(database) as connection:
        runs = {row[0] for row in connection.execute("SELECT DISTINCT run_name FROM metrics")}
        logged = b"".join(
            row[0] for row in connection.execute("SELECT metrics FROM metrics WHERE run_name = 'mine-scores'")
        )
    assert runs == {"mine-tuned", "mine-scores"}
    assert b"tuned/format" in logged
    assert b"what is 0 ?" in logged
    (written,) = (recipe / "runs" / "mine" / "tensorboard" / "scores").rglob("events*")
    events = EventAccumulator(str(written)).Reload()
    assert any(tag.startswith("tuned/") for tag in events.Tags()["scalars"])
    assert len([*recipe.glob("wandb/offline-run-*")]) == 2
    # Another tracker is no reason to train again.
    again = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, env=environment)
    assert "2 of 3 stages are done" in again.stdout
