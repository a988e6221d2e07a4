"""The engine `vllm` against the engine `transformers`, which computes the same by other code."""

import dataclasses

import pytest

from tests.sampling.asking import complete
from trl_r1.sampling import Request, Sample, SamplingConfig, engine_of

from . import needs_vllm
from .model import POSITIONS, REPLY, STOP_WORDS


pytestmark = needs_vllm

CONFIG = SamplingConfig(prompt_template="plain", max_completion_tokens=24, backend="vllm", dtype="float32")
QUESTIONS = [f"the sum is {a} plus {b}" for a in range(2) for b in range(30)]


@pytest.fixture(scope="module")
def engines(model, settings):
    """Both engines."""
    both = [engine_of(name)(model, dataclasses.replace(CONFIG, backend=name)) for name in ("vllm", "transformers")]
    yield both
    both[0].close()


def generate(engine, questions, n, seed=0, **changes):
    """Sample in another way; what an engine is made with stays as it is."""
    engine.config = dataclasses.replace(CONFIG, **changes)
    return complete(engine, questions, n, seed) if engine.rolling else engine.generate(questions, n, seed)


def words(samples):
    """What does not depend on who joins tokens: of this tokenizer's, vLLM's first one has a space before it."""
    return [[(sample.text.split(), sample.finish_reason, sample.n_tokens) for sample in each] for each in samples]


def test_greedy_completions_are_those_of_transformers_token_for_token(engines, model):
    vllm, _ = engines
    greedy = dataclasses.replace(CONFIG, temperature=0.0)
    expected = engine_of("transformers")(model, greedy).generate(QUESTIONS, 1, 0)
    assert words(generate(vllm, QUESTIONS, 1, temperature=0.0)) == words(expected)
    assert len({samples[0].text for samples in expected}) > 20


def test_each_completion_has_random_numbers_of_its_own_and_gets_them_again(engines):
    vllm, _ = engines
    # Three times the same prompt: completions with the same random numbers would be the same.
    samples = generate(vllm, QUESTIONS[:1] * 3, 4, seed=5)
    long = [sample.text for each in samples for sample in each if sample.n_tokens > 4]
    assert len(long) > 4
    assert len(set(long)) == len(long)
    assert generate(vllm, QUESTIONS[:1] * 3, 4, seed=5) == samples
    assert generate(vllm, QUESTIONS[:1], 4, seed=5) == samples[:1]  # in whatever company
    assert generate(vllm, QUESTIONS[:1] * 3, 4, seed=60) != samples


def test_requests_are_taken_while_others_are_under_way_and_none_is_lost_where_the_caller_stops(engines):
    vllm, _ = engines
    vllm.config = CONFIG
    taken, given = [], []

    def requests():
        for i in range(2000):
            if i % 3 == 2 and len(taken) > len(given):
                yield None
            taken.append(i)
            yield Request(QUESTIONS[0], i, i)

    for request, _ in vllm.complete(requests()):
        given.append(request.of)
        if len(given) == 600:
            break
    assert 600 < len(taken) < 1500  # by a window, and not all at once
    assert not vllm.engine.llm_engine.has_unfinished_requests()
    assert len(complete(vllm, QUESTIONS[:3], 2)) == 3


@pytest.mark.parametrize("which", [0, 1], ids=["vllm", "transformers"])
def test_every_stop_token_of_the_generation_config_ends_a_completion_and_is_not_in_it(engines, which):
    samples = [sample for each in generate(engines[which], QUESTIONS, 2) for sample in each]
    stopped = [sample for sample in samples if sample.finish_reason == "stop"]
    assert 20 < len(stopped) < len(samples) - 5
    for sample in samples:
        words = sample.text.split()
        assert not {"<eos>", *STOP_WORDS} & set(words)
        assert sample.n_tokens >= len(words) + (sample.finish_reason == "stop")
    assert {sample.n_tokens for sample in samples if sample.finish_reason == "length"} == {24}


def test_a_thought_that_the_chat_template_opens_is_in_the_samples(engines):
    vllm, _ = engines
    samples = generate(vllm, QUESTIONS[:4], 1, prompt_template="chat", temperature=0.0)
    assert words(samples) == [[(["<think>", *REPLY], "stop", len(REPLY) + 1)]] * 4
    assert all(sample.text.startswith("<think>\n") for (sample,) in samples)


@pytest.mark.parametrize("room", [-1, 0, 1])
def test_a_prompt_without_room_for_a_completion_is_recorded_and_the_others_are_sampled(engines, room):
    vllm, _ = engines
    too_long = " ".join(["sum"] * (POSITIONS - room))
    samples = generate(vllm, [QUESTIONS[0], too_long, QUESTIONS[1]], 2, temperature=0.0)
    assert [samples[0], samples[2]] == generate(vllm, QUESTIONS[:2], 2, temperature=0.0)
    if room < 1:
        assert samples[1] == [Sample("", "prompt_too_long", 0)] * 2
    else:
        assert {sample.n_tokens for sample in samples[1]} == {1}
