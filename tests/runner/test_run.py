"""What runs, in which order, and what does not run again."""

import json
import time

import pytest

from trl_r1.recipe import Artifact


def trail(path):
    return [line.split()[:2] for line in path.read_text().splitlines()]


def test_a_recipe_runs_its_stages_and_leaves_an_artifact_of_each(toys, capsys):
    assert toys.run() == 0
    for name in "abcd":
        folder = toys.run_dir / name
        artifact = Artifact.read(folder)
        assert artifact.whole(folder)
        assert artifact.files.keys() == {"model/weights.json", "metrics.json"}
        assert (folder / "log.txt").read_text().startswith("=== ")
    assert Artifact.read(toys.run_dir / "d").parents.keys() == {"b"}
    out = capsys.readouterr().out
    assert "d: done in" in out
    assert json.loads((toys.run_dir / "run.json").read_text())["recipe"] == "toy"


def test_a_finished_run_does_nothing_again(toys, capsys):
    toys.run()
    before = {path: path.stat().st_mtime_ns for path in toys.run_dir.glob("*/*")}
    assert toys.run() == 0
    assert {path: path.stat().st_mtime_ns for path in toys.run_dir.glob("*/*")} == before
    assert "4 of 4 stages are done" in capsys.readouterr().out


def test_a_changed_stage_runs_again_with_its_descendants_and_the_old_outputs_are_kept(toys, capsys):
    toys.run()
    first = toys.metrics()
    untouched = (toys.run_dir / "c" / "artifact.json").stat().st_mtime_ns
    toys.set("b", value=9.0)
    assert toys.run() == 0
    second = toys.metrics()
    assert (toys.run_dir / "c" / "artifact.json").stat().st_mtime_ns == untouched
    assert first["b"] != second["b"]
    assert first["d"] != second["d"]
    kept = {path.name[0]: (path / "metrics.json").read_text() for path in (toys.run_dir / ".old").iterdir()}
    assert kept == {"b": first["b"], "d": first["d"]}
    assert "its old outputs are in" in capsys.readouterr().out


def test_the_plan_says_which_keys_changed(toys, capsys):
    toys.run()
    toys.run_dir.rename(toys.folder / "run2")
    toys.set("b", value=9.0, trail="a path of some length " * 3).set("c", flavour="sour", value=5.5)
    capsys.readouterr()
    assert toys.run("--dry-run", "--output-dir", str(toys.folder / "run2")) == 0
    out = capsys.readouterr().out
    assert "to run again (its `trail`, `value` not set -> 9.0 changed)" in out
    assert "to run again (its `value` 5 -> 5.5, `flavour` not set -> sour changed)" in out
    assert "to run again (b changed)" in out  # d reads from it


