"""The figures against cases computed by hand."""

import json

import pytest

from trl_r1.errors import ConfigError
from trl_r1.sizes.memory import Training, head_bytes, memory_of
from trl_r1.sizes.model import ModelSize
from trl_r1.sizes.passes import Pass
from trl_r1.sizes.strategy import strategy_of
from trl_r1.sizes.throughput import Throughput
from trl_r1.sizes.work import cache_tokens, checkpoint_bytes, sampling_speed, training_hours


GIB = 1 << 30
SEVEN = 7_615_616_512  # Qwen2.5-7B
QWEN_7B = ModelSize(
    parameters=SEVEN,
    trainable=SEVEN,
    active=SEVEN - 152_064 * 3584,
    head=152_064 * 3584,
    largest=152_064 * 3584,
    layers=28,
    hidden=3584,
    vocabulary=152_064,
    attention=28 * 3584,
    cache=28 * 2 * 4 * 128,
)
ZERO3 = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 3}}


def training(accelerate, processes, w=2, **changes):
    values = {"accumulates": True, "weight_bytes": w, "trained_bytes": w, "compute_bytes": w, "gpu": True}
    values |= {"rows": 1, "length": 1, "layers": Pass(0, 0), "has_lm_head": False} | changes
    return Training(model=QWEN_7B, strategy=strategy_of(accelerate, processes), **values)


def held(accelerate, processes, w=2, **changes):
    memory = memory_of(training(accelerate, processes, w, **changes))
    return memory.weights + memory.gradients + memory.optimizer


