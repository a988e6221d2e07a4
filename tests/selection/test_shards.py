"""Shards and memory select alike; what was found in a shard is found once."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trl_r1.errors import DataError
from trl_r1.selection import HeldOut, Rules, Seen, read_rules, select, select_shards, shards
from trl_r1.trace import Trace, write_traces


SENTENCES = (
    "first I add one and two, and then I look at what is left of it",
    "wait, that can not be right, since three is more than two of them",
    "so the number that we were asked for has to be the one that I found",
    "然后我们把它们全部加起来，再平均分给孩子们，最后检查一下结果",
)
HELD_OUT = HeldOut({"exam": ["A farmer has twelve apples and sells half of them before lunch to the cook"]})

thoughts = st.lists(st.sampled_from(SENTENCES), min_size=0, max_size=6).map("\n".join)
traces = st.lists(
    st.builds(
        lambda prompt, thought, end, **more: Trace(
            prompt_id=prompt, prompt=PROMPTS[prompt], completion=f"<think>{thought}{end}", **more
        ),
        prompt=st.sampled_from("abcd"),
        thought=thoughts,
        end=st.sampled_from(["</think>3", "</think>3", "</THINK> 3", ""]),
        domain=st.sampled_from(["math", "code", None]),
        language=st.sampled_from(["en", "zh", None]),
        rewards=st.sampled_from([{"right": 1.0}, {"right": 1.0}, {"right": 0.5}, {"right": 0.0}, {}]),
        finish_reason=st.sampled_from(["stop", "stop", "stop", "length", "refused"]),
        n_tokens=st.integers(0, 50),
        extra=st.sampled_from([{}, {"source": "made"}, {"simple": True}]),
    ),
    max_size=24,
)
PROMPTS = {
    "a": "What is one and two?",
    "b": "What is one and three?",
    "c": "Once a farmer has twelve apples and sells half of them before lunch. Why?",
    "d": "一加二等于多少？",
}
rules = st.fixed_dictionaries(
    {"right_by": st.sampled_from([["right"], []])},
    optional={
        "min_reward": st.sampled_from([0.5, 1.0]),
        "well_formed": st.booleans(),
        "min_language_share": st.sampled_from([None, 0.5]),
        "languages": st.just(["en", "zh"]),
        "max_repetition": st.sampled_from([None, 0.1]),
        "min_pass_rate": st.just(0.3),
        "max_pass_rate": st.just(0.7),
        "drop_duplicates": st.booleans(),
        "near_duplicates": st.sampled_from([0.5, 0.9]),
        "max_per_prompt": st.integers(1, 3),
        "prefer": st.sampled_from(["first", "shortest", "random"]),
        "targets": st.sampled_from([[{"completions": 3}], [{"domain": "math", "tokens": 60}, {"completions": 5}]]),
    },
)


@settings(max_examples=25, deadline=None)
@given(traces, rules, st.lists(st.integers(0, 24), max_size=3), st.booleans())
def test_shards_and_memory_select_alike(tmp_path_factory, traces, declared, cuts, seen):
    folder = tmp_path_factory.mktemp("run")
    bounds = [0, *sorted(min(cut, len(traces)) for cut in cuts), len(traces)]
    paths = []
    for i, (start, end) in enumerate(itertools.pairwise(bounds)):
        paths.append(folder / "traces" / f"{i:05d}.parquet")
        write_traces(paths[-1], traces[start:end])
    rules = read_rules(declared)
    others = Seen.of([(PROMPTS["a"], f"<think>{SENTENCES[0]}\n{SENTENCES[1]}</think>3")]) if seen else None
    whole = select(traces, rules, HELD_OUT, others)
    sharded = select_shards(paths, rules, HELD_OUT, folder=folder / "selection", seen=others)
    assert list(sharded.kept()) == whole.kept
    assert list(sharded.rejected()) == whole.rejected
    assert sharded.report == json.loads(json.dumps(whole.report)) == whole.report
    assert sharded.n_kept == sharded.report["kept"] == len(whole.kept)


def of_prompt(prompt, count=4):
    thoughts = [f"{SENTENCES[0]}\n{SENTENCES[2]} {i}" for i in range(count)]
    return [
        Trace(prompt, f"What is {prompt}?", f"<think>{thought}</think>3", language="en", rewards={"right": 1.0})
        for thought in thoughts
    ]


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / "traces" / f"{i:05d}.parquet" for i in range(3)]
    for path in paths:
        write_traces(path, of_prompt(path.stem))
    return paths


@pytest.fixture
def read(monkeypatch):
    """The shards whose traces were read to find reasons."""
    read = []
    found = shards.describe
    monkeypatch.setattr(shards, "describe", lambda traces, *args: found(noted(list(traces)), *args))

    def noted(traces):
        read.append(traces[0].prompt_id)
        return traces

    return read


RULES = Rules(right_by=("right",))


def selected(paths, rules=RULES, held_out=None, **more):
    return select_shards(paths, rules, held_out, folder=paths[0].parent.parent / "selection", **more)


def test_what_was_found_is_found_again_only_where_it_would_be_another(paths, read):
    progress = []
    first = selected(paths, on_progress=lambda *done: progress.append(done))
    assert progress == [(0, 12), (4, 12), (8, 12), (12, 12)]
    assert sorted(read) == ["00000", "00001", "00002"]
    read.clear()
    assert selected(paths, on_progress=lambda *done: progress.append(done)).report == first.report
    assert read == []
    assert progress[4:] == [(12, 12)]
    # What compares traces is decided anew from what is stored.
    assert selected(paths, replace(RULES, max_per_prompt=1, targets=[{"completions": 2}])).n_kept == 2
    assert read == []
    write_traces(paths[1], of_prompt("00001", 5))
    assert selected(paths).n_kept == 13
    assert read == ["00001"]
    selected(paths, replace(RULES, max_repetition=None))
    selected(paths, RULES, HELD_OUT)
    selected(paths, RULES, HeldOut(["another"]))
    selected(paths, replace(RULES, near_duplicates=0.8))
    assert len(read) == 1 + 4 * 3
    selected(paths, replace(RULES, near_duplicates=0.9))
    assert len(read) == 1 + 4 * 3


def test_a_shard_that_was_half_described_when_it_was_killed_is_described_again(paths, read):
    first = selected(paths)
    stored = sorted((paths[0].parent.parent / "selection").iterdir())
    assert [path.name for path in stored] == [path.name for path in paths]
    stored[0].write_bytes(stored[0].read_bytes()[:100])
    stored[2].unlink()
    read.clear()
    assert selected(paths).report == first.report
    assert sorted(read) == ["00000", "00002"]


def test_several_processes_find_the_same(paths):
    alone = selected(paths, replace(RULES, near_duplicates=0.8), HELD_OUT, workers=1)
    for path in (paths[0].parent.parent / "selection").iterdir():
        path.unlink()
    progress = []
    more = {"workers": 2, "on_progress": lambda *done: progress.append(done)}
    assert selected(paths, replace(RULES, near_duplicates=0.8), HELD_OUT, **more).report == alone.report
    assert alone.report["rejected"]["near_duplicate"] > 0
    assert progress == [(0, 12), (4, 12), (8, 12), (12, 12)]


def test_shards_of_one_name_are_refused(paths):
    with pytest.raises(DataError) as error:
        select_shards([paths[0], paths[0]], RULES, folder=paths[0].parent / "x")
    assert error.value.file == "00000.parquet"
