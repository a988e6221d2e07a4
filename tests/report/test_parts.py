import itertools
import json
import math
import sys
from types import SimpleNamespace

import pytest

from tests.run_dirs import make_run
from trl_r1.kinds import Curve, StageKind, kind_of, known_kinds
from trl_r1.lineage import read_run
from trl_r1.report.answers import questions_of
from trl_r1.report.chart import MAX_LINES, Chart, Line, over_seeds, thin, thin_band
from trl_r1.report.curves import curves_of, history_charts
from trl_r1.report.graph import Edge, edges_of, lineage_svg
from trl_r1.report.page import render
from trl_r1.report.tables import comparison_tables, domain_tables, hard_table, score_table, selections_of, sizes_of
from trl_r1.report.texts import HEAD, TAIL, pieces_of
from trl_r1.scores import number, scores_of, show, show_duration
from trl_r1.trace import Trace, write_traces


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(make_run(tmp_path_factory.mktemp("parts") / "run", steps=20))


@pytest.mark.parametrize(
    ("completion", "pieces"),
    [
        ("<think>a</think>b", [("tag", "<think>"), ("thought", "a"), ("tag", "</think>"), ("answer", "b")]),
        ("a</think>b", [("thought", "a"), ("tag", "</think>"), ("answer", "b")]),
        ("<think>a", [("tag", "<think>"), ("thought", "a")]),
        (
            "x<think>a</think>b",
            [("answer", "x"), ("tag", "<think>"), ("thought", "a"), ("tag", "</think>"), ("answer", "b")],
        ),
        ("no thought", [("answer", "no thought")]),
        ("", []),
        (
            "a</think>b</think>c",
            [("thought", "a"), ("tag", "</think>"), ("answer", "b"), ("tag", "</think>"), ("answer", "c")],
        ),
    ],
)
def test_a_completion_is_cut_into_thought_and_answer_and_loses_nothing(completion, pieces):
    assert [(piece.kind, piece.text) for piece in pieces_of(completion)] == pieces
    assert "".join(text for _, text in pieces) == completion


def test_every_model_answers_the_same_prompts_and_the_choice_is_always_the_same(run):
    questions = questions_of(run)
    assert len(questions) == 6
    assert {q.domain for q in questions} == {"math", "table", "general"}
    for question in questions:
        assert [model for model, _ in question.answers] == ["base", "r1-zero", "dev1", "dev2", "dev3", "r1"]
        assert all(answer is not None for _, answer in question.answers)
    assert questions == questions_of(run)
    sums = [q for q in questions if q.solution]
    assert {a.verdict for q in sums for _, a in q.answers} == {"right", "wrong"}
    assert {a.verdict for q in questions if not q.solution for _, a in q.answers} == {""}


def test_a_model_that_was_not_asked_is_shown_as_such_and_long_texts_are_cut_in_the_middle(tmp_path):
    home = tmp_path / "scores"
    long = "<think>" + "a" * 50_000 + "</think>end"
    write_traces(home / "traces" / "m1-00000.parquet", [Trace("p", "q", long, model="m1", rewards={"x": None})])
    (home / "metrics.json").write_text('{"models": {"m1": {"pass@1": 1.0}, "m2": {"pass@1": 0.0}}}')
    (home / "config.yaml").write_text("seed: 1\n")
    (question,) = questions_of(read_run(tmp_path))
    (_, one), (_, two) = question.answers
    assert two is None
    thought = {piece.kind: piece.text for piece in one.pieces}["thought"]
    assert f"{50_000 - HEAD - TAIL:,} characters left out" in thought
    assert len(thought) < HEAD + TAIL + 100
    assert one.rewards == (("x", None),)


@pytest.mark.parametrize(
    ("rewards", "verdict"),
    [
        ({"math_accuracy": 1.0, "choice_accuracy": None}, "right"),
        ({"code_accuracy": 0.5}, "wrong"),
        ({"math_accuracy": 1.0, "code_accuracy": 0.5}, "wrong"),
        ({"math_accuracy": None, "think_format": 1.0}, ""),
    ],
)
def test_an_answer_is_right_where_it_is_solved(tmp_path, rewards, verdict):
    write_traces(
        tmp_path / "scores" / "traces" / "m-00000.parquet", [Trace("p", "q", "c", model="m", rewards=rewards)]
    )
    (tmp_path / "scores" / "metrics.json").write_text('{"models": {"m": {"pass@1": 1.0}}}')
    (tmp_path / "scores" / "config.yaml").write_text("seed: 1\n")
    (question,) = questions_of(read_run(tmp_path))
    assert question.answers[0][1].verdict == verdict


