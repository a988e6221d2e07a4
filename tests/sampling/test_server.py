import logging
from itertools import count

import pytest

from trl_r1.errors import ConfigError, StageError
from trl_r1.sampling import SamplingConfig, sample
from trl_r1.sampling.server import PromptRefused, Server, ServerGenerator

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


def client(url, **changes):
    return Server(**{"base_url": url, "model": "m", "retries": 3, "wait": lambda seconds: None, **changes})


def test_chat_and_text_prompts_go_to_their_own_endpoints_with_all_parameters(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with stub_server(lambda path, request: (200, choices(*"abcd", chat="chat" in path, tokens=10))) as (url, requests):
        ServerGenerator("m", config(url, temperature=0.6, top_p=0.9)).generate(["1+1?"], 4, seed=5)
        ServerGenerator(
            "m", config(url, prompt_template="Q: {prompt}", completion_prefix="<think>", top_k=7)
        ).generate(["1+1?"], 4, seed=5)
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
        samples = ServerGenerator("m", config(url)).generate(["1+1?"], 4, seed=5)
    assert [sample.text for sample in samples[0]] == ["answer 0", "answer 1", "answer 2", "answer 3"]
    assert [request["n"] for request in requests] == [4, 3, 2, 1]
    assert len({request["seed"] for request in requests}) == 4


def test_the_tokens_of_all_choices_are_shared_out_and_a_cut_one_says_so():
    with stub_server(lambda path, request: (200, choices(*"abc", tokens=10, finish_reason="length"))) as (url, _):
        samples = client(url).complete("1+1?", 3)
    assert sum(sample.n_tokens for sample in samples) == 10
    assert {sample.finish_reason for sample in samples} == {"length"}


def test_a_thought_that_the_server_parsed_out_is_put_back():
    answer = {"choices": [{"message": {"content": "2", "reasoning_content": "one and one"}, "finish_reason": "stop"}]}
    with stub_server(lambda path, request: (200, answer)) as (url, _):
        sample = client(url).complete([{"role": "user", "content": "1+1?"}])[0]
    assert sample.text == "<think>\none and one\n</think>\n\n2"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_now_is_tried_again_after_a_growing_wait(status):
    numbers, waits = count(), []
    answer = lambda path, request: (status, "busy") if next(numbers) < 2 else (200, choices("done", chat=False))  # noqa: E731
    with stub_server(answer) as (url, requests):
        assert client(url, wait=waits.append).complete("x")[0].text == "done"
    assert len(requests) == 3
    assert 0 < waits[0] < waits[1]


def test_the_server_s_own_word_on_how_long_to_wait_is_kept():
    numbers, waits = count(), []

    def answer(path, request):
        return (200, choices("done", chat=False)) if next(numbers) else (429, "busy", {"Retry-After": "7"})

    with stub_server(answer) as (url, _):
        client(url, wait=waits.append).complete("x")
    assert waits == [7.0]


def test_after_all_retries_the_failure_is_told_and_so_is_a_server_that_is_not_there():
    with stub_server(lambda path, request: (500, "broken inside")) as (url, requests):
        with pytest.raises(StageError, match=r"failed 4 times.*broken inside"):
            client(url).complete("x")
        assert len(requests) == 4
    with pytest.raises(StageError, match="failed 4 times"):
        client(url).complete("x")


def test_answers_without_choices_end_in_an_error_and_not_in_a_loop():
    with (
        stub_server(lambda path, request: (200, {"choices": []})) as (url, _),
        pytest.raises(StageError, match="without a completion"),
    ):
        client(url).complete("x")


def test_a_wrong_key_or_path_is_an_error_of_the_config():
    with (
        stub_server(lambda path, request: (401, "who are you")) as (url, requests),
        pytest.raises(ConfigError, match="who are you") as error,
    ):
        client(url).complete("x")
    assert error.value.key == "base_url"
    assert len(requests) == 1


def test_a_prompt_that_the_server_refuses_is_left_out_and_counted(caplog):
    def answer(path, request):
        long = "long" in request["messages"][0]["content"]
        return (400, "context length exceeded") if long else (200, choices(*"abcd"))

    with stub_server(answer) as (url, _):
        with caplog.at_level(logging.WARNING):
            samples = ServerGenerator("m", config(url)).generate(["short", "a long one"], 4, seed=0)
        assert [len(each) for each in samples] == [4, 0]
        assert "refused 1 of 2 prompts" in caplog.text
        with pytest.raises(ConfigError, match="refuses every prompt"):
            ServerGenerator("m", config(url)).generate(["a long one"], 4, seed=0)
        with pytest.raises(PromptRefused):
            client(url).complete([{"role": "user", "content": "long"}])


def test_a_server_that_does_not_sample_is_reported(caplog):
    with (
        stub_server(lambda path, request: (200, choices("same", "same"))) as (url, _),
        caplog.at_level(logging.WARNING),
    ):
        ServerGenerator("m", config(url, n_samples=2)).generate(["a", "b", "c", "d"], 2, seed=0)
    assert "does it sample?" in caplog.text


def test_a_server_gives_traces_like_any_other_backend(tmp_path):
    rows = [
        {"prompt_id": str(i), "prompt": f"{i}?", "solution": "1", "domain": "math", "language": "en"} for i in range(5)
    ]
    with stub_server(
        lambda path, request: (200, choices(*(request["messages"][0]["content"] + x for x in "abcd")))
    ) as (url, _):
        traces = list(sample("m", rows, config(url, shard_prompts=2), tmp_path))
    assert [trace.completion for trace in traces] == [f"{i}?{x}" for i in range(5) for x in "abcd"]
    assert len(list(tmp_path.glob("*.parquet"))) == 3
