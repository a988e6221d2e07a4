import datetime
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trl_r1.errors import DataError
from trl_r1.trace import Trace, read_traces, trace_schema, write_traces


TRACE = Trace(
    prompt_id="p1",
    prompt="等于多少？",
    completion="<think>a\n\nb</think> \\boxed{7}",
    solution="7",
    domain="math",
    language="zh",
    rewards={"math_accuracy": 1.0, "choice_accuracy": None},
    model="runs/r1/model",
    sampling={"temperature": 1.0, "stop": ["a", "b"]},
    finish_reason="length",
    n_tokens=12,
    seed=2**40,
    step=3,
    extra={"tests": {"functional": "assert True"}, "options": ["A", "B"]},
)


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    bare = Trace(prompt_id="p2", prompt="", completion="")
    assert write_traces(tmp_path / "new" / "shard.parquet", [TRACE, bare]) == 2
    assert list(read_traces(tmp_path / "new" / "shard.parquet")) == [TRACE, bare]


def test_what_the_samples_of_a_prompt_share_is_stored_and_held_once(tmp_path):
    """Tests of a program may be megabytes."""
    tests = np.random.default_rng(0).bytes(3 << 20).hex()
    traces = [replace(TRACE, completion=str(i), extra={"tests": tests}) for i in range(8)]
    shard = tmp_path / "shard.parquet"
    write_traces(shard, traces)
    assert shard.stat().st_size < 2 * len(tests)
    read = list(read_traces(shard))
    assert read == traces
    assert len({id(trace.extra["tests"]) for trace in read}) == 1
    read[0].extra["more"] = 1
    assert "more" not in read[1].extra


def test_an_empty_shard_has_the_schema_of_a_full_one(tmp_path):
    assert write_traces(tmp_path / "a.parquet", []) == 0
    write_traces(tmp_path / "b.parquet", [TRACE])
    assert pq.read_schema(tmp_path / "a.parquet") == pq.read_schema(tmp_path / "b.parquet") == trace_schema()
    assert list(read_traces(tmp_path / "a.parquet")) == []


def test_a_folder_is_read_in_the_order_of_names_and_without_half_written_files(tmp_path):
    for name in ("b", "a", "c"):
        write_traces(tmp_path / f"{name}.parquet", [replace(TRACE, prompt_id=name)])
    (tmp_path / ".d.parquet.99.tmp").write_bytes(b"half")
    (tmp_path / ".e.parquet").write_bytes(b"half")
    assert [trace.prompt_id for trace in read_traces(tmp_path)] == ["a", "b", "c"]


def test_a_write_that_fails_leaves_the_old_shard_and_no_rest(tmp_path):
    path = tmp_path / "shard.parquet"
    write_traces(path, [TRACE])
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_traces(path, [replace(TRACE, n_tokens="many")])
    assert list(read_traces(path)) == [TRACE]
    assert [p.name for p in tmp_path.iterdir()] == ["shard.parquet"]


def test_numbers_of_numpy_and_values_json_does_not_know_are_written(tmp_path):
    odd = replace(
        TRACE,
        rewards={"a": np.float32(0.5), "b": float("nan")},
        extra={"n": np.int64(3), "v": np.arange(2), "day": datetime.date(2025, 1, 20), "s": {"y", "x"}},
    )
    write_traces(tmp_path / "a.parquet", [odd])
    (back,) = read_traces(tmp_path / "a.parquet")
    assert back.rewards == {"a": 0.5, "b": None}
    assert back.extra == {"n": 3, "v": [0, 1], "day": "2025-01-20", "s": ["x", "y"]}


def test_columns_of_others_are_left_out_and_missing_ones_take_their_defaults(tmp_path):
    table = pa.table({"prompt_id": ["p"], "prompt": ["q"], "completion": ["c"], "mine": [1]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(read_traces(tmp_path / "a.parquet")) == [Trace(prompt_id="p", prompt="q", completion="c")]


def test_what_is_no_shard_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.*found nothing"):
        list(read_traces(tmp_path / "nowhere"))
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"text\.parquet"):
        list(read_traces(tmp_path / "text.parquet"))
    pq.write_table(pa.table({"prompt": ["q"]}), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet.*prompt_id, completion"):
        list(read_traces(tmp_path / "rows.parquet"))
    newer = trace_schema().with_metadata({"trl_r1.trace": "2"})
    pq.write_table(pa.Table.from_pylist([], schema=newer), tmp_path / "newer.parquet")
    with pytest.raises(DataError, match=r"newer\.parquet.*version 1, found version 2"):
        list(read_traces(tmp_path / "newer.parquet"))


def test_nested_fields_are_json_that_others_can_read(tmp_path):
    write_traces(tmp_path / "a.parquet", [TRACE])
    row = pq.read_table(tmp_path / "a.parquet").to_pylist()[0]
    assert json.loads(row["rewards"]) == TRACE.rewards
    assert "等" in row["prompt"]
