"""A job of sampling: killed, changed and shared as one likes, nothing is sampled twice and nothing is lost."""

import dataclasses
import heapq
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from trl_r1.errors import ConfigError, MachineError, StageError
from trl_r1.sampling import Sample, SamplingConfig, Worker, sample, sample_to_shards
from trl_r1.sampling.progress import Report, Tally
from trl_r1.trace import read_traces, write_traces


ROWS = [
    {
        "prompt_id": f"p{i}",
        "prompt": f"{i} + 1 ?",
        "solution": str(i + 1),
        "domain": "math",
        "language": "en",
        "grade": i,
    }
    for i in range(7)
]
CONFIG = SamplingConfig(
    prompt_template="plain", n_samples=2, shard_prompts=3, max_completion_tokens=5, seed=4, batch_size=4
)


class Echo:
    """Completes a question with itself, its seed and its number, a batch at a time."""

    rolling = False

    def __init__(self, die_at=None):
        self.calls = []
        self.die_at = die_at

    def generate(self, questions, n, seed):
        if len(self.calls) == self.die_at:
            raise KeyboardInterrupt
        self.calls.append((list(questions), n))
        return [[Sample(f"{question} {seed} {i}", "stop", 3) for i in range(n)] for question in questions]

    @property
    def made(self):
        return Counter(question for questions, n in self.calls for question in questions for _ in range(n))


class Rolling:
    """Completes a question with its seed, one request at a time, with so many under way and the last one first."""

    rolling = True

    def __init__(self, die_after=None, room=5, answer=lambda request: Sample(f"{request.seed}", "stop", 3)):
        self.made, self.die_after, self.room, self.answer = Counter(), die_after, room, answer

    def complete(self, requests):
        under_way = []
        while True:
            while len(under_way) < self.room and (request := next(requests, 0)):
                under_way.append(request)
            if not under_way:
                return
            if self.die_after is not None and self.made.total() >= self.die_after:
                raise KeyboardInterrupt
            request = under_way.pop()
            self.made[request.question] += 1
            yield request, self.answer(request)


ENGINES = pytest.mark.parametrize("engine", [Echo, Rolling])


def collect(folder, engine, config=CONFIG, rows=ROWS, **arguments):
    return list(sample("model", rows, config, folder, engine=engine, **arguments))


def score(traces):
    return [dataclasses.replace(trace, rewards={"r_accuracy": float(len(trace.completion) % 2)}) for trace in traces]


def unfinished(engine):
    """That many samples, and it is dead."""
    return Echo(die_at=1) if engine is Echo else Rolling(die_after=5)


@ENGINES
def test_traces_come_prompt_by_prompt_and_say_where_they_come_from(engine, tmp_path):
    traces = collect(tmp_path, engine())
    assert [(trace.prompt_id, trace.sample) for trace in traces] == [(f"p{i}", j) for i in range(7) for j in range(2)]
    first = traces[0]
    assert (first.solution, first.domain, first.language, first.model) == ("1", "math", "en", "model")
    assert first.extra == {"grade": 0}
    assert first.sampling["temperature"] == 1.0
    assert len({trace.completion for trace in traces}) == 14
    assert list(read_traces(tmp_path)) == traces
    assert sorted(path.name for path in tmp_path.glob("*.parquet")) == [f"0000{i}.parquet" for i in range(3)]
    assert not list((tmp_path / "journal").glob("*.jsonl"))  # all of it is in shards
    assert list(sample("model", ROWS, CONFIG, tmp_path)) == traces  # and no engine is loaded


@ENGINES
def test_what_was_killed_goes_on_with_what_is_in_the_journal_and_ends_the_same(engine, tmp_path):
    whole = collect(tmp_path / "whole", engine())
    killed = [unfinished(engine) for _ in range(2)]
    for each in killed:
        with pytest.raises(KeyboardInterrupt):
            collect(tmp_path / "killed", each)
        # None is there where the shard of all that was made has been written since.
        for journal in (tmp_path / "killed" / "journal").glob("*.jsonl"):
            with open(journal, "ab") as file:  # as a kill leaves it in the middle of a line
                file.write(b'{"block": 0, "seed": 1, "samples": [["p0", 0, "torn')
    last = engine()
    assert collect(tmp_path / "killed", last) == whole
    assert sum((each.made for each in (*killed, last)), Counter()) == Counter({row["prompt"]: 2 for row in ROWS})


