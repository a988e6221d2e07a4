import json
import random
from dataclasses import replace

import pytest

from tests.selection.test_boundaries import GOOD
from trl_r1.errors import ConfigError
from trl_r1.selection import REASONS, HeldOut, Rules, Selection, normalized, repetition, select


EN_ZH = Rules(languages=("en", "zh"))


def reasons(*traces, rules=EN_ZH, **kwargs):
    """The reason of each trace in its order, `None` for a kept one."""
    selection = select(traces, rules, **kwargs)
    found = {id(trace): reason for trace, reason in selection.rejected}
    assert {id(trace) for trace in selection.kept} == {id(trace) for trace in traces} - found.keys()
    return [found.get(id(trace)) for trace in traces]


def contaminated(prompts, held_out, n=10):
    return [HeldOut(held_out, n).overlaps(prompt) for prompt in prompts]


def thinking(thought, answer="3", **changes):
    return replace(GOOD, completion=f"<think>{thought}</think>{answer}", **changes)


def test_a_right_well_formed_finished_trace_in_one_language_is_kept():
    assert reasons(GOOD) == [None]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"finish_reason": "length"}, "truncated"),
        ({"finish_reason": "prompt_too_long", "completion": "", "n_tokens": 0}, "unsampled"),
        ({"rewards": {}}, "unjudged"),
        ({"rewards": {"math_accuracy": None, "think_format": 1.0}}, "unjudged"),
        ({"rewards": {"math_accuracy": 0.0}}, "wrong"),
        ({"rewards": {"math_accuracy": float("nan")}}, "unjudged"),
        ({"rewards": {"code_accuracy": 0.5}}, "wrong"),
        ({"rewards": {"math_accuracy": 1.0, "choice_accuracy": 0.0}}, "wrong"),
        ({"completion": "first add one and two</think>3"}, "malformed"),
        ({"completion": "<think>first add one and two"}, "malformed"),
        ({"completion": "<think>first add 先把它们加起来 and two</think>3"}, "language"),
        ({"completion": "<think>先把它们加起来</think>3"}, "language"),
        (
            {"completion": "<think>" + "so we add one and two and then we check it again, " * 9 + "</think>3"},
            "repetitive",
        ),
        ({"completion": "<think>we write\n```python\nprint(1 + 2)\n```\nand run it</think>3"}, "code_block"),
    ],
)
def test_each_defect_has_its_reason(changes, reason):
    assert reasons(replace(GOOD, **changes)) == [reason]


def test_a_part_of_the_marks_is_enough_only_where_the_rules_say_so():
    half, less = (replace(GOOD, rewards={"code_accuracy": marks}) for marks in (0.5, 0.4))
    rules = replace(EN_ZH, min_reward=0.5, drop_duplicates=False)
    assert reasons(half, less, rules=rules) == [None, "wrong"]


def test_length_in_tokens_is_bounded_on_both_sides_both_included():
    rules = replace(EN_ZH, min_tokens=10, max_tokens=20, drop_duplicates=False)
    traces = [replace(GOOD, n_tokens=n) for n in (9, 10, 20, 21)]
    assert reasons(*traces, rules=rules) == ["too_short", None, None, "too_long"]


def test_a_long_paragraph_is_rejected_and_the_same_words_in_short_ones_are_kept():
    words = [f"{a}{b}" for a in ("add", "take", "leave", "count") for b in "abcdefghijklmnopqrstuvwxyz"]
    rules = replace(EN_ZH, max_paragraph_words=100)
    lines = "\n".join(" ".join(words[start : start + 26]) for start in range(0, 104, 26))
    assert reasons(thinking(" ".join(words)), thinking(lines), rules=rules) == ["long_paragraph", None]
    limits = [replace(EN_ZH, max_paragraph_words=longest) for longest in (26, 25)]
    assert [reasons(thinking(lines), rules=rules) for rules in limits] == [[None], ["long_paragraph"]]


def test_code_in_the_answer_is_no_reason():
    assert reasons(thinking("first add one and two", "```python\nprint(3)\n```")) == [None]


def test_the_first_reason_of_the_stated_order_is_the_one_that_counts():
    everything = replace(
        GOOD,
        completion="我们 add one and two again and again, " * 20,
        rewards={"math_accuracy": 0.0},
        finish_reason="length",
        n_tokens=0,
    )
    rules = replace(EN_ZH, min_tokens=1)
    asked = {"truncated": {"finished": False}, "wrong": {"right_by": ()}, "malformed": {"well_formed": False}}
    asked |= {
        "too_short": {"min_tokens": None},
        "language": {"min_language_share": None},
        "repetitive": {"max_repetition": None},
    }
    found = reasons(everything, rules=rules, held_out=[GOOD.prompt])
    found += reasons(everything, rules=rules)
    for reason in list(asked):
        assert found[-1] == reason
        rules = replace(rules, **asked[reason])
        found += reasons(everything, rules=rules)
    assert found == ["contaminated", *asked, None]
    order = [REASONS.index(reason) for reason in found[:-1]]
    assert order == sorted(order)


