"""The GRPO trainer: its metrics, the rollouts it keeps, its schedule of lengths, and that it takes what TRL's takes."""

import functools
import inspect
import pickle
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOConfig, GRPOTrainer

from trl_r1 import R1GRPOConfig, R1GRPOTrainer, read_traces
from trl_r1.errors import ConfigError

from .tiny import CHAT_TEMPLATE, DigitReward, grpo_config, make_tokenizer, sums


class RightByPosition:
    """Says of each group's completions which are right: as many as the prompt's number, one after another."""

    __name__ = "verdict"
    is_accuracy: ClassVar[bool] = True

    def __call__(self, *, completions: list[Any], right: list[int], **columns: Any) -> list[float | None]:
        return [None if n < 0 else float(i % 4 < n) for i, n in enumerate(right)]


def constant(completions: list[Any], **columns: Any) -> list[float]:
    return [0.1] * len(completions)


def graded(right: list[int], domains: list[str] | None = None, **columns: list[Any]) -> Dataset:
    columns |= {"domain": domains} if domains else {}
    return Dataset.from_dict({"prompt": ["what is one ?"] * len(right), "right": right, **columns})


def train(model_path: str, folder: Path, rewards: Any, dataset: Dataset, **changes: Any) -> R1GRPOTrainer:
    settings = {"beta": 0.0, "max_steps": 1, "shuffle_dataset": False, "save_strategy": "no", **changes}
    trainer = R1GRPOTrainer(model_path, rewards, grpo_config(folder, **settings), dataset)
    trainer.train()
    return trainer


class TestMetrics:
    def test_solve_rates_by_group_and_domain(self, model_path, tmp_path):
        rows = graded([0, 2, 4, 1], ["math", "math", "code", "code"])
        log = train(
            model_path, tmp_path, [constant, RightByPosition()], rows, per_device_train_batch_size=16
        ).state.log_history[0]
        assert log["solve_rate"] == pytest.approx((0 + 0.5 + 1 + 0.25) / 4)
        assert log["solve_rate/math"] == pytest.approx(0.25)
        assert log["solve_rate/code"] == pytest.approx(0.625)
        assert log["pass@G"] == pytest.approx(0.75)
        # None right and all right: .1 four times and 1.1 four times teach nothing.
        assert log["frac_reward_zero_std"] == pytest.approx(0.5)

    def test_groups_that_cannot_be_judged_do_not_count(self, model_path, tmp_path):
        rows = graded([-1, 2], ["general", "math"])
        log = train(
            model_path, tmp_path, [RightByPosition(), constant], rows, per_device_train_batch_size=8
        ).state.log_history[0]
        assert log["solve_rate"] == log["solve_rate/math"] == pytest.approx(0.5)
        assert log["pass@G"] == 1
        assert "solve_rate/general" not in log

    def test_truncation(self, model_path, tmp_path):
        trainer = train(model_path, tmp_path, constant, sums(), max_completion_length=2, max_steps=3)
        log = trainer.state.log_history[:3]
        assert [entry["truncated"] for entry in log] == [entry["completions/clipped_ratio"] for entry in log]

    def test_words_of_reflection_and_of_the_prompts_language(self, model_path, tmp_path):
        written = ["wait , but is it one ?", "so the sum is two", "你 好", "check"]

        class Scripted(R1GRPOTrainer):
            def _generate(self, prompts):
                result = list(super()._generate(prompts))
                result[3] = [f"<think>{text}</think> 1" for text in written]
                return tuple(result)

        for language, share in ((["en"], 3 / 4), (["zh"], 1 / 4), ([None], 3 / 4)):
            rows = graded([1], language=language)
            settings = {"languages": ["en", "zh"], "beta": 0.0, "max_steps": 1, "save_strategy": "no"}
            trainer = Scripted(model_path, RightByPosition(), grpo_config(tmp_path, **settings), rows)
            trainer.train()
            log = trainer.state.log_history[0]
            assert log["language_share"] == pytest.approx(share), language
            words = 5 + 5 + 2 + 1
            assert log["reflection/wait"] == log["reflection/but"] == pytest.approx(1000 / words)
            assert log["reflection/check"] == pytest.approx(1000 / words)
            assert log["reflection/retry"] == log["reflection/等等"] == 0
            assert log["reflection_per_1000_words"] == pytest.approx(3000 / words)

    def test_count_words_of_the_languages_that_may_occur(self, model_path, tmp_path):
        class Scripted(R1GRPOTrainer):
            def _generate(self, prompts):
                result = list(super()._generate(prompts))
                result[3] = ["<think>el perro de la casa come la comida</think> 1"] * len(prompts)
                return tuple(result)

        shares = []
        for languages in (["en", "zh"], None):
            settings = {"languages": languages, "beta": 0.0, "max_steps": 1, "save_strategy": "no"}
            rows = graded([1], language=["en"])
            trainer = Scripted(model_path, RightByPosition(), grpo_config(tmp_path, **settings), rows)
            trainer.train()
            shares.append(trainer.state.log_history[0]["language_share"])
        assert shares[0] == 1  # of English and Chinese, the script alone decides
        assert shares[1] < 0.3

    def test_are_averaged_over_the_logging_steps(self, model_path, tmp_path):
        rows = graded([0, 4, 4, 2])
        trainer = train(model_path, tmp_path, RightByPosition(), rows, max_steps=4, logging_steps=2)
        assert [entry["solve_rate"] for entry in trainer.state.log_history[:2]] == pytest.approx([0.5, 0.75])

    def test_of_an_evaluation(self, model_path, tmp_path):
        config = grpo_config(tmp_path, beta=0.0, num_generations_eval=2, per_device_eval_batch_size=4)
        rows = graded([1, 1, 1, 1], ["math"] * 4)
        trainer = R1GRPOTrainer(model_path, RightByPosition(), config, rows, rows)
        trainer.evaluate()
        log = trainer.state.log_history[-1]
        # Of four completions in a batch the first is right, and groups have two.
        assert log["eval_solve_rate"] == pytest.approx(0.25)
        assert log["eval_pass@G"] == pytest.approx(0.5)
        assert log["eval_solve_rate/math"] == pytest.approx(0.25)


