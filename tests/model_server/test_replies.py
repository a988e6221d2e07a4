"""Replies on disk, and what has been spent: whole or absent, over any number of processes."""

import json
import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from trl_r1.model_server import Replies, Spending


def test_a_reply_is_found_under_what_was_asked_and_nothing_else(tmp_path):
    replies = Replies(tmp_path / "deep" / "folder")
    here, there = Replies.address("m", {"b": 1, "a": "é"}), Replies.address("m", {"a": "é", "b": 2})
    assert here == Replies.address("m", {"a": "é", "b": 1})
    assert replies.get(here) is None
    replies.put(here, 'yes\n"\u2028\ud83d')
    assert Replies(tmp_path / "deep" / "folder").get(here) == 'yes\n"\u2028\ud83d'
    replies.put(here, "yes")
    assert replies.get(here) == "yes"
    assert replies.get(there) is None


def test_without_a_folder_nothing_is_kept():
    replies = Replies(None)
    replies.put("abc", "yes")
    assert replies.get("abc") is None


@pytest.mark.parametrize("broken", ["", '{"repl', "[1]", '{"reply": 3}'])
def test_a_file_that_cannot_be_read_is_no_reply(tmp_path, broken):
    replies, address = Replies(tmp_path), Replies.address("x")
    replies.put(address, "yes")
    file = next(tmp_path.rglob("*.json"))
    file.write_text(broken)
    assert replies.get(address) is None
    replies.put(address, "again")
    assert replies.get(address) == "again"


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    replies = Replies(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        replies.put(Replies.address(1), "a")
        replies.put(Replies.address(2), "b")
    assert caplog.text.count("cannot be kept") == 1


def _write_for_ever(folder):
    replies, long = Replies(folder), "x" * 200_000
    for i in range(10**9):
        replies.put(Replies.address(i % 7), long)


def test_a_writer_killed_at_any_moment_leaves_whole_replies(tmp_path):
    context = multiprocessing.get_context("fork")
    for wait in (0.05, 0.08, 0.11):
        writers = [context.Process(target=_write_for_ever, args=(tmp_path,)) for _ in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(wait)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    files = list(tmp_path.rglob("*.json"))
    assert files
    assert {len(json.loads(file.read_text())["reply"]) for file in files} == {200_000}


def test_a_budget_of_calls_ends_and_calls_without_an_answer_are_given_back(tmp_path):
    for file in (None, tmp_path / "spent" / "m.json"):
        spending = Spending(file, max_calls=3)
        assert [spending.reserve() for _ in range(4)] == [True, True, True, False]
        spending.settle(None)
        assert spending.calls == 2
        assert spending.reserve()
        assert not spending.reserve()
    assert not Spending(tmp_path / "spent" / "m.json", max_calls=3).reserve()  # after a restart
    assert Spending(tmp_path / "spent" / "m.json", max_calls=4).reserve()


def test_a_budget_of_tokens_ends_with_the_call_that_spends_it(tmp_path):
    spending = Spending(tmp_path / "m.json", max_tokens=100)
    assert spending.reserve()
    spending.settle(99)
    assert spending.reserve()
    spending.settle(40)
    assert not spending.reserve()
    assert (spending.calls, spending.tokens) == (2, 139)


def test_without_a_budget_nothing_is_written(tmp_path):
    spending = Spending(tmp_path / "m.json")
    assert spending.reserve()
    spending.settle(5)
    assert list(tmp_path.iterdir()) == []


def _spend(file, out):
    spending = Spending(Path(file), max_calls=50)
    out.put(sum(spending.reserve() for _ in range(40)))


def test_several_processes_share_one_budget_exactly(tmp_path):
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    processes = [context.Process(target=_spend, args=(str(tmp_path / "m.json"), out)) for _ in range(3)]
    for process in processes:
        process.start()
    spent = sum(out.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert spent == 50
