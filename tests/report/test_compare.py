"""Several runs on one page, and the page of a large run."""

import json
import re

import pytest

from tests.benchmarks.report_size import make_large_run
from tests.report.told_run import make_told_run
from trl_r1.lineage import read_run
from trl_r1.report import write_report
from trl_r1.report.compare import are_seeds, evaluations_of, mean_of, names_of
from trl_r1.report.curves import curves_of
from trl_r1.report.tables import best_of, t_quantile
from trl_r1.scores import Score


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("compare")
    return [make_told_run(home / f"seed{seed}", seed=seed, rise=0.1 * seed) for seed in (1, 2, 3)]


def plain(page):
    html = re.sub(r"<(script|style).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S)
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def data_of(page):
    html = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="charts">(.*?)</script>', html, re.S)[1])


def test_seeds_of_one_recipe_are_one_line_with_a_band(runs):
    page = write_report(*runs)
    assert page == runs[0] / "comparison.html"
    text = plain(page)
    assert "one recipe, seeds 1, 2, 3" in text
    (chart,) = [c for c in data_of(page) if c["title"] == "Reward, all together" and len(c["lines"]) == 2]
    assert [line["label"] for line in chart["lines"]] == ["r1-zero", "language-control"]
    (_, low, high), (_, mean) = chart["lines"][0]["band"][0], chart["lines"][0]["points"][0]
    assert (high - low, mean - low) == (pytest.approx(0.2, abs=1e-3), pytest.approx(0.1, abs=1e-3))
    assert "Line: mean over seeds. Band: from the lowest to the highest seed." in text
    assert not (runs[0] / "report.html").exists(), "the run's own page is another"


def test_other_runs_stand_side_by_side(runs, tmp_path):
    other = make_told_run(tmp_path / "other")
    recipe = (other / "recipe.yaml").read_text().replace("name: playground\n", "name: mine\n", 1)
    (other / "recipe.yaml").write_text(recipe)
    assert not are_seeds([read_run(runs[0]), read_run(other)])
    page = write_report(runs[0], other)
    text = plain(page)
    assert "seed1 and other: comparison" in text
    assert "r1, seed1" in text
    assert "r1, other" in text
    chart = next(c for c in data_of(page) if c["title"] == "Reward, all together")
    assert [line["label"] for line in chart["lines"]][:3] == [
        "seed1: r1-zero",
        "other: r1-zero",
        "seed1: language-control",
    ]


def test_means_over_seeds_have_their_standard_error_and_each_seed():
    found = mean_of({"a": {"pass@1": 0.5, "pass@1_stderr": 0.1}, "b": {"pass@1": 0.7}, "c": {"hard": {"pass@1": 0.2}}})
    assert found["pass@1"] == pytest.approx(0.6)
    assert found["pass@1_stderr"] == pytest.approx(0.1), "over the seeds: the spread of .5 and .7 over the root of 2"
    assert found["pass@1_by_seed"] == {"a": 0.5, "b": 0.7}
    assert found["hard"]["pass@1"] == 0.2


@pytest.mark.parametrize(("freedom", "quantile"), [(2, 4.303), (4, 2.776), (8, 2.306), (30, 2.042)])
def test_a_few_seeds_are_compared_by_the_t_distribution(freedom, quantile):
    assert t_quantile(freedom) == pytest.approx(quantile, rel=0.04)


def test_of_seeds_that_scatter_none_is_best_that_is_not_apart():
    def over(*values):
        return mean_of({str(seed): {"format": value} for seed, value in enumerate(values)})

    models = {"a": over(0.90, 0.94, 0.98), "b": over(0.84, 0.88, 0.92), "c": over(0.10, 0.11, 0.12)}
    gap, error = 0.06, (2 * 0.04**2 / 3) ** 0.5
    assert 1.8 * error < gap < 2.7 * error
    assert best_of(Score("format", ""), models) == {"a", "b"}


def test_runs_of_equal_names_are_told_apart(tmp_path):
    runs = [read_run(make_told_run(tmp_path / name / "run", steps=12)) for name in ("one", "two")]
    assert names_of(runs) == ["one/run", "two/run"]
    assert not are_seeds(runs), "the same seed twice is no second seed"
    assert set(evaluations_of(runs, ["x", "y"], False)["scores"]) >= {"r1, x", "r1, y"}


def test_a_run_that_lacks_a_stage_is_compared_in_the_others(runs, tmp_path):
    short = make_told_run(tmp_path / "short", seed=9)
    (short / "r1-zero" / "trainer_state.json").unlink()
    trained = {each.name: each for each in curves_of([read_run(runs[0]), read_run(short)], ["a", "b"])}
    chart = trained["r1-zero, language-control"].charts[0]
    assert [line.label for line in chart.lines] == ["a: r1-zero", "a: language-control", "b: language-control"]


@pytest.mark.slow
def test_a_large_run_has_a_page_of_at_most_three_megabytes(tmp_path):
    run = make_large_run(tmp_path / "run", steps=10_000, rollouts=100_000, shards=500)
    page = write_report(run)
    assert page.stat().st_size < 3e6
    assert "taken evenly over the training" in plain(page)


def test_an_ordinary_page_is_at_most_one_and_a_half_megabytes(runs):
    assert write_report(runs[0]).stat().st_size < 1.5e6
    (runs[0] / "report.html").unlink()
