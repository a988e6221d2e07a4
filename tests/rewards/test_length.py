"""Length within a group: in tokens, among completions of one prompt, and only right answers gain."""

import pickle

import pytest

from trl_r1.errors import ConfigError, MachineError
from trl_r1.grpo.metrics import group_tokens
from trl_r1.rewards import GroupLength, group_length, load_rewards, math_accuracy
from trl_r1.rewards.schedule import check_machine, required_columns


def is_right(completions, **columns):
    return [None if c == "?" else float("right" in c) for c in completions]


async def is_right_later(completions, **columns):
    return is_right(completions)


def rated(*rows, accuracy=is_right, **columns):
    """Rows of prompt, completion and number of tokens."""
    prompts, completions, tokens = zip(*rows)
    return GroupLength(accuracy)(
        prompts=list(prompts), completions=list(completions), completion_ids=[[1] * n for n in tokens], **columns
    )


def test_the_equation_of_kimi_k1_5():
    rewards = rated(("p", "right", 10), ("p", "right", 20), ("p", "right", 50), ("p", "no", 30), ("p", "no", 45))
    assert rewards == pytest.approx([0.5, 0.25, -0.5, 0.0, -0.375])


def test_a_wrong_answer_never_gains_however_short():
    assert rated(("p", "no", 1), ("p", "no", 2), ("p", "right", 3)) == [0.0, 0.0, -0.5]


def test_groups_do_not_see_each_other_whatever_their_order():
    """Where the whole batch is one group, as in open-r1, every answer to a hard prompt pays for the easy ones."""
    easy, hard = [("easy", "right", n) for n in (2, 4)], [("hard", "right", n) for n in (200, 400)]
    assert rated(*easy, *hard) == [0.5, -0.5, 0.5, -0.5]
    assert rated(hard[1], easy[0], hard[0], easy[1]) == [-0.5, 0.5, 0.5, -0.5]


def test_it_is_tokens_that_count_and_not_letters():
    rewards = rated(("p", "right " + "x" * 500, 5), ("p", "right", 50))
    assert rewards == [0.5, -0.5]


def test_equal_lengths_and_a_group_of_one_earn_nothing():
    assert rated(("p", "right", 7), ("p", "no", 7), ("q", "right", 9)) == [0.0, 0.0, 0.0]


def test_what_cannot_be_judged_is_none_and_its_length_counts():
    assert rated(("p", "?", 30), ("p", "right", 10), ("p", "right", 20)) == [None, 0.5, 0.0]


def test_the_group_s_lengths_that_a_trainer_hands_over_come_first():
    """A rank with one row of a group of four sees the lengths of the other three."""
    assert rated(("p", "right", 20), group_tokens=[[10, 20, 50, 30]]) == [0.25]
    assert group_tokens([1, 2, 3, 4, 5, 6], 3) == [[1, 2, 3]] * 3 + [[4, 5, 6]] * 3


def test_conversations_are_prompts_too():
    prompts = [[{"role": "user", "content": q}] for q in "aabb"]
    rewards = GroupLength(is_right)(
        prompts=prompts, completions=["right"] * 4, completion_ids=[[1], [1] * 3, [1] * 9, [1] * 7]
    )
    assert rewards == [0.5, -0.5, -0.5, 0.5]


def test_the_reward_of_accuracy_is_declared_or_given_and_may_be_asynchronous():
    handed = {"prompts": ["1+1?"] * 3, "completions": ["2", "3", "It is 2"], "completion_ids": [[1], [1], [1] * 3]}
    solution = ["2"] * 3
    for accuracy in (
        "trl_r1.rewards.math_accuracy",
        {"func": "trl_r1.rewards.MathAccuracy", "args": {"deadline_cpu_seconds": 1.0}},
        math_accuracy,
    ):
        assert GroupLength(accuracy)(**handed, solution=solution) == [0.5, 0.0, -0.5]
    assert group_length(**handed, solution=solution) == [0.5, 0.0, -0.5]
    assert rated(("p", "right", 1), ("p", "right", 2), accuracy=is_right_later) == [0.5, -0.5]


def test_ranks_that_hold_parts_of_groups_are_told(monkeypatch, caplog):
    monkeypatch.setattr("trl_r1.rewards.length._WARNED", [])
    rated(("p", "right", 1), ("p", "right", 2), ("q", "right", 1))
    rated(("p", "right", 1), ("p", "right", 2), ("q", "right", 1))
    assert caplog.text.count("from 1 to 2 completions") == 1


