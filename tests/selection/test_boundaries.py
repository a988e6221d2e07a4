"""Selection at its boundaries: what lies exactly on a bound is kept, what lies beyond is not."""

from dataclasses import replace

import pytest

from trl_r1.errors import ConfigError
from trl_r1.language import word_counts
from trl_r1.selection import HeldOut, Rules, repetition, select
from trl_r1.trace import Trace


GOOD = Trace(
    prompt_id="p1",
    prompt="what is one and two?",
    completion="<think>first add one and two to get three</think>3",
    domain="math",
    language="en",
    rewards={"math_accuracy": 1.0},
    n_tokens=12,
)


def reason(trace=GOOD, **rules):
    """The reason for which a trace is rejected, `None` where it is kept."""
    selection = select([trace], Rules(**{"languages": ("en", "zh"), **rules}))
    return selection.rejected[0][1] if selection.rejected else None


def thinking(thought, **changes):
    return replace(GOOD, completion=f"<think>{thought}</think>3", **changes)


def words(count):
    """So many different words."""
    return [f"{a}{b}{c}" for a in "bdfgk" for b in "abcdefghij" for c in "lmnoprst"][:count]


def test_the_defaults_are_those_that_the_docs_name():
    assert Rules() == Rules(
        right_by=("math_accuracy", "choice_accuracy", "code_accuracy"),
        min_reward=1.0,
        finished=True,
        well_formed=True,
        style="think",
        min_language_share=0.9,
        languages=None,
        min_tokens=None,
        max_tokens=None,
        max_repetition=0.3,
        repetition_ngram=10,
        max_paragraph_words=400,
        code_in_thought=False,
        drop_duplicates=True,
        max_per_prompt=None,
        prefer="first",
        seed=0,
    )


@pytest.mark.parametrize(("reward", "least", "expected"), [(1.0, 1.0, None), (0.99, 1.0, "wrong"), (0.5, 0.5, None)])
def test_a_reward_of_just_the_least_is_right(reward, least, expected):
    assert reason(replace(GOOD, rewards={"math_accuracy": reward}), min_reward=least) == expected


def test_every_reward_that_judges_must_find_it_right():
    assert reason(replace(GOOD, rewards={"math_accuracy": 0.0, "code_accuracy": 1.0})) == "wrong"
    assert reason(replace(GOOD, rewards={"math_accuracy": None, "code_accuracy": 1.0})) is None


def test_just_the_least_share_of_its_language_is_enough():
    thought = "first we add one and two and so on and on and on 然后"
    counts = word_counts(thought, ("en", "zh"))
    share = counts["en"] / sum(counts.values())
    assert 0 < share < 1
    assert reason(thinking(thought), min_language_share=share) is None
    assert reason(thinking(thought), min_language_share=share + 1e-9) == "language"
    assert reason(thinking(thought, language="zh"), min_language_share=share) == "language"


def test_where_no_language_can_be_told_any_one_will_do():
    unknown = replace(GOOD, prompt="1 + 2 = ?", language=None)
    assert reason(replace(unknown, completion="<think>先把它们加起来</think>3")) is None
    assert reason(replace(unknown, completion="<think>first add one and two</think>3")) is None
    assert reason(replace(unknown, completion="<think>first add 先把它们加起来 and two</think>3")) == "language"


def test_a_thought_without_words_is_in_every_language():
    assert reason(thinking("1 + 2 = 3")) is None


def test_the_share_that_repeats_counts_the_ends_of_runs():
    text = " ".join(words(10))
    assert repetition(text) == 0.0
    assert repetition(f"{text} one") == 0.0
    assert repetition("go " * 11) == pytest.approx(1 / 11)
    assert repetition("a b a b a b", 2) == pytest.approx(3 / 6)
    assert repetition("a b", 2) == 0.0
    assert repetition("a a", 1) == pytest.approx(1 / 2)


def test_a_thought_that_repeats_just_as_much_as_it_may_is_kept():
    thought = "we add one and two to get " * 4
    share = repetition(thought)
    assert 0 < share < 1
    assert reason(thinking(thought), max_repetition=share) is None
    assert reason(thinking(thought), max_repetition=share - 1e-9) == "repetitive"
    assert reason(thinking(thought), max_repetition=share - 1e-9, repetition_ngram=20) is None


def test_a_paragraph_of_just_the_most_words_is_kept():
    anything = {"min_language_share": None, "max_repetition": None}
    assert reason(thinking(" ".join(words(400))), **anything) is None
    assert reason(thinking(" ".join([*words(399), "one", "two"])), **anything) == "long_paragraph"
    assert reason(thinking(" ".join([*words(399), "one", "two"])), **anything, max_paragraph_words=None) is None


def test_code_may_be_allowed_and_so_may_malformed_and_cut_completions():
    assert reason(thinking("we write\n```python\nprint(3)\n```\nand run it")) == "code_block"
    assert reason(thinking("we write\n```python\nprint(3)\n```\nand run it"), code_in_thought=True) is None
    assert reason(replace(GOOD, completion="3"), well_formed=False) is None
    assert reason(replace(GOOD, finish_reason="length"), finished=False) is None


def test_a_thought_that_the_prompt_opened_is_well_formed():
    prefilled = replace(GOOD, completion="first add one and two</think>3", sampling={"prefilled": True})
    assert reason(prefilled) is None
    assert reason(replace(prefilled, sampling={})) == "malformed"
    # The builder put the opening back: it must not be counted twice.
    assert reason(replace(GOOD, sampling={"prefilled": True})) is None


