"""
Every reward in stock TRL: GRPOTrainer, RLOOTrainer, `trl grpo`, and AsyncGRPOTrainer by its own function that scores.

What is tested of each: that it runs with this calling convention and gives numbers. What the numbers are is tested
beside it.
"""

import asyncio
import inspect
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest


torch = pytest.importorskip("torch")

from accelerate import PartialState  # noqa: E402
from datasets import Dataset  # noqa: E402
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer  # noqa: E402
from trl.experimental.async_grpo import async_rollout_worker  # noqa: E402
from trl.trainer.utils import get_callable_name  # noqa: E402

import trl_r1.rewards  # noqa: E402
from tests.rewards.test_preference import save_classifier  # noqa: E402
from tests.sampling.stub_server import choices, stub_server  # noqa: E402
from tests.sandbox.conftest import why_no_jail  # noqa: E402
from trl_r1.rewards import load_rewards  # noqa: E402


# Ready as they are, importable by `trl grpo`.
READY = ["math_accuracy", "choice_accuracy", "think_format", "language_consistency", "group_length", "code_accuracy"]
# Made with what they need.
MADE = ["preference_model", "judge"]
NAMES = [*READY, *MADE]
NEEDS_JAIL = pytest.mark.skipif(bool(why_no_jail()), reason=why_no_jail())


def each(names: list[str]) -> list:
    return [pytest.param(name, marks=NEEDS_JAIL) if name == "code_accuracy" else name for name in names]


def here(names: list[str]) -> list[str]:
    """Those that can run on this machine."""
    return [name for name in names if name != "code_accuracy" or not why_no_jail()]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("model")
    words = "<pad> <eos> <unk> <think> </think> 0 1 2 3 4 5 what is plus wait so A B user assistant"
    vocabulary = {word: i for i, word in enumerate(words.split())}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}",
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def rewards(tmp_path_factory):
    """Every reward, by name."""
    verdict = choices('{"analysis": "x", "verdict": "correct"}')
    with stub_server(lambda path, request: (200, verdict)) as (url, _):
        made = {
            "preference_model": trl_r1.rewards.PreferenceModel(save_classifier(tmp_path_factory.mktemp("classifier"))),
            "judge": trl_r1.rewards.Judge(url, "m"),
        }
        assert list(made) == MADE
        yield {name: getattr(trl_r1.rewards, name) for name in here(READY)} | made


TESTS = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["1\n", "2\n"]})


def prompts(conversational: bool = False) -> Dataset:
    questions = [f"what is {i % 3} plus {i % 2}" for i in range(8)]
    rendered = [[{"role": "user", "content": q}] for q in questions] if conversational else questions
    return Dataset.from_dict(
        {
            "prompt": rendered,
            "question": questions,
            "solution": [str(i % 3 + i % 2) if i % 4 else "B" for i in range(8)],
            "domain": ["math" if i % 4 else "choice" for i in range(8)],
            "language": ["en"] * 8,
            "tests": [TESTS] * 8,
        }
    )


def arguments(kind: type, folder: Path, **more):
    return kind(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        max_steps=2,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=1,
        **more,
    )


def logged(trainer) -> dict:
    return next(entry for entry in trainer.state.log_history if "reward" in entry)


def check(entry: dict, names: list[str]) -> None:
    for name in names:
        mean = entry[f"rewards/{name}/mean"]
        # TRL writes None or NaN where a reward applied to no row.
        assert mean is None or mean != mean or -0.5 <= mean <= 1, name
    judged = [name for name in names if (mean := entry[f"rewards/{name}/mean"]) is not None and mean == mean]
    assert {"math_accuracy", "think_format", "preference_model", "judge", "group_length"} <= set(judged)


@pytest.mark.parametrize("conversational", [False, True])
def test_grpo_trainer(model, rewards, tmp_path, conversational):
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=list(rewards.values()),
        args=arguments(GRPOConfig, tmp_path, gradient_checkpointing=False),
        train_dataset=prompts(conversational),
    )
    trainer.train()
    assert trainer.state.global_step == 2
    check(logged(trainer), list(rewards))


def test_grpo_trainer_with_declared_rewards(model, tmp_path):
    rewards, weights = load_rewards(
        [
            {"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]},
            {"func": "trl_r1.rewards.ChoiceAccuracy", "domains": ["choice"], "weight": 0.5},
            {"func": "trl_r1.rewards.ThinkFormat", "from_step": 1},
        ]
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=rewards,
        args=arguments(GRPOConfig, tmp_path, gradient_checkpointing=False, reward_weights=weights),
        train_dataset=prompts(),
    )
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "reward" in entry]
    means = [entry["rewards/think_format/mean"] for entry in entries]
    assert means[0] is None or means[0] != means[0]  # it does not apply yet
    assert means[1] >= 0


def test_rloo_trainer(model, rewards, tmp_path):
    trainer = RLOOTrainer(
        model=model,
        reward_funcs=list(rewards.values()),
        args=arguments(RLOOConfig, tmp_path, gradient_checkpointing=False),
        train_dataset=prompts(),
    )
    trainer.train()
    assert trainer.state.global_step == 2
    check(logged(trainer), list(rewards))


