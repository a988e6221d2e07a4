"""
A leaner step is the same step: gradients and losses of R1GRPOTrainer with each switch against those of TRL's trainer.

Both train on the same written completions, in single precision, with plain gradient descent.
"""

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)
from trl import GRPOTrainer

from trl_r1 import R1GRPOTrainer
from trl_r1.grpo import config as config_module
from trl_r1.grpo import micro_batches, padding, switches
from trl_r1.grpo import trainer as trainer_module

from .scripted import Script, error, run
from .tiny import VOCABULARY, make_tokenizer


LOSSES = ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"]
SWITCHES = {
    "trim_padding": True,
    "group_by_length": True,
    # So few that calls take several micro-batches.
    "max_tokens_per_micro_batch": 30,
    "skip_zero_advantage": True,
}


@pytest.fixture(autouse=True, scope="module")
def cheap_collections():
    """Each training ends with a garbage collection, which takes longer than the training while all modules count."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> str:
    """With weights of a usual size, so that single precision leaves losses their sixth digit."""
    return qwen(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def stock(model_path, tmp_path_factory):
    """What TRL's trainer does, once for each setting."""
    done: dict[str, Any] = {}

    def train(script: Script | None = None, model: str | None = None, **settings: Any) -> Any:
        key = repr((sorted(settings.items(), key=str), vars(script) if script else None, model))
        if key not in done:
            folder = tmp_path_factory.mktemp("stock")
            done[key] = run(GRPOTrainer, model or model_path, folder, script, **settings)
        return done[key]

    return train


def possible(switches: dict[str, Any], loss_type: str = "grpo", beta: float = 0.0, **_: Any) -> dict[str, Any]:
    """Those of the switches that are exact."""
    if loss_type == "bnpo":
        return {"trim_padding": True}
    return {name: value for name, value in switches.items() if beta == 0 or name != "skip_zero_advantage"}


def assert_same(ours: Any, stock: Any) -> None:
    assert error(ours, stock) < 1e-5
    for loss, other in zip(ours.losses, stock.losses, strict=True):
        assert abs(loss - other) <= 1e-6 * max(1.0, abs(other))


def computed(trainer: Any) -> float:
    """The share of what the update computed that was padding, as logged."""
    return trainer.state.log_history[0]["padding"]


