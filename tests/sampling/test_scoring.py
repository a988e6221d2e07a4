from dataclasses import dataclass

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards import Scheduled, math_accuracy
from trl_r1.sampling import accuracy_of, check_columns, named_rewards, score_traces
from trl_r1.trace import Trace


TRACES = [
    Trace(prompt_id="a", prompt="1+1?", completion="2", solution="2", extra={"options": ["1", "2"]}),
    Trace(prompt_id="b", prompt="hello", completion="hi", rewards={"earlier": 0.5}, finish_reason="length"),
]


@dataclass(frozen=True)
class Exact:
    __name__ = "exact"

    def __call__(self, *, completions, solution, **columns):
        return [None if gold is None else int(gold == text) for gold, text in zip(solution, completions)]


def test_each_trace_gets_its_rewards_by_name_and_keeps_those_it_has():
    scored = score_traces(TRACES, {"exact": Exact()})
    assert [trace.rewards for trace in scored] == [{"exact": 1.0}, {"earlier": 0.5, "exact": None}]
    assert isinstance(scored[0].rewards["exact"], float)


def test_a_reward_sees_the_columns_that_training_would_show_it():
    seen = {}

    def spy(**columns):
        seen.update(columns)
        return [0.0, 0.0]

    score_traces(TRACES, {"spy": spy})
    assert seen["prompts"] == seen["question"] == ["1+1?", "hello"]
    assert seen["options"] == [["1", "2"], None]
    assert seen["truncated"] == [False, True]
    assert seen["finish_reason"] == ["stop", "length"]
    assert seen["trainer_state"] is None


def test_a_completion_that_was_cut_is_as_little_right_as_in_training():
    said = "so it is 72, hence 72"
    whole, cut = (
        Trace(prompt_id="a", prompt="48+24?", completion=said, solution="72", finish_reason=each)
        for each in ("stop", "length")
    )
    scored = score_traces([whole, cut], {"math": math_accuracy})
    assert [trace.rewards["math"] for trace in scored] == [1.0, 0.0]


def test_an_async_reward_is_waited_for():
    async def later(completions, **columns):
        return [1.0] * len(completions)

    assert score_traces(TRACES, {"later": later})[0].rewards["later"] == 1.0


def test_two_rewards_of_one_name_are_told_apart():
    assert list(named_rewards([Exact(), Exact(), print, Exact()])) == ["exact", "exact_2", "print", "exact_3"]
    assert list(named_rewards([Exact()], taken=["exact"])) == ["exact_2"]


def test_rewards_that_judge_accuracy_say_so():
    from trl_r1.rewards import choice_accuracy, math_accuracy, think_format

    rewards = named_rewards([math_accuracy, think_format, choice_accuracy])
    assert accuracy_of(rewards) == ["math_accuracy", "choice_accuracy"]
    assert accuracy_of({}) == []


def test_a_column_that_a_reward_reads_and_the_rows_lack_is_named():
    class Tests:
        __name__ = "tests"
        requires = ("solution", "unit_tests")

    check_columns({"tests": Tests()}, ["prompt", "unit_tests"], ["code"])
    # A reward for other domains reads nothing: an evaluation of one set may declare the rewards of all.
    scheduled = Scheduled(Tests(), domains=("code",))
    check_columns({"tests": scheduled}, ["prompt"], ["math", None])
    with pytest.raises(ConfigError, match="unit_tests"):
        check_columns({"tests": scheduled}, ["prompt"], ["math", "code"])
    with pytest.raises(ConfigError, match="`tests` reads the column 'unit_tests'"):
        check_columns({"tests": Tests()}, ["prompt"], ["code"])


def test_a_reward_that_loses_count_is_refused():
    with pytest.raises(ConfigError, match="gave 1 values for 2 completions"):
        score_traces(TRACES, {"one": lambda **columns: [1.0]})
