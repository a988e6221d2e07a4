"""The figures of whole stages, from their configs and a model's `config.json` alone."""

import json

import pytest

from trl_r1.sizes.throughput import Throughput
from trl_r1.stages._check import check_stage


GIB = 1 << 30
ZERO3 = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 3}, "mixed_precision": "bf16"}
QWEN_7B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 131072,
}
LLAMA_70B = {
    **QWEN_7B,
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
COMMON = {
    "output_dir": "out",
    "data": [{"path": "org/data", "name": "rows"}],
    "prompt_template": "r1_zero",
    "dtype": "bfloat16",
    "bf16": True,
    "gradient_checkpointing": True,
    "per_device_train_batch_size": 1,
}
R1_ZERO = {
    **COMMON,
    "rewards": [{"func": "trl_r1.rewards.MathAccuracy"}],
    "gradient_accumulation_steps": 64,
    "steps_per_generation": 1024,
    "num_generations": 16,
    "max_steps": 10400,
    "save_steps": 100,
    "save_total_limit": 2,
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_enable_sleep_mode": True,
    "vllm_gpu_memory_utilization": 0.35,
    "max_completion_length": 32768,
    "vllm_max_model_length": 34816,
}
SFT = {**COMMON, "max_length": 32768, "gradient_accumulation_steps": 8, "num_train_epochs": 2}


@pytest.fixture
def sized(tmp_path):
    """The record of a stage, with its figures; `assumed` are values of a --throughput file."""

    def sized(kind, config, model=QWEN_7B, processes=8, accelerate=ZERO3, reward_model=None, **assumed):
        places = {}
        for name, content in (("model", model), ("judge", reward_model)):
            if content is not None:
                folder = tmp_path / content["model_type"]  # a config is read once
                folder.mkdir(exist_ok=True)
                (folder / "config.json").write_text(json.dumps(content))
                places[name] = {"place": str(folder), "trained": []}
        sizing = {"name": "stage", "gpu_memory": 80.0, "throughput": assumed}
        sizing["reward_models"] = {"judge": places["judge"]} if reward_model else {}
        models = {"": places.get("model") or {"place": "org/unknown", "trained": []}}
        if "models" not in config:
            config = {"model_name_or_path": models[""]["place"], **config}
        record = check_stage(kind, config, processes, accelerate=accelerate, models=models, sizing=sizing)
        return record["figures"], {each["key"]: each["message"] for each in record["problems"]}

    return sized


def test_r1_zero_of_a_7b(sized):
    figures, problems = sized("grpo", R1_ZERO)
    assert "accelerate" not in problems
    assert (figures["parameters"], figures["gpus"], figures["steps"]) == (7_615_616_512, 8, 10400)
    assert (figures["questions"], figures["completions"]) == (32, 512)
    assert figures["tokens"] == 512 * (5000 + 200)
    assert figures["micro_batch"] == (1, 34816)
    memory = figures["memory"]
    assert memory["weights"] + memory["gradients"] + memory["optimizer"] == pytest.approx(2 * 7_615_616_512, rel=1e-6)
    assert memory["reference"] == 2 * 7_615_616_512 // 8
    assert memory["peak"] < 80 * GIB
    # Some 20 sequences of 10k tokens; between two steps of a rollout 8,192 rows of ids, masks and log-probabilities.
    assert 20 < figures["cache"]["tokens"] / 10_000 < 21
    assert 6e9 < figures["disk"]["rollout buffer"] < 15e9
    assert figures["disk"]["checkpoint"] == 16 * 7_615_616_512 + figures["disk"]["rollout buffer"]
    assert 3000 < 8 * sum(figures["hours"].values()) < 8000
    # Checkpoints between two rollouts hold none; a larger share holds more sequences, and takes fewer hours.
    better, _ = sized("grpo", {**R1_ZERO, "save_steps": 96, "vllm_gpu_memory_utilization": 0.65})
    assert "rollout buffer" not in better["disk"]
    assert better["cache"]["tokens"] > 3 * figures["cache"]["tokens"]
    assert better["hours"]["sampling"] < 0.7 * figures["hours"]["sampling"]
    assert better["hours"]["training"] == figures["hours"]["training"]


def test_what_does_not_fit_is_refused_with_the_change_that_helps(sized):
    _, problems = sized("sft", SFT, LLAMA_70B, processes=32)
    assert problems["accelerate"].startswith("does not fit: a GPU would need 9")  # 99 GiB
    assert "What helps: 64 GPUs" in problems["accelerate"]
    _, problems = sized("sft", {**SFT, "gradient_checkpointing": False, "max_length": 16384})
    assert "What helps: `gradient_checkpointing: true`" in problems["accelerate"]
    _, problems = sized("sft", {**SFT, "per_device_train_batch_size": 8})
    assert "What helps: `per_device_train_batch_size: 1`" in problems["accelerate"]
    ddp = {"distributed_type": "MULTI_GPU"}
    _, problems = sized("sft", {**SFT, "max_length": 2048, "dtype": "float32"}, accelerate=ddp)
    assert "What helps: `accelerate: zero3`" in problems["accelerate"]
    _, problems = sized("grpo", {**R1_ZERO, "vllm_gpu_memory_utilization": 0.2})
    assert "less than one sequence of 34,816" in problems["vllm_gpu_memory_utilization"]
    _, problems = sized("grpo", {**R1_ZERO, "vllm_gpu_memory_utilization": 0.65, "vllm_enable_sleep_mode": False})
    assert "What helps: `vllm_enable_sleep_mode: true`" in problems["accelerate"]


def test_a_reward_model_and_adapters(sized):
    plain, _ = sized("grpo", R1_ZERO)
    judged, _ = sized("grpo", R1_ZERO, reward_model=QWEN_7B)
    assert judged["memory"]["reward_models"] == 2 * (7_615_616_512 - 152_064 * 3584 + 3584)
    assert judged["memory"]["peak"] - plain["memory"]["peak"] == judged["memory"]["reward_models"]
    lora = {"use_peft": True, "lora_r": 16, "lora_target_modules": ["all-linear"]}
    figures, problems = sized("grpo", {**R1_ZERO, **lora, "sync_ref_model": False}, processes=1, accelerate={})
    assert figures["trainable"] == 40_370_176
    assert figures["memory"]["reference"] == 0  # the adapter is switched off
    assert "accelerate" not in problems


def test_rows_decide_on_steps_and_hours_where_they_are_known(sized):
    unknown, _ = sized("sft", SFT)
    assert (unknown["steps"], unknown["hours"]) == (None, {})
    assert any("rows of its data" in note for note in unknown["notes"])
    for rows in ({"stage": 349_000}, {"rows": 349_000}, {"org/data": 349_000}):
        figures, _ = sized("sft", SFT, rows=rows, mean_row_tokens=6000)
        assert figures["steps"] == 2 * 349_000 // 64 + 1
    assert 20 < figures["hours"]["training"] < 40  # a day or so on 8 GPUs, rows dealt out by length
    at_random, _ = sized(
        "sft", {**SFT, "train_sampling_strategy": "random"}, rows={"rows": 349_000}, mean_row_tokens=6000
    )
    ratio = at_random["hours"]["training"] / figures["hours"]["training"]
    assert ratio == pytest.approx(Throughput().wait_of(8) / 1.1)


def test_what_is_not_known_is_named(sized):
    figures, _ = sized("sft", SFT, model=None)
    assert (figures["parameters"], figures["memory"], figures["hours"]) == (None, None, {})
    assert "the config of org/unknown is neither here nor in the Hub's cache" in figures["notes"]


def test_a_stage_that_samples_has_one_engine(sized):
    config = {
        "output_dir": "out",
        "data": [{"path": "org/data", "limit": 5000}],
        "prompt_template": "r1_zero",
        "n_samples": 4,
        "backend": "vllm",
        "max_model_length": 34816,
    }
    figures, problems = sized("cold_start", config, processes=1, accelerate={})
    assert (figures["gpus"], figures["completions"], figures["tokens"]) == (1, 20_000, 100_000_000)
    assert figures["disk"]["traces"] == 4 * 100_000_000
    assert figures["memory"]["peak"] == round(0.9 * 80 * GIB)
    assert figures["hours"]["sampling"] > 1
    _, problems = sized("cold_start", config, LLAMA_70B, processes=1, accelerate={})
    assert "more tensor_parallel_size" in problems["gpu_memory_utilization"]


def test_models_of_an_evaluation_may_have_engines_of_their_own(sized):
    config = {
        "output_dir": "out",
        "data": [{"path": "org/data"}],
        "models": {"": "org/70b"},  # under the name by which the fixture has it
        "prompt_template": "chat",
        "n_samples": 16,
        "backend": "vllm",
        "max_model_length": 34816,
        "by_model": {"": {"tensor_parallel_size": 4}},
    }
    figures, _ = sized("evaluate", config, LLAMA_70B, processes=1, accelerate={}, rows={"stage": 500})
    assert (figures["gpus"], figures["completions"]) == (4, 8000)
    assert figures["memory"]["weights"] == 2 * 70_553_706_496 // 4
    assert figures["hours"]["sampling"] > 0


def test_nothing_is_refused_on_a_cpu(sized):
    config = {**SFT, "use_cpu": True, "bf16": False, "dtype": "float32"}
    figures, problems = sized("sft", config, processes=1, accelerate={"use_cpu": True})
    assert figures["gpus"] == 0
    assert figures["memory"]["peak"] > 100 * GIB
    assert "accelerate" not in problems
