"""In which order prompts come, and how shares divide a step that they do not divide evenly."""

from collections import Counter

import pytest
from datasets import Dataset

from trl_r1.data import schedule_prompts
from trl_r1.errors import DataError


def rows(**counts):
    return Dataset.from_dict({"source": [name for name, n in counts.items() for _ in range(n)]})


def test_fractions_of_a_prompt_go_to_those_that_lack_most():
    dataset = rows(a=40, b=40, c=40)
    sources = [{"path": "a", "share": 0.45}, {"path": "b", "share": 0.35}, {"path": "c", "share": 0.2}]
    names = dataset["source"]
    order = schedule_prompts(dataset, sources, 5, 4)
    # 1.8, 1.4 and 0.8 of each step's four.
    assert Counter(names[i] for i in order[:4]) == Counter(a=2, b=1, c=1)
    assert Counter(names[i] for i in order) == Counter(a=9, b=7, c=4)


def test_shares_that_do_not_add_up_to_one_are_proportions_where_nothing_else_is_offered():
    dataset = rows(a=10, b=10)
    order = schedule_prompts(dataset, [{"path": "a", "share": 0.2}, {"path": "b", "share": 0.6}], 100, 1)
    assert Counter(dataset[i]["source"] for i in order) == Counter(a=25, b=75)


def test_the_prompts_of_a_step_are_mixed():
    dataset = rows(a=60, b=60)
    order = schedule_prompts(dataset, [{"path": "a", "share": 0.5}, {"path": "b", "share": 0.5}], 10, 8)
    steps = ["".join(dataset[i]["source"] for i in order[at : at + 8]) for at in range(0, 80, 8)]
    assert any(step not in ("aaaabbbb", "bbbbaaaa") for step in steps)
    assert len(set(steps)) > 1


def test_a_source_is_passed_through_in_a_shuffled_order():
    dataset = rows(a=12)
    one_a_step = schedule_prompts(dataset, [{"path": "a"}], 24, 1)
    assert one_a_step[:12] != list(range(12))
    assert one_a_step[:12] != one_a_step[12:]


def test_the_seed_is_0_where_none_is_given():
    dataset = rows(a=30)
    sources = [{"path": "a"}]
    assert schedule_prompts(dataset, sources, 3, 8) == schedule_prompts(dataset, sources, 3, 8, seed=0)


def test_the_source_for_which_the_shares_leave_nothing_is_named():
    dataset = rows(a=4, b=4, c=4)
    sources = [{"path": "a", "share": 0.7}, {"path": "b"}, {"path": "c", "share": 0.3}]
    with pytest.raises(DataError) as error:
        schedule_prompts(dataset, sources, 5, 2)
    assert (error.value.file, error.value.key) == ("b", "share")


def test_a_source_without_rows_takes_no_share_and_needs_none():
    dataset = rows(a=4)
    sources = [{"path": "a", "share": 1.0}, {"path": "b"}]
    assert len(schedule_prompts(dataset, sources, 5, 2)) == 10
    assert set(schedule_prompts(dataset, sources, 2, 2)) == set(range(4))
