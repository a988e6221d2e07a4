"""The rewards in stock TRL: GRPOTrainer, RLOOTrainer, `trl grpo`, and AsyncGRPOTrainer's way of calling."""

import asyncio
import pickle
from pathlib import Path

import pytest


torch = pytest.importorskip("torch")

from datasets import Dataset  # noqa: E402
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer  # noqa: E402
from trl.trainer.utils import get_callable_name, is_async_callable  # noqa: E402

from trl_r1.rewards import (  # noqa: E402
    choice_accuracy,
    language_consistency,
    load_rewards,
    math_accuracy,
    think_format,
)


RULES = [math_accuracy, choice_accuracy, think_format, language_consistency]
NAMES = ["math_accuracy", "choice_accuracy", "think_format", "language_consistency"]


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


@pytest.mark.parametrize("conversational", [False, True])
def test_grpo_trainer(model, tmp_path, conversational):
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=list(RULES),
        args=arguments(GRPOConfig, tmp_path, gradient_checkpointing=False),
        train_dataset=prompts(conversational),
    )
    trainer.train()
    entry = logged(trainer)
    for name in NAMES:
        assert f"rewards/{name}/mean" in entry
    assert 0 <= entry["rewards/math_accuracy/mean"] <= 1


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


def test_rloo_trainer(model, tmp_path):
    trainer = RLOOTrainer(
        model=model,
        reward_funcs=list(RULES),
        args=arguments(RLOOConfig, tmp_path, gradient_checkpointing=False),
        train_dataset=prompts(),
    )
    trainer.train()
    assert set(NAMES) <= {key.split("/")[1] for key in logged(trainer) if key.startswith("rewards/")}


def test_trl_grpo_from_the_command_line(model, tmp_path):
    from trl.scripts.grpo import main, make_parser

    prompts().to_json(tmp_path / "train.jsonl")
    parsed = make_parser().parse_args_and_config(
        [
            *("--model_name_or_path", model, "--dataset_name", "json", "--output_dir", str(tmp_path / "out")),
            *("--reward_funcs", "trl_r1.rewards.math_accuracy", "trl_r1.rewards.think_format"),
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


def test_async_grpo_calls_from_a_thread_with_columns_only_after_pickling():
    """As `AsyncRolloutLoop._score_group` does: no trainer state, no loggers, each reward in a thread."""
    rewards, _ = load_rewards(
        [
            {"func": "trl_r1.rewards.MathAccuracy", "domains": ["math"]},
            "trl_r1.rewards.choice_accuracy",
            "trl_r1.rewards.think_format",
            "trl_r1.rewards.language_consistency",
        ]
    )
    rewards = pickle.loads(pickle.dumps(rewards))
    assert [get_callable_name(reward) for reward in rewards] == NAMES
    handed = {
        "prompts": ["what is 1 plus 1"] * 3,
        "completions": [
            "<think>one plus one is two</think> \\boxed{2}",
            "<think>x</think> \\boxed{\\sqrt{4} + 0}",
            "\\boxed{3",
        ],
        "completion_ids": [[1, 2]] * 3,
        "solution": ["2"] * 3,
        "domain": ["math", "math", "other"],
        "language": ["en"] * 3,
    }

    async def score_group():
        return await asyncio.gather(
            *[
                reward(**handed) if is_async_callable(reward) else asyncio.to_thread(reward, **handed)
                for reward in rewards
            ]
        )

    accuracy, _, form, _ = asyncio.run(score_group())
    assert accuracy == [1.0, 1.0, None]
    assert form == [1.0, 1.0, 0.0]