class TestRollouts:
    def test_are_kept_with_what_is_known_of_them(self, model_path, tmp_path):
        class OnlyTwos:
            """A reward that does not apply to every row."""

            __name__ = "twos"

            def __call__(self, *, completions, **columns):
                return [1.0 if i % 2 else None for i in range(len(completions))]

        rows = sums(2).add_column("tests", [[1, 2], [3]])
        rewards = [DigitReward(), OnlyTwos()]
        train(model_path, tmp_path, rewards, rows, save_rollouts=True, per_device_train_batch_size=8)
        shards = sorted((tmp_path / "rollouts").iterdir())
        assert [shard.name for shard in shards] == ["step000000-call00000000-rank000.parquet"]
        traces = list(read_traces(tmp_path / "rollouts"))
        assert [t.prompt_id for t in traces] == ["p0"] * 4 + ["p1"] * 4
        first = traces[0]
        assert first.prompt == "sum of 0 and 0 ?"  # the question, without template
        assert (first.solution, first.domain, first.language) == ("0", "even", "en")
        assert first.extra == {"tests": [1, 2]}
        assert first.rewards == {
            "digits": pytest.approx(DigitReward()(completions=[first.completion])[0]),
            "twos": None,
        }
        assert traces[1].rewards["twos"] == 1.0
        assert first.model == model_path
        assert first.sampling["temperature"] == 1.0
        assert (first.step, first.seed) == (0, 3)
        for trace in traces:
            assert 1 <= trace.n_tokens <= 8
            assert (trace.finish_reason == "length") == (trace.n_tokens == 8 and "<eos>" not in trace.completion)

    def test_are_kept_of_rows_that_have_a_prompt_alone(self, model_path, tmp_path):
        rows = Dataset.from_dict({"prompt": ["what is one ?", "what is two ?"]})
        train(model_path, tmp_path, constant, rows, save_rollouts=True, max_steps=2)
        traces = list(read_traces(tmp_path / "rollouts"))
        assert [t.prompt for t in traces] == ["what is one ?"] * 4 + ["what is two ?"] * 4
        assert len({t.prompt_id for t in traces}) == 2
        assert {(t.solution, t.domain, t.language) for t in traces} == {(None, None, None)}

    def test_are_kept_of_conversations(self, model_path, tmp_path):
        rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": "what is one ?"}]]})
        train(model_path, tmp_path, constant, rows, save_rollouts=True)
        traces = list(read_traces(tmp_path / "rollouts"))
        assert {t.prompt for t in traces} == {"what is one ?"}
        assert all(isinstance(t.completion, str) for t in traces)

    def test_have_the_same_identity_as_in_the_data(self, model_path, tmp_path):
        from trl_r1.data import prompt_id

        rows = Dataset.from_dict(
            {"prompt": ["assistant : what is one ?"], "question": ["what is one ?"], "domain": ["math"]}
        )
        train(model_path, tmp_path, constant, rows, save_rollouts=True)
        assert {t.prompt_id for t in read_traces(tmp_path / "rollouts")} == {prompt_id("math", "what is one ?")}

    def test_are_not_kept_unless_asked_for_nor_in_an_evaluation(self, model_path, tmp_path):
        train(model_path, tmp_path / "not-asked", constant, sums())
        assert not (tmp_path / "not-asked" / "rollouts").exists()
        config = grpo_config(tmp_path / "eval", beta=0.0, save_rollouts=True, per_device_eval_batch_size=4)
        R1GRPOTrainer(model_path, constant, config, sums(), sums(2)).evaluate()
        assert not (tmp_path / "eval" / "rollouts").exists()


