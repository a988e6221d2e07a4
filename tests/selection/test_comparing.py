"""What is decided by comparing traces: pass rates, near duplicates, targets, rows that other data sets have."""

import random
from dataclasses import replace

import numpy as np
import pytest

from trl_r1.errors import ConfigError
from trl_r1.selection import Rules, Seen, select
from trl_r1.selection.near import clusters, signatures, values_per_band
from trl_r1.selection.words import runs_of
from trl_r1.trace import Trace


RULES = Rules(min_language_share=None, max_repetition=None)
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnoprst"]


def text(seed, words=200):
    rng = random.Random(seed)
    return [rng.choice(WORDS) for _ in range(words)]


def trace(words, prompt="p", reward=1.0, **changes):
    return Trace(
        prompt_id=prompt,
        prompt=f"What is {prompt}?",
        completion=f"<think>{' '.join(words)}</think>3",
        rewards={"math_accuracy": reward},
        **{"n_tokens": len(words), "domain": "math", "language": "en", **changes},
    )


def reasons(traces, **rules):
    seen = rules.pop("seen", None)
    selection = select(traces, replace(RULES, **rules), seen=seen)
    found = {id(each): reason for each, reason in selection.rejected}
    return [found.get(id(each)) for each in traces], selection.report


def test_what_differs_by_a_few_words_is_kept_once_within_a_prompt_and_across_prompts():
    first, other = text(1), text(2)
    nearly = [*first[:100], "changed", *first[101:]]
    half = [*first[:100], *text(3, 100)]
    traces = [trace(first), trace(nearly), trace(half), trace(other), trace(nearly, prompt="q")]
    assert reasons(traces)[0] == [None] * 5
    found, told = reasons(traces, near_duplicates=0.8)
    assert found == [None, "near_duplicate", None, None, "near_duplicate"]
    assert told["near_duplicates"] == {"clusters": 1, "largest": 3, "like_seen": 0}
    assert reasons(traces, near_duplicates=0.2)[0] == [
        None,
        "near_duplicate",
        "near_duplicate",
        None,
        "near_duplicate",
    ]


def test_a_rejected_trace_has_no_near_duplicates_and_short_ones_are_compared_for_equality_only():
    first = text(1)
    nearly = [*first[:-1], "changed"]
    found, _ = reasons([trace(first, reward=0.0), trace(nearly)], near_duplicates=0.8)
    assert found == ["wrong", None]
    assert reasons([trace(first[:9]), trace(first[:10])], near_duplicates=0.5)[0] == [None, None]


def test_similarity_is_that_of_the_sets_of_runs():
    """Estimated by 128 values: a pair at .9 passes .8, one at .65 does not; and bands miss next to none."""
    texts, pairs = [], 300
    for seed in range(pairs):
        words = text(seed, 404)  # 400 runs
        # A word changed spoils 5 runs: J = (400 - 5k) / (400 + 5k)
        for changed in (0, 4, 16):
            copy = list(words)
            for k in range(changed):
                copy[10 + 20 * k] = f"other{seed}x{changed}x{k}"
            texts.append(runs_of(copy, 5))
    first = clusters(signatures(texts), 0.8).reshape(pairs, 3)
    assert (first[:, 0] == np.arange(0, 3 * pairs, 3)).all()
    assert (first[:, 1] == first[:, 0]).mean() > 0.98  # J = .905
    assert (first[:, 2] == first[:, 0]).mean() < 0.02  # J = .667
    assert [values_per_band(x) for x in (0.5, 0.8, 0.9, 1.0)] == [3, 7, 12, 128]


def test_a_cluster_is_what_similar_texts_hold_together_whatever_their_order():
    words = text(1, 400)
    chain = []
    for k in range(6):
        chain.append(list(words))
        for i in range(20 * k, 20 * k + 4):
            words[i * 3] = f"next{k}{i}"
    rng = random.Random(0)
    for _ in range(5):
        order = rng.sample(chain, len(chain))
        assert [r for r in reasons([trace(x) for x in order], near_duplicates=0.85)[0] if r is None] == [None]


def test_what_another_data_set_has_is_not_kept_again():
    first, other = text(1), text(2)
    nearly = [*first[:100], "changed", *first[101:]]
    seen = Seen.of([("what is  P?", trace(first).completion.upper().replace("THINK", "think"))])
    traces = [trace(first), trace(nearly), trace(other), trace(first, prompt="q")]
    assert reasons(traces, seen=seen)[0] == ["duplicate", None, None, None]
    found, told = reasons(traces, seen=seen, near_duplicates=0.8)
    assert found == ["duplicate", "near_duplicate", None, "near_duplicate"]
    assert told["near_duplicates"]["like_seen"] == 2


