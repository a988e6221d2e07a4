"""vLLM itself needs a GPU; what is checked here is what it is asked for, by a stand-in of its two classes."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.stages.tiny import make_model
from trl_r1.errors import MachineError
from trl_r1.sampling import SamplingConfig
from trl_r1.sampling.engines.vllm import VllmEngine, engine_arguments, sampling_arguments


CONFIG = SamplingConfig(
    prompt_template="User : {prompt} <think>",
    temperature=0.6,
    top_p=0.95,
    max_completion_tokens=100,
    backend="vllm",
    dtype="bfloat16",
    tensor_parallel_size=8,
    gpu_memory_utilization=0.8,
    max_model_length=4096,
    seed=7,
)


def test_the_engine_gets_model_revision_type_and_memory():
    assert engine_arguments("org/model@v1", CONFIG) == {
        "model": "org/model",
        "revision": "v1",
        "tokenizer_revision": "v1",
        "dtype": "bfloat16",
        "seed": 7,
        "tensor_parallel_size": 8,
        "gpu_memory_utilization": 0.8,
        "max_model_len": 4096,
        "generation_config": "vllm",
    }


def test_sampling_gets_the_distribution_and_greedy_means_greedy():
    arguments = sampling_arguments(CONFIG, 16, seed=3)
    assert (arguments["n"], arguments["temperature"], arguments["top_p"], arguments["top_k"]) == (16, 0.6, 0.95, -1)
    assert (arguments["max_tokens"], arguments["seed"]) == (100, 3)
    greedy = sampling_arguments(SamplingConfig(prompt_template="plain", temperature=0.0, top_p=0.5, top_k=3), 1, 0)
    assert (greedy["temperature"], greedy["top_p"], greedy["top_k"]) == (0.0, 1.0, -1)


def test_prompts_go_in_as_tokens_with_a_seed_each_and_come_out_as_samples(monkeypatch, tmp_path):
    asked = []

    class LLM:
        def __init__(self, **arguments):
            asked.append(arguments)

        def generate(self, prompts, parameters, use_tqdm):
            asked.append((prompts, [each["seed"] for each in parameters]))
            choices = [
                SimpleNamespace(text=" 3", finish_reason="stop", token_ids=[5, 1]),
                SimpleNamespace(text=" 4 4", finish_reason="length", token_ids=[5, 5, 5]),
            ]
            return [SimpleNamespace(outputs=choices) for _ in prompts]

        llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=lambda: asked.append("shutdown")))

    vllm = ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = LLM, lambda **arguments: arguments
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    engine = VllmEngine(str(make_model(tmp_path)), CONFIG)
    samples = engine.generate(["1 + 2 ?", "2 + 2 ?"], 2, seed=10)
    prompts, seeds = asked[1]
    assert asked[0]["tensor_parallel_size"] == 8
    assert seeds == [10, 11]
    decoded = engine.tokenizer.decode(prompts[0]["prompt_token_ids"])
    assert decoded == "User : 1 + 2 ? <think>"
    assert [(s.text, s.finish_reason, s.n_tokens) for s in samples[0]] == [
        ("<think> 3", "stop", 2),
        ("<think> 4 4", "length", 3),
    ]
    engine.close()
    assert asked[2:] == ["shutdown"]


def test_where_vllm_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MachineError, match="trl_r1\\[vllm\\]"):
        VllmEngine("model", CONFIG)
