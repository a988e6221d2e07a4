"""Evaluations are told by name, with what is shared; what every problem has around it does not count."""

import pytest

from trl_r1.errors import ConfigError
from trl_r1.selection import HeldOut, Overlap, contaminated, select
from trl_r1.trace import Trace


FARMER = "A farmer has twelve apples and sells half of them before lunch. How many are left?"
TRAIN = "A train leaves the station at noon and travels at sixty miles an hour to the coast"
EXAMS = {"exam": [FARMER, "What is 3 + 4?"], "finals": [TRAIN, FARMER + " Explain."]}


def test_each_evaluation_is_told_with_the_words_that_are_shared():
    held_out = HeldOut(EXAMS)
    assert [match.name for match in held_out.matches(FARMER)] == ["exam", "finals"]
    both = f"{TRAIN[:60]} today. But a farmer has twelve apples and sells half of THEM, so what"
    exam, finals = held_out.matches(both)
    assert exam.words == "a farmer has twelve apples and sells half of them"
    assert finals.words == (
        "a train leaves the station at noon and travels at sixty ... a farmer has twelve apples and sells half of them"
    )
    assert held_out.matches("what is 3 + 4") == [Overlap("exam", 1.0, "what is 3 + 4")]
    assert held_out.matches("what is 3 + 5") == []


def test_a_share_of_the_runs_may_be_asked_for():
    text = f"{FARMER} And then a great many other things happen to her that no exam has ever asked anybody about."
    (match,) = HeldOut([FARMER]).matches(text)
    assert match.share == pytest.approx(7 / 25)
    for least, found in ((7 / 25, True), (0.29, False)):
        assert HeldOut([FARMER], min_share=least).overlaps(text) == found
    assert HeldOut([FARMER], min_share=1).overlaps(FARMER)
    with pytest.raises(ConfigError):
        HeldOut([], min_share=1.5)


ASKED = "Please reason step by step, and put your final answer within \\boxed{}."


def test_what_is_written_around_every_problem_does_not_count():
    held_out = HeldOut([f"{ASKED} What is 3 + 4?", f"{FARMER} {ASKED}"])
    assert not held_out.overlaps(f"How many sides has a square? {ASKED} {ASKED}")
    assert held_out.overlaps("What is 3 + 4?")  # equal but for what is left out
    assert held_out.overlaps(f"{ASKED} {FARMER}")
    assert HeldOut([f"{FARMER} {ASKED}"], boilerplate=()).overlaps(f"How many sides has a square? {ASKED}")
    own = HeldOut([f"{FARMER} Write it as a decimal"], boilerplate=["Write it as a decimal", FARMER])
    assert not own.overlaps(FARMER)
    # Whole words only: `as a decimal` is no part of `as a decimally`.
    assert HeldOut(["write it as a decimally"], boilerplate=["write it as a decimal"]).overlaps(
        "write it as a decimally"
    )


def test_a_report_counts_by_evaluation_and_quotes_a_few():
    prompts = {f"p{i}": f"{FARMER} {i}" for i in range(7)} | {"q": TRAIN, "r": "How many sides has a square?"}
    ids, told = contaminated(prompts, HeldOut(EXAMS))
    assert ids == {f"p{i}" for i in range(7)} | {"q"}
    assert (told["prompts"], told["contaminated"]) == (9, 8)
    assert {name: each["prompts"] for name, each in told["by_set"].items()} == {"exam": 7, "finals": 8}
    assert [each["prompt_id"] for each in told["by_set"]["exam"]["examples"]] == ["p0", "p1", "p2", "p3", "p4"]
    assert told["by_set"]["finals"]["examples"][0]["words"].startswith("a farmer has twelve")


def test_traces_are_counted_by_the_first_evaluation_that_has_their_prompt():
    traces = [
        Trace(name, prompt, "<think>x</think>y") for name, prompt in (("p", FARMER), ("p", FARMER), ("q", TRAIN))
    ]
    selection = select(traces, {"right_by": []}, HeldOut(EXAMS))
    assert selection.counts == {"contaminated": 3}
    assert selection.report["contaminated"] == {"exam": 2, "finals": 1}


def test_what_it_finds_is_known_by_a_key():
    keys = {
        HeldOut(prompts, **more).key
        for prompts, more in (
            (EXAMS, {}),
            ([FARMER], {}),
            ({"exam": [FARMER]}, {}),
            ({"exam": [FARMER]}, {"n": 9}),
            ({"exam": [FARMER]}, {"min_share": 0.5}),
            ({"exam": [FARMER]}, {"boilerplate": ()}),
        )
    }
    assert len(keys) == 6
    assert HeldOut(EXAMS).key == HeldOut({name: reversed(texts) for name, texts in EXAMS.items()}).key
