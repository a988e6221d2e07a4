"""What fits a terminal: tables, the line of the run, colour where there is a terminal, and a status that is watched."""

import io
import json
import time
from types import SimpleNamespace

import pytest

from trl_r1.recipe import Artifact
from trl_r1.runner import status as status_module
from trl_r1.runner.directory import RUN_FILE, locked
from trl_r1.runner.display import Display, evaluation_table, run_text
from trl_r1.runner.record import former_seconds


SCORES = (
    "pass@1",
    "pass@4",
    "cons@16",
    "best_of_n",
    "format",
    "language_consistency",
    "mixed_language",
    "mean_tokens",
)
MODELS = {
    name: {
        **{score: 0.1 * i + 0.01 * j for j, score in enumerate(SCORES)},
        **{f"{score}_stderr": 0.012 for score in SCORES},
        "truncated": 0.0,
    }
    for i, name in enumerate(("base", "r1-zero", "language-control", "dev1", "dev2", "dev3", "r1", "student"))
}


@pytest.mark.parametrize("width", [60, 80, 99, 100, 200])
def test_an_evaluation_fits_the_terminal(width):
    table = evaluation_table(MODELS, width)
    assert max(map(len, table.splitlines())) <= width
    for name in (*MODELS, *(score.replace("_", " ") for score in SCORES)):
        assert name in table
    assert "The same for all: truncated 0.000" in " ".join(table.split())
    assert table.count("0.000") == 2  # `truncated`, and `pass@1` of the base: nothing is said again
    models_in_rows = any(line.startswith("r1-zero ") for line in table.splitlines())
    assert models_in_rows == (width == 200)


def test_one_model_keeps_all_of_its_scores():
    table = evaluation_table({"base": {"pass@1": 0.5, "truncated": 0.0}}, 80)
    assert "The same" not in table
    assert "truncated  0.000" in table


def test_how_far_a_run_is():
    assert (
        run_text(1, 4, 70.0, [30.0, 90.0], [120.0]) == "1 of 4 stages done, 1 min 10 s so far, about 2 min 30 s left"
    )
    assert run_text(0, 3, 5.0, [None], [60.0, None]) == (
        "0 of 3 stages done, 5.0 s so far, about 1 min 00 s left and 2 stages whose time is not known yet"
    )
    assert (
        run_text(0, 1, 5.0, [None], [])
        == "0 of 1 stages done, 5.0 s so far; left: 1 stage whose time is not known yet"
    )


def test_a_stage_that_waits_takes_what_it_took_before(tmp_path):
    def done(run, recipe, seconds):
        (tmp_path / run / "a").mkdir(parents=True)
        (tmp_path / run / RUN_FILE).write_text(json.dumps({"recipe": recipe}))
        Artifact("a", "model", "model", "f", wall_seconds=seconds).write(tmp_path / run / "a")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / RUN_FILE).write_text(json.dumps({"recipe": "r"}))
    done("another", "s", 7.0)
    assert former_seconds(tmp_path / "mine", "a") is None
    done("seed2", "r", 42.0)
    assert former_seconds(tmp_path / "mine", "a") == 42.0
    for stage, seconds in (("a", 43.0), ("a-longer", 99.0)):  # what was set aside before, the longer one last
        old = tmp_path / "mine" / ".old" / f"{stage}-20260102-030405"
        old.mkdir(parents=True)
        Artifact(stage, "model", "model", "f", wall_seconds=seconds).write(old)
    assert former_seconds(tmp_path / "mine", "a") == 43.0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def display(monkeypatch, out):
    monkeypatch.setattr("sys.stdout", out)
    return Display()


def test_colour_is_where_a_terminal_is_and_wants_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = "a  grpo  done    4 s\nb  grpo  failed"
    display(monkeypatch, terminal := Terminal()).say(text)
    assert terminal.getvalue() == "a  grpo  \x1b[32mdone\x1b[0m    4 s\nb  grpo  \x1b[31mfailed\x1b[0m\n"
    display(monkeypatch, plain := io.StringIO()).say(text)
    assert plain.getvalue() == text + "\n"
    monkeypatch.setenv("NO_COLOR", "1")
    display(monkeypatch, terminal := Terminal()).say(text)
    assert terminal.getvalue() == text + "\n"


def test_the_line_of_the_run_is_the_last_of_those_that_live(monkeypatch, tmp_path):
    shown = display(monkeypatch, terminal := Terminal())
    stage = SimpleNamespace(name="a", folder=tmp_path, started=time.monotonic(), seconds=3.0)
    shown.update([stage], lambda left: f"{len(left)} run")
    assert terminal.getvalue().splitlines()[-1] == "  1 run"
    shown.update([], lambda left: "none runs")
    assert "none runs" not in terminal.getvalue()


def test_a_status_is_watched_until_nothing_is_at_work(monkeypatch, tmp_path, capsys):
    (tmp_path / RUN_FILE).write_text(json.dumps({"recipe": "r", "seed": 1, "stages": ["a", "b"]}))
    holding = locked(tmp_path)
    holding.__enter__()
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            (tmp_path / "a").mkdir()
            Artifact("a", "model", "model", "f").write(tmp_path / "a")
        if len(waited) == 3:
            holding.__exit__(None, None, None)

    monkeypatch.setattr(status_module.time, "sleep", sleep)
    assert status_module.status(tmp_path, watch=True) == 0
    told = capsys.readouterr().out
    assert len(waited) == 3
    heads = [line for line in told.splitlines() if line.startswith("r, seed 1")]
    assert [head.rpartition(", ")[2].removesuffix(" stages done") for head in heads] == ["0 of 2", "1 of 2", "1 of 2"]
    assert ["no runner" in head for head in heads] == [False, False, True]


def test_the_first_score_stands_in_the_table_even_where_all_are_equal():
    table = evaluation_table({"base": {"pass@1": 0.5, "truncated": 0.0}, "r1": {"pass@1": 0.5, "truncated": 0.0}}, 80)
    assert table.splitlines()[2].split() == ["pass@1", "0.500", "0.500"]


@pytest.mark.parametrize(("width", "first"), [(99, "model   base  r1"), (100, "model  pass@1  pass@4")])
def test_below_a_hundred_columns_scores_are_rows(width, first):
    table = evaluation_table({"base": {"pass@1": 0.1, "pass@4": 0.2}, "r1": {"pass@1": 0.3, "pass@4": 0.4}}, width)
    assert table.splitlines()[0].split() == first.split()
