"""What a cell becomes, row by row; and where a path leads."""

import json
import logging

import datasets
import pytest
from datasets import Dataset

from trl_r1.data import DataSource, load_prompts, load_rows, prompt_id, read_solution
from trl_r1.data.rows import load_source
from trl_r1.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(*rows, name="x"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("a #### 7 \n", "7"),
        (["18"], "18"),
        (["18", "19"], '["18", "19"]'),
        ({"é": 1}, '{"é": 1}'),
        (3.0, "3"),
        (2.5, "2.5"),
        (0, "0"),
        ("  x ", "x"),
        ("   ", None),
        ("", None),
        ([], None),
        (None, None),
        ([None], None),
    ],
)
def test_a_reference_answer_is_text(cell, text):
    assert read_solution(cell) == text


def test_a_limit_keeps_the_order_of_the_file_and_has_the_seed_0_where_none_is_given(write):
    path = write(*({"prompt": f"{i}?"} for i in range(50)))
    source = DataSource(path=path, limit=10)
    chosen = load_prompts([source])["prompt"]
    assert chosen == sorted(chosen, key=lambda prompt: int(prompt[:-1]))
    assert chosen == load_prompts([source], 0)["prompt"]
    assert chosen == load_rows([source], "prompts")["prompt"] == load_rows([source], "prompts", 0)["prompt"]
    assert chosen == load_source(source)["prompt"] == load_source(source, "prompts", 0)["prompt"]
    assert load_prompts([DataSource(path=path, limit=50)])["prompt"] == [f"{i}?" for i in range(50)]


def test_prompts_that_all_differ_are_no_reason_for_a_warning(write, caplog):
    with caplog.at_level(logging.WARNING):
        load_prompts([write_source(write, {"prompt": "a?"}, {"prompt": "b?"})])
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        load_prompts([write_source(write, {"prompt": "a?"}, {"prompt": "b?"}, {"prompt": "a?"})])
    assert "1 prompts occur more than once" in caplog.text


def write_source(write, *rows, **keys):
    return DataSource(path=write(*rows), **keys)


def test_a_domain_is_the_source_s_then_the_row_s_then_the_name_of_the_source(write):
    rows = [{"prompt": "a?", "domain": "law"}, {"prompt": "b?", "domain": None}]
    assert load_prompts([write_source(write, *rows)])["domain"] == ["law", "x"]
    assert load_prompts([write_source(write, *rows, domain="math")])["domain"] == ["math", "math"]


def test_a_row_s_own_id_is_kept_and_a_missing_one_is_made(write):
    rows = [{"prompt": "a?", "prompt_id": "7"}, {"prompt": "b?", "prompt_id": None}]
    assert load_prompts([write_source(write, *rows)])["prompt_id"] == ["7", prompt_id("x", "b?")]


def turns(*roles):
    return [{"role": role, "content": f"{role} {i}"} for i, role in enumerate(roles)]


def test_of_messages_the_prompt_is_the_only_user_s_turn_and_the_completion_the_last_assistant_s(write):
    rows = [
        {"m": turns("user", "assistant")},
        {"m": turns("user")},
        {"m": turns("system", "user", "assistant")},
        {"m": turns("user", "assistant", "user", "assistant")},
        {"m": turns("user", "assistant", "assistant")},
        {"m": []},
    ]
    source = write_source(write, *rows, prompt_column="m", completion_column="m")
    found = load_rows([source], "sft")
    assert found["prompt"] == ["user 0", "user 0"]
    assert found["completion"] == ["assistant 1", "assistant 2"]


def test_of_what_is_used_where_it_is_there_an_empty_cell_is_none(write):
    rows = [{"prompt": "a?", "completion": "b"}, {"prompt": "c?", "completion": "  "}]
    found = load_rows([write_source(write, *rows)], "general")
    assert found["completion"] == ["b", None]
    assert found["thought"] == [None, None]


def test_a_column_that_is_named_must_be_there_and_one_that_is_not_need_not(write):
    assert load_prompts([write_source(write, {"prompt": "a?"})])["solution"] == [None]
    with pytest.raises(DataError) as error:
        load_prompts([write_source(write, {"prompt": "a?"}, solution_column="gold")])
    assert error.value.key == "solution_column"


@pytest.mark.parametrize("path", ["rows.jsonl", "org/rows.parquet", "org/rows.jsonl.gz", "rows", "a/b/c"])
def test_a_path_that_cannot_be_a_name_on_the_hub_is_a_missing_file(path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **keys: pytest.fail("it was looked for on the Hub"))
    with pytest.raises(DataError, match=r"no (such )?file or folder"):
        load_prompts([{"path": path}])


@pytest.mark.parametrize(
    ("path", "revision"), [("org/rows", None), ("org/rows-v1.5", None), ("org/rows@abc", "abc"), ("rows@abc", "abc")]
)
def test_a_name_on_the_hub_is_asked_for_with_its_revision_config_and_split(path, revision, monkeypatch):
    asked = []

    def load_dataset(*args, **keys):
        asked.append((args, keys))
        return Dataset.from_list([{"prompt": "a?"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_prompts([{"path": path, "config": "main", "split": "test"}])["prompt"] == ["a?"]
    assert asked == [((path.partition("@")[0], "main"), {"split": "test", "revision": revision})]


def test_a_row_that_is_left_out_takes_no_other_with_it(write):
    rows = [{"prompt": "a?"}, {"prompt": None}, {"prompt": "b?"}]
    assert load_prompts([write_source(write, *rows)])["prompt"] == ["a?", "b?"]


def test_columns_of_different_types_become_text_as_it_is_written(write, caplog):
    first = write({"prompt": "a?", "note": "é", "level": 1}, name="first")
    second = write({"prompt": "b?", "note": {"word": "é"}, "level": 2}, {"prompt": "c?", "note": None}, name="second")
    with caplog.at_level(logging.WARNING):
        found = load_prompts([{"path": first}, {"path": second}])
    assert found["note"] == ["é", '{"word": "é"}', None]
    assert found["level"] == [1, 2, None]
    assert "column 'note' has different types" in caplog.text
    assert "level" not in caplog.text


def test_how_many_rows_have_no_solution_is_said(write, caplog):
    rows = [{"prompt": "a?", "solution": "1"}, {"prompt": "b?", "solution": ""}, {"prompt": "c?", "solution": None}]
    with caplog.at_level(logging.INFO, logger="trl_r1"):
        load_prompts([write_source(write, *rows)])
    assert "2 of 3 rows have no solution" in caplog.text


def test_what_cannot_be_read_says_why(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"x\.jsonl.*cannot be read: \w+: \S+"):
        load_prompts([{"path": str(tmp_path / "x.jsonl")}])

    def load_dataset(*args, **keys):
        raise ValueError("a generated error") from OSError("the disk is gone")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match="cannot be read: OSError: the disk is gone"):
        load_prompts([{"path": str(tmp_path / "x.jsonl")}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **keys: 1 / 0)
    with pytest.raises(DataError, match="cannot be read: ZeroDivisionError: division by zero"):
        load_prompts([{"path": str(tmp_path / "x.jsonl")}])


def test_a_folder_is_read_as_a_saved_data_set_only_where_it_is_one(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text('{"prompt": "a?"}')
    assert load_prompts([{"path": str(tmp_path / "rows")}])["prompt"] == ["a?"]


def test_the_id_of_a_prompt_is_the_one_that_earlier_runs_wrote_down():
    assert prompt_id("math", "What is 1 + 1?") == "6fa1bcf3305646af"
    assert prompt_id("logic", "What is 1 + 1?") != prompt_id("math", "What is 1 + 1?")
