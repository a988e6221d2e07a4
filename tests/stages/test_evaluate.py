import json
import os

import pyarrow.parquet as pq
import pytest

from trl_r1.stages import evaluate
from trl_r1.trace import read_traces

from . import tiny


@pytest.fixture
def config(base, tmp_path):
    rows = [
        {"prompt": f"what is {a} + {b} ?", "solution": str(a + b), "domain": "math", "language": "en"}
        for a in range(3)
        for b in range(2)
    ]
    rows += [
        {"prompt": f"what is {w} ?", "reference": w, "domain": "general", "language": "en"} for w in ("sum", "plus")
    ]
    data = tmp_path / "held_out.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    return {
        "models": {"base": str(base), "again": str(base)},
        "data": [{"path": str(data)}],
        "output_dir": str(tmp_path / "scores"),
        "prompt_template": "User : {prompt} Assistant :",
        "n_samples": 4,
        "max_completion_tokens": 6,
        "shard_prompts": 3,
        "pass_at_k": [2, 4],
        "hard_below": 0.9,
        "hard_chosen_by": 2,
        "languages": ["en", "zh"],
        "general_scorer": {"func": "tests.stages.tiny.digits"},
        "best_of_n": {"func": "tests.stages.tiny.digits"},
    }


def run(tmp_path, config, **changes):
    file = tiny.make_config(tmp_path / "evaluate.yaml", config, **changes)
    return evaluate.main(["--config", str(file)])


def test_every_model_gets_its_metrics_and_its_traces(tmp_path, config):
    assert run(tmp_path, config) == 0
    models = json.loads((tmp_path / "scores" / "metrics.json").read_text())["models"]
    assert sorted(models) == ["again", "base"]
    base = models["base"]
    assert models["again"] == base
    assert (base["n_prompts"], base["n_samples"]) == (8, 32)
    assert base["pass@1"] <= base["pass@2"] <= base["pass@4"]
    assert 0.5 < base["general_win_rate"] <= 1  # the samples have digits, the references none
    for key in ("cons@4", "format", "mixed_language", "mean_tokens", "truncated", "best_of_n"):
        assert key in base
    assert sorted(base["by_domain"]) == ["general", "math"]
    assert {"pass@2", "cons@2", "n_prompts"} <= set(base["hard"])
    traces = list(read_traces(tmp_path / "scores" / "traces"))
    assert {trace.model for trace in traces} == {"base", "again"}
    assert {"math_accuracy", "think_format", "language_consistency"} <= set(traces[0].rewards)
    progress = json.loads((tmp_path / "scores" / "progress.json").read_text())
    assert (progress["step"], progress["total"], progress["unit"]) == (64, 64, "samples")
    rates = pq.read_table(tmp_path / "scores" / "pass_rates.parquet").to_pylist()
    assert len(rates) == 16
    solved, judged = (sum(row[key] for row in rates if row["model"] == "base") for key in ("solved", "judged"))
    assert solved / judged == pytest.approx(base["pass@1"])


def test_each_data_set_is_measured_and_compared_by_itself(tmp_path, config):
    other = tmp_path / "other.jsonl"
    row = {"prompt": "what is 2 + 2 ?", "solution": "4", "domain": "math", "language": "en"}
    other.write_text(json.dumps(row))
    data = [*config["data"], {"path": str(other)}]
    assert run(tmp_path, config, data=data, general_scorer=None) == 0
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    base = scores["models"]["base"]
    assert {name: found["n_prompts"] for name, found in base["by_source"].items()} == {"held_out": 8, "other": 1}
    assert {"pass@1", "cons@4"} <= base["by_source"]["other"].keys()
    (whole,) = scores["comparisons"]
    assert (whole["models"], whole["difference"], whole["p_value"]) == (["again", "base"], 0.0, 1.0)
    assert whole["n_prompts"] == 7  # the general prompts have no right answer
    found = scores["comparisons_by_source"]
    assert {name: each["n_prompts"] for name, (each,) in found.items()} == {"held_out": 6, "other": 1}


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_numbers(tmp_path, config):
    assert run(tmp_path, config) == 0
    scores = tmp_path / "scores"
    whole = (scores / "metrics.json").read_text()
    for shard in ("again-00001.parquet", "base-00002.parquet"):
        (scores / "traces" / shard).unlink()
    (scores / "metrics.json").unlink()
    kept = (scores / "traces" / "base-00000.parquet").stat().st_mtime_ns
    assert run(tmp_path, config) == 0
    assert (scores / "metrics.json").read_text() == whole
    assert (scores / "traces" / "base-00000.parquet").stat().st_mtime_ns == kept


def test_other_rewards_are_computed_on_the_samples_that_are_there(tmp_path, config):
    assert run(tmp_path, config) == 0
    before = [trace.completion for trace in read_traces(tmp_path / "scores" / "traces")]
    assert run(tmp_path, config, style="r1_zero") == 0
    assert [trace.completion for trace in read_traces(tmp_path / "scores" / "traces")] == before


def test_an_evaluation_of_general_prompts_alone_needs_no_reward(tmp_path, config):
    assert run(tmp_path, config, rewards=[], best_of_n=None) == 0
    base = json.loads((tmp_path / "scores" / "metrics.json").read_text())["models"]["base"]
    assert "general_win_rate" in base
    assert "pass@1" not in base


