"""The training stages on a model of a few thousand parameters: what they refuse, leave behind, resume and chain."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.killing import run_until_killed
from tests.sampling.stub_server import choices, stub_server
from trl_r1.adapters import full_model, is_adapter
from trl_r1.grpo.arguments import check_rewards
from trl_r1.model_server import client
from trl_r1.rewards import PreferenceModel
from trl_r1.rewards.preference_text import PreferenceForm
from trl_r1.rewards.scheduled import Scheduled
from trl_r1.stages import evaluate as evaluate_stage
from trl_r1.stages import grpo as grpo_stage
from trl_r1.stages import pointwise as pointwise_stage
from trl_r1.stages import reward as reward_stage
from trl_r1.stages import sft as sft_stage
from trl_r1.stages._training import last_whole_checkpoint, remove_broken_checkpoints

from .tiny import make_config, save_adapter


STAGES = {
    "grpo": grpo_stage,
    "sft": sft_stage,
    "reward": reward_stage,
    "pointwise": pointwise_stage,
    "evaluate": evaluate_stage,
}


@pytest.fixture
def run(tmp_path):
    def run(kind, config, **changes):
        return STAGES[kind].main(["--config", str(make_config(tmp_path / f"{kind}.yaml", config, **changes))])

    return run


def weights(directory):
    return load_file(Path(directory) / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(directory):
    history = json.loads((Path(directory) / "trainer_state.json").read_text())["log_history"]
    return [line["loss"] for line in history if "loss" in line]


# What a stage leaves behind


@pytest.mark.parametrize("kind", ["sft", "grpo", "reward"])
def test_a_stage_leaves_a_model_its_numbers_and_its_progress(kind, run, common, grpo, base):
    assert run(kind, grpo if kind == "grpo" else common) == 0
    stage = Path(common["output_dir"])
    model = AutoModelForSequenceClassification if kind == "reward" else AutoModelForCausalLM
    assert sum(parameter.numel() for parameter in model.from_pretrained(stage / "model").parameters()) > 1000
    assert AutoTokenizer.from_pretrained(stage / "model").chat_template
    assert not same(weights(stage / "model"), weights(base))
    assert json.loads((stage / "metrics.json").read_text())["steps"] == 4
    assert json.loads((stage / "progress.json").read_text())["step"] == 4
    assert len(losses(stage)) == 4
    assert not (stage / "model.tmp").exists()
    assert not (stage / "model" / "training_args.bin").exists()
    assert not list(stage.rglob("README.md")), "TRL's card would tell of 'a fine-tuned version of None'"


def test_a_finished_stage_says_so_and_trains_no_more(run, common, capsys):
    model = Path(common["output_dir"]) / "model"
    model.mkdir(parents=True)
    assert run("sft", common) == 0
    assert f"{model} is there: this stage is done" in capsys.readouterr().out
    assert list(model.iterdir()) == []


def test_sft_and_grpo_take_plain_text_templates_as_well(run, common, grpo):
    for kind, config in (("sft", common), ("grpo", grpo)):
        output_dir = str(Path(common["output_dir"]) / kind)
        assert (
            run(kind, config, prompt_template="User : {prompt} Assistant :", output_dir=output_dir, max_steps=1) == 0
        )


def test_the_preference_model_reads_what_its_form_says(run, common):
    assert run("reward", common, part="summary", max_length=64) == 0
    model = Path(common["output_dir"]) / "model"
    form = PreferenceForm.load(model)
    assert form == PreferenceForm("chat", "summary", 64)
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = form.token_ids(tokenizer, "what is 1 + 2 ?", "<think> the sum is 3 </think> so 3")
    assert tokenizer.decode(ids) == "User : what is 1 + 2 ? Assistant : so 3 <eos>"


def test_a_preference_model_learns_which_response_is_better(run, common, data, tmp_path):
    """The worse response always says 39: a head that learns at all tells them apart."""
    pairs = [json.loads(line) for line in data.read_text().splitlines()]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps({**row, "chosen": "answer 1", "rejected": "answer 39"}) for row in pairs))
    assert run("reward", common, data=[{"path": str(file)}], max_steps=30, learning_rate=3e-2) == 0
    metrics = json.loads((Path(common["output_dir"]) / "metrics.json").read_text())
    assert metrics["last"]["accuracy"] > 0.9


def test_a_pointwise_model_learns_the_labels_and_pays_their_probability(run, common, data, tmp_path):
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    labelled = [
        {"prompt": row["prompt"], "reply": reply, "is_safe": reply == "answer 1"}
        for row in rows
        for reply in ("answer 1", "answer 39")
    ]
    file = tmp_path / "labelled.jsonl"
    file.write_text("\n".join(map(json.dumps, labelled)))
    source = {"path": str(file), "completion_column": "reply", "label_column": "is_safe"}
    assert run("pointwise", common, data=[source], max_steps=30, learning_rate=3e-2, part="all") == 0
    metrics = json.loads((Path(common["output_dir"]) / "metrics.json").read_text())
    assert metrics["last"]["accuracy"] > 0.9
    reward = PreferenceModel(str(Path(common["output_dir"]) / "model"))
    safe, unsafe = reward(completions=["answer 1", "answer 39"], prompts=[rows[0]["prompt"]] * 2)
    assert safe > 0.5 > unsafe
    one_label = tmp_path / "one.jsonl"
    one_label.write_text("\n".join(json.dumps(row) for row in labelled if row["is_safe"]))
    config = {**common, "output_dir": str(tmp_path / "other")}
    assert run("pointwise", config, data=[{**source, "path": str(one_label)}]) == 2


# What a stage refuses


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("grpo", {"los_type": "grpo"}, "grpo.yaml: `los_type`: unknown key; did you mean `loss_type`?"),
        (
            "grpo",
            {"per_device_train_batch_size": 6},
            "grpo.yaml: `num_generations`: is 4; expected what `R1GRPOConfig`",
        ),
        ("grpo", {"rewards": ...}, "grpo.yaml: `rewards`: is missing; expected a list of rewards"),
        (
            "grpo",
            {"use_peft": True, "sync_ref_model": True},
            "grpo.yaml: `sync_ref_model`: with `use_peft` there is no",
        ),
        ("grpo", {"prompt_template": ...}, "grpo.yaml: `prompt_template`: is missing; expected"),
        ("grpo", {"prompt_template": "no place"}, "grpo.yaml: `prompt_template`: expected"),
        ("sft", {"data": [{"path": "/nowhere.jsonl"}]}, "/nowhere.jsonl: `path`: no such file"),
        ("sft", {"data": ...}, "sft.yaml: `data`: is missing; expected a list"),
        ("sft", {"model_name_or_path": "/nowhere/model"}, "sft.yaml: `model_name_or_path`: expected a directory"),
        ("sft", {"expect_processes": 2}, "`expect_processes` asks for 2 processes that train together"),
        ("reward", {"part": "half"}, "reward.yaml: `part`: is 'half'; expected one of `all`, `summary`"),
        ("reward", {"max_length": 3}, "reward.yaml: `data`: expected pairs"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_key(kind, changes, says, run, common, grpo, capsys):
    assert run(kind, grpo if kind == "grpo" else common, **changes) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_a_column_that_a_reward_reads_must_be_there(data, capsys):
    class NeedsTests:
        __name__ = "code_accuracy"
        requires = ("tests",)

    rows = Dataset.from_list([{"prompt": "1+1?", "domain": "code"}, {"prompt": "2+2?", "domain": "math"}])
    with pytest.raises(Exception, match="code_accuracy reads the column 'tests', which the data lack"):
        check_rewards([NeedsTests()], rows, "rewards")
    of_code = Scheduled(NeedsTests(), domains=("code",))
    with pytest.raises(Exception, match=r"rewards\[0\].*code_accuracy"):
        check_rewards([of_code], rows, "rewards")
    check_rewards([of_code], rows.select([1]), "rewards")  # which it is never asked for


def test_fewer_prompts_than_a_step_takes_are_refused(run, grpo, data, capsys):
    assert run("grpo", grpo, data=[{"path": str(data), "limit": 1}]) == 2
    assert "expected at least the 2 prompts that one generation takes" in capsys.readouterr().err


def test_a_checkpoint_of_another_batch_is_refused(run, common, capsys):
    assert run("sft", common, max_steps=2, keep_checkpoints=True) == 0
    stage = Path(common["output_dir"])
    shutil.rmtree(stage / "model")
    world = stage / "checkpoint-2" / "trl_r1_world.json"
    rows = json.loads(world.read_text())["rows_per_step"]
    world.write_text(json.dumps({"processes": 2, "rows_per_step": 2 * rows, "batches_per_step": 1}))
    assert run("sft", common) == 2
    said = f"was written by 2 processes with {2 * rows} rows to a step, and 1 would take {rows}"
    assert said in capsys.readouterr().err


# The order of prompts


def test_shares_and_first_steps_hold_in_training(run, grpo, data, tmp_path):
    rows = [{"prompt": f"what is {i} ?", "solution": str(i), "language": "en"} for i in range(20)]
    late = tmp_path / "late.jsonl"
    late.write_text("\n".join(json.dumps(row) for row in rows))
    sources = [{"path": str(data), "name": "sums"}, {"path": str(late), "name": "late", "from_step": 2, "share": 0.5}]
    assert run("grpo", grpo, data=sources, save_rollouts=True, max_steps=4) == 0
    from trl_r1.trace import read_traces

    traces = list(read_traces(Path(grpo["output_dir"]) / "rollouts"))
    assert len(traces) == 4 * 8
    domains = [trace.domain for trace in traces]
    assert domains.count("late") == 2 * 4  # of the last two steps, one of two prompts with four samples


def test_a_judge_that_fails_ends_the_stage_and_one_that_answers_does_not(run, grpo, monkeypatch, capsys):
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.01)
    verdict = choices('{"analysis": "x", "verdict": "correct"}')
    down = []
    with stub_server(lambda path, request: (500, "judge is down") if down else (200, verdict)) as (url, requests):
        judge = {"func": "trl_r1.rewards.Judge", "args": {"base_url": url, "model": "m", "retries": 1}}
        config = {**grpo, "rewards": [judge], "max_steps": 2, "save_strategy": "no"}
        assert run("grpo", config) == 0
        assert requests
        down.append(True)
        stopped = {**config, "output_dir": f"{config['output_dir']}_stopped"}
        judge["args"]["model"] = "another"
        assert run("grpo", stopped) == 1
    assert "judge is down" in capsys.readouterr().err
    assert "judge is down" in json.loads(Path(stopped["output_dir"], "progress.json").read_text())["error"]
    assert not Path(stopped["output_dir"], "model").exists()


@pytest.mark.parametrize("steps", [3, 9])
def test_answers_that_nobody_can_judge_stop_the_stage(steps, run, grpo, common, tmp_path, capsys):
    """At its last step too: what has learned nothing is no model."""
    rows = [{"prompt": f"what is {i} + 1 ?", "solution": None} for i in range(16)]
    data = tmp_path / "null.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = {
        **grpo,
        "data": [{"path": str(data)}],
        "rewards": [{"func": "tests.stages.tiny.unjudged"}],
        "max_steps": steps,
    }
    stopping = {**config, "max_steps_without_variance": 3, "logging_steps": 100, "save_steps": 100}
    before = signal.getsignal(signal.SIGTERM)
    assert run("grpo", stopping) == 1
    said = capsys.readouterr().err
    assert "stopped at step 3: 3 steps running every reward was `None`" in said
    assert said.count("reference answer: None") == said.count("rewards: unjudged None") == 3
    stage = Path(common["output_dir"])
    progress = json.loads((stage / "progress.json").read_text())
    assert progress["error"] in said
    assert progress["exit_code"] == 1
    assert last_whole_checkpoint(stage).name == "checkpoint-3"
    assert not (stage / "model").exists()
    assert signal.getsignal(signal.SIGTERM) is before
    # The same command says the same; without the check it goes on.
    assert run("grpo", stopping) == 1
    assert run("grpo", {**stopping, "max_steps_without_variance": None}) == 0


# Resume


def test_only_whole_checkpoints_count_and_broken_ones_go(tmp_path):
    for step, state in ((2, '{"global_step": 2}'), (10, '{"global_step": 10}'), (12, '{"log_his')):
        checkpoint = tmp_path / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "trainer_state.json").write_text(state)
        torch.save({"step": step}, checkpoint / "rng_state.pth")
    (tmp_path / "checkpoint-14").mkdir()
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-10"
    cut = tmp_path / "checkpoint-10" / "rng_state.pth"
    cut.write_bytes(cut.read_bytes()[:-20])
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-2"
    remove_broken_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    assert last_whole_checkpoint(tmp_path / "none") is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "grpo", "reward"])
def test_a_killed_stage_ends_with_the_weights_of_an_uninterrupted_one(kind, run, common, grpo, tmp_path):
    config = {**(grpo if kind == "grpo" else common), "max_steps": 8, "save_steps": 2, "save_total_limit": 2}
    if kind == "grpo":
        config.update(beta=0.05, sync_ref_model=True, ref_model_sync_steps=3, num_iterations=2)
    killed = {**config, "output_dir": str(tmp_path / "killed")}
    assert run(kind, config) == 0

    file = make_config(tmp_path / "killed.yaml", killed)
    run_until_killed(f"trl_r1.stages.{kind}", ["--config", str(file)], "os.mkdir", "*/checkpoint-4")
    assert last_whole_checkpoint(killed["output_dir"]) is not None
    assert not (Path(killed["output_dir"]) / "model").exists()

    assert run(kind, killed) == 0
    assert same(weights(Path(killed["output_dir"]) / "model"), weights(Path(config["output_dir"]) / "model"))
    assert losses(killed["output_dir"]) == losses(config["output_dir"])


@pytest.mark.parametrize("kind", ["sft", "grpo", "reward"])
def test_a_stage_killed_after_its_last_checkpoint_takes_no_further_step(kind, run, common, grpo):
    config = {**(grpo if kind == "grpo" else common), "keep_checkpoints": True}
    assert run(kind, config) == 0
    output_dir = Path(config["output_dir"])
    whole, lost = weights(output_dir / "model"), losses(output_dir)
    assert last_whole_checkpoint(output_dir).name == "checkpoint-4"
    shutil.rmtree(output_dir / "model")
    (output_dir / "metrics.json").unlink()

    assert run(kind, config) == 0
    assert same(weights(output_dir / "model"), whole)
    assert losses(output_dir) == lost
    assert json.loads((output_dir / "metrics.json").read_text())["steps"] == 4


# LoRA


@pytest.mark.slow
def test_an_adapter_is_merged_by_its_stage_and_serves_the_next_ones(run, common, grpo, base, tmp_path, monkeypatch):
    lora = {"use_peft": True, "lora_r": 4, "lora_dropout": 0.0, "lora_target_modules": ["q_proj", "v_proj"]}
    assert run("sft", common, **lora) == 0
    adapter = Path(common["output_dir"]) / "model"
    assert is_adapter(adapter)

    merged = full_model(adapter, tmp_path / "elsewhere")
    assert merged == str(adapter.with_name("merged"))  # by the stage that made it
    assert not (tmp_path / "elsewhere").exists()
    tokenizer = AutoTokenizer.from_pretrained(merged)
    ids = tokenizer("what is 1 + 2 ?", return_tensors="pt")
    from peft import PeftModel

    of_adapter = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    of_merged = AutoModelForCausalLM.from_pretrained(merged)
    torch.testing.assert_close(of_merged(**ids).logits, of_adapter(**ids).logits, atol=1e-5, rtol=1e-5)

    class Merging(Exception):
        pass

    def merging(*args, **kwargs):
        raise Merging

    monkeypatch.setattr("trl_r1.adapters.subprocess.run", merging)  # nothing is merged again
    next_stage = str(tmp_path / "next")
    assert run("grpo", grpo, model_name_or_path=str(adapter), output_dir=next_stage, max_steps=1) == 0
    assert weights(Path(next_stage) / "model").keys() == weights(base).keys()
    assert not (Path(next_stage) / "start_model").exists()
    assert not (Path(next_stage) / "merged").exists()
    scores = {"n_samples": 1, "max_completion_tokens": 3, "prompt_template": "plain", "data": common["data"]}
    config = {**scores, "models": {"sft": str(adapter)}, "output_dir": str(tmp_path / "scores"), "rewards": []}
    assert run("evaluate", config) == 0

    os.utime(adapter / "adapter_model.safetensors")  # as of another adapter, trained in the same place
    with pytest.raises(Merging):
        full_model(adapter, tmp_path / "elsewhere")


@pytest.mark.slow
def test_an_adapter_from_elsewhere_is_merged_once_by_each_stage_that_reads_it(run, common, base, tmp_path):
    adapter, second = tmp_path / "adapter", tmp_path / "second"
    save_adapter(base, adapter)
    start = Path(full_model(adapter, second / "start_model"))
    assert start == second / "start_model"
    stamp = (start / "model.safetensors").stat().st_mtime_ns
    lora = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj"], "max_steps": 1}
    assert run("sft", common, model_name_or_path=str(adapter), output_dir=str(second), **lora) == 0
    assert (start / "model.safetensors").stat().st_mtime_ns == stamp
    assert json.loads((second / "model" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(start)
    assert weights(second / "merged").keys() == weights(base).keys()
    assert not same(weights(second / "merged"), weights(start))


def test_an_adapter_is_merged_where_the_config_says_so(run, common, base):
    lora = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj", "v_proj"]}
    assert run("sft", common, max_steps=1, merge_adapter=True, **lora) == 0
    model = Path(common["output_dir"]) / "model"
    assert not is_adapter(model)
    assert not model.with_name("merged").exists()
    assert weights(model).keys() == weights(base).keys()


def test_a_preference_model_trained_with_lora_is_a_full_model(run, common):
    assert run("reward", common, use_peft=True, lora_r=4, lora_target_modules=["q_proj"], max_steps=1) == 0
    model = Path(common["output_dir"]) / "model"
    assert not is_adapter(model)
    assert "score.weight" in weights(model)
    assert PreferenceForm.load(model) is not None