def test_curves_stand_in_panels_and_a_nan_leaves_a_gap():
    history = [
        {"step": 1, "reward": 0.5, "rewards/math_accuracy/mean": 0.5, "rewards/think_format/mean": float("nan")},
        {"step": 2, "reward": 0.6, "rewards/math_accuracy/mean": 0.7, "rewards/think_format/mean": 0.9, "kl": None},
        {"step": 2, "reward": 0.65},
        {"step": 3, "train_runtime": 5.0},
    ]
    panels = {panel.title: panel for panel in history_charts(kind_of("grpo").curves, history)}
    assert set(panels) == {"Reward, all together", "Reward by kind, unweighted", "Format"}
    assert panels["Reward, all together"].lines[0].points == ((1, 0.5), (2, 0.65))
    by_kind = {line.label: line.points for line in panels["Reward by kind, unweighted"].lines}
    assert by_kind == {"math_accuracy": ((1, 0.5), (2, 0.7)), "think_format": ((2, 0.9),)}
    assert history_charts(kind_of("grpo").curves, []) == []
    history = [{"step": 1, "loss": 1.0, "loss/gsm8k": 2.0}]
    assert [panel.title for panel in history_charts(kind_of("sft").curves, history)] == ["Loss", "Loss by source"]


def test_a_star_is_a_line_for_each_key_it_matches_whatever_the_case():
    curve = Curve("t", ("all", "part/*/x", "other"), labels=("everything",))
    history = [
        {"step": 1, "part/B/x": 1.0, "part/a/b/x": 2.0, "PART/C/x": 3.0, "part/x": 9.0, "all": 4.0, "other": 5.0}
    ]
    (panel,) = history_charts([curve], history)
    lines = {line.label: line.points for line in panel.lines}
    assert lines == {
        "everything": ((1, 4.0),), "other": ((1, 5.0),), "B": ((1, 1.0),), "a/b": ((1, 2.0),), "C": ((1, 3.0),)
    }  # fmt: skip


def test_of_more_curves_than_colours_the_largest_are_drawn_and_the_rest_counted():
    domains = {f"solve_rate/d{i:02}": i / 20 for i in range(MAX_LINES + 3)}
    history = [{"step": 1, "solve_rate": 0.01, **domains}, {"step": 2, **domains}]
    (panel,) = history_charts(kind_of("grpo").curves, history)
    largest = [f"d{i:02}" for i in reversed(range(4, MAX_LINES + 3))]
    assert [line.label for line in panel.lines] == ["all", *largest]
    assert panel.left_out == 4
    words = {f"reflection/w{i}": 3.0 if i == 7 else 0.0 for i in range(20)}
    (panel,) = history_charts(kind_of("grpo").curves, [{"step": 1, **words}])
    assert [line.label for line in panel.lines] == ["w7"], "words that were never used have no line"
    assert history_charts(kind_of("grpo").curves, [{"step": 1, **dict.fromkeys(words, 0.0)}]) == []


@pytest.mark.parametrize(("value", "summary"), [(0.5, "0.50"), (0.005, "0.0050"), (5e-7, "0.00000050"), (0.0, "0.00")])
def test_a_small_value_is_shown_with_more_digits(value, summary):
    (panel,) = history_charts([Curve("t", ("x",))], [{"step": 1, "x": value}])
    assert panel.summary == summary
    (panel,) = history_charts([Curve("t", ("x",), share=True)], [{"step": 1, "x": value}])
    assert panel.summary == f"{value:.2f}"


@pytest.mark.parametrize("kind", [kind for kind in known_kinds() if kind_of(kind).trains])
def test_each_kind_that_trains_says_what_is_drawn_of_it(kind):
    assert kind_of(kind).curves


