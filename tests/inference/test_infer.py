"""Questions answered by many samples, with an engine whose completions are known."""

from collections import Counter

import pytest
from datasets import load_dataset

from trl_r1.errors import ConfigError, DataError
from trl_r1.inference import InferenceConfig, infer
from trl_r1.sampling import Engine, Sample, SamplingConfig


SAMPLING = SamplingConfig(prompt_template="plain", n_samples=8, max_completion_tokens=9, batch_size=1)


class Scripted(Engine):
    """Gives each question its answers in turn; `None` is a completion that was cut."""

    def __init__(self, answers):
        self.answers, self.drawn = answers, Counter()

    def generate(self, questions, n, seed):
        found = []
        for question in questions:
            found.append([])
            for _ in range(n):
                text = self.answers[question][self.drawn[question] % len(self.answers[question])]
                self.drawn[question] += 1
                whole = Sample(f"<think>so</think> \\boxed{{{text}}}", "stop", 5)
                found[-1].append(Sample("<think>so", "length", 9) if text is None else whole)
        return found


def length_of_answer(completions, **_):
    return [float(len(text)) for text in completions]


def is_seven(completions, **_):
    return [1.0 if "{7}" in text else 0.1 for text in completions]


def negative(completions, **_):
    return [-1.0] * len(completions)


def answered(tmp_path, answers, sampling=SAMPLING, **config):
    engine = Scripted(answers)
    found = infer(sampling, InferenceConfig("model", str(tmp_path), questions=list(answers), **config), engine=engine)
    return found, engine


def test_the_most_frequent_answer_wins_by_equality_and_a_sure_vote_stops_early(tmp_path):
    answers = {"sure": ["7"], "split": ["1/2", "0.5", "7", "7", "\\frac{1}{2}", None, "7", "0.5"], "cut": [None]}
    found, engine = answered(tmp_path, answers)
    assert [each.text for each in found] == ["7", "1/2", None]
    assert engine.drawn == {"sure": 4, "split": 8, "cut": 8}
    assert found[1].share == pytest.approx(4 / 7)
    assert [each.n_samples for each in found] == [4, 8, 8]
    rows = load_dataset("parquet", data_files=f"{tmp_path}/data/*.parquet", cache_dir=str(tmp_path / "c"))["train"]
    assert rows["answer"][:2] == ["7", "1/2"]
    assert rows["completion"][2] is None

    again, engine = answered(tmp_path, answers)  # what is there is not sampled again
    assert not engine.drawn
    assert [each.text for each in again] == ["7", "1/2", None]


def test_without_stopping_early_the_answers_are_the_same(tmp_path):
    answers = {"sure": ["7"], "late": ["1", "2", "2", "1", "2"]}
    early, _ = answered(tmp_path / "early", answers)
    whole, engine = answered(tmp_path / "whole", answers, stop_early=False)
    assert engine.drawn == {"sure": 8, "late": 8}
    assert [each.text for each in early] == [each.text for each in whole]


def test_a_reward_weighs_the_votes_or_chooses_the_best(tmp_path):
    answers = {"q": ["123", "7", "123", "123"]}
    path = f"{__name__}.is_seven"
    found, _ = answered(tmp_path / "w", answers, choose="weighted_vote", reward={"func": path})
    assert found[0].text == "7"
    longest = {"func": f"{__name__}.length_of_answer"}
    found, _ = answered(tmp_path / "b", answers, choose="best_of_n", reward=longest)
    assert found[0].text == "123"
    with pytest.raises(DataError, match="at least 0"):
        answered(tmp_path / "n", answers, choose="weighted_vote", reward={"func": f"{__name__}.negative"})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "data, or `questions`"),
        ({"questions": ["q"], "choose": "best_of_n"}, "reward by which"),
        ({"questions": ["q"], "reward": {"func": "a.b"}}, "weighted_vote"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_sampling(wrong, said):
    with pytest.raises(ConfigError, match=said):
        InferenceConfig("model", "out", **wrong)