def test_the_plan_says_which_packages_or_data_changed(toys, capsys, monkeypatch):
    from trl_r1.recipe import fingerprint
    from trl_r1.runner import plan

    toys.run()
    (toys.folder / "text.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    assert toys.run("--dry-run") == 0
    assert (
        "text.jsonl changed)"
        in capsys.readouterr().out.partition("to run again (the contents of ")[2].partition("\n")[0]
    )
    versions = {**fingerprint.package_versions(), "trl": "99"}
    monkeypatch.setattr(fingerprint, "package_versions", lambda: versions)
    monkeypatch.setattr(plan, "package_versions", lambda: versions)
    assert toys.run("--dry-run") == 0
    assert " -> 99 changed)" in capsys.readouterr().out


def test_a_stage_that_was_started_with_another_config_says_so(toys, capsys):
    toys.set("a", exit_code=3)
    toys.run()
    toys.set("a", exit_code=0, steps=2)
    capsys.readouterr()
    assert toys.run("--dry-run") == 0
    assert "its `exit_code` 3 -> 0, `steps` not set -> 2 changed since it was started" in capsys.readouterr().out


def test_changed_local_data_run_their_stage_again(toys):
    toys.run()
    first = toys.metrics()
    (toys.folder / "text.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    assert toys.run() == 0
    second = toys.metrics()
    assert {name for name in first if first[name] != second[name]} == {"d"}


def test_a_cut_output_is_made_again(toys):
    toys.run()
    first = toys.metrics()
    (toys.run_dir / "a" / "model" / "weights.json").write_text("{")
    assert toys.run() == 0
    assert toys.metrics() == first
    assert len(list((toys.run_dir / ".old").iterdir())) == 4


def test_a_run_that_was_moved_is_still_done(toys, capsys):
    toys.run()
    toys.run_dir.rename(toys.folder / "elsewhere")
    assert toys.run("--output-dir", str(toys.folder / "elsewhere")) == 0
    assert "4 of 4 stages are done, 0 to run" in capsys.readouterr().out


def test_the_copy_of_the_recipe_in_the_run_is_the_same_recipe(toys, capsys):
    from trl_r1.cli import main

    toys.extra["env"] = {"TOY_COLOUR": "red"}
    toys.run()
    assert main(["run", str(toys.run_dir / "recipe.yaml"), "--output-dir", str(toys.run_dir)]) == 0
    assert "4 of 4 stages are done, 0 to run" in capsys.readouterr().out


def test_independent_stages_run_at_once_and_children_after_their_parents(toys):
    path = toys.folder / "trail"
    for name in "abcd":
        toys.set(name, trail=str(path), step_seconds=0.3)
    assert toys.run("--parallel", "2") == 0
    events = trail(path)
    assert events[:2] == [["start", "a"], ["end", "a"]]
    assert {tuple(e) for e in events[2:4]} == {("start", "b"), ("start", "c")}
    assert events.index(["end", "b"]) < events.index(["start", "d"])


def test_one_at_a_time_by_default(toys):
    path = toys.folder / "trail"
    for name in "abcd":
        toys.set(name, trail=str(path))
    toys.run()
    assert trail(path) == [[event, name] for name in "abcd" for event in ("start", "end")]


def test_from_runs_a_stage_and_its_descendants_again(toys):
    toys.run()
    first = toys.metrics()
    before = {name: (toys.run_dir / name / "artifact.json").stat().st_mtime_ns for name in "abcd"}
    assert toys.run("--from", "b") == 0
    after = {name: (toys.run_dir / name / "artifact.json").stat().st_mtime_ns for name in "abcd"}
    assert {name for name in "abcd" if before[name] != after[name]} == {"b", "d"}
    assert toys.metrics() == first


def test_from_reaches_children_of_children_whatever_they_have_left(toys, capsys):
    toys.run()
    (toys.run_dir / "d" / "artifact.json").unlink()  # started, as far as one can tell, and not finished
    capsys.readouterr()
    assert toys.run("--dry-run", "--from", "a") == 0
    lines = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    states = {line[0]: line[4] for line in lines if len(line) == 5 and line[0] in "abcd"}
    assert states == {
        "a": "to run again (asked for by --from)",
        **dict.fromkeys("bc", "to run again (a runs first)"),
        "d": "to run again (b runs first)",
    }


def test_only_runs_one_stage(toys, capsys):
    assert toys.run("--only", "a") == 0
    assert toys.metrics().keys() == {"a"}
    assert toys.run("--only", "d") == 2
    assert "`d` reads from `b`" in capsys.readouterr().err
    assert toys.run("--only", "b") == 0
    assert toys.metrics().keys() == {"a", "b"}


@pytest.mark.parametrize("option", ["--only", "--from"])
def test_an_unknown_stage_is_refused(toys, capsys, option):
    assert toys.run(option, "nobody") == 2
    assert "nobody" in capsys.readouterr().err
    assert not toys.run_dir.exists()


def test_dry_run_and_plan_change_nothing(toys, capsys):
    assert toys.run("--dry-run") == 0
    out = capsys.readouterr().out
    assert "toys.stage --config" in out
    assert "0 of 4 stages are done, 4 to run" in out
    assert not toys.run_dir.exists()


def test_set_and_seed_reach_the_stage_and_count_as_changes(toys):
    toys.run()
    first = toys.metrics()
    toys.run("--set", "c.value=6.5")
    second = toys.metrics()
    assert {name for name in first if first[name] != second[name]} == {"c"}
    toys.run("--seed", "4")
    assert all(second[name] != value for name, value in toys.metrics().items())
    assert "seed: 4" in (toys.run_dir / "a" / "config.yaml").read_text()


def test_the_environment_of_a_recipe_reaches_its_stages(toys):
    toys.extra["env"] = {"TOY_COLOUR": "red"}
    assert toys.run() == 0  # the toy stage compares
    assert "TOY_COLOUR: red" in (toys.run_dir / "a" / "config.yaml").read_text()


def test_a_stage_runs_by_hand_from_its_config(toys):
    import subprocess
    import sys

    toys.run()
    first = toys.metrics()["b"]
    (toys.run_dir / "b" / "metrics.json").unlink()
    config = toys.run_dir / "b" / "config.yaml"
    subprocess.run([sys.executable, "-m", "toys.stage", "--config", str(config)], check=True)
    assert toys.metrics()["b"] == first


def test_a_failing_stage_ends_the_run_with_its_log(toys, capsys):
    toys.set("b", fail_at_step=2)
    assert toys.run() == 1
    captured = capsys.readouterr()
    assert "stage `b` ended with code 1" in captured.err
    assert str(toys.run_dir / "b" / "log.txt") in captured.err
    assert "ValueError: a step went wrong" in captured.err
    assert "b      toys.stage  failed" in captured.out
    assert toys.metrics().keys() == {"a"}
    assert not (toys.run_dir / "b" / "artifact.json").exists()
    page = (toys.run_dir / "report.html").read_text()
    assert "Stage b failed" in page
    assert "ValueError: a step went wrong" in page


def test_a_stage_that_refuses_its_config_ends_the_run_with_2(toys, capsys):
    toys.set("a", exit_code=2)
    assert toys.run() == 2
    assert "the last word of the stage" in capsys.readouterr().err


def test_a_run_ends_with_2_only_where_every_failed_stage_refused(toys, capsys):
    toys.set("b", exit_code=2)
    toys.set("c", exit_code=3, step_seconds=0.2)
    assert toys.run("--parallel", "2") == 1
    err = capsys.readouterr().err
    assert "stage `b` ended with code 2" in err
    assert "stage `c` ended with code 3" in err


def test_a_stage_that_leaves_no_output_has_failed(toys, capsys):
    toys.stages = [{"name": "a", "kind": "toys.empty"}]
    toys.extra["data"] = {}
    assert toys.run() == 1
    assert "left no model" in capsys.readouterr().err


def test_a_failed_stage_goes_on_from_its_checkpoint_once_it_is_fixed(toys):
    toys.set("b", fail_at_step=3, steps=5)
    assert toys.run() == 1
    module = toys.run_dir / "b" / "checkpoint.json"
    assert json.loads(module.read_text())["step"] == 2
    # Fixed from outside (say, more memory): the same command goes on.
    state = json.loads(module.read_text())
    module.write_text(json.dumps({**state, "step": 3}))
    assert toys.run() == 0
    log = (toys.run_dir / "b" / "log.txt").read_text()
    assert log.count("=== ") == 2
    assert "from step 3" in log


def test_each_attempt_begins_a_line_of_the_log(toys):
    toys.set("b", fail_at_step=1)
    toys.run()
    with open(toys.run_dir / "b" / "log.txt", "a") as log:
        log.write("a bar without an end:  50%")
    toys.run()
    lines = (toys.run_dir / "b" / "log.txt").read_text().splitlines()
    assert sum(line.startswith("=== ") for line in lines) == 2


def test_running_stages_are_finished_when_another_fails(toys):
    toys.set("b", exit_code=3)
    toys.set("c", step_seconds=0.5)
    assert toys.run("--parallel", "2") == 1
    assert (toys.run_dir / "c" / "artifact.json").exists()
    assert "d" not in toys.metrics()


def test_status_tells_how_far_a_run_is(toys, capsys):
    from trl_r1.cli import main

    toys.set("c", exit_code=3)
    toys.run()
    capsys.readouterr()
    assert main(["status", str(toys.run_dir)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    states = {line[0]: line[2] for line in lines if line and line[0] in "abcd"}
    assert states == {"a": "done", "b": "done", "c": "failed", "d": "waiting"}


def test_status_of_no_run_is_an_error(tmp_path, capsys):
    from trl_r1.cli import main

    assert main(["status", str(tmp_path)]) == 2
    assert "expected the directory of a run" in capsys.readouterr().err


def test_two_runners_in_one_directory(toys, capsys):
    toys.set("a", step_seconds=1.0)
    first = toys.start()
    deadline = time.monotonic() + 120
    while not (toys.run_dir / "a" / "log.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert toys.run() == 2
    assert f"another trl-r1 (process {first.pid}) is running in this directory" in capsys.readouterr().err
    assert first.wait(60) == 0
