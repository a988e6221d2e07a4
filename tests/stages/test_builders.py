"""The builders as programs, with a tiny model that samples for real. What they select is tested beside them."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from tests.builders.fakes import read_data_set
from tests.killing import run_until_killed
from trl_r1.stages import cold_start, general, pairs, rejection
from trl_r1.trace import read_traces

from . import tiny


@pytest.fixture
def config(base, tmp_path):
    rows = [
        {"prompt": f"what is {a} + {b} ?", "solution": str(a + b), "domain": "math", "language": "en"}
        for a in range(4)
        for b in range(2)
    ]
    data = tmp_path / "prompts.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    return {
        "model_name_or_path": str(base),
        "data": [{"path": str(data)}],
        "output_dir": str(tmp_path / "stage"),
        "prompt_template": "User : {prompt} Assistant :",
        "n_samples": 4,
        "max_completion_tokens": 4,
        "shard_prompts": 3,
    }


def run(stage, tmp_path, config, **changes):
    return stage.main(["--config", str(tiny.make_config(tmp_path / "stage.yaml", config, **changes))])


# A random model is seldom right and never well-formed: what is kept here is what ended or has digits.
LENIENT = {"right_by": [], "well_formed": False, "finished": False, "min_language_share": None}


@pytest.mark.parametrize("stage", [rejection, cold_start])
def test_a_builder_leaves_data_selection_traces_and_progress(stage, tmp_path, config):
    assert run(stage, tmp_path, config, rules=LENIENT) == 0
    out = tmp_path / "stage"
    selection = json.loads((out / "selection.json").read_text())
    table = read_data_set(out)
    assert 0 < selection["kept"] == len(table) <= selection["seen"] == 32
    assert {"prompt", "completion", "solution", "domain", "language", "source"} <= set(table.column_names)
    assert len(list((out / "traces").glob("*.parquet"))) == 3
    progress = json.loads((out / "progress.json").read_text())
    assert (progress["step"], progress["total"], progress["unit"]) == (32, 32, "samples")


def test_a_killed_builder_goes_on_and_ends_with_the_same_data(tmp_path, config):
    assert run(rejection, tmp_path, config, rules=LENIENT) == 0
    out = tmp_path / "stage"
    whole = read_data_set(out)
    (out / "traces" / "00001.parquet").unlink()
    shutil.rmtree(out / "data")
    assert run(rejection, tmp_path, config, rules=LENIENT) == 0
    assert read_data_set(out).equals(whole)


def test_a_builder_that_is_killed_at_any_moment_samples_no_prompt_twice(tmp_path, config):
    """Batches of one prompt, each kept as soon as it is there; killed while the third of eight shards is renamed."""
    one_each = {"rules": LENIENT, "shard_prompts": 1}
    assert run(rejection, tmp_path, config, **one_each) == 0
    whole = read_data_set(tmp_path / "stage")
    shutil.rmtree(tmp_path / "stage")

    arguments = ["--config", str(tmp_path / "stage.yaml")]
    run_until_killed("trl_r1.stages.rejection", arguments, "os.rename", "*/traces/.0*", 3)
    assert not (tmp_path / "stage" / "data").exists()
    traces = tmp_path / "stage" / "traces"
    assert len(list(traces.glob("*.parquet"))) == 2
    journal = [json.loads(line) for file in traces.glob("journal/*.jsonl") for line in file.read_text().splitlines()]
    paid = [prompt for line in journal for prompt, *_ in line["samples"]]
    assert len(paid) >= config["n_samples"]
    assert run(rejection, tmp_path, config, **one_each) == 0
    asked = [(trace.prompt_id, trace.sample) for trace in read_traces(traces)]
    assert len(asked) == len(set(asked)) == 8 * config["n_samples"]
    assert read_data_set(tmp_path / "stage").equals(whole)


def test_a_changed_rule_or_port_or_number_of_samples_samples_only_what_is_new(tmp_path, config, monkeypatch):
    from trl_r1.sampling.engines.transformers import TransformersEngine

    made, generate = [], TransformersEngine.generate

    def counted(self, questions, n, seed):
        made.append(len(questions) * n)
        return generate(self, questions, n, seed)

    monkeypatch.setattr(TransformersEngine, "generate", counted)
    assert run(rejection, tmp_path, config, rules=LENIENT) == 0
    assert sum(made) == 32
    assert run(rejection, tmp_path, config, rules={**LENIENT, "max_per_prompt": 1}, base_url="http://h:1/v1") == 0
    assert sum(made) == 32
    assert run(rejection, tmp_path, config, rules=LENIENT, n_samples=5) == 0
    assert sum(made) == 40
    rates = pq.read_table(tmp_path / "stage" / "pass_rates.parquet")
    assert rates["samples"].to_pylist() == [5] * 8


def test_the_general_stage_writes_what_rows_lack(tmp_path, config):
    rows = [{"prompt": "hello", "completion": "sum"}, {"prompt": "what is plus ?", "completion": "plus"}]
    data = tmp_path / "general.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    source = {"path": str(data), "domain": "general", "language": "en"}
    # Thoughts of a random model that runs into its limit are none.
    assert run(general, tmp_path, config, data=[source], rules={"min_language_share": None}) == 0
    selection = json.loads((tmp_path / "stage" / "selection.json").read_text())
    assert selection["simple_queries"] == 1
    assert selection["seen"] == 2
    texts = read_data_set(tmp_path / "stage")["completion"].to_pylist()
    assert texts[0] == "<think>\n\n</think>\n\nsum"


def test_the_pairs_stage_writes_what_the_reward_stage_reads(tmp_path, config):
    judge = {"func": "tests.stages.tiny.digits"}
    changes = {"judge": judge, "min_gap": 0.0, "rules": {"finished": False, "min_language_share": None}}
    assert run(pairs, tmp_path, config, max_length_ratio=10.0, **changes) == 0
    table = read_data_set(tmp_path / "stage")
    assert len(table) > 0
    assert {"prompt", "chosen", "rejected", "domain", "language"} <= set(table.column_names)


def test_where_nothing_is_kept_the_stage_fails_and_says_why(tmp_path, config, capsys):
    assert run(rejection, tmp_path, config) == 1
    message = capsys.readouterr().err
    assert "none of 32 was kept" in message
    assert "truncated" in message


@pytest.mark.parametrize("stage", [rejection, cold_start, general, pairs])
@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"n_sample": 3}, "n_sample"),
        ({"n_samples": "three"}, "n_samples"),
        ({"prompt_template": ...}, "prompt_template"),
        ({"data": [{"path": "nowhere.jsonl"}]}, "path"),
        ({"data": [{"path": "x", "colum": "y"}]}, "data[0].colum"),
        ({"rules": {"no_such_rule": 1}}, "rules.no_such_rule"),
        ({"model_name_or_path": "/nowhere/at/all"}, "model_name_or_path"),
    ],
)
def test_a_wrong_config_ends_with_2_and_names_the_key(stage, changes, key, tmp_path, config, capsys):
    if stage is pairs:
        config["judge"] = {"func": "tests.stages.tiny.digits"}
    assert run(stage, tmp_path, config, **changes) == 2
    message = capsys.readouterr().err
    assert key in message
    assert "Traceback" not in message
