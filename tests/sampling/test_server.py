import logging
from itertools import count

import pytest

from trl_r1.errors import ConfigError
from trl_r1.sampling import SamplingConfig, sample
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
    assert "top_k" not in chat
    assert text["path"] == "/v1/completions"
    assert text["prompt"] == "Q: 1+1?<think>"
    assert text["top_k"] == 7


def test_a_server_that_drops_n_is_asked_for_what_is_missing_each_time_with_another_seed():
    numbers = count()
    with stub_server(lambda path, request: (200, choices(f"answer {next(numbers)}", tokens=3))) as (url, requests):
        samples = ServerEngine("m", config(url)).generate(["1+1?"], 4, seed=5)
    assert [sample.text for sample in samples[0]] == ["answer 0", "answer 1", "answer 2", "answer 3"]
    assert [request["n"] for request in requests] == [4, 3, 2, 1]
    assert len({request["seed"] for request in requests}) == 4


def test_a_prompt_that_the_server_refuses_is_left_out_and_counted(caplog):
    def answer(path, request):
        long = "long" in request["messages"][0]["content"]
        return (400, "context length exceeded") if long else (200, choices(*"abcd"))

    with stub_server(answer) as (url, _):
        with caplog.at_level(logging.WARNING):
            samples = ServerEngine("m", config(url)).generate(["short", "a long one"], 4, seed=0)
        assert [len(each) for each in samples] == [4, 0]
        assert "refused 1 of 2 prompts" in caplog.text
        with pytest.raises(ConfigError, match="refuses every prompt"):
            ServerEngine("m", config(url)).generate(["a long one"], 4, seed=0)


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