def test_declared_in_a_stage():
    declared = {
        "func": "trl_r1.rewards.GroupLength",
        "args": {"accuracy": f"{__name__}.is_right"},
        "domains": ["math"],
    }
    rewards, _ = load_rewards([declared])
    assert rewards[0].__name__ == "group_length"
    assert rewards[0].reads_group_tokens is True
    assert rewards[0](
        prompts=["p", "p", "q"],
        completions=["right"] * 3,
        completion_ids=[[1], [1, 1], [1]],
        domain=["math", "math", "code"],
        group_tokens=[[1, 2, 3]] * 2 + [[1, 5]],
    ) == [0.5, 0.0, None]
    assert pickle.loads(pickle.dumps(rewards[0])) == rewards[0]


def test_it_reads_what_the_reward_of_accuracy_reads():
    assert required_columns(group_length) == ("solution",)
    assert required_columns(GroupLength(is_right)) == ()


@pytest.mark.parametrize(
    ("accuracy", "key"),
    [
        ("nowhere.at.all", "accuracy.func"),
        ({"func": "trl_r1.rewards.MathAccuracy", "weight": 2.0}, "accuracy"),
        ({"func": "trl_r1.rewards.MathAccuracy", "args": {"x": 1}}, "accuracy.args"),
        (3, "accuracy"),
    ],
)
def test_a_wrong_declaration_is_named(accuracy, key):
    with pytest.raises(ConfigError) as error:
        load_rewards([{"func": "trl_r1.rewards.GroupLength", "args": {"accuracy": accuracy}}])
    assert error.value.key == f"rewards[0].args.{key}"


@pytest.mark.parametrize(("missing", "key"), [("completion_ids", "completion_ids"), ("prompts", "question")])
def test_what_is_missing_is_named(missing, key):
    handed = {"prompts": ["p"], "completions": ["right"], "completion_ids": [[1]]}
    with pytest.raises(ConfigError) as error:
        GroupLength(is_right)(**{**handed, missing: None})
    assert error.value.key == key


# TRL's own, which look at one completion at a time


def declared(name, **args):
    return load_rewards([{"func": f"trl.rewards.{name}", "args": args, "weight": 0.5}])[0][0]


def test_trl_s_own_are_declared_by_their_makers_with_arguments():
    overlong = declared("get_soft_overlong_punishment", max_completion_len=100, soft_punish_cache=20)
    assert overlong(completion_ids=[[1] * 80, [1] * 90, [1] * 101]) == [0.0, -0.5, -1.0]
    repetition = declared("get_repetition_penalty_reward", ngram_size=2, max_penalty=-1.0)
    assert repetition(completion_ids=[[1, 2, 3, 4], [5] * 5]) == [0.0, -0.75]
    cosine = declared("get_cosine_scaled_reward", max_len=100)
    handed = {"completions": [[{"content": r"\boxed{4}"}], [{"content": r"\boxed{5}"}]], "solution": ["$4$"] * 2}
    assert cosine(**handed, completion_ids=[[1] * 50] * 2) == pytest.approx([0.75, -0.75])
    assert required_columns(cosine) == ("solution",)
    assert required_columns(overlong) == required_columns(repetition) == ()
    for reward in (overlong, repetition, cosine):
        assert pickle.loads(pickle.dumps(reward)).__name__ == reward.__name__


def test_trl_s_own_apply_to_domains_and_steps_like_any():
    spec = {
        "func": "trl.rewards.get_soft_overlong_punishment",
        "args": {"max_completion_len": 4, "soft_punish_cache": 2},
        "domains": ["math"],
    }
    reward = load_rewards([spec])[0][0]
    scores = reward(completions=["a", "b"], completion_ids=[[1] * 3, [1] * 3], domain=["math", "code"])
    assert scores == [-0.5, None]


@pytest.mark.parametrize(
    ("args", "says"),
    [({"max_len": 4}, "do not fit"), ({"max_completion_len": 4}, "soft_punish_cache")],
)
def test_wrong_arguments_of_a_maker_are_named(args, says):
    with pytest.raises(ConfigError, match=says) as error:
        load_rewards([{"func": "trl.rewards.get_soft_overlong_punishment", "args": args}])
    assert error.value.key == "rewards[0].args"


def test_a_maker_that_refuses_its_arguments_is_named():
    spec = {"func": "trl.rewards.get_repetition_penalty_reward", "args": {"max_penalty": 1.0}}
    with pytest.raises(ConfigError, match="should not be positive") as error:
        load_rewards([spec])
    assert error.value.key == "rewards[0].args"


def test_what_the_accuracy_needs_of_the_machine_is_needed():
    class Lacking:
        def __call__(self, completions, **columns):
            return [None] * len(completions)

        def check_machine(self):
            raise MachineError("no jail")

    with pytest.raises(MachineError, match="no jail"):
        check_machine(GroupLength(Lacking()))
