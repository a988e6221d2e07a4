"""Training and held-out data share nothing, and a seed makes the same data again."""

from trl_r1.playground.config import PlaygroundConfig
from trl_r1.playground.general import CURT, KIND, every_request, quality
from trl_r1.playground.rows import make_rows
from trl_r1.stages.playground import STAGE


CONFIG = PlaygroundConfig("unused", seed=1)
ROWS = make_rows(CONFIG)


def test_there_is_as_much_as_was_asked():
    assert {name: len(rows) for name, rows in ROWS.items()} == {
        "train": CONFIG.train_prompts,
        "heldout": CONFIG.heldout_prompts,
        "general-train": CONFIG.general_prompts,
        "general-heldout": CONFIG.general_heldout_prompts,
        "general-answers": CONFIG.general_answers,
        "preference-pairs": CONFIG.preference_pairs,
    }


def test_the_stage_declares_the_columns_that_it_writes():
    """A plan checks the rewards of later stages by this table."""
    assert {name: tuple(rows[0]) for name, rows in ROWS.items()} == STAGE.writes
    assert all(row.keys() == rows[0].keys() for rows in ROWS.values() for row in rows)


def test_no_prompt_is_in_both_parts():
    held_out = {row["prompt"] for name in ("heldout", "general-heldout") for row in ROWS[name]}
    shown = {row["prompt"] for name, rows in ROWS.items() if "heldout" not in name for row in rows}
    assert len(held_out) == CONFIG.heldout_prompts + CONFIG.general_heldout_prompts
    assert not held_out & shown


def test_problems_have_a_solution_and_both_languages():
    for name in ("train", "heldout"):
        assert {row["domain"] for row in ROWS[name]} == {"sums", "search", "choice"}
        assert {row["language"] for row in ROWS[name]} == {"en", "zh"}
        assert all(row["solution"] for row in ROWS[name])


def test_written_answers_are_right_seldom_kind_and_greetings_have_no_thought():
    requests = {request.prompt: request for request in every_request()}
    found = [quality(requests[row["prompt"]], row["completion"]) for row in ROWS["general-answers"]]
    assert set(found) == {CURT, KIND}
    assert 0.15 < found.count(KIND) / len(found) < 0.35
    for row in ROWS["general-answers"]:
        assert row["simple"] == (row["thought"] is None)
    assert any(row["simple"] for row in ROWS["general-answers"])


def test_a_reference_is_right_and_curt():
    requests = {request.prompt: request for request in every_request()}
    assert {quality(requests[row["prompt"]], row["reference"]) for row in ROWS["general-heldout"]} == {CURT}


def test_a_seed_makes_the_same_data_again_and_another_seed_other_data():
    assert make_rows(CONFIG) == ROWS
    assert make_rows(PlaygroundConfig("unused", seed=2))["train"] != ROWS["train"]
