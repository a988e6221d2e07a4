import pytest
from datasets import Dataset

from trl_r1.data import render
from trl_r1.errors import ConfigError


ROW = {
    "prompt": "1+1?",
    "completion": "<think>a</think>2",
    "chosen": "2",
    "rejected": "3",
    "solution": "2",
    "domain": "math",
}


@pytest.fixture
def dataset():
    return Dataset.from_list([ROW])


def test_grpo_rows_hold_the_rendered_prompt_and_the_question(dataset):
    row = render(dataset, "grpo", "Q: {prompt} A:")[0]
    assert row["prompt"] == "Q: 1+1? A:"
    assert row["question"] == "1+1?"
    assert row["solution"] == "2"
    assert render(dataset, "grpo", "chat")[0]["prompt"] == [{"role": "user", "content": "1+1?"}]
    assert render(dataset, "grpo", "r1_zero")[0]["prompt"].endswith("User: 1+1?. Assistant:")


def test_sft_rows_are_plain_or_conversational_as_the_template_is(dataset):
    assert render(dataset, "sft", "plain")[0]["completion"] == "<think>a</think>2"
    row = render(dataset, "sft", "chat")[0]
    assert row["prompt"] == [{"role": "user", "content": "1+1?"}]
    assert row["completion"] == [{"role": "assistant", "content": "<think>a</think>2"}]


def test_reward_rows_hold_the_prompt_before_each_answer(dataset):
    row = render(dataset, "reward", "Q: {prompt} A: ")[0]
    assert (row["chosen"], row["rejected"]) == ("Q: 1+1? A: 2", "Q: 1+1? A: 3")
    assert "prompt" not in row
    row = render(dataset, "reward", "chat")[0]
    assert row["rejected"] == [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "3"}]


def test_a_template_without_a_place_for_the_prompt_is_refused(dataset):
    with pytest.raises(ConfigError) as error:
        render(dataset, "grpo", "nothing")
    assert error.value.key == "prompt_template"
