"""Rows that have ended are left out of generation, and the completions are the same."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, GenerationConfig
from transformers.cache_utils import LinearAttentionLayer

from trl_r1 import R1GRPOTrainer, compact_generation
from trl_r1.compact_generation import compact_rows, has_rows
from trl_r1.errors import ConfigError

from .lively import share_of_digits
from .test_resume import differences, what_matters
from .tiny import grpo_config, make_tokenizer, sums


# Completions of this model hardly ever end by themselves; so they do in ragged lengths.
RAGGED = {"sequence_bias": [[[1], 7.0]]}
PROMPTS = ["what is one ?", "what is the sum of two and three and one ?", "so", "check the sum of one and one"] * 8


@pytest.fixture
def model(model_path):
    return AutoModelForCausalLM.from_pretrained(model_path).eval()


@pytest.fixture
def passes(model):
    """The number of rows in each forward pass."""
    rows: list[int] = []
    model.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    return rows


def digits(completions: list[Any], **columns: Any) -> list[float]:
    return [share_of_digits(completion) for completion in completions]


def sample(model: Any, **changes: Any) -> torch.Tensor:
    inputs = make_tokenizer()(PROMPTS, return_tensors="pt", padding=True)
    settings = {"max_new_tokens": 24, "do_sample": True, "top_k": 0, "eos_token_id": [1], "pad_token_id": 0, **RAGGED}
    torch.manual_seed(5)
    with torch.no_grad():
        return model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            generation_config=GenerationConfig(**{**settings, **changes}),
        )


class TestCompactRows:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"temperature": 1.3},
            {"eos_token_id": [1, 7, 8]},
            {"pad_token_id": 1},
            {"pad_token_id": 7},
            {"top_k": 3},
        ],
        ids=str,
    )
    def test_completions_are_the_same(self, changes, model, passes):
        whole = sample(model, **changes)
        all_rows = list(passes)
        passes.clear()
        with compact_rows(model, changes.get("eos_token_id", [1])):
            compact = sample(model, **changes)
        assert torch.equal(whole, compact)
        assert set(all_rows) == {len(PROMPTS)}
        assert len(passes) == len(all_rows)
        assert passes == sorted(passes, reverse=True)
        assert sum(passes) < 0.8 * sum(all_rows)

    def test_what_is_computed_is_what_has_not_ended(self, model, passes):
        """But for the few that have ended since rows were last taken out."""
        width = make_tokenizer()(PROMPTS, return_tensors="pt", padding=True)["input_ids"].size(1)
        with compact_rows(model, 1):
            completions = sample(model)[:, width:]
        first_end = torch.where(completions == 1, torch.arange(completions.size(1)), 99).amin(1)
        # The pass after token t (the first one after token 0) is due for the rows that had not ended by then.
        for token, rows in enumerate(passes[1:]):
            due = int((first_end > token).sum())
            assert due <= rows
            assert rows - due < max(1, compact_generation.ENDED_SHARE * rows + 1)

    def test_a_row_that_is_taken_out_too_early_is_seen(self, model, monkeypatch):
        """The comparison above can fail: tokens that do not end a completion are taken for its end."""
        whole = sample(model)
        with compact_rows(model, [1, 30, 8, 24]):
            assert not torch.equal(whole, sample(model))

    def test_the_model_is_left_as_it_was(self, model, passes):
        with pytest.raises(ZeroDivisionError), compact_rows(model, 1):
            raise ZeroDivisionError
        sample(model)
        assert set(passes) == {len(PROMPTS)}
        assert not model._forward_hooks
        assert not model._forward_pre_hooks

    def test_one_batch_after_another(self, model):
        whole = [sample(model), sample(model, max_new_tokens=9)]
        with compact_rows(model, 1):
            assert all(
                torch.equal(one, other) for one, other in zip(whole, [sample(model), sample(model, max_new_tokens=9)])
            )

    def test_without_a_cache_nothing_is_taken_out(self, model, passes):
        whole = sample(model, use_cache=False)
        with compact_rows(model, 1):
            assert torch.equal(whole, sample(model, use_cache=False))
        assert set(passes) == {len(PROMPTS)}


def test_sliding_windows_and_recurrent_layers(model_path):
    """Where attention looks back a few tokens only, rows are taken out all the same; recurrent states are left alone."""
    config = AutoConfig.from_pretrained(model_path, use_sliding_window=True, sliding_window=4, max_window_layers=0)
    config.layer_types = ["sliding_attention"] * config.num_hidden_layers
    model = AutoModelForCausalLM.from_pretrained(model_path, config=config).eval()
    whole = sample(model)
    with compact_rows(model, 1):
        assert torch.equal(whole, sample(model))
    cache = DynamicCache(config=config)
    assert has_rows(cache)
    cache.layers.append(LinearAttentionLayer())
    assert not has_rows(cache)
    assert not has_rows(None)


class TestTrainer:
    def run(self, model_path: str, folder: Path, resume: Path | None = None, **changes: Any):
        changes = {"generation_kwargs": RAGGED, "per_device_train_batch_size": 16, "beta": 0.0,
                   "max_completion_length": 12, "max_steps": 4, "compact_generation": True, **changes}  # fmt: skip
        adapter = LoraConfig(task_type="CAUSAL_LM", r=2) if changes.pop("lora", False) else None
        rows = sums()
        if changes.pop("conversational", False):
            rows = rows.map(
                lambda row: {"prompt": [{"role": "user", "content": row["prompt"]}]}, load_from_cache_file=False
            )
        trainer = R1GRPOTrainer(model_path, digits, grpo_config(folder, **changes), rows, peft_config=adapter)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return what_matters(trainer)

    @pytest.mark.parametrize(
        "changes",
        [{}, {"lora": True}, {"conversational": True}, {"num_iterations": 2, "beta": 0.1}, {"dynamic_sampling": True}],
        ids=str,
    )
    def test_trains_as_without_it(self, changes, model_path, tmp_path):
        ours = self.run(model_path, tmp_path / "ours", **changes)
        without = self.run(model_path, tmp_path / "without", compact_generation=False, **changes)
        assert differences(ours, without) == []
        assert ours["log"][0]["completions/min_length"] < ours["log"][0]["completions/max_length"]

    def test_resumes_exactly(self, model_path, tmp_path):
        whole = self.run(model_path, tmp_path / "whole")
        shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "parts" / "checkpoint-2")
        assert differences(whole, self.run(model_path, tmp_path / "parts", tmp_path / "parts" / "checkpoint-2")) == []

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"use_transformers_continuous_batching": True}, "by itself"),
            ({"cache_implementation": "static"}, "a cache that grows"),
            ({"generation_kwargs": {"num_beams": 2}}, "completions of their own"),
        ],
        ids=str,
    )
    def test_what_it_cannot_be_combined_with_is_said(self, changes, reason, model_path, tmp_path):
        with pytest.raises(ConfigError, match=f"`compact_generation`: .*{reason}"):
            self.run(model_path, tmp_path, **changes)

    def test_left_to_itself_it_is_on_where_it_can_be(self, model_path, tmp_path):
        def compacts(**changes):
            config = grpo_config(tmp_path, beta=0.0, **changes)
            return R1GRPOTrainer(model_path, digits, config, sums()).compacts

        assert compacts()
        assert not compacts(cache_implementation="static")
