"""What vLLM is asked for, by a stand-in of its two classes; tests/vllm asks vLLM itself."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.stages.tiny import make_model
from trl_r1.errors import MachineError
from trl_r1.sampling import Sample, SamplingConfig
from trl_r1.sampling.engine import Request
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
    arguments = sampling_arguments(CONFIG, seed=3)
    assert (arguments["temperature"], arguments["top_p"], arguments["top_k"]) == (0.6, 0.95, -1)
    assert (arguments["max_tokens"], arguments["seed"]) == (100, 3)
    greedy = sampling_arguments(SamplingConfig(prompt_template="plain", temperature=0.0, top_p=0.5, top_k=3), 0)
    assert (greedy["temperature"], greedy["top_p"], greedy["top_k"]) == (0.0, 1.0, -1)


class Core:
    """vLLM's engine, with a window of 8 tokens and room for one sequence: the last request that came is done first."""

    def __init__(self, asked):
        self.asked, self.waiting, self.most = asked, {}, 0
        self.engine_core = SimpleNamespace(shutdown=lambda: asked.append("shutdown"))
        self.model_config = SimpleNamespace(max_model_len=8)
        self.vllm_config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=1))

    def add_request(self, name, prompt, parameters):
        assert len(prompt["prompt_token_ids"]) < 8
        self.asked.append((prompt["prompt_token_ids"], parameters["seed"]))
        self.waiting[name] = parameters["seed"]
        self.most = max(self.most, len(self.waiting))

    def step(self):
        name, seed = self.waiting.popitem()
        cut = seed % 2
        choice = SimpleNamespace(text=f" {seed}", finish_reason="length" if cut else "stop", token_ids=[5] * (2 + cut))
        return [SimpleNamespace(finished=True, request_id=name, outputs=[choice])]

    def abort_request(self, names):
        self.asked.append(("aborted", names))


@pytest.fixture
def asked(monkeypatch):
    """What a stand-in for vLLM is asked for."""
    asked = []

    class LLM:
        def __init__(self, **arguments):
            asked.append(arguments)
            self.llm_engine = Core(asked)

    vllm = ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = LLM, lambda **arguments: arguments
    vllm.sampling_params = SimpleNamespace(RequestOutputKind=SimpleNamespace(FINAL_ONLY="final"))
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    return asked


def test_prompts_go_in_as_tokens_with_seeds_of_their_own_and_come_out_as_samples(asked, tmp_path):
    engine = VllmEngine(str(make_model(tmp_path)), CONFIG)
    requests = [Request("1 + 2 ?", seed) for seed in (10, 11, 12)]
    found = dict(engine.complete(iter(requests)))
    assert asked[0]["tensor_parallel_size"] == 8
    assert [seed for _, seed in asked[1:]] == [10, 11, 12]
    assert engine.tokenizer.decode(asked[1][0]) == "User : 1 + 2 ? <think>"
    assert [found[request] for request in requests] == [
        Sample("<think> 10", "stop", 2),
        Sample("<think> 11", "length", 3),
        Sample("<think> 12", "stop", 2),
    ]
    assert engine.engine.llm_engine.most == 2  # twice what vLLM runs at once: its queue is never empty
    engine.close()
    assert asked[-1] == "shutdown"


def test_a_prompt_that_leaves_no_room_is_recorded_and_the_others_are_sampled(asked, tmp_path, caplog):
    engine = VllmEngine(str(make_model(tmp_path)), CONFIG)
    long, short = Request("1 + 2 + 2 ?", 10), Request("2 + 2 ?", 12)
    found = dict(engine.complete(iter([long, short])))
    assert found == {long: Sample.missing("prompt_too_long"), short: Sample("<think> 12", "stop", 2)}
    assert "a prompt leaves no room for a completion: it has 9 tokens, the model's window 8" in caplog.text


def test_what_is_under_way_when_sampling_stops_is_aborted(asked, tmp_path):
    engine = VllmEngine(str(make_model(tmp_path)), CONFIG)
    samples = engine.complete(iter([Request("1 + 2 ?", seed) for seed in (10, 11)]))
    next(samples)
    samples.close()
    assert asked[-1] == ("aborted", ["0"])


def test_where_vllm_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MachineError, match="trl_r1\\[vllm\\]"):
        VllmEngine("model", CONFIG)
