import logging
from itertools import count

import pytest

from trl_r1.errors import ConfigError
from trl_r1.sampling import Sample, SamplingConfig, sample
from trl_r1.sampling.engines.server import ServerEngine

from .stub_server import choices, stub_server


def config(url, **changes):
    return SamplingConfig(
        **{
            "prompt_template": "chat",
            "n_samples": 4,
            "max_completion_tokens": 9,
            "backend": "server",
            "base_url": url,
            "server_concurrency": 4,
            "server_retries": 2,
            **changes,
        }
    )


def test_chat_and_text_prompts_go_to_their_own_endpoints_with_all_parameters(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with stub_server(lambda path, request: (200, choices(*"abcd", chat="chat" in path, tokens=10))) as (url, requests):
        ServerEngine("m", config(url, temperature=0.6, top_p=0.9)).generate(["1+1?"], 4, seed=5)
        ServerEngine("m", config(url, prompt_template="Q: {prompt}", completion_prefix="<think>", top_k=7)).generate(
            ["1+1?"], 4, seed=5
        )
    chat, text = requests
    assert chat["path"] == "/v1/chat/completions"
    assert chat["messages"] == [{"role": "user", "content": "1+1?"}]
    assert (chat["model"], chat["n"], chat["temperature"], chat["top_p"], chat["max_tokens"]) == ("m", 4, 0.6, 0.9, 9)
    assert chat["seed"] == 5
    assert chat["authorization"] == "Bearer secret"
    assert text["path"] == "/v1/completions"
    assert text["prompt"] == "Q: 1+1?<think>"
    assert text["top_k"] == 7
    # Whatever generation config the server has, its values are in the place of none of these.
    unaltered = {"min_p": 0.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
    assert chat | unaltered | {"top_k": -1} == chat
    assert text | unaltered | {"temperature": 1.0, "top_p": 1.0} == text


def test_a_server_that_drops_n_is_asked_for_what_is_missing_each_time_with_another_seed():
    numbers = count()
    with stub_server(lambda path, request: (200, choices(f"answer {next(numbers)}", tokens=3))) as (url, requests):
        samples = ServerEngine("m", config(url)).generate(["1+1?"], 4, seed=5)
    assert [sample.text for sample in samples[0]] == ["answer 0", "answer 1", "answer 2", "answer 3"]
    assert [request["n"] for request in requests] == [4, 3, 2, 1]
    assert len({request["seed"] for request in requests}) == 4


def test_prompts_that_the_server_refuses_are_recorded_and_only_a_server_that_refuses_all_ends_it(caplog):
    def answer(path, request):
        long = "long" in request["messages"][0]["content"]
        return (400, "context length exceeded") if long else (200, choices(*"abcd"))

    with stub_server(answer) as (url, _):
        with caplog.at_level(logging.WARNING):
            samples = ServerEngine("m", config(url)).generate(["short", "a long one"], 4, seed=0)
        assert samples[1] == [Sample("", "refused", 0)] * 4
        assert [sample.text for sample in samples[0]] == list("abcd")
        assert "refused 1 of 2 prompts" in caplog.text
        # As in a shard with this prompt alone, by which a stage that was killed goes on.
        assert ServerEngine("m", config(url)).generate(["a long one"], 4, seed=0) == [samples[1]]
    with (
        stub_server(lambda path, request: (400, "max_tokens is too large")) as (url, _),
        pytest.raises(ConfigError, match="refuses every prompt: 400 max_tokens is too large"),
    ):
        ServerEngine("m", config(url)).generate(["short"], 4, seed=0)


def test_a_greedy_completion_is_asked_for_once_and_counts_n_times():
    with stub_server(lambda path, request: (200, choices("one"))) as (url, requests):
        samples = ServerEngine("m", config(url, temperature=0.0)).generate(["a", "b"], 3, seed=0)
    assert [[sample.text for sample in each] for each in samples] == [["one"] * 3] * 2
    assert [request["n"] for request in requests] == [1, 1]


def test_the_seeds_of_neighbours_do_not_overlap_where_a_server_gives_each_completion_its_own():
    with stub_server(lambda path, request: (200, choices(*"ab"))) as (url, requests):
        ServerEngine("m", config(url)).generate(["x", "y", "z"], 4, seed=2**31 - 6)
    # It gives at most two at once: those with the seeds s and s + 1.
    seeds = [(request["seed"] + i) % 2**31 for request in requests for i in range(2)]
    assert sorted(seeds) == sorted({(2**31 - 6 + i) % 2**31 for i in range(12)})


@pytest.mark.parametrize(
    ("prompt_end", "given", "recorded"),
    [
        (
            "Assistant: <think>\n",
            ["1</think> 2", "1 and", "<think> 1"],
            ["<think>\n1</think> 2", "<think>\n1 and", "<think> 1"],
        ),
        ("Assistant:", ["1</think> 2", "1 and", "<think> 1"], ["1</think> 2", "1 and", "<think> 1"]),
        (None, ["1</think> 2", "1 and"], ["<think>\n1</think> 2", "<think>\n1 and"]),
        (None, ["<think>1</think> 2", "1 and"], ["<think>1</think> 2", "1 and"]),
    ],
)
def test_a_thought_that_the_chat_template_opened_is_in_the_samples(prompt_end, given, recorded):
    with stub_server(lambda path, request: (200, choices(*given)), prompt_end) as (url, _):
        samples = ServerEngine("m", config(url)).generate(["x"], len(given), seed=0)
    assert [sample.text for sample in samples[0]] == recorded


def test_a_thought_that_a_text_prompt_opened_is_in_the_samples():
    with stub_server(lambda path, request: (200, choices("1</think> 2", chat=False))) as (url, requests):
        samples = ServerEngine("m", config(url, prompt_template="Q: {prompt} <think>")).generate(["x"], 1, seed=0)
    assert requests[0]["prompt"] == "Q: x <think>"
    assert samples[0][0].text == "<think>1</think> 2"


def test_a_server_that_does_not_sample_is_reported(caplog):
    with (
        stub_server(lambda path, request: (200, choices("same", "same"))) as (url, _),
        caplog.at_level(logging.WARNING),
    ):
        ServerEngine("m", config(url, n_samples=2)).generate(["a", "b", "c", "d"], 2, seed=0)
    assert "does it sample?" in caplog.text


def test_a_server_gives_traces_like_any_other_engine(tmp_path):
    rows = [
        {"prompt_id": str(i), "prompt": f"{i}?", "solution": "1", "domain": "math", "language": "en"} for i in range(5)
    ]
    with stub_server(
        lambda path, request: (200, choices(*(request["messages"][0]["content"] + x for x in "abcd")))
    ) as (url, _):
        traces = list(sample("m", rows, config(url, shard_prompts=2), tmp_path))
    assert [trace.completion for trace in traces] == [f"{i}?{x}" for i in range(5) for x in "abcd"]
    assert len(list(tmp_path.glob("*.parquet"))) == 3
