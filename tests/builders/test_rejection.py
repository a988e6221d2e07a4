import json

import pyarrow.parquet as pq
import pytest

from trl_r1.builders import RejectionConfig, build_rejection
from trl_r1.errors import ConfigError, StageError
from trl_r1.sampling import Sample

from .fakes import Scripted, sampling, write_rows


RIGHT = "<think>I add the two numbers and check the result.</think> The answer is \\boxed{%d}."
ANSWERS = {
    0: lambda n: RIGHT % n,
    1: lambda n: RIGHT % (n + 1),  # wrong
    2: lambda n: f"<think>我先把这两个数字加起来 and then check the result again.</think> \\boxed{{{n}}}",  # mixed
    3: lambda n: f"<think>cut off at {n}",
    4: lambda n: RIGHT % n,  # the same as the first
    5: lambda n: f"<think>First I look at both numbers.</think> So it is \\boxed{{{n}}}.",
}


@pytest.fixture
def config(tmp_path):
    rows = [
        {"prompt": f"What is {n} plus 0?", "solution": str(n), "domain": "math", "language": "en"} for n in range(3, 6)
    ]
    rows.append({"prompt": "Prove it.", "solution": None, "domain": "proof", "language": "en"})
    return RejectionConfig(
        data=[{"path": write_rows(tmp_path / "prompts.jsonl", *rows)}],
        output_dir=str(tmp_path / "out"),
        model_name_or_path="dev2",
    )


def model():
    def write(question, i):
        digits = [int(word) for word in question.split() if word.isdigit()]
        return Sample(ANSWERS[i](digits[0] if digits else 0), "length" if i == 3 else "stop", 10 + i)

    return Scripted(write)


def test_right_readable_single_language_completions_are_kept_and_the_rest_is_counted(config, tmp_path):
    build_rejection(sampling(n_samples=6), config, engine=model())
    selection = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert selection["seen"] == 24
    assert selection["kept"] == 6
    assert selection["rejected"] == {"truncated": 4, "unjudged": 5, "wrong": 3, "language": 3, "duplicate": 3}
    assert selection["kept_by_domain"] == {"math": 6}
    rows = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    assert len(rows) == 6
    assert rows[0]["prompt"] == "What is 3 plus 0?"
    assert rows[0]["completion"] == RIGHT % 3
    assert (rows[0]["solution"], rows[0]["domain"], rows[0]["language"]) == ("3", "math", "en")
    assert rows[0]["source"] == "prompts"


def test_rules_and_form_are_the_config_s(config, tmp_path):
    config.rules = {"max_per_prompt": 1, "prefer": "shortest", "min_language_share": None}
    config.form = "|x|{thought}|x|{answer}"
    build_rejection(sampling(n_samples=6), config, engine=model())
    rows = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    assert [row["completion"][:10] for row in rows] == ["|x|I add t"] * 3
    config.form = "{answer} since {thought}"
    build_rejection(sampling(n_samples=6), config, engine=model())
    answer_first = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    for row, other in zip(rows, answer_first, strict=True):
        thought, answer = row["completion"].removeprefix("|x|").split("|x|")
        assert other["completion"] == f"{answer} since {thought}"
    selection = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert selection["rejected"]["capped"] == 6


def test_what_shares_a_run_of_words_with_a_held_out_prompt_is_left_out(config, tmp_path):
    config.held_out = [{"path": write_rows(tmp_path / "held_out.jsonl", {"prompt": "what is 4 plus 0"})}]
    build_rejection(sampling(n_samples=6), config, engine=model())
    rows = pq.read_table(tmp_path / "out" / "data" / "train.parquet").to_pylist()
    assert {row["prompt"] for row in rows} == {"What is 3 plus 0?", "What is 5 plus 0?"}


def test_a_killed_builder_goes_on_and_ends_with_the_same_data(config, tmp_path):
    build_rejection(sampling(n_samples=6), config, engine=model())
    whole = pq.read_table(tmp_path / "out" / "data" / "train.parquet")
    (tmp_path / "out" / "traces" / "00001.parquet").unlink()
    (tmp_path / "out" / "data" / "train.parquet").unlink()
    again = model()
    build_rejection(sampling(n_samples=6), config, engine=again)
    assert pq.read_table(tmp_path / "out" / "data" / "train.parquet").equals(whole)
    assert sorted(again.asked) == ["Prove it.", "What is 5 plus 0?"]


def test_where_nothing_is_kept_the_reasons_are_told(config, tmp_path):
    with pytest.raises(StageError, match=r"none of 8 was kept: unjudged 2, wrong 6"):
        build_rejection(sampling(n_samples=2), config, engine=Scripted(lambda question, i: RIGHT % 77))
    assert json.loads((tmp_path / "out" / "selection.json").read_text())["kept"] == 0
    assert not (tmp_path / "out" / "data" / "train.parquet").exists()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"rules": {"max_per_promt": 1}}, "rules.max_per_promt"),
        ({"rules": {"prefer": "best"}}, "rules.prefer"),
        ({"rules": {"max_per_prompt": "two"}}, "rules.max_per_prompt"),
        ({"rewards": [{"func": "trl_r1.rewards.Nothing"}]}, "rewards[0].func"),
        ({"data": [{"pth": "x"}]}, "data[0]"),
        ({"held_out": [{"pth": "x"}]}, "held_out[0]"),
    ],
)
def test_a_wrong_config_is_refused_before_anything_is_sampled(config, change, key):
    for name, value in change.items():
        setattr(config, name, value)
    nobody = model()
    with pytest.raises(ConfigError) as error:
        build_rejection(sampling(), config, engine=nobody)
    assert error.value.key == key
    assert nobody.asked == []


def test_a_form_without_a_place_for_the_thought_is_refused():
    with pytest.raises(ConfigError) as error:
        RejectionConfig(data=["x.jsonl"], output_dir="x", model_name_or_path="m", form="{answer}")
    assert error.value.key == "form"
