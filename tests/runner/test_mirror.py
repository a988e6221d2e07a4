"""A copy of the run elsewhere: from it, a machine that has nothing goes on."""

import json
import shutil

from tests.runner.test_killed import wait_for
from trl_r1.runner.mirror import Mirror


def test_a_run_goes_on_from_its_copy(toys, tmp_path):
    copy = tmp_path / "copy"
    toys.set("b", fail_at_step=2)
    assert toys.run("--mirror", str(copy)) == 1
    assert (copy / "a" / "artifact.json").is_file()
    assert not (copy / "run.lock").exists()
    shutil.rmtree(toys.run_dir)
    toys.stages[1]["set"] = {}
    assert toys.run("--mirror", copy.as_uri()) == 0
    assert (toys.run_dir / "a" / "log.txt").read_text().count("===") == 1  # it was done
    assert (copy / "d" / "artifact.json").read_text() == (toys.run_dir / "d" / "artifact.json").read_text()


def test_checkpoints_are_copied_when_they_are_whole_and_go_when_they_went(tmp_path):
    run_dir, copy = tmp_path / "run", tmp_path / "copy"

    def checkpoint(step, whole=True):
        folder = run_dir / "a" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(bytes(2_000_000))
        if whole:
            (folder / "trainer_state.json").write_text(json.dumps({"step": step}))

    mirror = Mirror(run_dir, str(copy))
    checkpoint(1)
    mirror.poll()
    assert wait_for((copy / "a" / "checkpoint-1" / "trainer_state.json").exists)
    checkpoint(2, whole=False)
    mirror.poll()
    mirror.thread.join()
    assert not (copy / "a" / "checkpoint-2").exists()  # nothing is whole that was not before
    shutil.rmtree(run_dir / "a" / "checkpoint-1")
    (run_dir / "a" / "checkpoint-2" / "trainer_state.json").write_text("{}")
    mirror.finish()
    assert sorted(path.name for path in (copy / "a").iterdir()) == ["checkpoint-2"]


def test_a_copy_that_cannot_be_written_does_not_end_the_run(toys, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    assert toys.run("--mirror", str(tmp_path / "file" / "copy")) == 0
    assert "failed (NotADirectoryError" in capfd.readouterr().out
    assert toys.run("--mirror", "nothing://copy") == 2
