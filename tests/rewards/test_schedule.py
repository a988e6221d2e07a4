"""Rewards as they are declared: imported, made, checked, and applied where and when they shall."""

import asyncio
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest

from trl_r1.errors import ConfigError
from trl_r1.rewards.schedule import (
    AsyncScheduled,
    RewardSpec,
    Scheduled,
    describe,
    is_async,
    load_rewards,
    name_of,
    required_columns,
)


HERE = __name__


def length(completions, reference, **columns):
    return [float(len(c)) for c in completions]


async def slow(completions, **columns):
    await asyncio.sleep(0)
    return [1.0] * len(completions)


def make_constant(value):
    return Constant(value)


class Constant:
    def __init__(self, value=0.5):
        self.value = value

    def __call__(self, *, completions, log_extra=None, **columns):
        if log_extra:
            log_extra("seen", list(completions))
        return [self.value] * len(completions)


class Refuses:
    def __init__(self, size):
        if size > 3:
            raise ConfigError("expected at most 3", key="size")

    def __call__(self, **handed):
        return []


not_callable = 3


def one(func, **keys):
    return load_rewards([{"func": f"{HERE}.{func}", **keys}])[0][0]


def test_classes_instances_functions_and_makers():
    rewards, weights = load_rewards(
        [
            {"func": "trl_r1.rewards.MathAccuracy", "args": {"deadline_cpu_seconds": 1.0}, "weight": 2},
            "trl_r1.rewards.math_accuracy",
            {"func": f"{HERE}.length", "weight": 0.5},
            {"func": f"{HERE}.make_constant", "args": {"value": 0.25}},
        ]
    )
    assert weights == [2.0, 1.0, 0.5, 1.0]
    assert rewards[0].deadline_cpu_seconds == 1.0
    assert rewards[2] is length
    assert rewards[3](completions=["x"]) == [0.25]


def test_a_maker_of_trl():
    spec = {"func": "trl.rewards.get_repetition_penalty_reward", "args": {"ngram_size": 2, "max_penalty": -1.0}}
    reward = load_rewards([spec])[0][0]
    assert reward(prompts=["x"], completions=["a a a a"], completion_ids=[[1, 1, 1, 1]])[0] < 0


@pytest.mark.parametrize(
    ("declared", "key", "says"),
    [
        ([], "rewards", "at least one"),
        ({"func": "x.y"}, "rewards", "expected a list"),
        ([{"func": "x.y", "wieght": 1}], "rewards[0].wieght", "unknown key; did you mean `weight`?"),
        ([{"weight": 1}], "rewards[0].func", "dotted import path"),
        ([3], "rewards[0]", "expected a mapping"),
        ([{"func": "nowhere.at.all"}], "rewards[0].func", "does not import"),
        ([{"func": "trl_r1.rewards.MathAcuracy"}], "rewards[0].func", "has no `MathAcuracy`"),
        ([{"func": f"{HERE}.not_callable"}], "rewards[0].func", "can be called"),
        ([{"func": "trl_r1.rewards.MathAccuracy", "args": {"dedline": 1}}], "rewards[0].args", "dedline"),
        ([{"func": "trl_r1.rewards.MathAccuracy", "args": [1]}], "rewards[0].args", "mapping"),
        ([{"func": "trl_r1.rewards.PreferenceModel"}], "rewards[0].args", "'model'"),
        ([{"func": "trl_r1.rewards.math_accuracy", "args": {"x": 1}}], "rewards[0].args", "no arguments"),
        ([{"func": f"{HERE}.Refuses", "args": {"size": 4}}], "rewards[0].args.size", "at most 3"),
        ([{"func": f"{HERE}.length", "weight": "big"}], "rewards[0].weight", "a number"),
        ([{"func": f"{HERE}.length", "domains": "math"}], "rewards[0].domains", "a list"),
        ([{"func": f"{HERE}.length", "domains": []}], "rewards[0].domains", "a list"),
        ([{"func": f"{HERE}.length", "from_step": -1}], "rewards[0].from_step", "0 or later"),
        ([{"func": f"{HERE}.length", "from_step": 1.5}], "rewards[0].from_step", "a whole number"),
        ([{"func": f"{HERE}.length", "from_step": 5, "until_step": 5}], "rewards[0].until_step", "after"),
        (["trl_r1.rewards.math_accuracy", {"func": "x"}], "rewards[1].func", "dotted import path"),
    ],
)
def test_wrong_declarations_name_key_and_expectation(declared, key, says):
    with pytest.raises(ConfigError) as found:
        load_rewards(declared)
    assert found.value.key == key
    assert says in found.value.message


