import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from trl_r1.builders import RejectionConfig, build_rejection
from trl_r1.builders.outputs import SFT_COLUMNS
from trl_r1.errors import ConfigError, DataError, StageError
from trl_r1.sampling import Sample
from trl_r1.trace import Trace, write_traces

from .fakes import Scripted, read_data_set, sampling, write_rows


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
        {"prompt": f"What is {n} plus 0?", "solution": str(n), "domain": "math", "language": "en", "tests": "hidden"}
        for n in range(3, 6)
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
    rows = read_data_set(tmp_path / "out").to_pylist()
    assert len(rows) == 6
    assert rows[0]["prompt"] == "What is 3 plus 0?"
    assert rows[0]["completion"] == RIGHT % 3
    assert (rows[0]["solution"], rows[0]["domain"], rows[0]["language"]) == ("3", "math", "en")
    assert rows[0]["source"] == "prompts"


def test_rows_tell_where_they_come_from(config, tmp_path):
    config.data[0]["license"] = "mit"
    config.messages = True
    build_rejection(sampling(n_samples=6, seed=3), config, engine=model())
    row = read_data_set(tmp_path / "out").to_pylist()[0]
    assert {key: row[key] for key in ("source", "license", "model", "n_tokens", "pass_rate")} == {
        "source": "prompts",
        "license": "mit",
        "model": "dev2",
        "n_tokens": 10,
        "pass_rate": 4 / 6,
    }
    assert json.loads(row["rewards"]) == {"math_accuracy": 1.0}
    assert row["seed"] is not None
    assert set(row) == {*SFT_COLUMNS, "messages"}, "nothing else of the prompt's row, such as the tests of a program"
    assert row["messages"] == [
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["completion"]},
    ]
    statistics = json.loads((tmp_path / "out" / "selection.json").read_text())["statistics"]
    assert statistics["domains"] == {
        "math": {"samples": 6, "rounds": 1.0, "tokens": 12.5},
        "total": {"samples": 6, "rounds": 1.0, "tokens": 12.5},
    }


def test_rejected_samples_stand_beside_with_their_reasons(config, tmp_path):
    config.rejected_per_reason = 3
    build_rejection(sampling(n_samples=6), config, engine=model())
    rows = read_data_set(tmp_path / "out", "rejected").to_pylist()
    reasons = Counter(row["reason"] for row in rows)
    assert reasons == {"truncated": 3, "unjudged": 3, "wrong": 3, "language": 3, "duplicate": 3}
    # At even distances, not the first ones: of five unjudged samples of the last prompt, the second, fourth and fifth.
    assert [row["n_tokens"] for row in rows if row["reason"] == "unjudged"] == [11, 14, 15]
    assert {row["finish_reason"] for row in rows if row["reason"] == "truncated"} == {"length"}
    config.rejected_per_reason = None
    build_rejection(sampling(n_samples=6), config, engine=model())
    assert read_data_set(tmp_path / "out", "rejected").num_rows == 18
    config.rejected_per_reason = 0
    build_rejection(sampling(n_samples=6), config, engine=model())
    assert not list((tmp_path / "out" / "rejected").iterdir())


def test_rules_and_form_are_the_config_s(config, tmp_path):
    config.rules = {"max_per_prompt": 1, "prefer": "shortest", "min_language_share": None}
    config.form = "|x|{thought}|x|{answer}"
    build_rejection(sampling(n_samples=6), config, engine=model())
    rows = read_data_set(tmp_path / "out").to_pylist()
    assert [row["completion"][:10] for row in rows] == ["|x|I add t"] * 3
    config.form = "{answer} since {thought}"
    build_rejection(sampling(n_samples=6), config, engine=model())
    answer_first = read_data_set(tmp_path / "out").to_pylist()
    for row, other in zip(rows, answer_first, strict=True):
        thought, answer = row["completion"].removeprefix("|x|").split("|x|")
        assert other["completion"] == f"{answer} since {thought}"
    selection = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert selection["rejected"]["capped"] == 6


def test_a_prompt_of_an_evaluation_is_not_sampled_and_told_by_its_name(config, tmp_path):
    exam = write_rows(tmp_path / "rows.jsonl", {"prompt": "what is 4 plus 0"}, {"prompt": "Who was it?"})
    config.held_out = [{"path": exam, "name": "exam"}, {"path": exam}]
    engine = model()
    build_rejection(sampling(n_samples=6), config, engine=engine)
    assert engine.asked == ["What is 3 plus 0?", "What is 5 plus 0?", "Prove it."]
    found = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert (found["seen"], "contaminated" in found["rejected"]) == (18, False)
    contamination = found["contamination"]
    assert (contamination["prompts"], contamination["contaminated"]) == (4, 1)
    assert list(contamination["by_set"]) == ["exam", "rows"]
    (example,) = contamination["by_set"]["exam"]["examples"]
    assert (example["words"], example["share"]) == ("what is 4 plus 0", 1.0)


