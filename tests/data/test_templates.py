import pyarrow as pa
import pytest
from datasets import Dataset

from trl_r1 import cores
from trl_r1.builders.dataset import write_data_set
from trl_r1.data import load_rows, load_sft, parallel, render
from trl_r1.data_files import data_files
from trl_r1.errors import ConfigError, DataError


ROW = {
    "prompt": "1+1?",
    "completion": "<think>a</think>2",
    "chosen": "2",
    "rejected": "3",
    "solution": "2",
    "domain": "math",
}


@pytest.fixture
def dataset():
    return Dataset.from_list([ROW])


def test_grpo_rows_hold_the_rendered_prompt_and_the_question(dataset):
    row = render(dataset, "grpo", "Q: {prompt} A:")[0]
    assert row["prompt"] == "Q: 1+1? A:"
    assert row["question"] == "1+1?"
    assert row["solution"] == "2"
    assert render(dataset, "grpo", "chat")[0]["prompt"] == [{"role": "user", "content": "1+1?"}]
    assert render(dataset, "grpo", "r1_zero")[0]["prompt"].endswith("User: 1+1?. Assistant:")


def test_sft_rows_are_plain_or_conversational_as_the_template_is(dataset):
    assert render(dataset, "sft", "plain")[0]["completion"] == "<think>a</think>2"
    row = render(dataset, "sft", "chat")[0]
    assert row["prompt"] == [{"role": "user", "content": "1+1?"}]
    assert row["completion"] == [{"role": "assistant", "content": "<think>a</think>2"}]


def test_reward_rows_hold_the_prompt_before_each_answer(dataset):
    row = render(dataset, "reward", "Q: {prompt} A: ")[0]
    assert (row["chosen"], row["rejected"]) == ("Q: 1+1? A: 2", "Q: 1+1? A: 3")
    assert "prompt" not in row
    row = render(dataset, "reward", "chat")[0]
    assert row["rejected"] == [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "3"}]


def test_a_template_without_a_place_for_the_prompt_is_refused(dataset):
    with pytest.raises(ConfigError) as error:
        render(dataset, "grpo", "nothing")
    assert error.value.key == "prompt_template"


COLUMNS = ("prompt", "completion", "source", "domain", "language", "prompt_id")


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_a_data_set_in_parts_is_rendered_in_one_pass_to_what_reading_and_rendering_give(
    template, tmp_path, monkeypatch
):
    schema = pa.schema([(name, pa.string()) for name in ("prompt", "answer", "language", "messages")])
    rows = [
        {"prompt": f"what is {i} ?", "answer": None if i == 5 else f"it is {i}", "language": "en", "messages": "x"}
        for i in range(40)
    ]
    write_data_set(rows, tmp_path, "train", schema, row_group_bytes=300, file_bytes=2000)
    assert len(data_files(tmp_path / "train.parquet")) > 1
    monkeypatch.setattr(parallel, "ROWS_PER_PROCESS", 10)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    source = {"path": str(tmp_path / "train.parquet"), "name": "math", "completion_column": "answer"}
    one_pass = load_sft([source], template, COLUMNS)
    two = render(load_rows([source], "sft"), "sft", template).select_columns(COLUMNS)
    assert one_pass.to_list() == two.to_list()
    assert len(one_pass) == 39
    assert one_pass.features == two.features
    both = load_sft([source, {**source, "name": "limited", "limit": 3}], template, COLUMNS)
    assert (both["source"][:39], set(both["source"][39:])) == (["math"] * 39, {"limited"})
    # Other rows under the same name are read anew.
    write_data_set(rows[:7], tmp_path, "train", schema)
    assert len(load_sft([source], template, COLUMNS)) == 6


def test_what_a_data_set_in_parts_lacks_is_told_by_its_key(tmp_path):
    source = {"path": str(tmp_path / "train.parquet")}
    write_data_set([{"prompt": "what ?"}], tmp_path, "train", pa.schema([("prompt", pa.string())]))
    with pytest.raises(DataError) as error:
        load_sft([source], "plain", COLUMNS)
    assert error.value.key == "completion_column"
    schema = pa.schema([("prompt", pa.string()), ("completion", pa.string())])
    write_data_set([{"prompt": "what ?"}], tmp_path, "train", schema)
    with pytest.raises(DataError, match=r"expected rows with text in 'prompt', 'completion', got none among 1"):
        load_sft([source], "plain", COLUMNS)