def of_one_prompt(*lengths):
    return [thinking(word, n_tokens=n) for word, n in zip(words(20), lengths)]


def kept(traces, **rules):
    rules = Rules(**{"min_language_share": None, "max_per_prompt": 2, **rules})
    return [traces.index(trace) for trace in select(traces, rules).kept]


def test_which_are_kept_of_too_many():
    traces = of_one_prompt(5, 3, 4, 3)
    assert kept(traces) == [0, 1]
    assert kept(traces, prefer="shortest") == [1, 3]
    assert kept(traces, prefer="shortest", max_per_prompt=1) == [1]
    assert kept(traces, max_per_prompt=4) == [0, 1, 2, 3]


def test_a_random_choice_hangs_on_the_seed_and_the_prompt_alone():
    traces = of_one_prompt(*[5] * 12)
    chosen = [tuple(kept(traces, prefer="random", seed=seed)) for seed in range(6)]
    assert chosen[0] == tuple(kept(traces, prefer="random"))
    assert len(set(chosen)) > 1
    of_another = [replace(trace, prompt_id="p2", prompt="another") for trace in traces]
    found = [tuple(kept(of_another, prefer="random", seed=seed)) for seed in range(6)]
    assert found != chosen
    assert kept(traces + of_another, prefer="random") == sorted(
        [*chosen[0], *(len(traces) + position for position in found[0])]
    )


def test_a_duplicate_is_one_of_the_same_prompt_and_may_be_kept():
    traces = [GOOD, replace(GOOD, completion=GOOD.completion.upper().replace("THINK", "think")), GOOD]
    other = replace(GOOD, prompt="what are one and two?", prompt_id="p2")
    found = select([*traces, other], Rules(min_language_share=None))
    assert found.kept == [GOOD, other]
    assert found.counts == {"duplicate": 2}
    assert len(select(traces, Rules(min_language_share=None, drop_duplicates=False)).kept) == 3


def test_what_was_seen_is_counted_by_domain():
    traces = [*of_one_prompt(1, 2, 3), replace(GOOD, domain=None), replace(GOOD, rewards={}, domain="law")]
    found = select(traces, Rules(min_language_share=None)).report
    accepted = found["accepted"]
    assert accepted["domain"] == {
        "law": {"seen": 1, "kept": 0},
        "math": {"seen": 3, "kept": 3},
        "none": {"seen": 1, "kept": 1},
    }
    assert accepted["language"] == {"en": {"seen": 5, "kept": 4}}
    assert accepted["source"] == {"none": {"seen": 5, "kept": 4}}
    assert found["lengths"] == {"tokens": 18, "mean": 4.5, "p10": 1, "median": 2, "p90": 9, "p99": 11, "longest": 12}
    told = ("seen", "kept", "rejected", "kept_by_domain", "rejected_by_domain")
    assert {key: found[key] for key in told} == {
        "seen": 5,
        "kept": 4,
        "rejected": {"unjudged": 1},
        "kept_by_domain": {"math": 3, "none": 1},
        "rejected_by_domain": {"law": {"unjudged": 1}},
    }


@pytest.mark.parametrize(
    ("key", "allowed", "refused"),
    [
        ("min_language_share", (0, 1, None), (-0.01, 1.01)),
        ("max_repetition", (0, 1, None), (-0.01, 1.01)),
        ("repetition_ngram", (1,), (0,)),
        ("max_per_prompt", (1, None), (0,)),
        ("max_paragraph_words", (1, None), (0,)),
        ("max_tokens", (1, None), (0,)),
        ("style", ("think", "special_token"), ("thinking",)),
        ("prefer", ("first", "shortest", "random"), ("longest",)),
    ],
)
def test_what_a_rule_may_be(key, allowed, refused):
    for value in allowed:
        assert getattr(Rules(**{key: value}), key) == value
    for value in refused:
        with pytest.raises(ConfigError) as error:
            Rules(**{key: value})
        assert error.value.key == key


def test_rules_may_be_given_as_their_arguments():
    assert select([GOOD], {"max_tokens": 3}).counts == {"too_long": 1}
    assert select([GOOD], {"right_by": "code_accuracy"}).counts == {"unjudged": 1}
    with pytest.raises(ConfigError) as error:
        select([GOOD], {"max_token": 3})
    assert error.value.key == "rules.max_token"


def contaminated(prompts, held_out, n=10):
    return [HeldOut(held_out, n).overlaps(prompt) for prompt in prompts]


def test_a_prompt_is_contaminated_from_just_ten_words_in_a_row():
    held_out = " ".join(words(12))
    assert contaminated([f"and {' '.join(words(10))} again"], [held_out]) == [True]
    assert contaminated([f"and {' '.join(words(9))} again"], [held_out]) == [False]
    assert contaminated([f"and {' '.join(words(9))} again"], [held_out], 9) == [True]
    assert contaminated(["one two", "one two three"], ["One two!"]) == [True, False]
    assert contaminated([held_out], [held_out], 12) == [True]
    assert contaminated(["?", ""], ["", "!"]) == [False, False]
    assert contaminated(["one"], ["one"], 1) == [True]
    with pytest.raises(ConfigError):
        HeldOut([], 0)


def test_held_out_prompts_may_be_given_as_texts():
    assert select([GOOD], Rules(), [GOOD.prompt]).counts == {"contaminated": 1}
    assert select([GOOD], Rules(), HeldOut([GOOD.prompt])).counts == {"contaminated": 1}
