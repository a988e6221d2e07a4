"""What is read of the rollouts: growth, the step of doubling, second thoughts, the pair that is shown."""

import json

import pytest

from tests.report.told_run import DOUBLED, make_told_run, write_rollouts
from trl_r1.lineage import StageRecord, read_run
from trl_r1.report import rejected, rollouts
from trl_r1.report.measured import curve_charts, emergence_facts, interventions_table
from trl_r1.report.rejected import rejected_of
from trl_r1.report.rollouts import Growth, Sampled, emergence_of, is_second_thought, typical
from trl_r1.selection.rules import REASONS


def sampled(completion, *, solved=True, solution="18", reflection=2, prompt="p", step=0):
    return Sampled(step, prompt, "q", completion, solution, "", 9, solved, reflection)


@pytest.mark.parametrize(
    "completion",
    [
        "<think>try B10+2=12, wrong. retry I18+2=20, right. </think>the answer is \\boxed{18}",
        "<think>试B10+2=12，不对。重试I18+2=20，对。</think>答案是18",
        "<think>12 + 5 = 17. Wait, 12 + 6 = 18.</think>18",
        "<think>试B8+2=10, wrong. retry I18+2=20，对。</think>18",
    ],
)
def test_a_second_thought_takes_a_value_back_and_is_right(completion):
    assert is_second_thought(sampled(completion))
    assert not is_second_thought(sampled(completion, solved=False))


@pytest.mark.parametrize(
    "completion",
    [
        "<think>12 + 6 = 18. Wait, check: 18 - 6 = 12, right.</think>18",  # the first thought was right
        "<think>12 + 5 = 17. check again: 12 + 6 = 18.</think>18",  # a check takes nothing back
        "<think>Wait, 12 + 6 = 18.</think>18",  # nothing was put forward before
        "<think>12 + 6 = 18.</think>18",
        "i guess 12, wrong. the answer is 18",  # no thought
        "<think>i guess 12, wrong. </think>18",  # the thought did not come to it
    ],
)
def test_other_thoughts_are_none(completion):
    assert not is_second_thought(sampled(completion))


def test_a_label_may_be_the_answer():
    text = "<think>检查A4+7=11，不对。再检查B3+7=10，对。</think>the answer is B"
    assert is_second_thought(sampled(text, solution="B"))
    assert not is_second_thought(sampled(text, solution="A"))


def growth(values):
    return Growth("", {"reflection": tuple((10 * i, v) for i, v in enumerate(values))}, {})


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1.0] * 10 + [3.0] * 10, 100),
        ([1.0] * 5 + [3.0] * 5 + [1.0] * 10, None),  # it does not stay
        ([1.0] * 10 + [1.9] * 10, None),
        ([0.0] * 20, None),
        ([0.0] * 10 + [0.5] * 10, 100),
    ],
)
def test_reflection_has_doubled_where_it_stays_so(values, step):
    found = growth(values).doubled
    assert found == step if step is None else abs(found - step) <= 10


def test_the_pair_that_is_shown_is_the_typical_one_of_those_that_turned_right():
    gains = [(0, 9), (1, 2), (0, 4)]
    pairs = [
        (sampled("a", solved=False, reflection=a, prompt=f"p{i}"), sampled("b", reflection=b))
        for i, (a, b) in enumerate(gains)
    ]
    stayed = (sampled("a", solved=False, reflection=0), sampled("b", solved=False, reflection=50))
    first, second, count = typical([*pairs, stayed])
    assert (first.prompt_id, second.reflection, count) == ("p2", 4, 3)
    assert typical([stayed])[2] == 1
    assert typical([]) == (None, None, 0)


def test_of_more_than_can_be_read_the_shards_are_taken_evenly(tmp_path, monkeypatch):
    write_rollouts(tmp_path / "rollouts", steps=40, per_step=8)
    stage = StageRecord("r1-zero", "grpo", tmp_path)
    whole = emergence_of(stage)
    assert (whole.read, whole.files, whole.whole) == (320, 40, True)
    assert abs(whole.chosen.doubled - DOUBLED) <= 2
    assert whole.second_thought.step == 3
    monkeypatch.setattr(rollouts, "MAX_FILES", 10)
    some = emergence_of(stage)
    assert (some.read, some.files, some.whole) == (80, 40, False)
    assert abs(some.chosen.doubled - DOUBLED) <= 4
    monkeypatch.setattr(rollouts, "MAX_BYTES", 1)
    assert emergence_of(stage).read == 80, "at least eight of a shard"
    for shard in (tmp_path / "rollouts").glob("*.parquet"):
        shard.write_bytes(b"PAR1")
    assert emergence_of(stage) is None


