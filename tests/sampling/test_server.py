import logging
import threading
from collections import Counter
from itertools import count

import pytest

from trl_r1.errors import ConfigError
from trl_r1.sampling import Sample, SamplingConfig, sample
from trl_r1.sampling.engines.server import ServerEngine

from .asking import complete
from .stub_server import choices, stream, stub_server


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


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """What servers at former addresses have refused."""
    monkeypatch.setattr("trl_r1.model_server.client._NOT_TAKEN", {})
    monkeypatch.setattr("trl_r1.model_server.client.FIRST_WAIT_SECONDS", 0.001)


def test_chat_and_text_prompts_go_to_their_own_endpoints_with_all_parameters(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with stub_server(lambda path, request: (200, choices("a", chat="chat" in path))) as (url, requests):
        complete(ServerEngine("m", config(url, temperature=0.6, top_p=0.9)), ["1+1?"], seed=5)
        template = {"prompt_template": "Q: {prompt}", "completion_prefix": "<think>"}
        complete(ServerEngine("m", config(url, **template, top_k=7)), ["1+1?"], seed=5)
    chat, text = requests
    assert chat["path"] == "/v1/chat/completions"
    assert chat["messages"] == [{"role": "user", "content": "1+1?"}]
    assert (chat["model"], chat["temperature"], chat["top_p"], chat["max_tokens"]) == ("m", 0.6, 0.9, 9)
    assert (chat["seed"], chat["stream"], chat["stream_options"]) == (5, True, {"include_usage": True})
    assert "n" not in chat
    assert chat["authorization"] == "Bearer secret"
    assert text["path"] == "/v1/completions"
    assert text["prompt"] == "Q: 1+1?<think>"
    assert text["top_k"] == 7
    # Whatever generation config the server has, its values are in the place of none of these.
    unaltered = {"min_p": 0.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}
    assert chat | unaltered | {"top_k": -1} == chat
    assert text | unaltered | {"temperature": 1.0, "top_p": 1.0} == text


def test_prompts_that_the_server_refuses_are_recorded_and_only_a_server_that_refuses_all_ends_it(caplog):
    def answer(path, request):
        long = "long" in request["messages"][0]["content"]
        return (400, "context length exceeded") if long else (200, choices("a"))

    with stub_server(answer) as (url, _):
        with caplog.at_level(logging.WARNING):
            samples = complete(ServerEngine("m", config(url)), ["short", "a long one"], 4)
        assert samples[1] == [Sample("", "refused", 0)] * 4
        assert [sample.text for sample in samples[0]] == ["a"] * 4
        assert "refused 4 requests" in caplog.text
        # As where this prompt is the only one left, when a stage that was killed goes on.
        assert complete(ServerEngine("m", config(url)), ["a long one"], 4) == [samples[1]]
    with (
        stub_server(lambda path, request: (400, "max_tokens is too large")) as (url, _),
        pytest.raises(ConfigError, match="refuses every prompt: 400 max_tokens is too large"),
    ):
        complete(ServerEngine("m", config(url)), ["short"])


def test_a_request_that_fails_after_all_retries_is_recorded_with_its_reason():
    def answer(path, request):
        bad = "bad" in request["messages"][0]["content"]
        return (500, "broken inside") if bad else (200, choices("a"))

    with stub_server(answer) as (url, requests):
        good, (bad,) = complete(ServerEngine("m", config(url)), ["good", "bad"])
    assert [sample.text for sample in good] == ["a"]
    assert (bad.finish_reason, bad.n_tokens) == ("failed", 0)
    assert "failed 3 times" in bad.text
    assert "broken inside" in bad.text
    assert Counter(request["messages"][0]["content"] for request in requests) == {"good": 1, "bad": 3}


def test_as_many_requests_are_under_way_as_asked_for_and_none_waits_for_the_others():
    """The first request is answered last, after all the others have been."""
    others, most, running, lock = threading.Barrier(4, timeout=60), [0], [0], threading.Lock()
    last, seen = threading.Event(), count(1)

    def slow(name):
        def answer(handler):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
                number = next(seen)
            if number <= 4:
                others.wait()
            if name == "0":
                assert last.wait(60)
            if number == 40:
                last.set()
            with lock:
                running[0] -= 1
            stream("a")(handler)

        return answer

    with stub_server(lambda path, request: (200, slow(request["messages"][0]["content"]))) as (url, _):
        samples = complete(ServerEngine("m", config(url)), [str(i) for i in range(40)])
    assert len(samples) == 40
    assert most[0] == 4


def test_several_servers_share_the_requests_and_one_does_the_work_of_another_that_is_down():
    with (
        stub_server(lambda path, request: (200, stream("one"))) as (one, first),
        stub_server(lambda path, request: (200, stream("two"))) as (two, second),
    ):
        both = config([one, two], server_concurrency=2)
        texts = Counter(s.text for each in complete(ServerEngine("m", both), "abcdefgh", 4) for s in each)
        assert texts.total() == 32
        assert min(len(first), len(second)) >= 4
    with stub_server(lambda path, request: (200, stream("three"))) as (three, _):
        samples = complete(ServerEngine("m", config([one, three], server_retries=0)), "abcd")
    assert {sample.text for each in samples for sample in each} == {"three"}


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
    answers = iter(given)
    with stub_server(lambda path, request: (200, choices(next(answers))), prompt_end) as (url, _):
        samples = complete(ServerEngine("m", config(url, server_concurrency=1)), ["x"], len(given))
    assert [sample.text for sample in samples[0]] == recorded


def test_a_thought_that_a_text_prompt_opened_is_in_the_samples():
    with stub_server(lambda path, request: (200, choices("1</think> 2", chat=False))) as (url, requests):
        samples = complete(ServerEngine("m", config(url, prompt_template="Q: {prompt} <think>")), ["x"])
    assert requests[0]["prompt"] == "Q: x <think>"
    assert samples[0][0].text == "<think>1</think> 2"


def test_a_server_that_does_not_sample_is_reported(caplog):
    with stub_server(lambda path, request: (200, choices("same"))) as (url, _), caplog.at_level(logging.WARNING):
        complete(ServerEngine("m", config(url, n_samples=2)), ["a", "b", "c", "d"], 2)
    assert caplog.text.count("does it sample?") == 1


def test_a_server_gives_traces_like_any_other_engine_and_a_changed_port_costs_nothing(tmp_path):
    rows = [
        {"prompt_id": str(i), "prompt": f"{i}?", "solution": "1", "domain": "math", "language": "en"} for i in range(5)
    ]

    def answer(path, request):
        return 200, stream(request["messages"][0]["content"], f" {request['seed']}", usage=3)

    with stub_server(answer) as (url, requests):
        traces = list(sample("m", rows, config(url, shard_prompts=2), tmp_path))
    assert len(requests) == 20
    assert [trace.completion for trace in traces] == [f"{t.prompt} {t.seed}" for t in traces]
    assert len({trace.seed for trace in traces}) == 20
    assert {trace.n_tokens for trace in traces} == {3}
    with stub_server(answer) as (url, requests):
        assert list(sample("m", rows, config(url, shard_prompts=2), tmp_path)) == traces
    assert not requests


def test_what_is_wrong_with_every_request_ends_the_job_at_once(tmp_path):
    rows = [{"prompt_id": str(i), "prompt": f"{i}?"} for i in range(50)]
    with (
        stub_server(lambda path, request: (401, "who are you")) as (url, requests),
        pytest.raises(ConfigError, match="who are you"),
    ):
        list(sample("m", rows, config(url), tmp_path))
    assert len(requests) <= 4