def test_prompts_that_are_solved_too_often_or_too_rarely_are_left_out():
    rates = {"never": [0, 0], "half": [1, 0, 1, 0], "cut": [1, 0, 0, 0], "always": [1, 1]}
    traces = [trace(text(f"{p}{i}"), p, float(r)) for p, marks in rates.items() for i, r in enumerate(marks)]
    traces += [trace(text(9), "cut", None)]  # judged by nothing: no sample of the rate
    kept = {prompt: {} for prompt in rates}
    for key in ({}, {"min_pass_rate": 0.5}, {"max_pass_rate": 0.5}, {"max_pass_rate": 0.99, "min_pass_rate": 0.26}):
        for each, reason in zip(traces, reasons(traces, **key)[0]):
            if each.rewards["math_accuracy"] == 1:
                kept[each.prompt_id].setdefault(str(key), set()).add(reason)
    found = {prompt: [reason for (reason,) in by_rule.values()] for prompt, by_rule in kept.items()}
    assert found == {
        "never": [],
        "half": [None, None, None, None],
        "cut": [None, "pass_rate", None, "pass_rate"],
        "always": [None, None, "pass_rate", "pass_rate"],
    }


def of_kinds(count=4, **changes):
    kinds = [("math", "en"), ("math", "zh"), ("code", "en")]
    return [
        trace(text(f"{d}{g}{i}", 20 + i), f"{d}{g}{i // 2}", domain=d, language=g, **changes)
        for d, g in kinds
        for i in range(count)
    ]


def kept_by(traces, **rules):
    found, told = reasons(traces, **rules)
    return [each for each, reason in zip(traces, found) if reason is None], told


def test_a_target_is_filled_with_as_many_prompts_as_there_are():
    kept, told = kept_by(of_kinds(), targets=[{"domain": "math", "completions": 3}])
    assert [each.prompt_id for each in kept if each.domain == "math"] == ["mathen0", "mathen1", "mathzh0"]
    assert len(kept) == 3 + 4
    (target,) = told["targets"]
    assert target["available"]["completions"] == 8
    assert target["kept"] == {"completions": 3, "tokens": 20 + 22 + 20}
    assert told["rejected"] == {"over_target": 5}


def test_a_completion_counts_towards_every_target_that_names_it():
    targets = [
        {"domain": ["math"], "completions": 3},
        {"language": "zh", "tokens": 25},
        {"domain": "law", "tokens": 1},
    ]
    kept, told = kept_by(of_kinds(), targets=targets)
    assert [each.prompt_id for each in kept] == ["mathen0", "mathen1", "mathzh0", *["codeen0"] * 2, *["codeen1"] * 2]
    assert [target["kept"]["completions"] for target in told["targets"]] == [3, 1, 0]
    # What the second target has no room for takes no room of the first.
    kept, _ = kept_by(of_kinds(), targets=[{"domain": "math", "completions": 3}, {"language": "zh", "completions": 1}])
    assert sum(each.domain == "math" for each in kept) == 3


def test_a_limit_may_hold_for_each_domain_language_and_length_by_itself():
    kept, told = kept_by(of_kinds(), targets=[{"by": ["domain", "language"], "completions": 1}])
    assert [each.prompt_id for each in kept] == ["mathen0", "mathzh0", "codeen0"]
    assert told["targets"][0]["by_group"]["math zh"] == {"completions": 1, "tokens": 20}
    kept, told = kept_by(of_kinds(), targets=[{"by": ["length"], "length_bins": [22], "completions": 2}])
    assert sorted(each.n_tokens for each in kept) == [20, 20, 22, 22]
    assert told["targets"][0]["by_group"] == {
        "0-21": {"completions": 2, "tokens": 40},
        "22-": {"completions": 2, "tokens": 44},
    }
    kept, _ = kept_by(of_kinds(), targets=[{"min_tokens": 21, "max_tokens": 22, "completions": 1}])
    assert sorted(each.n_tokens for each in kept) == [20, 20, 20, 22, 23, 23, 23]


def test_which_ones_fill_a_target_by_chance_is_the_seeds_and_no_other_prompts_matter():
    chosen = []
    for seed in range(6):
        rules = {"prefer": "random", "seed": seed, "targets": [{"completions": 4}]}
        chosen.append([(each.prompt_id, each.n_tokens) for each in kept_by(of_kinds(), **rules)[0]])
        assert len({prompt for prompt, _ in chosen[-1]}) == 4
    assert len({tuple(each) for each in chosen}) > 3
    again = kept_by(of_kinds(), prefer="random", seed=5, targets=[{"completions": 4}])[0]
    assert [(each.prompt_id, each.n_tokens) for each in again] == chosen[-1]


@pytest.mark.parametrize(
    ("targets", "key"),
    [
        ([{"domain": "math"}], "rules.targets[0].completions"),
        ([{"completions": 1}, {"tokens": 0}], "rules.targets[1].tokens"),
        ([{"tokens": 5, "by": ["colour"]}], "rules.targets[0].by"),
        ([{"token": 5}], "rules.targets[0].token"),
        (["math"], "rules.targets[0]"),
    ],
)
def test_wrong_targets_are_refused(targets, key):
    with pytest.raises(ConfigError) as error:
        select([], {"targets": targets})
    assert error.value.problems[0].key == key
