import gzip
import json
import logging

import pytest
from datasets import Dataset, DatasetDict

from trl_r1.data import DataSource, load_prompts, load_rows, parse_sources, prompt_id, read_solution
from trl_r1.data.rows import columns_of
from trl_r1.errors import DataError


GSM8K = [
    {"question": "How many clips did Natalia sell altogether?", "answer": "She sold <<48+24=72>>72 clips.\n#### 72"},
    {"question": "How much did Weng earn for babysitting?", "answer": "Weng earned 10.\n#### 1,010"},
]
MATH = [
    {
        "problem": "What is the degree of the polynomial?",
        "answer": "\\frac{4}{3}",
        "difficulty": 3.0,
        "type": "Algebra",
    },
    {"problem": "Where is the function continuous?", "answer": "", "difficulty": 5.0, "type": "Algebra"},
]
CMATH = [{"grade": 1, "question": "小勇拍皮球，第一次拍了77下，第二次拍了多少下？", "answer": "68"}]
LEETCODE = [{"problem": "Complete `twoSum`.", "solutions": "class Solution: ...", "tests": {"functional": "check(x)"}}]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "gsm8k.jsonl").write_text("\n".join(map(json.dumps, GSM8K)))
    (tmp_path / "math.json").write_text(json.dumps(MATH))
    with gzip.open(tmp_path / "cmath.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(json.dumps(row, ensure_ascii=False) for row in CMATH))
    (tmp_path / "leetcode.json").write_text(json.dumps(LEETCODE))
    return tmp_path


def columns(*rows):
    return Dataset.from_list(list(rows))


def test_gsm8k_math_cmath_and_leetcode_come_out_as_rows_of_one_form(files):
    dataset = load_prompts(
        [
            {
                "path": str(files / "gsm8k.jsonl"),
                "prompt_column": "question",
                "solution_column": "answer",
                "domain": "math",
            },
            {
                "path": str(files / "math.json"),
                "prompt_column": "problem",
                "solution_column": "answer",
                "domain": "math",
            },
            {"path": str(files / "cmath.jsonl.gz"), "prompt_column": "question", "solution_column": "answer"},
            {"path": str(files / "leetcode.json"), "prompt_column": "problem", "domain": "code", "language": "en"},
        ]
    )
    assert dataset["solution"] == ["72", "1,010", "\\frac{4}{3}", None, "68", None]
    assert dataset["source"] == ["gsm8k", "gsm8k", "math", "math", "cmath", "leetcode"]
    assert dataset["domain"] == ["math"] * 4 + ["cmath", "code"]
    assert dataset["language"] == ["en", "en", "en", "en", "zh", "en"]
    assert dataset[0]["prompt"] == GSM8K[0]["question"]
    assert dataset[5]["tests"] == {"functional": "check(x)"}
    assert dataset[2]["difficulty"] == 3.0
    assert dataset[0]["prompt_id"] == prompt_id("math", GSM8K[0]["question"])


def test_a_language_column_is_taken_and_its_gaps_are_detected(tmp_path):
    rows = [{"prompt": "What is the sum of these numbers?", "lang": None}, {"prompt": "hello", "lang": "fr"}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = load_prompts([{"path": str(tmp_path / "x.jsonl"), "language_column": "lang"}])
    assert dataset["language"] == ["en", "fr"]


@pytest.mark.parametrize("form", ["parquet", "csv", "saved", "saved_dict"])
def test_other_formats_on_disk(tmp_path, form):
    rows = columns(
        {"prompt": "one?", "solution": "1", "language": "en"}, {"prompt": "two?", "solution": "2", "language": "en"}
    )
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        rows.to_parquet(path)
    elif form == "csv":
        rows.to_csv(path)
    elif form == "saved":
        rows.save_to_disk(path)
    else:
        DatasetDict(train=rows, test=rows.select([1])).save_to_disk(path)
    assert load_prompts([{"path": str(path)}])["solution"] == ["1", "2"]
    if form == "saved_dict":
        assert load_prompts([{"path": str(path), "split": "test"}])["solution"] == ["2"]


def test_rows_without_a_prompt_are_left_out_and_counted(tmp_path, caplog):
    rows = [{"prompt": "one?"}, {"prompt": ""}, {"prompt": None}, {"prompt": "  "}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with caplog.at_level(logging.WARNING):
        dataset = load_prompts([{"path": str(tmp_path / "x.jsonl")}])
    assert dataset["prompt"] == ["one?"]
    assert "3 of 4 rows have no prompt" in caplog.text


def test_a_question_that_occurs_twice_is_kept_once(tmp_path):
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"prompt": p}) for p in ["a?", "b?", "a?"]))
    assert load_prompts([{"path": str(tmp_path / "x.jsonl")}])["prompt"] == ["a?", "b?"]