class TestLengthSchedule:
    def lengths(self, trainer: R1GRPOTrainer) -> list[float]:
        return [e["completions/max_length"] for e in trainer.state.log_history if "completions/max_length" in e]

    def test_holds_from_its_steps_on(self, model_path, tmp_path):
        # A model that never ends by itself shows its limit.
        schedule = {2: 3, 4: 9}
        trainer = train(
            model_path,
            tmp_path,
            constant,
            sums(),
            max_steps=6,
            max_completion_length_schedule=schedule,
            max_completion_length=5,
            generation_kwargs={"suppress_tokens": [1]},
        )
        assert self.lengths(trainer) == [5, 5, 3, 3, 9, 9]

    def test_takes_effect_with_the_next_rollout(self, model_path, tmp_path):
        trainer = train(
            model_path,
            tmp_path,
            constant,
            sums(),
            max_steps=6,
            num_iterations=3,
            max_completion_length_schedule=[[0, 4], [2, 6]],
            generation_kwargs={"suppress_tokens": [1]},
        )
        assert self.lengths(trainer) == [4, 6]


class TestConstructor:
    def test_takes_what_that_of_trl_takes(self):
        assert inspect.signature(R1GRPOTrainer) == inspect.signature(GRPOTrainer)

    def test_takes_the_config_of_trl(self, model_path, tmp_path):
        config = GRPOConfig(
            str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=4, num_generations=4,
            max_completion_length=4, max_steps=1, report_to="none",
        )  # fmt: skip
        trainer = R1GRPOTrainer(model_path, constant, config, sums())
        trainer.train()
        assert trainer.ref_model is None
        assert not (tmp_path / "rollouts").exists()

    def test_without_a_config_the_defaults_are_the_papers(self, model_path, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("trl_r1.grpo.trainer.R1GRPOConfig", functools.partial(R1GRPOConfig, use_cpu=True))
        trainer = R1GRPOTrainer(model_path, constant, train_dataset=sums(), processing_class=make_tokenizer())
        assert (trainer.loss_type, trainer.beta, trainer.num_generations) == ("grpo", 0.001, 16)
        assert trainer.args.output_dir.endswith("-GRPO")

    def test_switches_the_replacement_of_the_reference_off_where_there_is_none(self, model_path, tmp_path):
        adapter = LoraConfig(task_type="CAUSAL_LM", r=2)
        trainer = R1GRPOTrainer(model_path, constant, grpo_config(tmp_path, beta=0.1), sums(), peft_config=adapter)
        trainer.train()
        assert trainer.args.sync_ref_model is False
        assert grpo_config(tmp_path, beta=0.0).sync_ref_model is False

    def test_takes_a_wish_for_it_at_its_word(self, model_path, tmp_path):
        adapter = LoraConfig(task_type="CAUSAL_LM", r=2)
        asked = grpo_config(tmp_path, beta=0.1, sync_ref_model=True)
        with pytest.raises(NotImplementedError, match="sync_ref_model"):
            R1GRPOTrainer(model_path, constant, asked, sums(), peft_config=adapter)
        with pytest.raises(ValueError, match="sync_ref_model"):
            R1GRPOTrainer(model_path, constant, grpo_config(tmp_path, beta=0.0, sync_ref_model=True), sums())

    def test_takes_rewards_that_can_be_pickled(self, model_path, tmp_path):
        reward = pickle.loads(pickle.dumps(DigitReward()))
        log = train(model_path, tmp_path, reward, sums()).state.log_history[0]
        assert "rewards/digits/mean" in log


def test_rewards_are_told_what_they_cannot_see(model_path, tmp_path):
    seen = []

    def reward(completions, completion_ids, truncated, prefilled, thought_style, **columns):
        seen.append((truncated, prefilled, [ids[-1] != 1 for ids in completion_ids], thought_style))
        return [0.0] * len(completions)

    plain = Dataset.from_dict({"prompt": ["what is one ? <think>", "what is one ?"]})
    train(model_path, tmp_path, reward, plain, per_device_train_batch_size=8, save_rollouts=True)
    assert seen[0][0] == seen[0][2]
    assert seen[0][1] == [True] * 4 + [False] * 4
    traces = list(read_traces(tmp_path / "rollouts"))
    assert [trace.sampling.get("prefilled", False) for trace in traces] == seen[0][1]

    # The template of a conversation opens the thought where only the tokens show it.
    tokenizer = make_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE.replace("assistant : '", "assistant : <think> '")
    chat = Dataset.from_dict({"prompt": [[{"role": "user", "content": "what ?"}]]})
    config = grpo_config(tmp_path, beta=0.0, max_steps=1)
    R1GRPOTrainer(model_path, reward, config, chat, processing_class=tokenizer).train()
    assert seen[1][1] == [True] * 4
    assert seen[1][3] == ["think"] * 4


def test_an_adapter_is_trained_and_saved(model_path, tmp_path):
    adapter = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
    trainer = R1GRPOTrainer(model_path, DigitReward(), grpo_config(tmp_path, beta=0.1), sums(), peft_config=adapter)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    changed = {n for n, value in trainer.model.named_parameters() if not torch.equal(value, before[n])}
    assert changed
    assert all("lora" in name for name in changed)
    assert (tmp_path / "checkpoint-6" / "adapter_config.json").is_file()


def test_what_a_response_template_takes_out_of_the_content_is_counted(model_path, tmp_path):
    """Tokenizers that parse a response into its parts leave the thought out of `content`."""

    class Parsed(R1GRPOTrainer):
        def _generate(self, prompts):
            result = list(super()._generate(prompts))
            ids = self.processing_class("<think> wait </think> 1")["input_ids"]
            result[1] = [ids] * len(prompts)
            result[3] = [[{"role": "assistant", "content": "1", "reasoning_content": "wait"}] for _ in prompts]
            return tuple(result)

    rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": "what ?"}]]})
    tokenizer = make_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    config = grpo_config(tmp_path, beta=0.0, max_steps=1, save_rollouts=True)
    trainer = Parsed(model_path, constant, config, rows, processing_class=tokenizer)
    trainer.train()
    assert trainer.state.log_history[0]["reflection/wait"] == pytest.approx(1000)
    assert {t.completion for t in read_traces(tmp_path / "rollouts")} == {"<think>wait</think>1"}


@pytest.mark.parametrize(
    "schedule",
    [
        "8200",
        [1, 2],
        {"x": 5},
        {0: 0},
        {-1: 5},
        {0: "5"},
        {0.5: 1},
        [[0, 1], [0, 2]],
        3,
        [[0, 1, 2]],
        {0: True},
        {0: 1.5},
    ],
    ids=repr,
)
def test_a_schedule_that_is_none_is_refused(schedule, tmp_path):
    with pytest.raises(ConfigError, match="max_completion_length_schedule"):
        grpo_config(tmp_path, max_completion_length_schedule=schedule)


def test_an_unknown_language_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="`languages`: expected languages of am, ar"):
        grpo_config(tmp_path, languages=["en", "english"])


def test_a_schedule_and_max_new_tokens_exclude_each_other(tmp_path):
    with pytest.raises(ConfigError, match="max_new_tokens"):
        grpo_config(tmp_path, max_completion_length_schedule={0: 5}, generation_kwargs={"max_new_tokens": 7})
