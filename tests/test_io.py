"""A file appears whole or not at all."""

import threading

import pytest

from trl_r1.io import numbered_checkpoints, publish, read_json, whole_file, whole_folder, write_json


def test_the_file_is_there_after_the_block_and_nothing_else(tmp_path):
    path = tmp_path / "made" / "kept.json"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_where_writing_fails_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("old")

    def write():
        with whole_file(path) as partial:
            partial.write_text("ne")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_at_once_do_not_mix(tmp_path):
    path = tmp_path / "kept.txt"
    both_write = threading.Barrier(2)

    def write(text):
        with whole_file(path) as partial:
            partial.write_text(text)
            both_write.wait(timeout=10)
            assert partial.read_text() == text

    threads = [threading.Thread(target=write, args=(letter * 1000,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_publish_replaces_what_stood_there(tmp_path):
    for name, content in (("model", "old"), ("model.tmp", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(content)
    publish(tmp_path / "model.tmp", tmp_path / "model")
    assert (tmp_path / "model" / "weights").read_text() == "new"
    assert not (tmp_path / "model.tmp").exists()


def test_json_leaves_nothing_half_written(tmp_path):
    write_json(tmp_path / "deep" / "metrics.json", {"a": "é"})
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["metrics.json"]


def test_a_folder_is_replaced_whole_or_stays(tmp_path):
    with whole_folder(tmp_path / "model") as partial:
        (partial / "weights").write_text("old")

    def write():
        with whole_folder(tmp_path / "model") as partial:
            (partial / "weights").write_text("ne")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_text() == "old"


@pytest.mark.parametrize("text", [None, "", '{"a": ', "[1, 2]", "3"])
def test_json_that_is_missing_or_cut_or_no_object_reads_as_nothing(tmp_path, text):
    if text is not None:
        (tmp_path / "file.json").write_text(text)
    assert read_json(tmp_path / "file.json") == {}


def test_checkpoints_are_the_folders_with_a_number_the_latest_first(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-final", "checkpoint-", "other-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-11").write_text("a file")
    assert [path.name for path in numbered_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-9"]
    assert numbered_checkpoints(tmp_path / "nowhere") == []