def test_trl_s_own_shaping_declared_beside_ours_in_a_trainer(model, tmp_path):
    makers = {
        "get_soft_overlong_punishment": {"max_completion_len": 8, "soft_punish_cache": 4},
        "get_repetition_penalty_reward": {"ngram_size": 2},
        "get_cosine_scaled_reward": {"max_len": 8},
    }
    declared = [
        {"func": f"trl.rewards.{maker}", "args": args, "weight": 0.5, "domains": ["math"]}
        for maker, args in makers.items()
    ]
    rewards, weights = load_rewards([*declared, {"func": "trl_r1.rewards.GroupLength", "weight": 0.2}])
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=rewards,
        args=arguments(GRPOConfig, tmp_path, gradient_checkpointing=False, reward_weights=weights),
        train_dataset=prompts(conversational=True),
    )
    trainer.train()
    entry = logged(trainer)
    assert entry["rewards/soft_overlong_punishment_reward/mean"] < 0
    assert entry["rewards/repetition_penalty_reward/mean"] <= 0
    assert entry["rewards/cosine_scaled_reward/mean"] < 0
    assert "rewards/group_length/mean" in entry


def test_trl_grpo_from_the_command_line(model, tmp_path):
    from trl.scripts.grpo import main, make_parser

    prompts().to_json(tmp_path / "train.jsonl")
    parsed = make_parser().parse_args_and_config(
        [
            *("--model_name_or_path", model, "--dataset_name", "json", "--output_dir", str(tmp_path / "out")),
            *("--reward_funcs", *(f"trl_r1.rewards.{name}" for name in here(READY))),
            *(
                "--config",
                _yaml(tmp_path, {"datasets": [{"path": "json", "data_files": str(tmp_path / "train.jsonl")}]}),
            ),
            *("--max_steps", "1", "--num_generations", "4", "--per_device_train_batch_size", "4"),
            *("--max_completion_length", "8", "--use_cpu", "true", "--bf16", "false", "--report_to", "none"),
            *("--save_strategy", "no", "--logging_steps", "1", "--gradient_checkpointing", "false"),
        ]
    )
    main(*parsed)
    assert (tmp_path / "out" / "config.json").is_file()


def _yaml(folder: Path, content: dict) -> str:
    import yaml

    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "config.yaml")


@pytest.mark.parametrize("name", each(NAMES))
@pytest.mark.parametrize("conversational", [False, True])
def test_async_grpo_scores_a_group_after_pickling_with_columns_only(rewards, name, conversational):
    """By TRL's own function, of which only what it needs of its worker stands in: no trainer state, no loggers."""
    reward = pickle.loads(pickle.dumps(rewards[name]))
    assert get_callable_name(reward) == name
    texts = [
        "<think>one plus one is two</think> \\boxed{2}",
        "<think>is it?</think> so \\boxed{\\sqrt{4} + 0} it is",
        "<think>one</think>\n```python\nprint(input())\n```",
    ]
    question = "what is 1 plus 1"
    PartialState()  # which every trainer has made, and TRL's log asks for
    group = async_rollout_worker.RolloutGroup(
        prompts=[[{"role": "user", "content": question}] if conversational else question] * 3,
        completions=[[{"role": "assistant", "content": text}] for text in texts] if conversational else texts,
        completions_ids=[[1, 2], [1, 2, 3], [1]],
        reward_kwargs={
            "question": [question] * 3,
            "solution": ["B" if name == "choice_accuracy" else "2"] * 3,
            "language": ["en"] * 3,
            "tests": [TESTS] * 3,
        },
        completions_sequences=[
            [SimpleNamespace(input_ids=[1], completion_mask=[1], old_log_probs=[0.0])] for _ in texts
        ],
        tool_call_counts=[0] * 3,
        tool_failure_counts=[0] * 3,
        model_version=0,
        group_id=0,
        env_rewards=[None] * 3,
        rollout_rewards=[None] * 3,
    )
    worker = SimpleNamespace(
        reward_funcs=[reward],
        reward_func_names=[get_callable_name(reward)],
        _env_reward_types=[],
        _provides_rollout_reward=False,
    )
    samples = asyncio.run(async_rollout_worker._AsyncRolloutLoop._score_group(worker, group))
    scores = [sample.metrics[f"rewards/{name}"] for sample in samples]
    assert len(scores) == 3
    assert all(-0.5 <= score <= 1 for score in scores)
    expected = {
        "math_accuracy": [1, 1, 0],
        "think_format": [1, 1, 1],
        "judge": [1, 1, 1],
        "group_length": [0, -0.5, 0],
        "code_accuracy": [0, 0, 1],
        "choice_accuracy": [0, 0, 0],
    }
    if name in expected:
        assert scores == expected[name]


@pytest.mark.parametrize("name", each(READY))
def test_a_ready_instance_is_what_its_class_makes_and_is_documented_to_be_called_by_keywords(name):
    reward = getattr(trl_r1.rewards, name)
    assert reward == type(reward)()
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert hash(reward) == hash(type(reward)())
    parameters = inspect.signature(reward).parameters
    for handed in ("prompts", "completion_ids", "trainer_state", "log_extra", "log_metric"):
        assert parameters[handed].default is None
    assert "completions" in parameters
    assert any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def test_every_reward_that_the_package_exports_is_tested_here(rewards):
    exported = {name: getattr(trl_r1.rewards, name) for name in trl_r1.rewards.__all__}
    assert {name for name in exported if name.islower()} == {*READY, "load_rewards"}
    classes = {one for one in exported.values() if inspect.isclass(one) and "__call__" in vars(one)}
    assert classes - {type(reward) for reward in rewards.values()} <= {
        trl_r1.rewards.Scheduled,
        trl_r1.rewards.CodeAccuracy,  # where it cannot run
    }