def test_every_trace_is_kept_or_counted_once():
    generator = random.Random(0)
    traces = [
        replace(
            GOOD,
            prompt_id=generator.choice("abc"),
            completion=generator.choice([GOOD.completion, "3", "<think>我们 add</think>3", "<think>we sum</think>3"]),
            rewards=generator.choice([{}, {"math_accuracy": 0.0}, {"math_accuracy": 1.0}]),
            domain=generator.choice(["math", "logic", None]),
            finish_reason=generator.choice(["stop", "length"]),
        )
        for _ in range(200)
    ]
    selection = select(traces, replace(EN_ZH, max_per_prompt=1))
    told = selection.report
    assert told["seen"] == 200 == told["kept"] + sum(told["rejected"].values())
    assert told["kept"] == len(selection.kept) == sum(told["kept_by_domain"].values()) > 0
    by_domain = dict.fromkeys(told["rejected"], 0)
    for counts in told["rejected_by_domain"].values():
        for reason, count in counts.items():
            by_domain[reason] += count
    assert by_domain == told["rejected"]
    assert set(told["rejected"]) <= set(REASONS)
    assert list(told["rejected"]) == [reason for reason in REASONS if reason in told["rejected"]]
    positions = {id(trace): position for position, trace in enumerate(traces)}
    for group in (selection.kept, [trace for trace, _ in selection.rejected]):
        order = [positions[id(trace)] for trace in group]
        assert order == sorted(order)
    assert list(told["kept_by_domain"]) == sorted(told["kept_by_domain"])
    assert list(told["rejected_by_domain"]) == ["logic", "math", "none"]
    assert select(traces, replace(EN_ZH, max_per_prompt=1)) == selection
    json.dumps(told)


def test_what_is_equal_but_for_case_blanks_and_form_of_characters_is_kept_once():
    same = [GOOD, thinking("First  ADD one\nand two to get three"), thinking("ｆirst add one and two to get three")]
    other = replace(GOOD, prompt="what is two and one?", prompt_id="p2")
    assert reasons(*same, other) == [None, "duplicate", "duplicate", None]
    assert reasons(*same, rules=replace(EN_ZH, drop_duplicates=False)) == [None] * 3
    assert normalized(" Ａ\u00a0b\n") == "a b"


def test_a_rejected_trace_is_nobodys_duplicate():
    assert reasons(replace(GOOD, rewards={"math_accuracy": 0.0}), GOOD) == ["wrong", None]


def test_the_cap_keeps_the_first_the_shortest_or_a_seeded_choice():
    lengths = [30, 10, 20, 10, 40]
    traces = [thinking(f"first add {word}", n_tokens=n) for word, n in zip(["a1", "b1", "c1", "d1", "e1"], lengths)]
    rules = replace(EN_ZH, max_per_prompt=2)
    assert reasons(*traces, rules=rules) == [None, None, "capped", "capped", "capped"]
    assert reasons(*traces, rules=replace(rules, prefer="shortest")) == ["capped", None, "capped", None, "capped"]
    picks = {tuple(reasons(*traces, rules=replace(rules, prefer="random", seed=seed))) for seed in range(20)}
    assert len(picks) > 3
    assert all(pick.count(None) == 2 for pick in picks)
    once, again = (reasons(*traces, rules=replace(rules, prefer="random", seed=1)) for _ in range(2))
    assert once == again


def test_the_pick_for_one_prompt_does_not_depend_on_the_others():
    traces = [thinking(f"first add {word}") for word in ("a1", "b1", "c1", "d1")]
    others = [replace(trace, prompt_id="p0", prompt="another") for trace in traces]
    rules = replace(EN_ZH, max_per_prompt=1, prefer="random", seed=3)
    alone, among = reasons(*traces, rules=rules), reasons(*others, *traces, rules=rules)
    assert among[len(others) :] == alone


def test_the_cap_counts_only_what_would_be_kept():
    traces = [replace(GOOD, rewards={"math_accuracy": 0.0}), GOOD, thinking("we sum up one and two")]
    assert reasons(*traces, rules=replace(EN_ZH, max_per_prompt=1)) == ["wrong", None, "capped"]


def test_the_language_is_the_traces_else_the_prompts_else_any_one():
    chinese = thinking("先把它们加起来", language="zh")
    assert reasons(chinese) == [None]
    assert reasons(replace(chinese, language=None)) == ["language"]
    assert reasons(replace(chinese, language=None, prompt="一加二等于多少？")) == [None]
    assert reasons(replace(chinese, language=None, prompt="1 + 2 = ?")) == [None]
    assert reasons(thinking("先把它们加起来 then add", language=None, prompt="1 + 2 = ?")) == ["language"]