@pytest.mark.parametrize("num_iterations", [1, 2])
@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("loss_type", LOSSES)
def test_all_switches_together(loss_type, beta, num_iterations, stock, model_path, tmp_path):
    settings = {"loss_type": loss_type, "beta": beta, "num_iterations": num_iterations}
    script = Script(zero_std=(1,))
    switches = possible(SWITCHES, **settings)
    ours = run(R1GRPOTrainer, model_path, tmp_path, Script(zero_std=(1,)), **settings, **switches)
    assert_same(ours, stock(script, **settings))
    if "group_by_length" in switches:
        assert computed(ours) < 0.25
    if "skip_zero_advantage" in switches:
        assert ours.state.log_history[0]["skipped_rows"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("loss_type", [loss for loss in LOSSES if loss != "bnpo"])
def test_each_switch_alone(loss_type, switch, stock, model_path, tmp_path):
    settings = {"loss_type": loss_type, "num_iterations": 2}
    ours = run(R1GRPOTrainer, model_path, tmp_path, Script(zero_std=(1,)), **settings, **{switch: SWITCHES[switch]})
    assert_same(ours, stock(Script(zero_std=(1,)), **settings))
    if loss_type == "grpo":
        # The second use of a rollout is far enough from the first for ratios to be clipped.
        assert ours.state.log_history[1]["clip_ratio/region_mean"] > 0


def test_with_every_switch_off_it_is_trls_step_bit_by_bit(stock, model_path, tmp_path):
    settings = {"num_iterations": 2, "beta": 0.1}
    assert error(run(R1GRPOTrainer, model_path, tmp_path, **settings), stock(**settings)) == 0


LORA = LoraConfig(task_type="CAUSAL_LM", r=2, lora_dropout=0.0, init_lora_weights=False)
# Settings in which something else goes on; what cannot be on is switched off in the second part.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sequence-level ratios": ({"importance_sampling_level": "sequence", "num_iterations": 2}, {}),
    "GSPO with a KL term": ({"importance_sampling_level": "sequence", "num_iterations": 2, "beta": 0.1}, {}),
    "two-sided clipping": ({"delta": 1.1, "num_iterations": 2}, {}),
    "a corrected KL": ({"beta": 0.1, "use_bias_correction_kl": True, "num_iterations": 2}, {}),
    "sampled by vLLM": ({"vllm": True, "loss_type": "dapo"}, {}),
    "sampled by vLLM, sequences masked": ({"vllm": True, "vllm_importance_sampling_mode": "sequence_mask"}, {}),
    "sampled by vLLM, vespo": (
        {"vllm": True, "loss_type": "vespo", "vllm_importance_sampling_mode": "token_mask"},
        {},
    ),
    "off-policy rows masked": ({"vllm": True, "off_policy_mask_threshold": 0.3, "num_iterations": 2}, {}),
    "cut completions masked": ({"mask_truncated_completions": True, "script": {"cut": 3}}, {}),
    "cut completions masked, dapo": (
        {"mask_truncated_completions": True, "script": {"cut": 2}, "loss_type": "dapo", "beta": 0.1},
        {},
    ),
    "every completion cut": ({"mask_truncated_completions": True, "script": {"cut": 1}, "max_steps": 1}, {}),
    "conversations": ({"conversational": True, "num_iterations": 2}, {}),
    "an adapter": ({"peft_config": LORA, "num_iterations": 2}, {}),
    "an adapter with a KL term": ({"peft_config": LORA, "beta": 0.1}, {}),
    "rounded widths": ({"pad_to_multiple_of": 8, "num_iterations": 2}, {}),
    "two rollouts a step": ({"gradient_accumulation_steps": 6, "steps_per_generation": 3}, {}),
    "a rollout serves two steps": ({"gradient_accumulation_steps": 2, "steps_per_generation": 4}, {}),
    "rollouts and steps that do not divide": (
        {"gradient_accumulation_steps": 2, "steps_per_generation": 3, "max_steps": 3},
        {"group_by_length": False},
    ),
    "an epoch that accumulation does not divide": (
        {"gradient_accumulation_steps": 4, "steps_per_generation": 3, "max_steps": 3},
        {"group_by_length": False},
    ),
    "one call for all rows": ({"per_device_train_batch_size": 12, "gradient_accumulation_steps": 1}, {}),
    "one row a call": (
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 12, "loss_type": "luspo"},
        {},
    ),
    "no scaling of rewards": ({"scale_rewards": "none"}, {}),
    "rewards scaled over the batch": ({"scale_rewards": "batch"}, {}),
    "rewards normalised one by one": ({"multi_objective_aggregation": "normalize_then_sum"}, {}),
    "no group with variance but one": ({"script": {"zero_std": (0, 2)}}, {}),
    "an entropy bonus": (
        {"entropy_coef": 0.1},
        {"group_by_length": False, "skip_zero_advantage": False, "max_tokens_per_micro_batch": None},
    ),
    "tokens of high entropy": (
        {"top_entropy_quantile": 0.5},
        {"group_by_length": False, "skip_zero_advantage": False, "max_tokens_per_micro_batch": None},
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_whatever_else_goes_on(case, stock, model_path, tmp_path):
    settings, off = SETTINGS[case]
    settings = dict(settings)
    script = settings.pop("script", {"zero_std": (1,)})
    ours = run(
        R1GRPOTrainer, model_path, tmp_path, Script(**script), **settings, **{**possible(SWITCHES, **settings), **off}
    )
    theirs = stock(Script(**script), **settings)
    if case == "every completion cut":
        assert all((g == 0).all() for step in (*ours.recorded, *theirs.recorded) for g in step.values())
        return
    assert_same(ours, theirs)


def test_with_dynamic_sampling(model_path, tmp_path):
    """Rows of several rounds, of which some still teach nothing."""
    script = {"zero_std": (0, 1), "cut": 4}
    settings = {"dynamic_sampling": True, "max_sampling_rounds": 1, "num_iterations": 2}
    plain = run(R1GRPOTrainer, model_path, tmp_path / "plain", Script(**script), **settings)
    ours = run(R1GRPOTrainer, model_path, tmp_path / "ours", Script(**script), **settings, **SWITCHES)
    log = ours.state.log_history[0]
    assert log["dynamic_sampling/rounds"] == 1
    assert 0 < log["skipped_rows"] == pytest.approx(log["dynamic_sampling/frac_reward_zero_std"])
    assert_same(ours, plain)


def test_a_step_on_which_nothing_is_to_be_learned_has_a_gradient_of_zero(model_path, tmp_path):
    nothing = Script(zero_std=(0, 1, 2))
    ours = run(R1GRPOTrainer, model_path, tmp_path, nothing, max_steps=1, **SWITCHES)
    # One row stays, for the gradients to be there: AdamW moves by its momentum all the same.
    assert ours.state.log_history[0]["skipped_rows"] == pytest.approx(11 / 12)
    assert ours.recorded[0]
    assert all((gradient == 0).all() for gradient in ours.recorded[0].values())


def test_the_noise_of_equal_rewards_is_left_out(stock, model_path, tmp_path):
    """The float mean of eight rewards of 0.7 is not 0.7: TRL divides the difference by 1e-4, and learns from it."""
    script = {"zero_std": (1,), "equal": 0.7, "group": 8}
    settings = {"num_generations": 8, "per_device_train_batch_size": 8, "max_steps": 1}
    ours = run(R1GRPOTrainer, model_path, tmp_path, Script(**script), **settings, **SWITCHES)
    assert ours.state.log_history[0]["skipped_rows"] == pytest.approx(1 / 3)
    assert 1e-5 < error(ours, stock(Script(**script), **settings)) < 1e-2
    exact = {**script, "equal": 1.0}
    assert error(ours, stock(Script(**exact), **settings)) < 1e-5


# A check that cannot fail shows nothing: each of these is wrong in one place.


def weigh_all_alike(monkeypatch):
    monkeypatch.setattr(micro_batches.MicroBatches, "weight", lambda self, inputs, micro_batch: 1.0)


def lose_a_column(monkeypatch):
    margins = padding.AtOwnWidth._margins

    def one_too_many(self, attention_mask):
        left, right = margins(self, attention_mask)
        return left, right + 1

    monkeypatch.setattr(padding.AtOwnWidth, "_margins", one_too_many)


def put_columns_back_on_the_wrong_side(monkeypatch):
    pad = torch.nn.functional.pad
    monkeypatch.setattr(padding.F, "pad", lambda tensor, sides: pad(tensor, sides[::-1]))


def forget_a_backward_pass(monkeypatch):
    monkeypatch.setattr(micro_batches.MicroBatches, "_backward", lambda self, loss: None)


def take_a_row_twice(monkeypatch):
    take = micro_batches.take
    monkeypatch.setattr(micro_batches, "take", lambda batch, rows: take(batch, rows.clamp(min=1)))


def leave_out_rows_that_count(monkeypatch):
    def others(self, rollout, batch):
        return torch.arange(len(rollout)) < 4

    monkeypatch.setattr(R1GRPOTrainer, "_without_gradient", others)


@pytest.mark.parametrize(
    "break_it",
    [
        weigh_all_alike,
        lose_a_column,
        put_columns_back_on_the_wrong_side,
        forget_a_backward_pass,
        take_a_row_twice,
        leave_out_rows_that_count,
    ],
)
def test_wrong_mathematics_is_seen(break_it, stock, model_path, tmp_path, monkeypatch):
    break_it(monkeypatch)
    ours = run(R1GRPOTrainer, model_path, tmp_path, Script(zero_std=(1,)), num_iterations=2, **SWITCHES)
    assert error(ours, stock(Script(zero_std=(1,)), num_iterations=2)) > 1e-2


# What is refused would indeed be wrong: here it is done all the same.


@pytest.fixture
def anything_goes(monkeypatch):
    for module in (config_module, trainer_module):
        monkeypatch.setattr(module, "reasons_in_config", lambda args: {})
    monkeypatch.setattr(trainer_module, "reasons_in_model", lambda model, **facts: {})


@pytest.mark.parametrize(
    ("settings", "switch"),
    [
        ({"loss_type": "bnpo"}, "group_by_length"),
        ({"loss_type": "bnpo"}, "skip_zero_advantage"),
        ({"entropy_coef": 0.1}, "group_by_length"),
        ({"top_entropy_quantile": 0.5}, "group_by_length"),
        ({"beta": 0.1, "num_iterations": 2}, "skip_zero_advantage"),
    ],
    ids=str,
)
def test_what_is_refused_would_be_wrong(settings, switch, anything_goes, stock, model_path, tmp_path):
    ours = run(R1GRPOTrainer, model_path, tmp_path, Script(zero_std=(1,)), **settings, **{switch: True})
    assert error(ours, stock(Script(zero_std=(1,)), **settings)) > 1e-4


def save(model: Any, folder: Path) -> str:
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def qwen(folder: Path, **changes: Any) -> str:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    heads = {"num_key_value_heads": 1, "head_dim": 8, "initializer_range": 0.2}
    tokens = {"vocab_size": len(VOCABULARY), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    if "num_experts" in changes:
        return save(Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, **heads, **tokens, **changes)), folder)
    return save(Qwen3ForCausalLM(Qwen3Config(**sizes, **heads, **tokens, **changes)), folder)