def test_rows_of_other_domains_are_none_and_not_handed_over():
    reward = one("Constant", domains=["math", "stem"])
    logged = {}
    scores = reward(
        prompts=["p"] * 4,
        completions=["a", "b", "c", "d"],
        domain=["math", "code", "stem", None],
        log_extra=logged.__setitem__,
    )
    assert scores == [0.5, None, 0.5, None]
    assert logged == {"seen": ["a", None, "c", None]}


def test_columns_are_cut_to_the_rows_of_the_domain():
    reward = one("length", domains=["math"])
    assert reward(completions=["abc", "b"], reference=["r", "s"], domain=["code", "math"]) == [None, 1.0]


def test_no_row_of_the_domain_calls_nothing():
    def never(**handed):
        raise AssertionError

    assert Scheduled(never, domains=("math",))(completions=["a"], domain=["code"]) == [None]


def test_steps():
    reward = one("Constant", from_step=2, until_step=4)
    seen = [reward(completions=["a"], trainer_state=SimpleNamespace(global_step=step))[0] for step in range(6)]
    assert seen == [None, None, 0.5, 0.5, None, None]
    with pytest.raises(ConfigError, match="training step"):
        reward(completions=["a"])


def test_domains_without_the_column():
    with pytest.raises(ConfigError, match="`domain`"):
        one("Constant", domains=["math"])(completions=["a"])


def test_name_columns_and_accuracy_pass_through():
    reward = load_rewards([{"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]}])[0][0]
    assert reward.__name__ == "math_accuracy"
    assert reward.requires == ("solution", "domain")
    assert reward.is_accuracy is True
    assert one("Constant", from_step=1).is_accuracy is False


def test_two_rewards_of_one_name_are_told_apart():
    rewards, _ = load_rewards([f"{HERE}.Constant", f"{HERE}.Constant"])
    assert [name_of(reward) for reward in rewards] == ["Constant", "Constant_2"]
    logged = {}
    for reward in rewards:
        reward(completions=["a"], log_extra=logged.__setitem__)
    assert logged == {"seen": ["a"], "seen_2": ["a"]}


def test_scheduled_rewards_pickle():
    reward = load_rewards([{"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"], "from_step": 3}])[0][0]
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_async_rewards_stay_async():
    from trl.trainer.utils import get_callable_name, is_async_callable

    plain, scheduled = one("slow"), one("slow", domains=["math"])
    assert isinstance(scheduled, AsyncScheduled)
    for reward, expected in ((plain, True), (scheduled, True), (one("Constant", domains=["math"]), False)):
        assert is_async(reward) is is_async_callable(reward) is expected
        assert name_of(reward) == get_callable_name(reward)
    assert asyncio.run(scheduled(completions=["a", "b"], domain=["math", "x"])) == [1.0, None]
    assert asyncio.run(scheduled(completions=["a"], domain=["x"])) == [None]


def test_required_columns():
    assert required_columns(length) == ("reference",)
    assert required_columns(Constant()) == ()
    assert required_columns(RewardSpec) == ()
    from trl_r1.rewards import MathAccuracy, PreferenceModel, math_accuracy

    assert required_columns(MathAccuracy) == required_columns(math_accuracy) == ("solution",)
    assert required_columns(PreferenceModel) == ()


def test_describe():
    rewards, weights = load_rewards(
        [{"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"], "from_step": 3}, {"func": f"{HERE}.length"}]
    )
    assert describe(rewards, weights) == [
        "math_accuracy, weight 1, domains math, from step 3; reads solution, domain",
        "length, weight 1; reads reference",
    ]


def test_imports_no_torch():
    code = (
        "import sys; from trl_r1.rewards.schedule import load_rewards; import trl_r1.rewards as r;"
        "load_rewards([f'trl_r1.rewards.{n}' for n in ('MathAccuracy', 'ChoiceAccuracy', 'ThinkFormat', "
        "'LanguageConsistency')]); load_rewards([{'func': 'trl_r1.rewards.PreferenceModel', 'args': {'model': 'x'}}]);"
        "print([m for m in ('torch', 'transformers', 'trl', 'sympy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_every_name_of_the_package_loads():
    import trl_r1.rewards

    for name in trl_r1.rewards.__all__:
        assert getattr(trl_r1.rewards, name) is not None
    with pytest.raises(AttributeError):
        _ = trl_r1.rewards.nothing
