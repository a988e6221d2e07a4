import json
import re
from collections import Counter

import pytest

from tests.sampling.stub_server import choices, stub_server
from trl_r1.builders import PairsConfig, build_pairs
from trl_r1.builders.pairs import balance_lengths, compare_two_by_two
from trl_r1.errors import ConfigError, StageError
from trl_r1.trace import Trace

from .fakes import Scripted, sampling, write_rows


def politeness(completions, **columns):
    return [3.0 * text.count("please") for text in completions]


@pytest.fixture
def config(tmp_path):
    rows = [{"prompt": f"Query {n}?", "domain": "general", "language": "en"} for n in range(6)]
    return {
        "data": [{"path": write_rows(tmp_path / "prompts.jsonl", *rows)}],
        "output_dir": str(tmp_path / "out"),
        "model_name_or_path": "dev3",
        "judge": {"func": f"{__name__}.politeness"},
        "max_length_ratio": 100.0,
    }


def test_the_best_answer_by_a_reward_is_chosen_over_the_worst(config, tmp_path):
    texts = ["go away", "please sit", "please please sit down", "sit"]
    pairs = build_pairs(sampling(), PairsConfig(**config), engine=Scripted(lambda question, i: texts[i]))
    assert len(pairs) == 6
    assert {(pair["chosen"], pair["rejected"]) for pair in pairs} <= {
        ("please please sit down", "go away"),
        ("please please sit down", "sit"),
    }
    assert pairs[0]["prompt"] == "Query 0?"
    report = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert (report["kept"], report["rejected"]) == (6, {"capped": 6})


def test_pairs_whose_scores_are_not_further_apart_than_the_gap_are_left_out(config, tmp_path):
    answers = Scripted(lambda question, i: "please" if i == 0 and "3" in question else f"no {i}")
    pairs = build_pairs(sampling(n_samples=2), PairsConfig(**config), engine=answers)
    assert [pair["prompt"] for pair in pairs] == ["Query 3?"]
    assert json.loads((tmp_path / "out" / "selection.json").read_text())["rejected"] == {"gap": 5}


def test_a_judge_that_favours_what_it_reads_first_decides_nothing_and_a_fair_one_does(config):
    def bias(path, request):
        return 200, choices('{"analysis": "the first is better", "score_a": 9, "score_b": 3}')

    def fair(path, request):
        answers = re.findall(r"\[answer of [AB] \w+\]\n(.*)\n", request["messages"][0]["content"])
        scores = [8 if "kind" in answer else 4 for answer in answers]
        return 200, choices(f'```json\n{{"analysis": "x", "score_a": {scores[0]}, "score_b": {scores[1]}}}\n```')

    def run(answer):
        with stub_server(answer) as (url, requests):
            judge = {"func": "trl_r1.builders.ComparisonJudge", "args": {"base_url": url, "model": "judge"}}
            changes = {"judge": judge, "rounds": 12, "min_gap": 3.5, "data": [{**config["data"][0], "limit": 3}]}
            model = Scripted(lambda question, i: f"<think>secret</think>{'kind' if i % 2 else 'rude'} {i}")
            pairs = build_pairs(sampling(), PairsConfig(**{**config, **changes}), engine=model)
        return pairs, requests

    pairs, requests = run(fair)
    assert len(pairs) == 3
    assert all("kind" in pair["chosen"] and "rude" in pair["rejected"] for pair in pairs)
    assert len(requests) == 3 * 2 * 12
    assert not any("secret" in request["messages"][0]["content"] for request in requests)
    first = [re.search(r"\[answer of A \w+\]\n(\w+)", request["messages"][0]["content"])[1] for request in requests]
    assert 20 < first.count("kind") < 52
    with pytest.raises(StageError, match="gap 6"):
        run(bias)


def test_lengths_of_chosen_and_rejected_answers_become_comparable_overall():
    def pair(chosen, rejected):
        return Trace("p", "q", "x" * chosen), Trace("p", "q", "x" * rejected)

    pairs = [pair(100, 10), pair(50, 50), pair(60, 50), pair(40, 50)]
    kept, out = balance_lengths(pairs, 1.05)
    assert (kept, out) == (pairs[1:], 1)
    assert balance_lengths(pairs[1:], 1.05) == (pairs[1:], 0)
    swapped = [(rejected, chosen) for chosen, rejected in pairs]
    assert balance_lengths(swapped, 1.05) == (swapped[1:], 1)


@pytest.mark.parametrize(
    ("change", "key"),
    [({"judge": {}}, "judge"), ({"rounds": 0}, "rounds"), ({"max_length_ratio": 0.5}, "max_length_ratio")],
)
def test_a_wrong_setting_is_refused_by_its_key(config, change, key):
    with pytest.raises(ConfigError) as error:
        PairsConfig(**{**config, **change})
    assert error.value.key == key


def test_one_answer_is_no_pair(config):
    with pytest.raises(ConfigError) as error:
        build_pairs(sampling(n_samples=1), PairsConfig(**config))
    assert error.value.key == "n_samples"


@pytest.mark.parametrize("rounds", [4, 5])
def test_each_pair_is_seen_equally_often_in_both_orders(rounds):
    traces = [Trace(f"p{i // 2}", f"question {i // 2}", f"answer {i}") for i in range(40)]
    asked = []

    def judge(pairs):
        asked.extend(pairs)
        return [(5.0, 5.0)] * len(pairs)

    compare_two_by_two(traces, judge, rounds, seed=0)
    assert len(asked) == 20 * rounds
    orders = [Counter(first for question, first, _ in asked if question == f"question {i}") for i in range(20)]
    for order in orders:
        assert sorted(order.values()) == [rounds // 2, rounds - rounds // 2]
    if rounds % 2:  # which order comes once more often is drawn
        assert len({max(order, key=order.get).split()[1][-1] in "02468" for order in orders}) == 2
