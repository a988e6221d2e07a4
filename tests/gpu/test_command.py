"""The GPU command on a CPU: every part in toy size, what is there already, and what there is no time for."""

import argparse
import subprocess
import sys

import pytest

from tests.gpu.__main__ import FINAL, MINUTES, start
from tests.gpu.results import Part, load, write


def run(out, *arguments):
    command = [sys.executable, "-m", "tests.gpu", "--device", "cpu", "--tiny", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_every_part_in_toy_size(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + (tmp_path / "log.txt").read_text()[-4000:]
    parts = load(tmp_path)["parts"]
    assert list(parts) == list(MINUTES)
    for name, part in parts.items():
        assert part["status"] == ("skipped" if name in ("vllm", "stages") and "rows" not in part else "done")
        assert part["status"] == "done" or part["left_out"]
    assert {(row["dtype"], row["attention"]) for row in parts["gradients"]["rows"]} == {
        ("float32", "sdpa"),
        ("bfloat16", "sdpa"),
    }
    assert len(parts["gradients"]["checks"]) == len(parts["gradients"]["rows"]) == 4
    assert {row["trainer"] for row in parts["lengths"]["rows"]} == {"trl", "trimmed", "ours", "ours, budget"}
    assert [row["step"] for row in parts["zero"]["rows"]] == [0, 2, 4]
    written = (tmp_path / "results.json").read_bytes()
    assert run(tmp_path).returncode == 0
    assert (tmp_path / "results.json").read_bytes() == written  # each part was there


def results(out, **part):
    write(out, {"machine": {}, "parts": {"steps": {"seconds": 1.0, **part}}})


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"status": "done"}, 0),
        ({"status": "done", "checks": [{"check": "x", "value": 2, "bound": "at most 1", "held": False}]}, 1),
        ({"status": "stopped"}, 1),
        ({"status": "failed"}, 1),
    ],
)
def test_only_what_is_whole_and_held_counts(part, code, tmp_path):
    results(tmp_path, **part)
    said = run(tmp_path, "--part", "steps", "--minutes", "1")
    assert said.returncode == code
    assert ("left to another call" in said.stdout) == (part["status"] not in FINAL)


def test_a_part_is_ended_when_its_time_is_over_and_what_it_measured_stays(tmp_path, monkeypatch):
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(endless))
    results(tmp_path, status="running", rows=[{"phase": "update", "ratio": 2.0}])
    asked = argparse.Namespace(out=tmp_path, device="cpu", tiny=True)
    start(asked, "steps", seconds=0.1)
    part = load(tmp_path)["parts"]["steps"]
    assert (part["status"], part["reason"]) == ("stopped", "ended after 0 s")
    assert part["rows"] == [{"phase": "update", "ratio": 2.0}]


def test_what_there_is_no_time_for_is_said(tmp_path):
    part = Part("lengths", tmp_path, tmp_path, "cpu", True, seconds=10)
    assert part.has_time_for("1,024", 5)
    assert not part.has_time_for("8,192", 60)
    part.check("gain", 2.0, at_least=3)
    part.save("done")
    said = (tmp_path / "results.md").read_text()
    assert "- not measured: 8,192: it would take 60 s of the 10 s left" in said
    assert "| gain | 2 | at least 3 | False |" in said


def test_all_parts_fit_into_25_minutes_and_each_into_nine():
    assert sum(MINUTES.values()) == 25
    assert max(MINUTES.values()) <= 9
