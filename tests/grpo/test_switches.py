"""What would change the result is refused with its reason where it is asked for, and off with one line where it is not."""

import logging
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from trl import GRPOConfig

from trl_r1 import R1GRPOTrainer
from trl_r1.errors import ConfigError
from trl_r1.grpo.switches import Switches, why_positions_matter

from .scripted import Script, run
from .test_same_gradients import dynamic, gpt2
from .tiny import DigitReward, grpo_config, sums


REARRANGING = ("group_by_length", "max_tokens_per_micro_batch", "skip_zero_advantage")
UNDECIDED = {"trim_padding": None, "group_by_length": None, "skip_zero_advantage": None}


def make(model_path: str, tmp_path: Any, **changes: Any) -> R1GRPOTrainer:
    return R1GRPOTrainer(model_path, DigitReward(), grpo_config(tmp_path, **changes), sums())


@pytest.mark.parametrize(
    ("settings", "switches", "reason"),
    [
        ({"loss_type": "bnpo"}, REARRANGING, "bnpo divides by the tokens of a micro-batch"),
        ({"entropy_coef": 0.01}, REARRANGING, "entropy bonus is a mean over the tokens of a micro-batch"),
        ({"use_adaptive_entropy": True}, REARRANGING, "entropy bonus"),
        ({"top_entropy_quantile": 0.2}, REARRANGING, "a quantile of the micro-batch"),
        ({"beta": 0.1}, ("skip_zero_advantage",), "still pulled towards the reference"),
        (
            {"gradient_accumulation_steps": 2, "steps_per_generation": 3},
            ("group_by_length",),
            r"\(2\) and `steps_per_generation` \(3\) do not divide each other",
        ),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
def test_what_is_asked_for_and_not_exact_is_refused(settings, switches, reason, model_path, tmp_path):
    for switch in switches:
        value = 512 if switch == "max_tokens_per_micro_batch" else True
        with pytest.raises(ConfigError, match=f"{switch}.*{reason}"):
            make(model_path, tmp_path, **{"beta": 0.0, **settings, switch: value})


def test_it_is_refused_before_a_model_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match="bnpo"):
        make(str(tmp_path / "there is none"), tmp_path, loss_type="bnpo", group_by_length=True)


@pytest.mark.parametrize(("model", "reason"), [(gpt2, "not rotary"), (dynamic, "depend on the length of the batch")])
def test_padding_is_not_trimmed_where_positions_are_not_relative(model, reason, tmp_path):
    with pytest.raises(ConfigError, match=f"trim_padding.*{reason}"):
        make(model(tmp_path / "model"), tmp_path, trim_padding=True)


def test_what_is_left_open_is_on_where_exact(model_path, tmp_path):
    assert make(model_path, tmp_path, beta=0.0, **UNDECIDED).switches == Switches(True, True, None, True, True)
    assert make(model_path, tmp_path, beta=0.1, **UNDECIDED).switches == Switches(True, True, None, False, True)


@pytest.mark.parametrize(
    ("settings", "on", "said"),
    [
        (
            {"loss_type": "bnpo"},
            Switches(True, compact_generation=True),
            ["group_by_length", "skip_zero_advantage", "bnpo"],
        ),
        (
            {"gradient_accumulation_steps": 2, "steps_per_generation": 3},
            Switches(True, False, None, True, True),
            ["group_by_length", "do not divide"],
        ),
        ({}, Switches(True, True, None, True, True), []),
        ({"beta": 0.1}, Switches(True, True, compact_generation=True), []),
    ],
    ids=str,
)
def test_what_is_left_open_and_not_exact_is_off_with_one_line(settings, on, said, model_path, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="trl_r1.grpo.switches"):
        trainer = make(model_path, tmp_path, **{"beta": 0.0, **UNDECIDED, **settings})
    lines = [record.getMessage() for record in caplog.records if record.name == "trl_r1.grpo.switches"]
    assert trainer.switches == on
    assert len(lines) == bool(said)
    assert all(word in lines[0] for word in said)


def test_without_relative_positions_grouping_is_off_as_well(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="trl_r1.grpo.switches"):
        trainer = make(gpt2(tmp_path / "model"), tmp_path, beta=0.0, **UNDECIDED)
    assert trainer.switches == Switches(skip_zero_advantage=True, compact_generation=True)
    assert "trim_padding" in caplog.text


def test_trls_own_config_switches_nothing_on(model_path, tmp_path):
    config = GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, report_to="none")
    assert R1GRPOTrainer(model_path, DigitReward(), config, sums()).switches == Switches()


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_is_a_number_of_tokens(budget, tmp_path):
    with pytest.raises(ConfigError, match="max_tokens_per_micro_batch"):
        grpo_config(tmp_path, max_tokens_per_micro_batch=budget)


def llama(**changes: Any) -> LlamaForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=8, **sizes, **changes))


def test_positions_of_models():
    assert why_positions_matter(llama()) is None
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 512}
    assert why_positions_matter(llama(rope_parameters=yarn)) is None
    assert "not rotary" in why_positions_matter(GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1)))
    model = llama()
    model.config.layer_types = ["linear_attention"]
    assert "linear_attention" in why_positions_matter(model)
    model = llama()
    model.model.layers[0].conv = torch.nn.Conv1d(1, 1, 1)
    assert "recurrent or convolutional" in why_positions_matter(model)
    model = llama()
    model.config.rope_parameters = {"full": {"rope_type": "default"}, "long": {"rope_type": "longrope"}}
    assert "longrope" in why_positions_matter(model)


def test_a_pass_has_no_more_tokens_than_its_budget(model_path, tmp_path):
    """All passes: those that are trained on, and those of the reference and the old policy over the whole rollout."""
    seen: list[tuple[int, ...]] = []

    class Watched(R1GRPOTrainer):
        def training_step(self, model, inputs, num_items_in_batch):
            if not seen:
                for policy in (self.model, self.ref_model):
                    policy.model.register_forward_pre_hook(
                        lambda module, args, named: seen.append(tuple(named["input_ids"].shape)), with_kwargs=True
                    )
            return super().training_step(model, inputs, num_items_in_batch)

    settings = {"beta": 0.1, "num_iterations": 2, "per_device_train_batch_size": 12, "gradient_accumulation_steps": 1}
    run(Watched, model_path, tmp_path, Script(), **settings)
    assert len(seen) == 4  # old policy, reference, and two steps
    assert max(rows * width for rows, width in seen) > 300
    seen.clear()
    switches = {"trim_padding": True, "group_by_length": True, "max_tokens_per_micro_batch": 60}
    run(Watched, model_path, tmp_path, Script(), **settings, **switches)
    assert len(seen) > 8
    assert max(rows * width for rows, width in seen) <= 60
