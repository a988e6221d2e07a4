import pytest

from tests.sampling.stub_server import choices, stub_server
from trl_r1.builders import VerdictJudge
from trl_r1.errors import ConfigError


COLUMNS = {"question": ["What is it?"] * 4, "solution": ["a cat", "a cat", "a cat", None]}


def judge_with(answer, **changes):
    with stub_server(answer) as (url, requests):
        judge = VerdictJudge(base_url=url, model="v3", **changes)
        completions = ["<think>a secret</think>It is a cat.", "<think>x</think>A dog.", "<think>never closed", "a cat"]
        return judge(completions=completions, **COLUMNS), requests


def test_the_judge_sees_question_reference_and_answer_and_its_verdict_is_the_reward():
    def answer(path, request):
        text = request["messages"][0]["content"]
        verdict = "correct" if "It is a cat." in text else "incorrect"
        return 200, choices(f'{{"analysis": "they {{agree}} or not", "verdict": "{verdict}"}}')

    verdicts, requests = judge_with(answer)
    assert verdicts == [1.0, 0.0, 0.0, None]
    assert len(requests) == 2
    text = next(r["messages"][0]["content"] for r in requests if "It is a cat." in r["messages"][0]["content"])
    assert "What is it?" in text
    assert "a cat" in text
    assert "secret" not in text


@pytest.mark.parametrize("reply", ["I cannot say.", '{"analysis": "?"}', '{"verdict": "perhaps"}', "{broken"])
def test_a_verdict_that_cannot_be_read_twice_is_none_and_not_wrong(reply):
    verdicts, requests = judge_with(lambda path, request: (200, choices(reply)))
    assert verdicts == [None, None, 0.0, None]
    assert len(requests) == 4


def test_a_judge_that_thinks_first_is_read_after_its_thought():
    verdicts, _ = judge_with(
        lambda path, request: (200, choices('<think>{"verdict": "incorrect"}</think>{"verdict": "correct"}'))
    )
    assert verdicts == [1.0, 1.0, 0.0, None]


def test_an_instruction_without_the_answer_is_refused():
    with pytest.raises(ConfigError) as error:
        VerdictJudge(base_url="x", model="m", instruction="{question} {solution}")
    assert error.value.key == "instruction"
