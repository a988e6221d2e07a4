from collections import Counter

import pytest
from datasets import Dataset

from trl_r1.data import schedule_prompts
from trl_r1.errors import DataError


def rows(**counts):
    return Dataset.from_dict({"source": [name for name, n in counts.items() for _ in range(n)]})


def per_step(dataset, order, prompts_per_step):
    names = dataset["source"]
    return [
        Counter(names[i] for i in order[at : at + prompts_per_step]) for at in range(0, len(order), prompts_per_step)
    ]


def test_a_source_comes_from_its_first_step_on_and_with_its_share():
    dataset = rows(math=30, general=20)
    sources = [{"path": "math"}, {"path": "general", "share": 0.6, "from_step": 4}]
    steps = per_step(dataset, schedule_prompts(dataset, sources, 8, 10), 10)
    assert steps[:4] == [Counter(math=10)] * 4
    assert steps[4:] == [Counter(general=6, math=4)] * 4


def test_shares_hold_over_the_steps_where_a_step_has_too_few_prompts_for_them():
    dataset = rows(a=7, b=9)
    sources = [{"path": "a", "share": 0.3}, {"path": "b", "share": 0.7}]
    order = schedule_prompts(dataset, sources, 100, 1)
    assert Counter(dataset[i]["source"] for i in order) == Counter(a=30, b=70)


@pytest.mark.parametrize("per_step", [1, 2, 3, 7])
def test_no_source_is_ever_a_prompt_ahead_of_its_share_or_behind_it(per_step):
    dataset = rows(a=9, b=9, c=9)
    shares = {"a": 0.3, "b": 0.3, "c": 0.4}
    sources = [{"path": name, "share": share} for name, share in shares.items()]
    order = schedule_prompts(dataset, sources, 40, per_step)
    for end in range(per_step, len(order) + 1, per_step):
        counts = Counter(dataset["source"][i] for i in order[:end])
        assert all(abs(counts[name] - share * end) < 1 for name, share in shares.items())


def test_shares_are_of_what_is_offered():
    dataset = rows(a=5, b=5)
    sources = [{"path": "a", "share": 0.2}, {"path": "b", "share": 0.6}]
    order = schedule_prompts(dataset, sources, 25, 4)
    assert Counter(dataset["source"][i] for i in order) == Counter(a=25, b=75)
    alone = schedule_prompts(dataset, [{"path": "a", "share": 0.2}], 5, 3)
    assert Counter(alone) == Counter(dict.fromkeys(range(5), 3))


def test_rows_of_a_source_that_is_not_listed_never_come():
    dataset = rows(a=3, other=5)
    assert set(schedule_prompts(dataset, [{"path": "a"}], 4, 2)) == {0, 1, 2}


def test_sources_without_a_share_divide_the_rest_by_their_size():
    dataset = rows(a=30, b=10, c=5)
    sources = [{"path": "a"}, {"path": "b"}, {"path": "c", "share": 0.5}]
    order = schedule_prompts(dataset, sources, 50, 8)
    assert Counter(dataset[i]["source"] for i in order) == Counter(a=150, b=50, c=200)


def test_a_source_is_used_up_before_any_of_its_rows_comes_again():
    dataset = rows(a=12)
    order = schedule_prompts(dataset, [{"path": "a"}], 6, 4)
    assert sorted(order[:12]) == sorted(order[12:]) == list(range(12))
    assert order[:12] != order[12:]


def test_the_order_is_a_function_of_the_seed_and_a_longer_run_begins_alike():
    dataset = rows(a=40, b=40)
    sources = [{"path": "a", "share": 0.5}, {"path": "b", "share": 0.5}]
    assert schedule_prompts(dataset, sources, 9, 4, seed=1) == schedule_prompts(dataset, sources, 9, 4, seed=1)
    assert schedule_prompts(dataset, sources, 9, 4, seed=1) != schedule_prompts(dataset, sources, 9, 4, seed=2)
    assert schedule_prompts(dataset, sources, 9, 4, seed=1)[:20] == schedule_prompts(dataset, sources, 5, 4, seed=1)


def test_nothing_offered_at_first_and_shares_that_leave_nothing_are_refused():
    dataset = rows(a=4, b=4)
    with pytest.raises(DataError, match="no source is offered at step 0"):
        schedule_prompts(dataset, [{"path": "a", "from_step": 2}, {"path": "b", "from_step": 3}], 5, 2)
    with pytest.raises(DataError, match=r"^b: `share`: .* leave nothing"):
        schedule_prompts(dataset, [{"path": "a", "share": 1.0}, {"path": "b"}], 5, 2)
