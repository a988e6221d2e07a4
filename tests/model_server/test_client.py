"""A client of servers that misbehave: what is tried again, what is given up, and what nobody gets to read."""

import asyncio
import email.utils
import json
import logging
import re
import threading
import time
from itertools import count

import pytest

from tests.sampling.stub_server import choices, cut, stream, stub_server, trickle
from trl_r1.errors import ConfigError, ServerError
from trl_r1.model_server import PromptRefused, Server, run_coroutine


CHAT = [{"role": "user", "content": "1+1?"}]


def connected(url, use, waits, **changes):
    """What `use` returns of a connection; what the client would have waited goes into `waits`."""

    async def sleep(seconds):
        if waits is not None:
            waits.append(seconds)

    async def run():
        server = Server(**{"base_url": url, "model": "m", "retries": 3, **changes})
        async with server.connect(sleep) as connection:
            return await use(connection)

    return asyncio.run(run())


def ask(url, prompt="x", n=1, waits=None, parameters=None, **changes):
    """Complete one prompt."""
    return connected(url, lambda connection: connection.complete(prompt, n, **(parameters or {})), waits, **changes)


def ask_for_stream(url, prompt="x", waits=None, **changes):
    """Complete one prompt by a stream."""
    return connected(url, lambda connection: connection.stream(prompt, seed=1), waits, **changes)


def after(failures, failure, done=None):
    """An answer that goes wrong so many times before it comes."""
    numbers = count()
    done = done or choices("done", chat=False)
    return lambda path, request: failure if next(numbers) < failures else (200, done)


def test_the_tokens_of_all_choices_are_shared_out_and_a_cut_one_says_so():
    with stub_server(lambda path, request: (200, choices(*"abc", tokens=10, finish_reason="length"))) as (url, _):
        found = ask(url, CHAT, 3)
    assert sum(choice.n_tokens for choice in found) == 10
    assert {choice.finish_reason for choice in found} == {"length"}


def test_what_is_paid_for_is_prompt_and_completion_and_is_estimated_where_the_server_does_not_tell():
    told = {**choices("four"), "usage": {"completion_tokens": 1, "prompt_tokens": 90, "total_tokens": 91}}
    with stub_server(lambda path, request: (200, told)) as (url, _):
        assert ask(url, CHAT)[0].paid_tokens == 91
    with stub_server(lambda path, request: (200, {**choices("x" * 4000), "usage": None})) as (url, _):
        assert 1000 <= ask(url, CHAT)[0].paid_tokens < 1100


def test_fewer_choices_than_asked_for_are_asked_for_again_with_another_seed():
    numbers = count()
    with stub_server(lambda path, request: (200, choices(f"answer {next(numbers)}"))) as (url, requests):
        found = ask(url, CHAT, 3, parameters={"seed": 5})
    assert sorted(choice.text for choice in found) == ["answer 0", "answer 1", "answer 2"]
    # Those that are missing are asked for together.
    assert sorted((request["n"], request["seed"]) for request in requests) == [(1, 6), (1, 7), (3, 5)]


def test_more_choices_than_asked_for_are_cut():
    with stub_server(lambda path, request: (200, choices(*"abcdef"))) as (url, requests):
        assert len(ask(url, CHAT, 2)) == 2
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "2", "reasoning_content": "one and one"}, "<think>\none and one\n</think>\n\n2"),
        ({"content": "2", "reasoning": "one and one"}, "<think>\none and one\n</think>\n\n2"),
        ({"content": [{"type": "text", "text": "2"}]}, "2"),
        ({"content": None}, ""),
        ({"content": None, "reasoning": "one and", "cut": True}, "<think>\none and"),
        ({}, ""),
    ],
)
def test_a_message_is_read_in_each_form_that_servers_give_it(message, text):
    choice = {"message": message, "finish_reason": "length" if message.get("cut") else "stop"}
    with stub_server(lambda path, request: (200, {"choices": [choice]})) as (url, _):
        assert ask(url, CHAT)[0].text == text


@pytest.mark.parametrize(
    "failure",
    [
        (429, "busy"),
        (500, "broken inside"),
        (503, ""),
        (200, cut),
        (200, '{"choices": [{"tex'),
        (200, "<html>a proxy</html>"),
        (200, "[]"),
        (200, {"choices": []}),
        (200, {"choices": None}),
        (200, {"choices": ["done"]}),
        (200, {"error": {"message": "overloaded"}}),
    ],
)
def test_what_fails_for_now_is_tried_again_after_a_growing_wait(failure):
    waits = []
    with stub_server(after(2, failure)) as (url, requests):
        assert ask(url, waits=waits)[0].text == "done"
    assert len(requests) == 3
    assert 0 < waits[0] < waits[1]


def test_a_server_that_answers_byte_by_byte_is_timed_as_a_whole():
    with stub_server(after(1, (200, trickle))) as (url, requests):
        assert ask(url, timeout_seconds=1.0)[0].text == "done"  # not "too late", which ends after 20 s
    assert len(requests) == 2