def test_a_limit_takes_a_seeded_choice_and_a_larger_one_contains_it(tmp_path):
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"prompt": f"{i}?"}) for i in range(100)))
    load = lambda limit, seed=0: load_prompts([{"path": str(tmp_path / "x.jsonl"), "limit": limit}], seed)["prompt"]  # noqa: E731
    ten = load(10)
    assert len(ten) == 10
    assert ten == load(10)
    assert set(ten) < set(load(30))
    assert ten != load(10, seed=1)
    assert ten != [f"{i}?" for i in range(10)]
    assert ten == sorted(ten, key=lambda prompt: int(prompt[:-1]))  # in the order of the file


def test_columns_of_one_name_and_different_types_stand_together_as_text(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": "a?", "grade": 1, "tests": {"x": [1]}}))
    (tmp_path / "b.jsonl").write_text(json.dumps({"prompt": "b?", "grade": "two", "tests": [1, 2]}))
    dataset = load_prompts([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")])
    assert dataset["grade"] == ["1", "two"]
    assert [json.loads(each) for each in dataset["tests"]] == [{"x": [1]}, [1, 2]]


def test_messages_with_one_turn_are_a_prompt_and_longer_talks_are_left_out(tmp_path):
    talk = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "bye"},
    ]
    rows = [{"prompt": [{"role": "user", "content": "one?"}]}, {"prompt": talk}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_prompts([str(tmp_path / "x.jsonl")])["prompt"] == ["one?"]


def test_sft_and_preference_rows(tmp_path):
    row = {
        "prompt": "one?",
        "response": "<think>a</think>b",
        "chosen": "good",
        "rejected": "bad",
        "source": "elsewhere",
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    sft = load_rows([{"path": str(tmp_path / "x.jsonl"), "completion_column": "response"}], "sft")
    assert sft[0]["completion"] == "<think>a</think>b"
    assert sft[0]["source"] == "x"
    pairs = load_rows([str(tmp_path / "x.jsonl")], "preference")
    assert (pairs[0]["chosen"], pairs[0]["rejected"]) == ("good", "bad")
    assert "solution" not in pairs.column_names


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ("so 9.\n#### 18", "18"),
        (18, "18"),
        (18.0, "18"),
        (0.5, "0.5"),
        (["x^2"], "x^2"),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_reading_a_solution(solution, expected):
    assert read_solution(solution) == expected


@pytest.mark.parametrize(
    ("name", "content", "key", "message"),
    [
        ("empty.jsonl", "", "path", "empty file"),
        ("empty.json", "[]", "path", "at least one row|cannot be read"),
        ("broken.jsonl", '{"prompt": "one?"', "path", "cannot be read"),
        ("rows.xlsx", "x", "path", "expected a file that ends in"),
        ("blank.jsonl", '{"prompt": " "}', "prompt_column", "expected rows with text"),
        ("other.jsonl", '{"text": "one?"}', "prompt_column", "no column 'prompt'; the columns are 'text'"),
    ],
)
def test_a_wrong_file_is_named_with_the_key_and_what_was_expected(tmp_path, name, content, key, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        load_prompts([str(tmp_path / name)])
    assert error.value.key == key
    assert name in error.value.file


def test_a_missing_file_a_missing_column_and_an_unreadable_file(tmp_path):
    with pytest.raises(DataError, match="no such file") as error:
        load_prompts([str(tmp_path / "nowhere.jsonl")])
    assert "nowhere.jsonl" in str(error.value)
    (tmp_path / "x.jsonl").write_text('{"prompt": "one?"}')
    with pytest.raises(DataError, match="no column 'answer'") as error:
        load_prompts([{"path": str(tmp_path / "x.jsonl"), "solution_column": "answer"}])
    assert error.value.key == "solution_column"
    (tmp_path / "noise.parquet").write_bytes(b"\x00\x01\x02 this is no parquet")
    with pytest.raises(DataError, match="cannot be read"):
        load_prompts([str(tmp_path / "noise.parquet")])


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"path": "x", "colum": "y"}, "data[0].colum"),
        ({"name": "x"}, "data[0]"),
        ({"path": "x", "limit": "many"}, "data[0].limit"),
        ({"path": "x", "limit": 0}, "data[0].limit"),
        ({"path": "x", "share": 1.5}, "data[0].share"),
        ({"path": "x", "domain": "a", "domain_column": "b"}, "data[0].domain_column"),
        (3, "data[0]"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_key(entry, key):
    with pytest.raises(DataError) as error:
        parse_sources([entry])
    assert error.value.key == key


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(DataError, match="two sources are named 'x'"):
        parse_sources(["a/x.jsonl", "b/x.parquet"])
    assert [s.label for s in parse_sources(["a/x.jsonl.gz", "org/y@main", DataSource("z")])] == ["x", "y", "z"]


def test_a_row_whose_answer_is_a_number_among_rows_whose_answer_is_text(tmp_path):
    rows = [{"prompt": "a?", "solution": 5}, {"prompt": "b?", "solution": "1/2"}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_prompts([str(tmp_path / "x.jsonl")])["solution"] == ["5", "1/2"]


def test_messages_of_one_turn_each_are_prompt_and_completion_in_one_column(tmp_path):
    user, model = {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "<think>easy</think>2"}
    talks = [[user, model], [user, model, user, model], [{"role": "system", "content": "be brief"}, user, model]]
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"messages": talk}) for talk in talks))
    source = DataSource(str(tmp_path / "x.jsonl"), prompt_column="messages", completion_column="messages")
    rows = load_rows([source], "sft")
    assert (rows["prompt"][:], rows["completion"][:]) == (["1 + 1?"], ["<think>easy</think>2"])


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.jsonl.gz", "a.parquet", "saved", "folder"])
def test_the_columns_of_a_source_are_known_without_its_rows(tmp_path, name):
    rows = Dataset.from_list([{"prompt": "1+1?", "solution": "2"}, {"prompt": "1+2?", "solution": "3"}])
    path = tmp_path / name
    if name == "saved":
        rows.save_to_disk(path)
    elif name == "folder":
        path.mkdir()
        rows.to_json(path / "train.jsonl")
    elif name == "a.json":
        path.write_text('[{"prompt": "1+1?", "solution": "2"}]')
    elif name == "a.jsonl.gz":
        path.write_bytes(gzip.compress(b'{"prompt": "1+1?", "solution": "2"}\n'))
    else:
        {"a.jsonl": rows.to_json, "a.csv": rows.to_csv, "a.parquet": rows.to_parquet}[name](path)
    assert columns_of(DataSource(str(path))) == ["prompt", "solution"]


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", "\n"), ("a.json", "[]"), ("a.csv", "prompt,solution\n")])
def test_a_source_without_a_row_has_no_columns(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="expected at least one row"):
        columns_of(DataSource(str(tmp_path / name)))