def test_where_no_language_is_asked_for_that_of_most_words_has_to_have_its_share():
    # One English word comes first, nine Chinese ones follow: the share is exactly the least that is allowed.
    mostly_chinese = thinking("so 先把它们都加起来看", language=None, prompt="1 + 2 = ?")
    assert reasons(mostly_chinese) == [None]
    assert reasons(mostly_chinese, rules=replace(EN_ZH, min_language_share=0.91)) == ["language"]
    assert reasons(replace(mostly_chinese, language="tlh")) == [None]
    assert reasons(replace(mostly_chinese, language="en")) == ["language"]
    assert reasons(thinking("好", language="en")) == ["language"]


def test_formulas_have_no_language():
    assert reasons(thinking("$1 + 2 = 3$", language="zh")) == [None]


def test_a_prefilled_completion_is_read_as_one():
    prefilled = replace(GOOD, completion="first add one and two</think>3", sampling={"prefilled": True})
    assert reasons(prefilled, replace(GOOD, sampling={"prefilled": True})) == [None, None]


def test_rules_come_as_a_mapping_from_yaml():
    rules = {"right_by": ["think_format"], "languages": ["en", "zh"], "max_per_prompt": 1}
    assert reasons(replace(GOOD, rewards={"think_format": 1.0}), rules=rules) == [None]
    assert reasons(replace(GOOD, rewards={}), rules={"right_by": [], "languages": ["en", "zh"]}) == [None]
    assert Rules(right_by="judge").right_by == ("judge",)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"max_per_promt": 1}, "`rules.max_per_promt`: unknown key; did you mean `max_per_prompt`?"),
        ({"max_per_prompt": "two"}, "`rules.max_per_prompt`: is 'two'; expected a whole number or null"),
        ({"prefer": "best"}, "`rules.prefer`: expected one of first, shortest, random, got 'best'"),
        ({"style": "xml"}, "`rules.style`: expected one of think, r1_zero, special_token, got 'xml'"),
        ({"max_repetition": 30}, "`rules.max_repetition`: expected a share between 0 and 1, got 30"),
        ({"max_per_prompt": 0}, "`rules.max_per_prompt`: expected a whole number above 0, got 0"),
    ],
)
def test_wrong_rules_are_refused(rules, message):
    with pytest.raises(ConfigError) as error:
        select([GOOD], rules)
    assert str(error.value).startswith(message)


def test_a_wrong_argument_is_refused_by_its_name():
    with pytest.raises(ConfigError) as error:
        Rules(prefer="best")
    assert error.value.key == "prefer"
    assert Rules(min_language_share=1, max_repetition=0).max_repetition == 0


def test_repetition_is_the_share_of_words_that_only_repeat():
    assert repetition("") == repetition("one two three") == 0.0
    assert repetition(" ".join(map(str, range(100)))) == 0.0
    assert repetition("a b " * 50, n=2) == pytest.approx(97 / 100)
    text = " ".join(map(str, range(20)))
    assert repetition(f"{text} {text}", n=10) == pytest.approx(11 / 40)
    assert repetition("我们再算一遍，" * 20) > 0.8
    assert repetition(f"{text} {text}") == pytest.approx(11 / 40)
    just = thinking(f"{'we add one and two ' * 4}")
    share = repetition(just.completion[len("<think>") : -len("</think>3")], 4)
    limits = [replace(EN_ZH, repetition_ngram=4, max_repetition=most) for most in (share, share - 0.001)]
    assert [reasons(just, rules=rules) for rules in limits] == [[None], ["repetitive"]]
    assert repetition("we add 1 + 2 = 3 then 4 + 5 = 9 then 6 + 7 = 13 then 8 + 9 = 17") == 0.0


def test_ten_words_in_a_row_are_contamination_and_nine_are_not():
    held_out = ["A farmer has twelve apples and sells half of them before lunch. How many are left?"]
    same = "Remember: a farmer has twelve apples, and sells half of THEM; what next?"
    nine = "A farmer has twelve apples and sells half of it"
    assert contaminated([same, nine, held_out[0], "1+1?"], held_out) == [True, False, True, False]
    assert contaminated([nine], held_out, n=9) == [True]
    assert contaminated(["Now half of them before lunch. How many are left?"], held_out) == [False]  # its last nine


def test_a_short_prompt_is_contamination_only_if_it_is_the_same():
    held_out = HeldOut(["What is 3 + 4?", "", "A3 B8 C5 D2?"])
    assert held_out.overlaps("what is 3 + 4 ?")
    assert not held_out.overlaps("What is 3 - 4?")
    assert not held_out.overlaps("Tell me, what is 3 + 4?")
    assert not held_out.overlaps("")


def test_chinese_is_compared_by_character():
    held_out = ["农夫有十二个苹果，午饭前卖掉了一半，还剩几个？"]
    assert contaminated(["从前农夫有十二个苹果，午饭前吃了", "农夫有十二个梨，还剩几个？"], held_out) == [True, False]


def test_nothing_in_nothing_out():
    assert select([]) == Selection()
    told = select([]).report
    assert (told["seen"], told["kept"], told["rejected"], told["kept_by_domain"]) == (0, 0, {}, {})