@ENGINES
def test_a_long_journal_is_many_files_each_deleted_when_its_samples_are_in_shards(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("trl_r1.sampling.journal.FILE_BYTES", 1)
    whole = collect(tmp_path / "whole", engine())
    files = lambda: len(list((tmp_path / "killed" / "journal").glob("*.jsonl")))  # noqa: E731
    killed = Echo(die_at=3) if engine is Echo else Rolling(die_after=9, room=1)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path / "killed", killed)
    assert files() >= 1
    last = engine()
    assert collect(tmp_path / "killed", last) == whole
    assert files() == 0
    assert killed.made + last.made == Counter({row["prompt"]: 2 for row in ROWS})


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@ENGINES
def test_killed_before_or_after_any_file_appears_it_ends_the_same_and_nothing_is_made_twice(
    engine, after, tmp_path, monkeypatch
):
    run = lambda folder, engine: collect(folder, engine, finish=score, finish_key=["r"])  # noqa: E731
    whole = run(tmp_path / "whole", engine())
    replace, seen = Path.replace, [0]

    def killed(path, target):
        seen[0] += 1
        last = seen[0] == file
        if last and not after:
            raise KeyboardInterrupt
        replace(path, target)
        if last:
            raise KeyboardInterrupt

    for file in range(1, 20):
        seen[0] = 0
        monkeypatch.setattr(Path, "replace", killed)
        first, again = engine(), engine()
        try:
            run(tmp_path / str(file), first)
            break
        except KeyboardInterrupt:
            pass
        monkeypatch.undo()
        assert run(tmp_path / str(file), again) == whole
        assert first.made + again.made == Counter({row["prompt"]: 2 for row in ROWS})
    assert file > 5  # the key, the blocks and three shards


@ENGINES
def test_more_samples_and_more_prompts_add_to_what_is_there_and_fewer_are_put_aside(engine, tmp_path):
    small = collect(tmp_path, engine(), rows=ROWS[:4])
    more, config = engine(), dataclasses.replace(CONFIG, n_samples=3)
    large = collect(tmp_path, more, config=config)
    assert more.made == Counter({row["prompt"]: 1 if i < 4 else 3 for i, row in enumerate(ROWS)})
    assert {(t.prompt_id, t.sample): t.completion for t in small}.items() <= {
        (t.prompt_id, t.sample): t.completion for t in large
    }.items()
    nobody = engine()
    assert collect(tmp_path, nobody, rows=ROWS[1:2], config=dataclasses.replace(CONFIG, n_samples=1)) == small[2:3]
    assert [(t.prompt_id, t.sample) for t in read_traces(tmp_path)] == [("p1", 0)]  # and so reads whoever reads shards
    assert collect(tmp_path, nobody, config=config) == large
    assert not nobody.made


@ENGINES
def test_what_changes_nothing_about_the_samples_costs_none(engine, tmp_path):
    whole = collect(tmp_path, engine(), finish=score, finish_key=["r"])
    nobody = engine()
    changes = {"server_concurrency": 3, "batch_size": 7, "tensor_parallel_size": 2, "base_url": "http://h:9/v1"}
    other = dataclasses.replace(CONFIG, gpu_memory_utilization=0.5, max_failed_share=0.5, **changes)
    assert collect(tmp_path, nobody, config=other, finish=score, finish_key=["r"]) == whole
    assert not nobody.made


def test_samples_of_other_settings_are_kept_in_a_folder_and_come_back(tmp_path, capsys):
    whole = collect(tmp_path, Echo(), finish=score, finish_key=["r"])
    other = dataclasses.replace(CONFIG, temperature=0.5, top_k=3)
    cool = collect(tmp_path, Echo(), config=other)
    said = capsys.readouterr().out
    assert "3 shards of other samples (temperature (1.0, now 0.5), top_k (0, now 3)) are kept in" in said
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    nobody = Echo()
    assert collect(tmp_path, nobody, finish=score, finish_key=["r"]) == whole
    assert "samples of these settings are back" in capsys.readouterr().out
    assert collect(tmp_path, nobody, config=other) == cool
    assert not nobody.made


