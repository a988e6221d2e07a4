import dataclasses
from itertools import count
from pathlib import Path

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

NOTE_OF_0_1_0 = (
    '{"model": "model", "files": [], "config": {"prompt_template": "plain", "completion_prefix": "", "n_samples": 2, '
    '"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_completion_tokens": 5, "seed": 4, "shard_prompts": 3, '
    '"batch_size": 64, "backend": "transformers", "dtype": "auto", "vllm_tensor_parallel_size": 1, '
    '"vllm_gpu_memory_utilization": 0.9, "vllm_max_model_length": null, "base_url": null, "server_model": null}, '
    '"rows": "58faac42fdec80b13a15e39e1b9b9267f2fd57780cc37a2af69f05ec1b0f64b0"}'
)


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


def collect(folder, engine, config=CONFIG, rows=ROWS, **kwargs):
    return list(sample("model", rows, config, folder, engine=engine, **kwargs))


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


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"temperature": 0.5}, r"temperature \(1.0, now 0.5\)"),
        ({"seed": 5, "top_k": 3}, r"top_k \(0, now 3\), seed \(4, now 5\)"),
        ({"prompt_template": "r1_zero"}, "prompt_template"),
    ],
)
def test_shards_of_other_settings_are_refused_untouched_and_what_differs_is_named(tmp_path, change, told):
    collect(tmp_path, Echo())
    before, nobody = files(tmp_path), Echo()
    with pytest.raises(ConfigError, match=f"holds 3 shards that were sampled with other settings: {told}"):
        collect(tmp_path, nobody, config=dataclasses.replace(CONFIG, **change))
    assert nobody.calls == []
    assert files(tmp_path) == before
    for path in tmp_path.glob("*"):
        path.rename(tmp_path.parent / path.name)
    collect(tmp_path, nobody, config=dataclasses.replace(CONFIG, **change))
    assert len(nobody.calls) == 3


def test_shards_of_other_prompts_are_refused(tmp_path):
    collect(tmp_path, Echo())
    with pytest.raises(ConfigError, match="other settings: the prompts"):
        collect(tmp_path, Echo(), rows=ROWS[1:3])


def test_shards_without_a_note_of_their_settings_are_refused(tmp_path):
    collect(tmp_path, Echo())
    (tmp_path / "sampling.json").unlink()
    with pytest.raises(ConfigError, match="holds 3 shards"):
        collect(tmp_path, Echo())


def test_a_note_without_shards_binds_nobody(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path, Echo(die_at=0))
    assert len(collect(tmp_path, Echo(), config=dataclasses.replace(CONFIG, temperature=0.5))) == 14


def test_shards_of_another_model_under_the_same_path_are_refused(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    run = lambda engine: list(sample(str(model), ROWS, CONFIG, tmp_path / "traces", engine=engine))  # noqa: E731
    run(Echo())
    same = Echo()
    run(same)
    assert same.calls == []
    (model / "weights").write_text("22")
    with pytest.raises(ConfigError, match="the model's files"):
        run(Echo())


def test_shards_that_0_1_0_made_go_on(tmp_path):
    """Its note, word for word: the keys of vLLM have other names today."""
    whole = collect(tmp_path, Echo())
    (tmp_path / "00001.parquet").unlink()
    (tmp_path / "sampling.json").write_text(NOTE_OF_0_1_0)
    again = Echo()
    assert collect(tmp_path, again) == whole
    assert [len(call) for call in again.calls] == [3]
    key = '"vllm_tensor_parallel_size": '
    (tmp_path / "sampling.json").write_text(NOTE_OF_0_1_0.replace(f"{key}1", f"{key}8"))
    with pytest.raises(ConfigError, match=r"settings: tensor_parallel_size \(8, now 1\)\. Set"):
        collect(tmp_path, Echo())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("file", range(7))
def test_killed_before_or_after_any_file_appears_sampling_ends_the_same_and_rewrites_no_shard(
    tmp_path, monkeypatch, file, after
):
    """A note, then a mark and a shard three times: seven files, each of which appears by a rename."""

    def score(traces):
        return [dataclasses.replace(trace, rewards={"length": float(len(trace.completion))}) for trace in traces]

    run = lambda folder, engine: collect(folder, engine, finish=score, finish_key=["length"])  # noqa: E731
    whole = run(tmp_path / "whole", Echo())
    replace, times = Path.replace, count()

    def killed(path, target):
        number = next(times)
        if number == file and not after:
            raise KeyboardInterrupt
        replace(path, target)
        if number == file:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", Echo())
    monkeypatch.undo()
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.parquet")}
    again = Echo()
    assert run(tmp_path / "killed", again) == whole
    assert len(again.calls) == 3 - len(shards)
    assert (
        shards.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.parquet")}.items()
    )


def test_models_with_names_stand_side_by_side_in_one_folder(tmp_path):
    collect(tmp_path, Echo(), name="base", stem="base")
    collect(tmp_path, Echo(), name="r1-zero", stem="r1-zero")
    collect(tmp_path, Echo(), name="r1", stem="r1")
    assert (tmp_path / "r1-zero-00002.parquet").exists()
    assert sorted({trace.model for trace in read_traces(tmp_path)}) == ["base", "r1", "r1-zero"]
    # Other settings for one of them concern the others nothing.
    other = dataclasses.replace(CONFIG, seed=9)
    with pytest.raises(ConfigError, match="holds 3 shards"):
        collect(tmp_path, Echo(), config=other, name="r1", stem="r1")
    untouched = Echo()
    collect(tmp_path, untouched, name="r1-zero", stem="r1-zero")
    assert untouched.calls == []
    assert len(collect(tmp_path, Echo(), config=other, name="r2", stem="r2")) == 14


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