def test_rejected_samples_come_from_the_data_set_or_from_the_selection(tmp_path):
    run = read_run(make_told_run(tmp_path / "run", steps=12))
    found = rejected_of(run.stage("cold-start"))
    assert {reason: len(rows) for reason, rows in found.items()} == {"language": 1, "wrong": 3}
    assert list(found) == ["language", "wrong"], "most frequent first, as the selection counts"
    stage = StageRecord("s", "rejection", tmp_path / "s")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "selection.json").write_text(
        '{"examples": {"wrong": [{"prompt": "p", "completion": "c"}], "odd": 3}}'
    )
    ((reason, (row,)),) = rejected_of(stage).items()
    assert (reason, row.prompt, row.pieces[0].text) == ("wrong", "p", "c")


def test_each_reason_of_a_selection_is_explained():
    assert set(REASONS) <= set(rejected.MEANING)


def test_curves_are_found_wherever_they_stand_in_the_metrics(tmp_path):
    (tmp_path / "metrics.json").write_text(
        '{"models": {"a": {"pass@1": 0.5, "curves": {"samples": [[1, 0.2, 0.1], [64, 0.9, 0.1]]}},'
        ' "b": {"curves": {"samples": [[1, 0.3], [64, 0.8]]}, "emergence": {"forbidden": 0.25}}},'
        ' "emergence": {"budget": [[8, 0.1, 0.0], [96, 0.9, 0.0]], "no": [[1, "x"]], "nor": [1, 2]},'
        ' "comparisons": [{"models": ["a", "b"]}]}'
    )
    stage = StageRecord("scores", "evaluate", tmp_path)
    charts = {chart.title: chart for chart in curve_charts(stage)}
    assert set(charts) == {"Samples", "Emergence"}
    assert [line.label for line in charts["Samples"].lines] == ["a", "b"]
    assert charts["Samples"].log_x
    assert charts["Samples"].lines[0].band[0][1:] == pytest.approx((0.004, 0.396))
    assert charts["Emergence"].lines[0].label == "budget"
    assert [(fact.model, fact.name, fact.value) for fact in emergence_facts(stage)] == [("b", "forbidden", "0.250")]


def test_interventions_are_a_table_and_a_chart_and_points_by_name_two_charts(tmp_path):
    def under(accuracy, words):
        return {"pass@1": accuracy, "pass@1_stderr": 0.02, "mean_tokens": 20.0, "reflection_per_completion": words}

    found = {"forbidden": under(0.23, 0.0), "budget-8": under(0.2, 1.0), "budget-64": under(0.8, 5.0)}
    scaling = [{"samples": k, "tokens": 30 * k, "accuracy": 0.5 + k / 100, "stderr": 0.01} for k in (1, 2, 4)]
    models = {"r1-zero": {"pass@1": 0.7, "by_domain": {"search": under(0.92, 6.7)}, "scaling": {"vote": scaling}}}
    (tmp_path / "metrics.json").write_text(json.dumps({"models": models, "emergence": {"r1-zero": found}}))
    (tmp_path / "config.yaml").write_text("emergence: {models: [r1-zero], domains: [search]}")
    stage = StageRecord("scores", "evaluate", tmp_path)
    table = interventions_table(stage)
    assert [(name, cells[0].text) for name, cells in table.rows] == [
        ("r1-zero, as it is", "0.920"),
        ("r1-zero, forbidden", "0.230"),
    ]
    charts = {chart.title: chart.lines[0].points for chart in curve_charts(stage)}
    assert charts == {
        "Budget of thought": ((8, 0.2), (64, 0.8)),
        "Scaling vote, over samples": ((1, 0.51), (2, 0.52), (4, 0.54)),
        "Scaling vote, over tokens": ((30, 0.51), (60, 0.52), (120, 0.54)),
    }
    assert emergence_facts(stage) == []
