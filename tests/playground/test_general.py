"""The rule for general prompts prefers right to wrong first, and kind to curt second."""

import random

import pytest

from trl_r1.errors import ConfigError
from trl_r1.playground.general import CURT, KIND, WRONG, Request, draw_pair, every_request, quality
from trl_r1.playground.rewards import Courtesy, courtesy


REQUEST = Request("en", "thank", "Anna", "book")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("thank you Anna for the book. best wishes!", KIND),
        ("thank you Anna for the book.", CURT),
        ("  thank you Anna for the book. ", CURT),
        ("thank you Tom for the book. best wishes!", WRONG),
        ("thank you Anna for the tea.", WRONG),
        ("sorry Anna about the book.", WRONG),
        ("多谢Anna的book。", WRONG),
        ("best wishes!", WRONG),
        ("thank you Anna for the book. 祝你愉快!", WRONG),
        ("thank you Anna for the book. best wishes! best wishes!", WRONG),
        ("", WRONG),
    ],
)
def test_quality(answer, expected):
    assert quality(REQUEST, answer) == expected


def test_every_request_has_a_curt_and_a_kind_answer_and_what_is_beside_it_is_wrong():
    rng = random.Random(1)
    requests = list(every_request())
    assert len(requests) > 1000
    assert len({request.prompt for request in requests}) == len(requests)
    for request in requests:
        assert quality(request, request.curt) == CURT
        assert quality(request, request.kind(rng)) == KIND
        slip = request.slip(rng)
        assert quality(request, slip.curt) == quality(request, slip.kind(rng)) == WRONG
        assert quality(request, request.gushing(rng)) == WRONG


def test_requests_are_held_out_in_every_language_and_act():
    held_out = {(request.language, request.act) for request in every_request(held_out=True)}
    assert held_out == {(request.language, request.act) for request in every_request(held_out=False)}
    assert not {r.prompt for r in every_request(True)} & {r.prompt for r in every_request(False)}


def test_the_better_answer_of_a_pair_is_chosen_and_the_rejected_hold_what_fools_a_preference_model():
    rng = random.Random(2)
    requests = list(every_request())
    kinds = set()
    for _ in range(300):
        request = rng.choice(requests)
        chosen, rejected = draw_pair(request, rng)
        assert quality(request, chosen) > quality(request, rejected)
        if quality(request, rejected) == WRONG and rejected.endswith("!"):
            kinds.add((quality(request, chosen), "gushing" if rejected.startswith(request.curt) else "slip"))
    assert kinds == {(CURT, "slip"), (KIND, "slip"), (CURT, "gushing"), (KIND, "gushing")}


def test_the_reward_looks_at_the_answer_and_leaves_other_prompts_alone():
    completions = ["<think>i thank Anna. </think>thank you Anna for the book. best wishes!", "\\boxed{3}", "<think>x"]
    scores = courtesy(completions=completions, question=[REQUEST.prompt, "what is 1+2?", REQUEST.prompt])
    assert scores == [KIND, None, WRONG]
    assert courtesy(completions=[REQUEST.curt], prompts=[REQUEST.prompt]) == [CURT]
    with pytest.raises(ConfigError, match="question"):
        Courtesy()(completions=["x"])