@pytest.mark.parametrize("kill", range(14))
def test_killed_at_any_rename_of_a_change_of_settings_nothing_is_lost(kill, tmp_path, monkeypatch):
    cool = dataclasses.replace(CONFIG, temperature=0.5)
    both = {config.temperature: collect(tmp_path, Echo(), config=config) for config in (CONFIG, cool)}
    rename, times = Path.rename, [0]

    def killed(path, target):
        if times[0] == kill:
            raise KeyboardInterrupt
        times[0] += 1
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    try:
        collect(tmp_path, Echo())
    except KeyboardInterrupt:
        assert kill < 10
    monkeypatch.undo()
    nobody = Echo()
    for config in (cool, CONFIG) if kill % 2 else (CONFIG, cool):
        assert collect(tmp_path, nobody, config=config) == both[config.temperature]
    assert not nobody.made


def test_another_model_under_the_same_path_is_another_and_a_copy_is_the_same(tmp_path):
    for name, weights in (("model", "1"), ("copy", "1"), ("other", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(weights)
        (tmp_path / name / "README.md").write_text(name)
        os.utime(tmp_path / name / "weights", (1, 1 + len(name)))

    def made(name):
        engine = Echo()
        list(sample(str(tmp_path / name), ROWS, CONFIG, tmp_path / "traces", engine=engine))
        return engine.made.total()

    assert [made("model"), made("copy"), made("other"), made("model")] == [14, 0, 14, 0]


def of_0_1_0(folder, config):
    """Shards as 0.1.0 left them: no numbers of samples, and a note with names of its own."""
    traces = collect(folder / "new", Echo(), config=config)
    (folder / "old").mkdir()
    drop = lambda trace: {k: v for k, v in dataclasses.asdict(trace).items() if k != "sample"}  # noqa: E731
    import pyarrow as pa
    import pyarrow.parquet as pq

    for i in range(2):  # it was killed before the third
        part = [
            {**drop(t), **{k: json.dumps(getattr(t, k)) for k in ("rewards", "sampling", "extra")}}
            for t in traces[6 * i : 6 * i + 6]
        ]
        pq.write_table(pa.Table.from_pylist(part), folder / "old" / f"0000{i}.parquet")
    names = {"tensor_parallel_size": 1, "gpu_memory_utilization": 0.9, "max_model_length": None}
    note = {key: getattr(config, key) for key in (*_KEPT_BY_0_1_0, "seed")}
    note |= {f"vllm_{key}": value for key, value in names.items()}
    (folder / "old" / "sampling.json").write_text(
        json.dumps({"model": "model", "files": [], "config": note, "rows": "58faac"})
    )
    return traces


_KEPT_BY_0_1_0 = [
    "prompt_template",
    "completion_prefix",
    "n_samples",
    "temperature",
    "top_p",
    "top_k",
    "max_completion_tokens",
    "shard_prompts",
    "batch_size",
    "backend",
    "dtype",
    "base_url",
    "server_model",
]


def test_shards_of_0_1_0_are_adopted_where_they_are_what_is_asked_for_and_else_kept(tmp_path):
    whole = of_0_1_0(tmp_path, CONFIG)
    engine = Echo()
    found = collect(tmp_path / "old", engine)
    assert engine.made == Counter({ROWS[6]["prompt"]: 2})
    assert [(t.prompt_id, t.sample, t.completion) for t in found[:12]] == [
        (t.prompt_id, t.sample, t.completion) for t in whole[:12]
    ]
    again = tmp_path / "again"
    again.mkdir()
    of_0_1_0(again, CONFIG)
    cool = Echo()
    collect(again / "old", cool, config=dataclasses.replace(CONFIG, temperature=0.5))
    assert cool.made.total() == 14
    (aside,) = (path for path in (again / "old").iterdir() if path.is_dir() and path.name != "journal")
    assert len(list(aside.glob("*.parquet"))) == 2


def test_shards_without_what_lies_beside_them_are_not_sampled_again(tmp_path):
    whole = collect(tmp_path, Echo(), config=dataclasses.replace(CONFIG, shard_prompts=2))
    shutil.rmtree(tmp_path / "journal")
    nobody = Echo()
    assert collect(tmp_path, nobody) == whole
    assert not nobody.made


def test_models_with_names_stand_side_by_side_in_one_folder(tmp_path):
    for name in ("base", "r1-zero", "r1"):
        collect(tmp_path, Echo(), name=name, stem=name)
    assert (tmp_path / "r1-zero-00002.parquet").exists()
    assert sorted({trace.model for trace in read_traces(tmp_path)}) == ["base", "r1", "r1-zero"]
    # Other settings for one of them concern the others nothing.
    collect(tmp_path, Echo(), config=dataclasses.replace(CONFIG, seed=9), name="r1", stem="r1")
    untouched = Echo()
    collect(tmp_path, untouched, name="r1-zero", stem="r1-zero")
    assert not untouched.made


def test_rewards_are_made_anew_where_what_they_depend_on_changes_and_for_no_more_prompts_than_that(tmp_path):
    asked = []

    def by(value):
        def finish(traces):
            asked.append(sorted({trace.prompt_id for trace in traces}))
            return [dataclasses.replace(trace, rewards={"r": value}) for trace in traces]

        return finish

    every = [f"p{i}" for i in range(7)]
    nobody = Echo()
    run = lambda value, key, rows=ROWS, engine=nobody: {  # noqa: E731
        trace.rewards["r"] for trace in collect(tmp_path, engine, rows=rows, finish=by(value), finish_key=key)
    }
    run(1.0, "a", engine=Echo())
    assert sorted(prompt for part in asked for prompt in part) == every
    assert run(2.0, "a") == {1.0}
    assert run(2.0, "b") == {2.0}
    asked.clear()
    # A corrected solution is one prompt's matter.
    assert run(3.0, "b", [*ROWS[:2], {**ROWS[2], "solution": "4"}, *ROWS[3:]]) == {2.0, 3.0}
    assert asked == [["p2"]]
    assert not nobody.made


@ENGINES
def test_a_reward_that_fails_costs_no_samples(engine, tmp_path):
    def fails(traces):
        raise ValueError("no judge")

    with pytest.raises(ValueError, match="no judge"):
        collect(tmp_path, first := engine(), finish=fails, finish_key="a")
    traces = collect(tmp_path, again := engine(), finish=score, finish_key="a")
    assert len(traces) == 14
    assert first.made + again.made == Counter({row["prompt"]: 2 for row in ROWS})


@ENGINES
def test_a_greedy_completion_is_made_once_and_counts_n_times(engine, tmp_path):
    made = engine()
    traces = collect(tmp_path, made, config=dataclasses.replace(CONFIG, temperature=0.0, n_samples=3))
    assert made.made == Counter({row["prompt"]: 1 for row in ROWS})
    assert [(t.prompt_id, t.sample) for t in traces] == [(f"p{i}", j) for i in range(7) for j in range(3)]
    assert len({trace.completion for trace in traces}) == 7


def test_a_prompt_that_always_fails_is_recorded_with_its_reason_and_asked_for_at_the_next_start(tmp_path):
    down = lambda request: (  # noqa: E731
        Sample.failed("503 busy") if request.question == "3 + 1 ?" else Sample(f"{request.seed}", "stop", 1)
    )
    told = []
    traces = collect(
        tmp_path, Rolling(answer=down), on_progress=lambda done, total, /, **info: told.append((done, total, info))
    )
    first, _ = [trace for trace in traces if not trace.was_sampled]
    assert (first.prompt_id, first.finish_reason, first.completion) == ("p3", "failed", "")
    assert first.sampling["failure"] == "503 busy"
    assert told[-1][:2] == (14, 14)
    assert told[-1][2]["failed"] == 2
    # It may fail each time, and be all that is asked for.
    assert collect(tmp_path, Rolling(answer=down)) == traces
    again = Rolling()
    assert all(trace.was_sampled for trace in collect(tmp_path, again))
    assert again.made == Counter({"3 + 1 ?": 2})


@pytest.mark.parametrize(("works", "asked"), [(0, 3), (4, 24)])
def test_a_server_that_is_down_ends_the_job_long_before_the_share_is_reached(works, asked, tmp_path):
    rows = [{"prompt_id": f"p{i}", "prompt": f"{i}?"} for i in range(1000)]

    def down(request):
        return Sample("a", "stop", 1) if int(request.question[:-1]) < works else Sample.failed("refused")

    engine = Rolling(answer=down, room=1)
    with pytest.raises(StageError, match=r"failed one after the other.*refused"):
        collect(tmp_path, engine, rows=rows, config=dataclasses.replace(CONFIG, n_samples=1))
    assert engine.made.total() == asked


@pytest.mark.parametrize(
    ("share", "bad", "stops"), [(0.3, "3", False), (0.3, "345", True), (0.0, "3", True), (1.0, "01", False)]
)
def test_more_failed_prompts_than_stated_stop_the_job_and_keep_what_was_sampled(share, bad, stops, tmp_path):
    down = lambda request: (  # noqa: E731
        Sample.failed("down") if request.question[0] in bad else Sample("a", "stop", 1)
    )
    config = dataclasses.replace(CONFIG, max_failed_share=share)
    engine = Rolling(answer=down)
    if not stops:
        assert len(collect(tmp_path, engine, config=config)) == 14
        return
    with pytest.raises(StageError, match=r"of 7 prompts have failed.*`max_failed_share`.*down"):
        collect(tmp_path, engine, config=config)
    again = Rolling()
    collect(tmp_path, again, config=config)
    paid = engine.made + again.made
    assert all(paid[row["prompt"]] == 2 for row in ROWS if row["prompt"][0] not in bad)


@ENGINES
@pytest.mark.parametrize("kill", [None, 3, 9])
def test_a_prompt_with_enough_accepted_samples_is_asked_for_no_more(engine, kill, tmp_path):
    """Of p0, p3 and p6 every sample is solved, of the others none."""

    def finish(traces):
        return [dataclasses.replace(t, rewards={"accuracy": float(int(t.prompt_id[1]) % 3 == 0)}) for t in traces]

    config = dataclasses.replace(CONFIG, n_samples=6, until_accepted=3, samples_at_once=2)
    arguments = {"config": config, "finish": finish, "finish_key": "a", "accuracy": ["accuracy"]}
    made = Counter()
    if kill is not None:
        first = Echo(die_at=kill) if engine is Echo else Rolling(die_after=kill)
        with pytest.raises(KeyboardInterrupt):
            collect(tmp_path, first, **arguments)
        made += first.made
    last, told = engine(), []
    traces = collect(
        tmp_path, last, **arguments, on_progress=lambda done, total, /, **info: told.append((done, total))
    )
    expected = Counter({row["prompt"]: 4 if i % 3 == 0 else 6 for i, row in enumerate(ROWS)})
    assert made + last.made == expected
    assert Counter(trace.prompt for trace in traces) == expected
    assert told[-1] == (36, 36)
    # More are wanted: what is there counts.
    more = engine()
    collect(tmp_path, more, **{**arguments, "config": dataclasses.replace(config, until_accepted=5)})
    assert more.made == Counter({row["prompt"]: 2 for i, row in enumerate(ROWS) if i % 3 == 0})


def test_without_a_reward_that_accepts_nothing_can_be_stopped_early(tmp_path):
    with pytest.raises(ConfigError) as error:
        collect(tmp_path, Echo(), config=dataclasses.replace(CONFIG, until_accepted=1))
    assert error.value.key == "until_accepted"


class Clockwork:
    """As many requests under way as there are slots, each for a time of its own, by a clock that is turned by hand."""

    rolling = True

    def __init__(self, slots):
        self.slots, self.now, self.times, self.idle = slots, 0.0, [], 0

    def complete(self, requests):
        under_way, more = [], True
        while more or under_way:
            while more and len(under_way) < self.slots:
                request = next(requests, None)
                if request is None:
                    more = False
                    break
                seconds = 20.0 * 0.9 ** (request.seed % 50)  # the longest takes 175 times as long as the shortest
                self.times.append(seconds)
                heapq.heappush(under_way, (self.now + seconds, len(self.times), request))
            self.idle += more and len(under_way) < self.slots
            self.now, _, request = heapq.heappop(under_way)
            yield request, Sample("a", "stop", 1)


def test_no_request_waits_for_those_of_another_block(tmp_path):
    clock, slots = Clockwork(24), [0.0] * 24
    rows = [{"prompt_id": f"p{i}", "prompt": f"{i}?"} for i in range(60)]
    config = dataclasses.replace(CONFIG, n_samples=8, shard_prompts=2)
    collect(tmp_path, clock, rows=rows, config=config)
    for seconds in clock.times:  # a next one as soon as a slot is free
        heapq.heapreplace(slots, slots[0] + seconds)
    assert len(clock.times) == 480
    assert clock.idle == 0
    assert clock.now == max(slots)


def part(tmp_path, engine, rank, world, **arguments):
    return collect_paths(tmp_path, engine, worker=Worker(rank, world), **arguments)


def collect_paths(folder, engine, config=CONFIG, **arguments):
    return sample_to_shards("model", ROWS, config, folder, engine=engine, **arguments)


@ENGINES
def test_several_workers_share_a_job_and_others_go_on_with_it(engine, tmp_path):
    whole = {(t.prompt_id, t.sample): t.completion for t in collect(tmp_path / "whole", Rolling())}
    folder = tmp_path / "shared"
    engines = [unfinished(engine), unfinished(engine), engine(), engine(), engine()]
    for rank in range(2):
        with pytest.raises(KeyboardInterrupt):
            part(folder, engines[rank], rank, 2)
    # Now there are three, of which the first waits for the others.
    for rank in (1, 2, 0):
        paths = part(folder, engines[2 + rank], rank, 3)
    traces = [trace for path in paths for trace in read_traces(path)]
    assert sum((each.made for each in engines), Counter()) == Counter({row["prompt"]: 2 for row in ROWS})
    assert len(paths) == 7  # small blocks, so that each worker has several
    if engine is Rolling:
        assert {(t.prompt_id, t.sample): t.completion for t in traces} == whole


def test_the_first_worker_ends_where_another_has_failed(tmp_path):
    first = Report(tmp_path, Worker(0, 2), "job", Tally(), None)
    Report(tmp_path, Worker(1, 2), "another job", Tally(), None).end("of no interest")
    assert not first._others()
    Report(tmp_path, Worker(1, 2), "job", Tally(), None).end("the server is down")
    with pytest.raises(StageError, match="worker 1: the server is down"):
        first.wait_for_others(lambda: True)


def test_a_second_process_of_one_rank_is_refused(tmp_path):
    class Nested(Echo):
        def generate(self, questions, n, seed):
            with pytest.raises(MachineError, match="another process is sampling here"):
                collect(tmp_path, Echo())
            return super().generate(questions, n, seed)

    assert len(collect(tmp_path, Nested())) == 14


def test_a_file_that_is_no_shard_is_named(tmp_path):
    collect(tmp_path, Echo())
    (tmp_path / "00001.parquet").write_text("nothing")
    with pytest.raises(ConfigError, match=r"00001\.parquet"):
        collect(tmp_path, Echo())


def test_an_engine_that_loses_count_is_told(tmp_path):
    class Careless(Echo):
        def generate(self, questions, n, seed):
            return [[] for _ in questions]

    with pytest.raises(ConfigError, match="expected 2 of each"):
        collect(tmp_path, Careless())


@ENGINES
def test_another_question_under_the_same_id_is_another_prompt(engine, tmp_path):
    whole = collect(tmp_path, engine())
    changed = [*ROWS[:2], {**ROWS[2], "prompt": "and now?"}, *ROWS[3:]]
    other = engine()
    traces = collect(tmp_path, other, rows=changed)
    assert other.made == Counter({"and now?": 2})
    assert sorted(t.prompt for t in traces) == sorted(row["prompt"] for row in changed for _ in range(2))
    nobody = engine()
    assert sorted(collect(tmp_path, nobody), key=str) == sorted(whole, key=str)
    assert not nobody.made


def test_rows_of_one_prompt_are_sampled_once(tmp_path):
    engine = Echo()
    assert len(collect(tmp_path, engine, rows=[*ROWS, ROWS[0]])) == 14
    assert engine.made == Counter({row["prompt"]: 2 for row in ROWS})


def test_shards_hold_no_more_than_they_say(tmp_path):
    collect(tmp_path, Echo())
    write_traces(tmp_path / "copy.parquet", read_traces(tmp_path / "00000.parquet"))
    assert len(collect(tmp_path, Echo())) == 14  # a file of another name is none of its


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"until_accepted": 0}, "until_accepted"),
        ({"max_failed_share": 1.5}, "max_failed_share"),
        ({"backend": "server"}, "base_url"),
        ({"backend": "server", "base_url": []}, "base_url"),
        (
            {"backend": "server", "base_url": "http://x", "prompt_template": "chat", "completion_prefix": "<think>"},
            "completion_prefix",
        ),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(change, key):
    with pytest.raises(ConfigError) as error:
        SamplingConfig(**{"prompt_template": "plain", **change})
    assert error.value.key == key
