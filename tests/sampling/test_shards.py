import dataclasses

import pytest

from trl_r1.errors import ConfigError
from trl_r1.sampling import Sample, SamplingConfig, sample, shard_count
from trl_r1.sampling.shards import shard_seed
from trl_r1.trace import read_traces


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
CONFIG = SamplingConfig(prompt_template="plain", n_samples=2, shard_prompts=3, max_completion_tokens=5, seed=4)


class Echo:
    """Completes a question with itself, its seed and its number."""

    def __init__(self, die_at=None):
        self.calls = []
        self.die_at = die_at

    def generate(self, questions, n, seed):
        if len(self.calls) == self.die_at:
            raise KeyboardInterrupt
        self.calls.append(list(questions))
        return [[Sample(f"{question} {seed} {i}", "stop", 3) for i in range(n)] for question in questions]


def collect(folder, generator, config=CONFIG, rows=ROWS, **kwargs):
    return list(sample("model", rows, config, folder, generator=generator, **kwargs))


def test_traces_come_in_the_order_of_the_rows_and_say_where_they_come_from(tmp_path):
    traces = collect(tmp_path, Echo())
    assert [trace.prompt_id for trace in traces] == [f"p{i}" for i in range(7) for _ in range(2)]
    first = traces[0]
    assert (first.solution, first.domain, first.language, first.model) == ("1", "math", "en", "model")
    assert first.extra == {"grade": 0}
    assert first.sampling["temperature"] == 1.0
    assert first.seed == shard_seed(4, 0)
    assert len({trace.seed for trace in traces}) == shard_count(7, CONFIG) == 3
    assert list(read_traces(tmp_path)) == traces


def test_what_was_killed_goes_on_and_gives_what_an_uninterrupted_run_gives(tmp_path):
    whole = collect(tmp_path / "whole", Echo())
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path / "killed", Echo(die_at=1))
    again = Echo()
    assert collect(tmp_path / "killed", again) == whole
    assert [len(call) for call in again.calls] == [3, 1]


def test_finished_samples_are_read_and_nothing_is_loaded(tmp_path):
    whole = collect(tmp_path, Echo())
    assert list(sample("model", ROWS, CONFIG, tmp_path)) == whole


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"seed": 5}, {"prompt_template": "r1_zero"}])
def test_other_settings_make_the_shards_anew(tmp_path, change):
    collect(tmp_path, Echo())
    again = Echo()
    collect(tmp_path, again, config=dataclasses.replace(CONFIG, **change))
    assert len(again.calls) == 3


def test_other_rows_make_the_shards_anew_and_leave_none_of_the_old(tmp_path):
    collect(tmp_path, Echo())
    traces = collect(tmp_path, Echo(), rows=ROWS[1:3])
    assert list(read_traces(tmp_path)) == traces
    assert len(traces) == 4


def test_another_model_under_the_same_path_makes_them_anew(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    run = lambda generator: list(sample(str(model), ROWS, CONFIG, tmp_path / "traces", generator=generator))  # noqa: E731
    run(Echo())
    same = Echo()
    run(same)
    assert same.calls == []
    (model / "weights").write_text("22")
    other = Echo()
    run(other)
    assert len(other.calls) == 3


def test_models_with_names_stand_side_by_side_in_one_folder(tmp_path):
    collect(tmp_path, Echo(), name="base", stem="base")
    collect(tmp_path, Echo(), name="r1-zero", stem="r1-zero")
    collect(tmp_path, Echo(), name="r1", stem="r1")
    assert (tmp_path / "r1-zero-00002.parquet").exists()
    assert sorted({trace.model for trace in read_traces(tmp_path)}) == ["base", "r1", "r1-zero"]
    # Other settings for one of them leave the others alone.
    again = Echo()
    collect(tmp_path, again, config=dataclasses.replace(CONFIG, seed=9), name="r1", stem="r1")
    untouched = Echo()
    collect(tmp_path, untouched, name="r1-zero", stem="r1-zero")
    assert (len(again.calls), len(untouched.calls)) == (3, 0)


def test_scores_are_written_with_the_shard_and_made_anew_when_what_they_depend_on_changes(tmp_path):
    def score(value):
        return lambda traces: [dataclasses.replace(trace, rewards={**trace.rewards, "r": value}) for trace in traces]

    collect(tmp_path, Echo(), finish=score(1.0), finish_key=["a"])
    never = Echo()
    traces = collect(tmp_path, never, finish=score(2.0), finish_key=["a"])
    assert {trace.rewards["r"] for trace in traces} == {1.0}
    traces = collect(tmp_path, never, finish=score(2.0), finish_key=["b"])
    assert {trace.rewards["r"] for trace in traces} == {2.0}
    assert never.calls == []


def test_progress_is_told_shard_by_shard(tmp_path):
    told = []
    collect(tmp_path, Echo(), on_shard=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"backend": "server"}, "base_url"),
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