def test_no_stage_that_trains_lacks_its_curves_without_a_word(tmp_path, monkeypatch):
    log = [{"step": 1, "loss": 2.0, "learning_rate": 1e-6, "mine": 3.0}]
    kinds = {
        "declared": StageKind(("m:C",), ("model",), trains=True, curves=(Curve("Mine", ("mine",)), Curve("No", ("no",)))),
        "wrong": StageKind(("m:C",), ("model",), trains=True, curves=(Curve("No", ("no",)),)),
        "silent": StageKind(("m:C",), ("model",), trains=True),
        "other": StageKind(("m:C",), ("model",)),
        "quiet": StageKind(("m:C",), ("model",)),
        "waiting": StageKind(("m:C",), ("model",), trains=True),
    }  # fmt: skip
    for name, kind in kinds.items():
        monkeypatch.setitem(sys.modules, f"about.{name}", SimpleNamespace(STAGE=kind))
    stages = [{"name": name, "kind": f"about.{name}"} for name in [*kinds, "gone"]]
    (tmp_path / "recipe.yaml").write_text(json.dumps({"name": "r", "stages": stages}))
    for name in ("declared", "wrong", "silent", "other", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    found = {
        each.name: ([panel.title for panel in each.charts], each.empty) for each in curves_of([read_run(tmp_path)])
    }
    general = ["Loss", "Learning rate"]
    assert found == {
        "declared": (["Mine"], ("No",)),
        "wrong": (general, ("No",)),
        "silent": (general, ()),
        "other": (general, ()),
        "waiting": ([], ()),
        "gone": (general, ()),
    }


@pytest.mark.parametrize(
    "points",
    [
        ((1, 0.5),),
        ((5, 0.0), (6, 0.0)),
        ((1, -3.0), (2, 1e6)),
        ((1, 1e-9), (2, 3e-9)),
        tuple((i, math.sin(i)) for i in range(20_000)),
    ],
    ids=["one point", "all zero", "wide", "tiny", "many"],
)
def test_what_is_drawn_of_any_curve_is_short_and_finite_json(points):
    band = tuple((x, y - 1, y + 1) for x, y in points)
    chart = Chart("<t>", (Line("a&b", points, band, scale=2.0),), share=True, marks=((points[0][0], "here"),))
    text = json.dumps(chart.to_json(), allow_nan=False)
    assert len(text) < 20_000
    drawn = json.loads(text)
    assert drawn["lines"][0]["points"][0][0] == pytest.approx(points[0][0], abs=60)
    assert drawn["share"] is (min(y for _, y in points) >= 0 and max(y for _, y in points) <= 2)


def test_over_seeds_a_curve_is_its_mean_with_the_range_at_the_steps_that_all_have():
    points, band = over_seeds([[(1, 0.1), (2, 0.2), (3, 0.9)], [(1, 0.3), (2, 0.2)], []])
    assert points == ((1, pytest.approx(0.2)), (2, 0.2))
    assert band == ((1, 0.1, 0.3), (2, 0.2, 0.2))
    assert over_seeds([[(1, 0.5)]]) == (((1, 0.5),), ()), "one run has no range"


def test_a_long_run_is_thinned():
    points = tuple((i, 2.0) for i in range(10_400))
    assert len(thin(points)) == 240
    assert {y for _, y in thin(points)} == {2.0}
    assert len(thin_band([(x, 1.0, 3.0) for x, _ in points])) == 240


def test_the_lineage_goes_from_left_to_right_without_evaluations(run):
    edges = edges_of(run)
    assert Edge("playground", "dev3", "model") in edges, "the second fine-tuning starts from the base"
    assert Edge("dev2", "reasoning-data", "samples") in edges
    assert Edge("preference", "r1", "reward") in edges
    assert Edge("general-data", "dev3", "data") in edges
    assert not [edge for edge in edges if edge.target == "scores"]
    svg = lineage_svg(run)
    assert svg.count('class="node') == 10
    assert svg == lineage_svg(run)


def test_scores_are_ordered_and_only_what_was_measured_is_a_column():
    models = [{"pass@16": 0.9, "pass@1": 0.5, "cons@8": 0.7, "pass@4": 0.8, "format": float("nan")}]
    assert [score.key for score in scores_of(models)] == ["pass@1", "pass@4", "pass@16", "cons@8"]
    assert score_table({}) is None
    assert score_table({"a": {"note": "x"}}) is None
    assert number(True) is None
    assert [show(None), show(float("inf")), show(1234.5, 1), show(0.25)] == ["—", "—", "1,234.5", "0.250"]
    assert [show_duration(s) for s in (3.21, 48, 723, 7500, 2e5, None)] == [
        "3.2 s",
        "48 s",
        "12 min 03 s",
        "2 h 05 min",
        "2 d 7 h",
        "—",
    ]


def test_nothing_is_best_where_all_are_equal_or_alone():
    equal = score_table({"a": {"pass@1": 0.5}, "b": {"pass@1": 0.5}})
    alone = score_table({"a": {"pass@1": 0.5}, "b": {}})
    tokens = score_table({"a": {"mean_tokens": 5}, "b": {"mean_tokens": 9}})
    assert not [cell for table in (equal, alone, tokens) for _, cells in table.rows for cell in cells if cell.best]


def test_the_best_are_all_that_cannot_be_told_apart_from_it():
    def marked(models, comparisons=()):
        table = score_table(models, comparisons)
        return {(name, s.key) for name, cells in table.rows for s, cell in zip(table.columns, cells) if cell.best}

    models = {
        "a": {"pass@1": 0.9, "pass@1_stderr": 0.001, "format": 0.98, "format_stderr": 0.01, "truncated": 0.3},
        "b": {"pass@1": 0.8, "pass@1_stderr": 0.001, "format": 0.96, "format_stderr": 0.01, "truncated": 0.1},
        "c": {"pass@1": 0.7, "pass@1_stderr": 0.001, "format": 0.90, "format_stderr": 0.01, "truncated": 0.2},
    }
    others = {("a", "format"), ("b", "format"), ("b", "truncated")}
    assert marked(models) == {("a", "pass@1"), *others}
    pairs = [{"models": ["b", "a"], "p_value": 0.2}, {"models": ["a", "c"], "p_value": 0.01}]
    assert marked(models, pairs) == {("a", "pass@1"), ("b", "pass@1"), *others}, "paired, they are not told apart"


def test_columns_of_one_value_are_folded():
    models = {"a": {"pass@1": 0.5, "truncated": 0.0}, "b": {"pass@1": 0.6, "truncated": 0.0}}
    table = score_table(models)
    assert [column.key for column in table.columns] == ["pass@1"]
    assert [(score.key, value) for score, value in table.folded] == [("truncated", "0.000")]
    assert score_table({"a": {"truncated": 0.0}, "b": {"truncated": 0.0}}).columns, "one column stays"


def test_domains_and_hard_prompts_have_tables_of_their_own(run):
    models = run.evaluations()["scores"]
    ((score, table),) = domain_tables(models)
    assert score.key == "pass@1"
    assert [column.title for column in table.columns] == ["math", "table"]
    assert domain_tables({"a": {"by_domain": {"math": {"pass@1": 0.3}}}}) == []
    whole = {"pass@1": 0.3, "pass@1_stderr": 0.1, "mean_tokens": 9.0, "reflection_per_completion": 2.5}
    found = domain_tables({"a": {"by_domain": {"math": whole, "code": {"mean_tokens": 4.0}}}})
    assert [score.key for score, _ in found] == ["mean_tokens"], "what one domain alone has is no table"
    assert [column.title for column in hard_table(models).columns] == ["hard prompts", "pass@1", "pass@4", "cons@4"]
    assert hard_table({"a": {"pass@1": 1.0}}) is None


def test_an_evaluation_tells_on_how_many_prompts_it_rests():
    equal, more = {"n_prompts": 240, "n_samples": 960}, {"n_prompts": 240, "n_samples": 4800}
    assert sizes_of({"a": equal, "b": equal}) == "240 prompts, 960 samples"
    assert sizes_of({"a": equal, "b": more, "c": {}}) == "240 prompts, 960 to 4,800 samples"
    assert sizes_of({"a": {"n_samples": float("nan")}}) == ""


def test_what_a_builder_kept_and_rejected_adds_up_in_order_of_frequency(run):
    rejection = next(s for s in selections_of(run) if s.stage == "reasoning-data")
    assert [bar.label for bar in rejection.bars[:3]] == ["kept", "wrong", "duplicate"]
    assert rejection.bars[0].percent == 60.0
    assert sum(bar.percent for bar in rejection.bars) == pytest.approx(100.0)


def test_neighbours_are_compared_and_the_last_with_the_first():
    pairs = [("base", "mid"), ("base", "last"), ("mid", "last")]
    numbers = {"n_prompts": 30, "difference": 0.25, "difference_stderr": 0.05, "p_value": 0.00312}
    first, others = comparison_tables([{"models": list(pair), **numbers} for pair in pairs])
    assert [name for name, _ in first.rows] == ["base → mid", "mid → last", "base → last"]
    assert others is None
    assert first.rows[0][1][0].text == "+0.250"
    assert [(score.heading, value) for score, value in first.folded] == [("p", "0.0031"), ("problems", "30")]
    four = [{"models": [a, b], **numbers} for a, b in itertools.combinations(("a", "b", "c", "d"), 2)]
    assert [name for name, _ in comparison_tables(four)[1].rows] == ["a → c", "b → d"]
    assert comparison_tables([]) == (None, None)


def test_an_evaluation_on_several_data_sets_is_one_for_each(tmp_path):
    run_dir = make_run(tmp_path / "run", steps=20)
    record = read_run(run_dir)
    stage = next(stage for stage in record.stages if stage.metrics.get("models"))
    models = {name: {"by_source": {"aime": {"pass@1": 0.5}, "math": {"pass@1": 0.7}}} for name in ("base", "r1")}
    pair = {"models": ["base", "r1"], "n_prompts": 2, "difference": 0.1, "difference_stderr": 0.0, "p_value": 1.0}
    metrics = {"models": models, "comparisons": [], "comparisons_by_source": {"aime": [pair], "math": []}}
    (run_dir / stage.name / "metrics.json").write_text(json.dumps(metrics))
    record = read_run(run_dir)
    names = [name for name in record.evaluations() if name.startswith(f"{stage.name}/")]
    assert names == [f"{stage.name}/aime", f"{stage.name}/math"]
    assert record.evaluations()[names[1]]["r1"] == {"pass@1": 0.7}
    assert record.evaluated_on(names[0]) == "aime"
    assert record.comparisons(names[0]) == [pair]
    assert "more than chance" in render(record)
