"""R1GRPOTrainer hands the lengths of a group to the rewards that compare them, and to no run without such a reward."""

from datasets import Dataset

from trl_r1 import R1GRPOTrainer
from trl_r1.rewards import GroupLength, load_rewards

from .tiny import grpo_config


QUESTIONS = Dataset.from_dict(
    {"prompt": ["what is 1 and 2 ?", "what is 3 and 4 ?", "so what ?", "the sum of 1 ?"], "domain": ["a", "b"] * 2}
)


class Seen:
    """A reward that keeps what it is called with."""

    __name__ = "seen"

    def __init__(self, reads_group_tokens):
        self.reads_group_tokens = reads_group_tokens
        self.calls = []

    def __call__(self, completions, completion_ids, prompts, group_tokens=None, **columns):
        self.calls.append((prompts, [len(ids) for ids in completion_ids], group_tokens))
        return [float(len(ids)) for ids in completion_ids]


def right(completions, **columns):
    return [1.0] * len(completions)


def train(model_path, folder, rewards, **changes):
    config = grpo_config(
        folder, beta=0.0, max_steps=2, per_device_train_batch_size=8, max_completion_length=40, **changes
    )
    trainer = R1GRPOTrainer(model_path, rewards, config, QUESTIONS)
    trainer.train()
    return trainer


def test_each_row_comes_with_the_lengths_of_its_group(model_path, tmp_path):
    seen = Seen(reads_group_tokens=True)
    train(model_path, tmp_path, [seen])
    assert len(seen.calls) == 2
    for prompts, lengths, groups in seen.calls:
        assert len(set(prompts)) == 2
        assert groups == [lengths[:4]] * 4 + [lengths[4:]] * 4
    assert len({length for _, lengths, _ in seen.calls for length in lengths}) > 1


def test_without_a_reward_that_asks_nothing_is_gathered(model_path, tmp_path):
    seen = Seen(reads_group_tokens=False)
    train(model_path, tmp_path, [seen])
    assert [groups for _, _, groups in seen.calls] == [None, None]


def test_a_reward_of_some_domains_asks_through_its_schedule(model_path, tmp_path):
    seen = Seen(reads_group_tokens=False)
    declared = {"func": f"{__name__}.length_of_right_ones", "domains": ["a"]}
    trainer = train(model_path, tmp_path, [seen, *load_rewards([declared])[0]])
    assert all(groups is not None for _, _, groups in seen.calls)
    assert all("rewards/group_length/mean" in entry for entry in trainer.state.log_history if "reward" in entry)


length_of_right_ones = GroupLength(right)
