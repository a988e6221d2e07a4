"""What vLLM is asked for, by a stand-in of its two classes; tests/vllm asks vLLM itself."""

import dataclasses
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.stages.tiny import make_model
from trl_r1.errors import MachineError
from trl_r1.sampling import Sample, SamplingConfig
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


@pytest.fixture
def asked(monkeypatch):
    """What a stand-in for vLLM, with a window of 8 tokens, is asked for; greedy requests for several it refuses, as vLLM does."""
    asked = []

    class LLM:
        def __init__(self, **arguments):
            asked.append(arguments)
            self.llm_engine = SimpleNamespace(
                engine_core=SimpleNamespace(shutdown=lambda: asked.append("shutdown")),
                model_config=SimpleNamespace(max_model_len=8),
            )

        def generate(self, prompts, parameters, use_tqdm):
            assert all(len(prompt["prompt_token_ids"]) < 8 for prompt in prompts)
            assert all(each["n"] == 1 or each["temperature"] > 0 for each in parameters)
            asked.append((prompts, [each["seed"] for each in parameters]))
            choices = [
                SimpleNamespace(text=" 3", finish_reason="stop", token_ids=[5, 1]),
                SimpleNamespace(text=" 4 4", finish_reason="length", token_ids=[5, 5, 5]),
            ]
            return [SimpleNamespace(outputs=choices[: each["n"]]) for each in parameters]

    vllm = ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = LLM, lambda **arguments: arguments
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    return asked


def test_prompts_go_in_as_tokens_with_seeds_of_their_own_and_come_out_as_samples(asked, tmp_path):
    engine = VllmEngine(str(make_model(tmp_path)), CONFIG)
    samples = engine.generate(["1 + 2 ?", "2 + 2 ?"], 2, seed=10)
    prompts, seeds = asked[1]
    assert asked[0]["tensor_parallel_size"] == 8
    assert seeds == [10, 12]  # vLLM gives the completions of a request the seeds s, s + 1, ...
    decoded = engine.tokenizer.decode(prompts[0]["prompt_token_ids"])
    assert decoded == "User : 1 + 2 ? <think>"
    assert [(s.text, s.finish_reason, s.n_tokens) for s in samples[0]] == [
        ("<think> 3", "stop", 2),
        ("<think> 4 4", "length", 3),
    ]
    engine.close()
    assert asked[2:] == ["shutdown"]


def test_a_prompt_that_leaves_no_room_is_recorded_and_the_others_are_sampled(asked, tmp_path, caplog):
    engine = VllmEngine(str(make_model(tmp_path)), CONFIG)
    samples = engine.generate(["1 + 2 + 2 ?", "2 + 2 ?"], 2, seed=10)
    assert samples[0] == [Sample("", "prompt_too_long", 0)] * 2
    assert [each.text for each in samples[1]] == ["<think> 3", "<think> 4 4"]
    assert asked[1][1] == [12]  # the seed that it has in any company
    assert "1 of 2 prompts leave no room for a completion: the longest has 9 tokens" in caplog.text
    assert engine.generate(["1 + 2 + 2 ?"], 1, seed=10) == [[Sample("", "prompt_too_long", 0)]]


def test_a_greedy_completion_is_asked_for_once_and_counts_n_times(asked, tmp_path):
    engine = VllmEngine(str(make_model(tmp_path)), dataclasses.replace(CONFIG, temperature=0.0))
    (samples,) = engine.generate(["1 + 2 ?"], 3, seed=10)
    assert [each.text for each in samples] == ["<think> 3"] * 3


def test_where_vllm_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MachineError, match="trl_r1\\[vllm\\]"):
        VllmEngine("model", CONFIG)