def test_the_server_s_own_word_on_how_long_to_wait_is_kept():
    waits = []
    with stub_server(after(1, (429, "busy", {"Retry-After": "7"}))) as (url, _):
        ask(url, waits=waits)
    assert waits == [7.0]
    date = email.utils.formatdate(time.time() + 50, usegmt=True)
    with stub_server(after(1, (503, "busy", {"Retry-After": date}))) as (url, _):
        ask(url, waits=waits)
    assert 45 < waits[1] <= 50


@pytest.mark.parametrize("nonsense", ["soon", "-3", "0", ""])
def test_a_word_on_waiting_that_says_nothing_changes_nothing(nonsense):
    waits = []
    with stub_server(after(1, (429, "busy", {"Retry-After": nonsense}))) as (url, _):
        ask(url, waits=waits)
    assert 0.3 < waits[0] < 0.7


def test_nobody_waits_longer_than_a_request_may_take():
    waits = []
    with stub_server(after(1, (429, "busy", {"Retry-After": "86400"}))) as (url, _):
        ask(url, waits=waits, timeout_seconds=20.0)
    assert waits == [20.0]


def test_after_all_retries_the_failure_is_told_and_so_is_a_server_that_is_not_there():
    with stub_server(lambda path, request: (500, "broken inside")) as (url, requests):
        with pytest.raises(ServerError, match=r"failed 4 times.*broken inside"):
            ask(url)
        assert len(requests) == 4
    with pytest.raises(ServerError, match=r"failed 4 times.*ConnectError"):
        ask(url)


def test_answers_without_choices_end_in_an_error_and_not_in_a_loop():
    with (
        stub_server(lambda path, request: (200, {"choices": []})) as (url, requests),
        pytest.raises(ServerError, match="without a completion"),
    ):
        ask(url)
    assert len(requests) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_wrong_key_or_path_is_an_error_of_the_config(status):
    with (
        stub_server(lambda path, request: (status, "who are you")) as (url, requests),
        pytest.raises(ConfigError, match="who are you") as error,
    ):
        ask(url)
    assert error.value.key == "base_url"
    assert len(requests) == 1


def test_a_prompt_that_the_server_refuses_is_told_apart():
    with (
        stub_server(lambda path, request: (400, "context length exceeded")) as (url, requests),
        pytest.raises(PromptRefused, match="context length"),
    ):
        ask(url)
    assert len(requests) == 1


def test_a_request_names_every_parameter_of_sampling_but_those_that_the_server_does_not_know():
    def strict(path, request):
        unknown = [name for name in ("top_k", "min_p", "repetition_penalty") if name in request]
        return (400, f"Unrecognized request argument supplied: {unknown[0]}") if unknown else (200, choices("ok"))

    with stub_server(strict) as (url, requests):
        assert ask(url, CHAT, parameters={"top_p": 0.9})[0].text == "ok"
        assert ask(url, CHAT)[0].text == "ok"
        assert len(requests) == 5  # from then on it is not asked for what it does not know
        sent = {"temperature": 1.0, "top_p": 0.9, "frequency_penalty": 0.0, "presence_penalty": 0.0}
        assert {key: requests[3].get(key) for key in (*sent, "top_k")} == {**sent, "top_k": None}
        with pytest.raises(PromptRefused, match="top_k"):  # what was asked for is never left out
            ask(url, CHAT, parameters={"top_k": 20})


def test_half_a_surrogate_pair_is_sent_like_any_text():
    with stub_server(lambda path, request: (200, choices("ok", chat=False))) as (url, requests):
        assert ask(url, "a \ud83d b")[0].text == "ok"
    assert requests[0]["prompt"] == "a \ud83d b"


# Streams


@pytest.mark.parametrize(
    ("answer", "text", "n_tokens"),
    [
        (stream("on", "e\u2028", "\x85two", chat=False, usage=5), "one\u2028\x85two", 5),
        (stream("on", "e", chat=False), "one", 2),
        (stream("one", chat=False, finish_reason="length"), "one", 1),
    ],
)
def test_a_stream_is_read_to_its_end_whatever_is_in_its_texts(answer, text, n_tokens):
    with stub_server(lambda path, request: (200, answer)) as (url, _):
        found = ask_for_stream(url)
    assert (found.text, found.n_tokens) == (text, n_tokens)
    assert found.finish_reason in ("stop", "length")


def test_a_thought_that_a_server_streams_apart_is_put_back():
    def both(handler):
        stream("one ", "and", key="reasoning_content", finish_reason=None)(handler)
        event = {"choices": [{"delta": {"content": "2"}, "finish_reason": "stop"}]}
        handler.wfile.write(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())

    with stub_server(lambda path, request: (200, both)) as (url, _):
        assert ask_for_stream(url, CHAT).text == "<think>\none and\n</think>\n\n2"


