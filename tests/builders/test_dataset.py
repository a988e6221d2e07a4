"""The files of a data set: their names, their sizes, that they appear whole, and that `datasets` reads them."""

import random
import string

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from trl_r1.builders.dataset import write_data_set
from trl_r1.data import DataSource, load_source
from trl_r1.data_files import data_files, data_sets, is_place


SCHEMA = pa.schema([("prompt", pa.string()), ("completion", pa.string()), ("n_tokens", pa.int64())])


def rows(n, length=1000):
    letters = random.Random(0)
    for i in range(n):
        text = "".join(letters.choices(string.ascii_letters, k=length))  # nothing that compresses well
        yield {"prompt": f"question {i}", "completion": text, "n_tokens": i, "left out": 1}


def test_row_groups_and_files_keep_to_their_sizes_and_hold_every_row_in_its_order(tmp_path):
    assert (
        write_data_set(rows(900), tmp_path / "data", "train", SCHEMA, row_group_bytes=50_000, file_bytes=300_000)
        == 900
    )
    files = data_files(tmp_path / "data" / "train.parquet")
    assert [file.name for file in files] == [f"train-0000{i}-of-0000{len(files)}.parquet" for i in range(len(files))]
    assert len(files) > 1
    groups = [
        pq.read_metadata(file).row_group(i) for file in files for i in range(pq.read_metadata(file).num_row_groups)
    ]
    assert max(group.total_byte_size for group in groups) <= 50_000
    assert min(group.num_rows for group in groups[:-1]) >= 20
    assert {group.column(1).compression for group in groups} == {"ZSTD"}
    assert all(file.stat().st_size >= 300_000 for file in files[:-1])
    read = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert read == [{name: row[name] for name in SCHEMA.names} for row in rows(900)]


def test_a_row_larger_than_a_row_group_has_one_of_its_own(tmp_path):
    long = [*rows(2, 10), *rows(1, 5000), *rows(2, 10)]
    write_data_set(long, tmp_path / "data", "train", SCHEMA, row_group_bytes=1000)
    (file,) = data_files(tmp_path / "data" / "train.parquet")
    metadata = pq.read_metadata(file)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [2, 1, 2]


def test_what_fails_half_way_leaves_the_data_set_as_it_was(tmp_path):
    def broken():
        yield from rows(200)
        raise RuntimeError("killed")

    write_data_set(rows(3), tmp_path / "data", "train", SCHEMA)
    with pytest.raises(RuntimeError, match="killed"):
        write_data_set(broken(), tmp_path / "data", "train", SCHEMA, row_group_bytes=10_000)
    assert [file.name for file in tmp_path.rglob("*.*")] == ["train-00000-of-00001.parquet"]
    assert pq.read_table(data_files(tmp_path / "data" / "train.parquet")).num_rows == 3


def test_a_data_set_without_one_of_its_parts_is_none(tmp_path):
    write_data_set(rows(900), tmp_path, "train", SCHEMA, row_group_bytes=50_000, file_bytes=300_000)
    write_data_set_beside = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), write_data_set_beside)
    assert list(data_sets(tmp_path)) == ["train", "other"]
    data_files(tmp_path / "train.parquet")[1].unlink()
    assert list(data_sets(tmp_path)) == ["other"]
    assert data_files(tmp_path / "train.parquet") == []
    assert not is_place(tmp_path / "train.parquet")


def test_its_parts_are_read_as_one_by_our_loader_and_by_that_of_datasets(tmp_path):
    write_data_set(rows(900), tmp_path / "data", "train", SCHEMA, row_group_bytes=50_000, file_bytes=300_000)
    loaded = load_source(DataSource(str(tmp_path / "data" / "train.parquet"), domain="math", language="en"), "sft")
    assert loaded["prompt"] == [row["prompt"] for row in rows(900)]
    assert load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache")).num_rows == 900