def test_where_every_prompt_is_an_evaluation_s_nothing_is_sampled(config, tmp_path):
    config.held_out = config.data
    config.data = config.data[:1]
    engine = model()
    with pytest.raises(DataError, match="every prompt overlaps"):
        build_rejection(sampling(n_samples=6), config, engine=engine)
    assert engine.asked == []


def test_what_another_data_set_has_is_not_kept_again(config, tmp_path):
    other = {"prompt": "what is 4 plus 0?", "completion": RIGHT % 4}
    config.against = [{"path": write_rows(tmp_path / "first.jsonl", other)}]
    build_rejection(sampling(n_samples=6), config, engine=model())
    found = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert (found["kept"], found["rejected"]["duplicate"]) == (5, 4)


def test_words_are_not_counted_again_where_a_reward_has_counted_them(config, monkeypatch):
    counted = []
    monkeypatch.setattr("trl_r1.selection.reasons.word_counts", lambda text, _: counted.append(text) or {"en": 1})
    func = "trl_r1.rewards.LanguageConsistency"
    config.rewards.append({"func": func, "args": {"languages": ["en", "zh"]}})
    config.rules = {"languages": ["en", "zh"]}
    selection = build_rejection(sampling(n_samples=6), config, engine=model())
    assert selection.counts["language"] == 3
    assert counted == []
    config.rules = {"languages": ["en", "de"]}
    build_rejection(sampling(n_samples=6), config, engine=model())
    assert len(counted) == 12


def test_a_killed_builder_goes_on_and_ends_with_the_same_data(config, tmp_path):
    build_rejection(sampling(n_samples=6), config, engine=model())
    whole = read_data_set(tmp_path / "out")
    (tmp_path / "out" / "traces" / "00001.parquet").unlink()
    shutil.rmtree(tmp_path / "out" / "data")
    again = model()
    build_rejection(sampling(n_samples=6), config, engine=again)
    assert read_data_set(tmp_path / "out").equals(whole)
    assert sorted(again.asked) == ["Prove it.", "What is 5 plus 0?"]


def test_where_nothing_is_kept_the_reasons_are_told(config, tmp_path):
    with pytest.raises(
        StageError, match=r"none of 8 was kept: unjudged 2, wrong 6(.|\n)*wrong: a larger `n_samples`, or"
    ):
        build_rejection(sampling(n_samples=2), config, engine=Scripted(lambda question, i: RIGHT % 77))
    assert json.loads((tmp_path / "out" / "selection.json").read_text())["kept"] == 0
    assert not (tmp_path / "out" / "data").exists()


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


def test_rollouts_of_a_training_count_as_samples_and_are_scored_anew_and_once(config, tmp_path):
    known = {"domain": "math", "language": "en", "finish_reason": "stop", "n_tokens": 20, "model": "dev2", "step": 3}
    rollouts = [
        Trace("p", "What is 3 plus 0?", f"<think>I try it {i}.</think> \\boxed{{{i}}}", solution="3", **known)
        for i in range(3, 5)
    ]
    write_traces(
        tmp_path / "rollouts" / "step3.parquet", [replace(t, rewards={"math_accuracy": 1.0}) for t in rollouts]
    )
    config.samples_from = [{"path": str(tmp_path / "rollouts"), "name": "dev2/rollouts"}]
    build_rejection(sampling(n_samples=6), config, engine=model())
    selection = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert (selection["seen"], selection["kept"], selection["rejected"]["wrong"]) == (26, 7, 4)
    rows = read_data_set(tmp_path / "out").to_pylist()
    assert rows[0]["completion"] == rollouts[0].completion
    # Alone, they need neither prompts nor a model; scored once, they are not scored again.
    config.data, config.model_name_or_path = [], None
    taken = tmp_path / "out" / "traces" / "taken-00000.parquet"
    before = taken.stat().st_ino
    build_rejection(sampling(), config)
    assert [row["completion"] for row in read_data_set(tmp_path / "out").to_pylist()] == [rollouts[0].completion]
    assert taken.stat().st_ino == before
    config.rewards = [{"func": "trl_r1.rewards.MathAccuracy", "args": {"decimal_comma": True}}]
    build_rejection(sampling(), config)
    assert taken.stat().st_ino != before


def test_samples_that_are_not_there_are_missed_before_anything_is_sampled(config, tmp_path):
    config.samples_from = [{"path": str(tmp_path / "rollouts")}]
    nobody = model()
    with pytest.raises(DataError, match="expected a parquet shard of traces"):
        build_rejection(sampling(), config, engine=nobody)
    assert nobody.asked == []
