"""Options in columns of their own, prompts in several columns, and rows chosen by value."""

import json

import pytest

from trl_r1.data import load_prompts
from trl_r1.errors import DataError
from trl_r1.rewards import choice_accuracy


@pytest.fixture
def source(tmp_path):
    rows = [
        {"Question": f"What is {n}+1?", "Right": str(n + 1), "Wrong 1": str(n), "Wrong 2": str(n + 2), "level": n % 3}
        for n in range(30)
    ]
    path = tmp_path / "gpqa.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {
        "prompt_column": "Question",
        "solution_column": "Right",
        "options_columns": ["Right", "Wrong 1", "Wrong 2"],
    }
    return {"path": str(path), "domain": "stem", "language": "en", **columns}


def test_options_stand_under_the_question_and_the_gold_is_a_letter(source):
    rows = load_prompts([source])
    assert rows["prompt"][0].startswith("What is 0+1?\n\nA) ")
    for row in rows:
        options = json.loads(row["options"])
        n = int(row["prompt"].removeprefix("What is ").partition("+")[0])
        assert options[row["solution"]] == str(n + 1)
        assert f"\n{row['solution']}) {n + 1}\n" in row["prompt"]
    assert len(set(rows["solution"])) == 3  # the first of the data set is not the first of each question
    assert rows["prompt"] == load_prompts([source], seed=7)["prompt"]
    answers = [f"<think>.</think>The answer is {letter}." for letter in rows["solution"]]
    paid = choice_accuracy(completions=answers, solution=rows["solution"], options=rows["options"])
    assert paid == [1.0] * len(rows)


@pytest.mark.parametrize("solution", [1, "B", "two"])
def test_a_list_of_options_with_its_number_letter_or_text(tmp_path, solution):
    path = tmp_path / "list.jsonl"
    row = {"context": "One and one.", "query": "How many?", "choices": ["one", "two", "three"], "gold": solution}
    path.write_text(json.dumps(row) + "\n")
    columns = {"prompt_column": ["context", "query"], "options_columns": ["choices"], "solution_column": "gold"}
    (found,) = load_prompts([{"path": str(path), "domain": "logic", **columns}])
    assert found["prompt"].startswith("One and one.\n\nHow many?\n\nA) ")
    assert json.loads(found["options"])[found["solution"]] == "two"


def test_rows_are_chosen_by_value(source):
    assert len(load_prompts([{**source, "where": {"level": [0, "1"]}}])) == 20
    with pytest.raises(DataError, match="expected rows with these values"):
        load_prompts([{**source, "where": {"level": "Level 1"}}])
    with pytest.raises(DataError, match="there is no column 'lvl'"):
        load_prompts([{**source, "where": {"lvl": 1}}])