def error_within(handler):
    stream("half", chat=False, finish_reason=None)(handler)
    handler.wfile.write(b'data: {"error": {"message": "engine died"}}\n\n')


@pytest.mark.parametrize("failure", [stream("half", chat=False, finish_reason=None), error_within, cut])
def test_a_stream_that_is_cut_or_tells_of_an_error_is_asked_for_again(failure):
    waits = []
    with stub_server(after(2, (200, failure), stream("done", chat=False))) as (url, requests):
        assert ask_for_stream(url, waits=waits).text == "done"
    assert len(requests) == 3
    assert 0 < waits[0] < waits[1]


def test_a_stream_may_take_longer_than_any_silence_within_it_may_last():
    def slow(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(8):
            time.sleep(0.25)
            handler.wfile.write(b'data: {"choices": [{"text": "a"}]}\n\n')
        handler.wfile.write(b"data: [DONE]\n\n")

    def silent(handler):
        stream("half", chat=False, finish_reason=None)(handler)
        handler.wfile.flush()
        time.sleep(20)

    with stub_server(lambda path, request: (200, slow)) as (url, _):
        assert ask_for_stream(url, timeout_seconds=1.5).text == "a" * 8
    with stub_server(after(1, (200, silent), stream("done", chat=False))) as (url, requests):
        assert ask_for_stream(url, timeout_seconds=0.5).text == "done"  # and does not wait 20 s for the other half
    assert len(requests) >= 2


def test_a_server_that_does_not_stream_answers_in_one_piece_and_one_that_refuses_to_is_not_asked_to_again():
    with stub_server(lambda path, request: (200, choices("whole", chat=False, tokens=4))) as (url, _):
        assert ask_for_stream(url).n_tokens == 4

    def strict(path, request):
        if "stream_options" in request:
            return 400, "Unknown parameter: 'stream_options'."
        return (400, "stream is not supported") if request.get("stream") else (200, choices("ok", chat=False))

    with stub_server(strict) as (url, requests):
        assert [ask_for_stream(url).text for _ in range(2)] == ["ok", "ok"]
    assert len(requests) == 4


# The key


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    server = Server("http://x/v1", "m", api_key_variable="JUDGE_KEY")
    assert "sk-very-secret" not in repr(server)
    echo = lambda path, request: (500, "the key sk-very-secret is exhausted")  # noqa: E731
    with (
        caplog.at_level(logging.DEBUG),
        stub_server(echo) as (url, requests),
        pytest.raises(ServerError, match="exhausted") as error,
    ):
        ask(url, api_key_variable="JUDGE_KEY", retries=1)
    assert requests[0]["authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in str(error.value) + caplog.text


def test_a_variable_that_is_named_must_be_set_and_the_default_need_not(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with stub_server(lambda path, request: (200, choices("ok", chat=False))) as (url, requests):
        ask(url)
        with pytest.raises(ConfigError, match="JUDGE_KEY, which is not set") as error:
            ask(url, api_key_variable="JUDGE_KEY")
    assert error.value.key == "api_key_variable"
    assert [request["authorization"] for request in requests] == [None]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"base_url": "https://user:sk-123@host/v1"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"model": ""}, "model"),
        ({"api_key_variable": "sk-proj-123"}, "api_key_variable"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"retries": -1}, "retries"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_wrong_arguments_are_refused_by_their_key_and_a_key_is_not_repeated(changes, key):
    with pytest.raises(ConfigError) as error:
        Server(**{"base_url": "http://x/v1", "model": "m", **changes})
    assert error.value.key == key
    assert "sk-" not in str(error.value)


# Many at once


def test_requests_under_way_are_bounded():
    running, most, lock, three = [0], [0], threading.Lock(), threading.Barrier(3, timeout=60)

    def slow(handler):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        three.wait()
        time.sleep(0.05)
        with lock:
            running[0] -= 1
        body = b'{"choices": [{"text": "ok"}]}'
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async def many(url):
        async with Server(url, "m", concurrency=3).connect() as connection:
            return await asyncio.gather(*(connection.complete("x") for _ in range(12)))

    with stub_server(lambda path, request: (200, slow)) as (url, _):
        assert len(run_coroutine(many(url))) == 12
    assert most[0] == 3


def test_waiting_works_with_and_without_a_loop_and_passes_errors_on():
    async def value():
        await asyncio.sleep(0)
        return 5

    async def fails():
        raise ServerError("no")

    async def inside():
        return run_coroutine(value())

    assert run_coroutine(value()) == 5
    assert asyncio.run(inside()) == 5
    with pytest.raises(ServerError, match="no"):
        run_coroutine(fails())


def test_the_http_library_is_loaded_with_the_first_request_only():
    import subprocess
    import sys

    code = "import sys, trl_r1.model_server, trl_r1.rewards.judge; print(re.findall('httpx\\\\w*', ' '.join(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", f"import re; {code}"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\[\]\s*", ran.stdout)