@pytest.mark.parametrize(
    ("accelerate", "processes", "w", "bytes_each"),
    [
        ({}, 1, 4, 16),
        ({}, 1, 2, 8),  # moments are of the weights' type
        ({"distributed_type": "MULTI_GPU"}, 8, 4, 20),  # the reducer's buckets are a second set of gradients
        ({"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 1}}, 8, 2, 4 + 12 / 8),
        ({"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 2}}, 8, 2, 2 + 14 / 8),
        (ZERO3, 8, 2, 16 / 8),
        (ZERO3, 8, 4, 16 / 8),  # fp32 weights are updated in place
        ({"distributed_type": "FSDP"}, 8, 4, 16 / 8),
    ],
)
def test_bytes_a_parameter(accelerate, processes, w, bytes_each):
    assert held(accelerate, processes, w) == pytest.approx(bytes_each * SEVEN, rel=1e-6)


def test_a_reference_weighs_as_much_as_the_weights_that_a_process_holds():
    with_one, without = (memory_of(training(ZERO3, 8, reference=on)) for on in (True, False))
    assert with_one.peak - without.peak == with_one.reference == 2 * SEVEN // 8


def test_offloaded_parts_are_the_hosts():
    file = {"zero_stage": 3, "offload_optimizer_device": "cpu", "offload_param_device": "cpu"}
    memory = memory_of(training({"distributed_type": "DEEPSPEED", "deepspeed_config": file}, 8))
    assert memory.weights == memory.gradients == memory.optimizer == 0
    assert memory.host == pytest.approx(16 * SEVEN, rel=1e-6)


def test_deepspeed_s_own_config(tmp_path):
    own = {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}}}
    (tmp_path / "zero.json").write_text(json.dumps(own))
    offloaded = strategy_of({}, 8, own)
    assert (offloaded.kind, offloaded.stage, offloaded.offloads_optimizer, offloaded.offloads_weights) == (
        "zero",
        3,
        True,
        False,
    )
    file = {
        "distributed_type": "DEEPSPEED",
        "deepspeed_config": {"deepspeed_config_file": str(tmp_path / "zero.json")},
    }
    assert strategy_of({}, 8, str(tmp_path / "zero.json")) == strategy_of(file, 8) == offloaded


def test_log_probabilities_in_tiles():
    # 1,000 tokens: a tile of 1,000 x 32,768 in bf16; hidden states' gradients in fp32 with a cast, and their copy; the
    # projection's gradient in fp32 with a cast.
    one = training({}, 1, length=1000, has_lm_head=True)
    assert head_bytes(one) == 1000 * 32_768 * 2 + 1000 * 3584 * (4 + 2 + 2) + 152_064 * 3584 * (4 + 2)
    # Ten times the tokens: the tile stops at 4,096 of them.
    ten = training({}, 1, length=10_000, has_lm_head=True)
    assert head_bytes(ten) - head_bytes(one) == 3096 * 32_768 * 2 + 9000 * 3584 * 8


def test_without_accumulation_gradients_come_as_activations_go():
    layers = Pass(kept=100 * GIB, peak=100 * GIB)
    at_once, both = (memory_of(training({}, 1, layers=layers, accumulates=on)) for on in (False, True))
    assert both.peak - at_once.peak == 2 * SEVEN


def test_an_engine_that_sleeps_is_not_beside_the_activations():
    layers = Pass(kept=30 * GIB, peak=30 * GIB)
    awake, asleep = (
        memory_of(training(ZERO3, 8, layers=layers, engine=28 * GIB, engine_sleeps=on)).peak for on in (False, True)
    )
    assert awake - asleep == 28 * GIB
    # ... but it is beside what is held throughout.
    assert memory_of(training(ZERO3, 8, engine=60 * GIB, engine_sleeps=True)).peak == 60 * GIB + 2 * SEVEN


def test_the_cache_of_vllm():
    # 0.35 of 80 GiB less 3 GB and 15.2 GB of weights, at 57,344 bytes a token.
    tokens = cache_tokens(QWEN_7B, 2, 0.35, 80 * GIB, 1, 3e9)
    assert tokens == int((0.35 * 80 * GIB - 3e9 - 2 * SEVEN) // 57_344)
    assert 20 < tokens / 10_000 < 21
    assert cache_tokens(QWEN_7B, 2, 0.1, 80 * GIB, 1, 3e9) == 0
    assert cache_tokens(QWEN_7B, 2, 0.1, 80 * GIB, 4, 3e9) > 0


def test_a_checkpoint():
    # ZeRO-3: weights in bf16, fp32 weights, two moments; and a reference that moves.
    assert checkpoint_bytes(QWEN_7B, 2, 8, 3, reference=False, adapter=False) == 14 * SEVEN
    assert checkpoint_bytes(QWEN_7B, 2, 8, 3, reference=True, adapter=False) == 16 * SEVEN
    # ZeRO-2 saves the weights twice: 137 GB.
    assert checkpoint_bytes(QWEN_7B, 2, 8, 2, reference=True, adapter=False) == 18 * SEVEN
    assert checkpoint_bytes(QWEN_7B, 4, 8, 0, reference=False, adapter=False) == 12 * SEVEN


def test_hours():
    assumed = Throughput(
        peak_flops=1e15, model_flops_utilization=0.4, memory_bandwidth=3e12, bandwidth_utilization=0.5
    )
    # 1e9 tokens, 3 passes, 2 operations a parameter and 2 x 100,352 x 5,000 of attention, on 8 GPUs at 4e14.
    flops = 3 * (2 * QWEN_7B.active + 2 * 100_352 * 5000) * 1e9
    assert training_hours(QWEN_7B, 1e9, 5000, 8, 3, assumed) == pytest.approx(flops / (8 * 4e14) / 3600)
    # A step of 40 sequences of 5,000 reads 14.1 GB of weights and 11.5 GB of cache, at 1.5 TB/s.
    read = 2 * QWEN_7B.active + 57_344 * 40 * 5000
    assert sampling_speed(QWEN_7B, 2, 40, 5000, 1, assumed) == pytest.approx(40 / (read / 1.5e12))
    assert sampling_speed(QWEN_7B, 2, 1, 1, 100, assumed) == pytest.approx(1 / 0.005)


def test_waiting_for_the_longest_row():
    assert Throughput().wait_of(1) == 1
    assert 2.6 < Throughput().wait_of(8) < 2.8  # simulated: 2.7
    assert Throughput().wait_of(32) > 4


def test_assumptions():
    assert Throughput().completion_tokens(32_768) == 5000
    assert Throughput().completion_tokens(1000) == 300
    assert Throughput(mean_completion_tokens=700).completion_tokens(512) == 512
    with pytest.raises(ConfigError, match="above 0"):
        Throughput(peak_flops=0)
