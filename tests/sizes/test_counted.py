"""What is counted on tensors without data: parameters, and what a pass holds."""

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from trl_r1.sizes.model import model_size
from trl_r1.sizes.passes import count_pass


def qwen2(hidden, mlp, layers, heads, kv, vocabulary=152_064, tied=False):
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        tie_word_embeddings=tied,
    )


def llama(hidden, mlp, layers, heads):
    return LlamaConfig(
        vocab_size=128_256,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=8,
    )


SMALL = Qwen3Config(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    pad_token_id=0,
)


# As their cards on the Hub state them, and bytes of the cache per token in bf16: 2 x 2 x heads x 128 (64) x layers.
@pytest.mark.parametrize(
    ("config", "parameters", "cache_bytes"),
    [
        (qwen2(896, 4864, 24, 14, 2, 151_936, tied=True), 494_032_768, 12_288),
        (qwen2(1536, 8960, 28, 12, 2, 151_936, tied=True), 1_543_714_304, 28_672),
        (qwen2(3584, 18_944, 28, 28, 4), 7_615_616_512, 57_344),
        (qwen2(5120, 27_648, 64, 40, 8), 32_763_876_352, 262_144),
        (llama(4096, 14_336, 32, 32), 8_030_261_248, 131_072),
        (llama(8192, 28_672, 80, 64), 70_553_706_496, 327_680),
    ],
)
def test_models_have_the_parameters_that_their_cards_state(config, parameters, cache_bytes):
    size = model_size(config)
    assert (size.parameters, size.trainable, 2 * size.cache) == (parameters, parameters, cache_bytes)
    assert size.head == config.vocab_size * config.hidden_size


def test_adapters_are_counted():
    config = qwen2(3584, 18_944, 28, 28, 4)
    size = model_size(config, lora=LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    # r x (in + out): q and o 7,168 each, k and v 4,096 each, three of the MLP 22,528 each.
    assert size.trainable == 16 * 28 * (2 * 7168 + 2 * 4096 + 3 * 22_528)
    assert size.parameters == 7_615_616_512 + size.trainable
    assert not size.trains_head


def test_a_reward_model_has_a_score_in_place_of_the_projection():
    assert model_size(qwen2(3584, 18_944, 28, 28, 4), "score").parameters == 7_615_616_512 - 152_064 * 3584 + 3584


@pytest.mark.parametrize("rows", [1, 3])
def test_what_is_kept_is_what_autograd_saves(rows):
    model = AutoModelForCausalLM.from_config(SMALL).train()
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in parameters:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    hidden = torch.randn(rows, 50, 32, requires_grad=True)
    padded = torch.ones(rows, 50, dtype=torch.long)
    padded[1:, 40:] = 0
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(inputs_embeds=hidden, attention_mask=padded, use_cache=False)
    expected = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    counted = count_pass(SMALL, rows, 50, dtype="float32")
    assert counted.kept == pytest.approx(expected, rel=0.03)
    assert counted.peak > counted.kept


def test_gradient_checkpointing_keeps_one_tensor_a_layer():
    config = Qwen3Config(**{**SMALL.to_dict(), "num_hidden_layers": 33, "layer_types": None})
    few, many = (count_pass(each, 2, 50, dtype="bfloat16", checkpointing=True) for each in (SMALL, config))
    assert many.kept - few.kept == many.peak - few.peak == 30 * 2 * 50 * 32 * 2


def test_autocast_and_adapters_are_counted_too():
    plain = count_pass(SMALL, 2, 50, dtype="bfloat16")
    mixed = count_pass(SMALL, 2, 50, dtype="float32", autocast=True)
    assert mixed.kept > plain.kept  # weights are cast, and the residual stream is in fp32
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    assert count_pass(SMALL, 2, 50, dtype="float32", lora=lora).kept != plain.kept