def gpt2(folder: Path) -> str:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(VOCABULARY), n_embd=16, n_layer=1, n_head=2, initializer_range=0.5)
    return save(GPT2LMHeadModel(config), folder)


def dynamic(folder: Path) -> str:
    rotary = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    return qwen(folder, rope_parameters=rotary, max_position_embeddings=16)


@pytest.mark.parametrize("make", [gpt2, dynamic])
def test_positions_that_are_not_relative_would_be_wrong(make, anything_goes, stock, tmp_path):
    model = make(tmp_path / "model")
    ours = run(R1GRPOTrainer, model, tmp_path / "ours", trim_padding=True)
    assert error(ours, stock(model=model)) > 1e-4


def test_experts_whose_load_is_balanced(stock, tmp_path):
    """Trimming is exact there too, since padding does not count in the balance."""
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "router_aux_loss_coef": 0.5}
    model = qwen(tmp_path / "model", **experts, output_router_logits=True)
    ours = run(R1GRPOTrainer, model, tmp_path / "ours", Script(), trim_padding=True)
    assert ours.aux_loss_enabled
    assert_same(ours, stock(Script(), model=model))
    reasons = switches.reasons_in_model(ours.model, is_vlm=False, has_aux_loss=True)
    assert "group_by_length" in reasons
    assert "trim_padding" not in reasons