def test_a_single_model_can_be_sampled_in_its_own_way(tmp_path, config):
    changes = {"by_model": {"base": {"n_samples": 3, "prompt_template": "plain"}}}
    assert run(tmp_path, config, **changes) == 0
    models = json.loads((tmp_path / "scores" / "metrics.json").read_text())["models"]
    assert (models["base"]["n_samples"], models["again"]["n_samples"]) == (24, 32)
    assert "pass@4" not in models["base"]
    assert "pass@2" in models["base"]


def test_a_model_is_sampled_again_without_reflection_and_within_budgets(tmp_path, config):
    changes = {"emergence": {"models": ["base"], "domains": ["math"], "budgets": [2, 6]}}
    assert run(tmp_path, config, **changes) == 0
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    found = metrics["emergence"]["base"]
    assert list(found) == ["forbidden", "budget-2", "budget-6"]
    assert {(each["n_prompts"], each["n_samples"]) for each in found.values()} == {(6, 24)}
    assert found["forbidden"]["reflection_per_completion"] == 0
    assert metrics["models"]["base"]["n_prompts"] == 8
    assert run(tmp_path, config, emergence={"models": ["other"]}) == 2


def test_samples_of_an_earlier_evaluation_are_taken_over_and_not_made_again(tmp_path, config):
    changes = {"emergence": {"models": ["base"], "domains": ["math"], "budgets": [2]}}
    first = {"models": {"base": config["models"]["base"]}, "output_dir": str(tmp_path / "first")}
    assert run(tmp_path, config, **changes, **first) == 0
    # Sampled again, a completion would not be this one.
    shard = tmp_path / "first" / "traces" / "base-00000.parquet"
    table = pq.read_table(shard)
    texts = ["marked" for _ in table["completion"]]
    marked = table.set_column(table.column_names.index("completion"), "completion", [texts])
    pq.write_table(marked.replace_schema_metadata(table.schema.metadata), shard)

    assert run(tmp_path, config, continues=[str(tmp_path / "first")], **changes) == 0
    scores = tmp_path / "scores"
    assert set(pq.read_table(scores / "traces" / "base-00000.parquet")["completion"].to_pylist()) == {"marked"}
    assert "marked" not in pq.read_table(scores / "traces" / "again-00000.parquet")["completion"].to_pylist()
    found = [json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "first", scores)]
    assert found[0]["emergence"] == found[1]["emergence"]
    copied = [path.relative_to(tmp_path / "first") for path in (tmp_path / "first" / "emergence").rglob("*.parquet")]
    assert len(copied) >= 3
    for path in copied:
        assert (scores / path).read_bytes() == (tmp_path / "first" / path).read_bytes()

    assert run(tmp_path, config, continues=[str(tmp_path / "first")], temperature=0.5, **changes) == 0
    again = pq.read_table(scores / "traces" / "base-00000.parquet")["completion"].to_pylist()
    assert "marked" not in again, "samples of another temperature are not what is asked for"
    assert run(tmp_path, config, continues=[str(tmp_path / "first")], **changes) == 0
    back = pq.read_table(scores / "traces" / "base-00000.parquet")["completion"].to_pylist()
    assert set(back) == {"marked"}


def test_an_engine_that_needs_it_gets_a_process_for_each_model_and_is_closed_in_it(tmp_path, config):
    assert run(tmp_path, config, backend="tests.sampling.own_process", n_samples=4, hard_below=None) == 0
    traces = list(read_traces(tmp_path / "scores" / "traces"))
    processes = {(trace.model, trace.completion.split()[-1]) for trace in traces}
    assert len(processes) == 2
    assert len({process for _, process in processes} - {str(os.getpid())}) == 2
    assert {"base", "again"} == set(json.loads((tmp_path / "scores" / "metrics.json").read_text())["models"])


@pytest.mark.parametrize("where", ["by itself", "by_model"])
@pytest.mark.parametrize("key", ["max_model_length", "tensor_parallel_size", "gpu_memory_utilization"])
def test_a_key_that_0_1_0_called_otherwise_is_refused_with_its_name_of_today(tmp_path, config, key, where, capsys):
    changes = {f"vllm_{key}": 1}
    assert run(tmp_path, config, **(changes if where == "by itself" else {"by_model": {"base": changes}})) == 2
    message = capsys.readouterr().err
    assert f"vllm_{key}" in message
    assert f" {key}" in message.replace("`", "")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"pass_at_k": [8]}, "pass_at_k"),
        ({"until_accepted": 2}, "until_accepted"),
        ({"by_model": {"base": {"until_accepted": 2}}}, "until_accepted"),
        ({"hard_chosen_by": 4}, "hard_chosen_by"),
        ({"by_model": {"base": {"temprature": 1.0}}}, "by_model.base.temprature"),
        ({"rewards": [{"func": "trl_r1.rewards.Nothing"}]}, "rewards[0].func"),
        ({"general_scorer": {"func": "nowhere.at.all"}}, "general_scorer[0].func"),
        ({"temprature": 1.0}, "temprature"),
        ({"n_samples": "many"}, "n_samples"),
        ({"models": ...}, "models"),
        ({"data": [{"path": "nowhere.jsonl"}]}, "path"),
        ({"prompt_template": "nothing"}, "prompt_template"),
    ],
)
def test_a_wrong_config_ends_with_2_and_names_the_key(tmp_path, config, changes, key, capsys):
    assert run(tmp_path, config, **changes) == 2
    message = capsys.readouterr().err
    assert key in message
    assert "Traceback" not in message
