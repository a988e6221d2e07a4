"""The protocol of the claims: what it names is there, and what it calls shown is shown."""

import itertools
import math
import re

import pytest
import yaml

from tests.benchmarks.claims import __main__ as claims
from tests.benchmarks.claims.measures import LOGGED, METRICS, votes
from tests.benchmarks.claims.rewards import DrawnByLot, LenientFormat
from tests.benchmarks.claims.tables import Interval, claims_table, interval, tricks_table, verdict
from trl_r1.recipe import load_recipe
from trl_r1.trace import Trace


PROTOCOL = yaml.safe_load((claims.HERE / "protocol.yaml").read_text())


def test_every_measure_is_one_of_a_stage_that_is_evaluated():
    stages = {
        part: {s.name: s for s in load_recipe(claims.HERE / f"{part}.yaml").stages} for part in ("world", "tricks")
    }
    scored = {part: {"base", *found["scores"].model} for part, found in stages.items()}
    for claim in PROTOCOL["claims"]:
        part = claim.get("part", "world")
        for measure in itertools.chain(
            *(re.split(" [-/] ", claim[key]) for key in ("effect", "control") if key in claim)
        ):
            if logged := re.fullmatch(r"log\.([\w-]+)\.(.+)\.(first|last)", measure):
                assert stages[part][logged[1]].kind == "grpo", measure
                assert logged[2] in LOGGED
            else:
                model, *_, metric = measure.split(".")
                assert model in scored[part], measure
                assert metric in (*METRICS, "cons@10"), measure
    for trick in PROTOCOL["tricks"]:
        assert {trick["arm"], trick["against"]} <= scored["tricks"], trick


def test_student_t_over_the_seeds():
    found = interval("a - b", {str(i): {"a": x, "b": 1.0} for i, x in enumerate((2.0, 4.0, 6.0))})
    assert (found.mean, found.half) == (3.0, pytest.approx(4.303 * 2 / math.sqrt(3)))
    ratio = interval("a / b", {"1": {"a": 4.0, "b": 1.0}, "2": {"a": 1.0, "b": 1.0}, "3": {"a": 1.0}})
    assert str(ratio).startswith("2.00x [")
    assert len(ratio.values) == 2
    assert interval("a - c", {"1": {"a": 1.0}}) is None


@pytest.mark.parametrize(
    ("expected", "effect", "control", "said"),
    [
        ("rises", (0.5, 0.6, 0.55), None, "shown"),
        ("rises", (0.5, 0.6, 0.55), (0.5, 0.6, 0.55), "no difference shown"),
        ("rises", (0.5, 0.6, 0.55), (0.0, 0.1, 0.0), "shown"),
        ("falls", (0.5, 0.6, 0.55), None, "the contrary"),
        ("falls", (-0.5, 0.6, 0.0), None, "no difference shown"),
        ("keeps", (0.01, -0.01, 0.0), None, "shown"),
        ("keeps", (-0.01, -0.05, 0.0), None, "not shown"),
        ("rises", (0.5,), None, "no difference shown"),
    ],
)
def test_what_counts_as_shown(expected, effect, control, said):
    claim = {"expected": expected, "margin": 0.03}
    assert verdict(claim, Interval(effect), Interval(control) if control else None) == said


def test_tables_of_runs_and_of_none():
    measures = {measure: 0.5 for claim in PROTOCOL["claims"] for key in ("effect", "control") if key in claim
                for measure in re.split(" [-/] ", claim[key])}  # fmt: skip
    seeds = {str(seed): measures for seed in (1, 2)}
    runs = {"world": seeds, "tricks": seeds}
    two, three = dict.fromkeys(runs, (1, 2)), dict.fromkeys(runs, (1, 2, 3))
    assert "not run" not in claims_table(PROTOCOL["claims"], runs, two)
    assert "no difference shown" in claims_table(PROTOCOL["claims"], runs, two)
    assert "no difference shown" not in claims_table(PROTOCOL["claims"], runs, three)
    assert claims_table(PROTOCOL["claims"], {}, two).count("not run") == len(PROTOCOL["claims"])
    assert tricks_table(PROTOCOL["tricks"], {}, 2).count("not run") == len(PROTOCOL["tricks"])


def test_a_control_is_taken_within_the_same_runs():
    claim = {
        "claim": "it rises",
        "paper": "",
        "effect": "a - b",
        "control": "c - b",
        "controlled_by": "c",
        "expected": "rises",
    }
    both, one = {"a": 0.9, "b": 0.1, "c": 0.2}, {"a": 0.8, "b": 0.1}
    table = claims_table([claim], {"world": {"1": one, "2": both}}, {"world": (1, 2)})
    assert "+0.700 | 1 | 1 of 2 seeds have all that it compares: not judged" in table
    assert "1 of 2 seeds so far" in claims_table([claim], {"world": {"2": both}}, {"world": (1, 2)})
    assert "not judged" in claims_table([claim], {"world": {"1": one}}, {"world": (1,)})


def test_a_claim_is_measured_in_the_runs_of_its_part():
    claim = {"claim": "it rises", "paper": "", "part": "tricks", "effect": "a - b", "expected": "rises"}
    runs = {"world": {"1": {"a": 0.0, "b": 0.9}}, "tricks": {"1": {"a": 0.9, "b": 0.1}, "2": {"a": 0.8, "b": 0.1}}}
    table = claims_table([claim], runs, {"world": (1,), "tricks": (1, 2)})
    assert "+0.750" in table
    assert "| 2 | shown (rises) |" in table


def test_the_page_has_the_tables_of_the_results():
    page = claims.PAGE.read_text()
    assert claims.page(page, claims.tables(PROTOCOL)) == page


def test_prompts_are_chosen_by_some_samples_and_measured_on_others():
    def samples(answers):
        return [
            Trace("p", "q", f"<think>x</think>\\boxed{{{a}}}", rewards={"math_accuracy": float(a == 1)}, sample=i)
            for i, a in enumerate(answers)
        ]

    found = votes([*samples([1] * 6 + [2] * 4 + [1] * 3 + [2] * 7)])
    assert found == {"likely.pass@1": 0.3, "likely.cons@10": 0.0}
    assert votes(samples([1] * 19)) == {}


def test_where_checking_cannot_pay_any_candidate_may_be_rewarded():
    prompts = [f"which of A4 B{n} C2 plus 3 makes a ten?" for n in range(10, 60)]
    completions = [f"<think>x</think>\\boxed{{{n}}}" for n in range(10, 60)]
    paid = DrawnByLot()(completions=completions, question=prompts, domain=["search"] * 50)
    assert 5 < sum(paid) < 30


def test_a_lenient_format_pays_what_a_strict_one_does_not():
    paid = LenientFormat()(completions=["so <think>a</think>b", "<think></think>b", "<think>a</think>", "a"])
    assert paid == [1.0, 1.0, 0.0, 0.0]
