"""
Two processes on CPUs through the real `accelerate launch`: what ZeRO-3 and DDP train is what one process trains.

DeepSpeed compiles an operator at its first use, which takes about a minute; `TORCH_EXTENSIONS_DIR` keeps it.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.sampling.stub_server import choices, stub_server
from tests.stages.tiny import make_config, make_data, make_model, right
from trl_r1.adapters import is_adapter
from trl_r1.rewards import GroupLength, PreferenceModel
from trl_r1.rewards.preference_text import PreferenceForm
from trl_r1.trace import read_traces


ROOT = Path(__file__).resolve().parents[2]
ACCELERATE = ROOT / "recipes" / "accelerate"
SECONDS = 600  # of patience with a busy machine; on a quiet one a launch takes 15 to 25

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    make_model(place / "base")
    make_data(place / "sums.jsonl")
    return place


@pytest.fixture(scope="module")
def launch(place):
    """Run a stage under an accelerate configuration; return its output directory, or fail with what it said."""

    def launch(name, kind, config, accelerate=None, arguments=(), **expect):
        file = make_config(place / f"{name}.yaml", {**config, "output_dir": str(place / name)})
        command = [sys.executable, "-m"]
        if accelerate is not None:
            command += ["accelerate.commands.launch", *launcher_arguments(accelerate), *arguments, "-m"]
        command += [f"trl_r1.stages.{kind}", "--config", str(file)]
        code, said = run_in_own_group(command, environment(accelerate))
        if expect.get("stops"):
            assert code != 0, said
            assert expect["stops"] in said, said
        else:
            assert code == 0, said[-6000:]
        return place / name

    return launch


def launcher_arguments(accelerate):
    if isinstance(accelerate, str):
        return ["--config_file", str(ACCELERATE / f"{accelerate}.yaml")]
    return ["--config_file", str(accelerate)]


def environment(accelerate):
    cache = os.environ.get("TORCH_EXTENSIONS_DIR") or str(Path.home() / ".cache" / "torch_extensions")
    chosen = {
        **{name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")},
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TORCH_EXTENSIONS_DIR": cache,
        "HF_HUB_OFFLINE": "1",
    }
    if accelerate == "cpu_zero3":
        chosen["DS_ACCELERATOR"] = "cpu"
    return chosen


def run_in_own_group(command, environment, seconds=SECONDS):
    """A launcher that is killed leaves its workers behind, so the whole group ends with the test."""
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=seconds)
        return process.returncode, said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def common(place):
    return {
        "model_name_or_path": str(place / "base"),
        "data": [{"path": str(place / "sums.jsonl"), "name": "sums"}],
        "prompt_template": "chat",
        "max_steps": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_steps": 2,
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


def sft(place, processes):
    return {
        **common(place),
        "save_strategy": "no",
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4 // processes,
        "expect_processes": processes,
    }


def grpo(place):
    return {
        **common(place),
        "rewards": [{"func": "tests.stages.tiny.digits"}],
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "max_completion_length": 8,
        "beta": 0.1,
        "sync_ref_model": True,
        "ref_model_sync_steps": 2,
        "learning_rate": 1e-3,
        "expect_processes": 2,
        "keep_checkpoints": True,
    }


def make_preference_model(place):
    model = AutoModelForSequenceClassification.from_pretrained(place / "base", num_labels=1)
    model.save_pretrained(place / "preference")
    AutoTokenizer.from_pretrained(place / "base").save_pretrained(place / "preference")
    PreferenceForm("chat", "all").save(place / "preference")
    return place / "preference"


def history(directory, names):
    lines = json.loads((directory / "trainer_state.json").read_text())["log_history"]
    return torch.tensor([[line[name] for name in names] for line in lines if "loss" in line], dtype=torch.float64)


def weights(directory):
    return load_file(directory / "model" / "model.safetensors")


def assert_same_weights(one, other, tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=tolerance, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


# SFT


@pytest.fixture(scope="module")
def sft_alone(launch, place):
    return launch("sft_alone", "sft", sft(place, 1))


@pytest.mark.parametrize("accelerate", ["cpu_ddp", "cpu_zero3"])
def test_sft_on_two_ranks_is_sft_on_one(accelerate, launch, place, sft_alone):
    ranks = launch(f"sft_{accelerate}", "sft", sft(place, 2), accelerate)
    ours, theirs = history(ranks, ["loss"]), history(sft_alone, ["loss"])
    assert len(ours) == 4
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert_same_weights(weights(ranks), weights(sft_alone), 1e-4)
    moved = [
        (weights(ranks)[name] - weight).abs().max()
        for name, weight in load_file(place / "base" / "model.safetensors").items()
    ]
    assert max(moved) > 1e-2  # what is compared has been trained


# GRPO


@pytest.fixture(scope="module")
def grpo_zero3(launch, place):
    return launch("grpo_zero3", "grpo", grpo(place), "cpu_zero3")


def test_grpo_under_zero3_is_grpo_under_ddp(launch, place, grpo_zero3):
    ddp = launch("grpo_ddp", "grpo", grpo(place), "cpu_ddp")
    names = ["loss", "reward", "kl", "completions/mean_length"]
    torch.testing.assert_close(history(grpo_zero3, names), history(ddp, names), atol=1e-6, rtol=0)
    assert_same_weights(weights(grpo_zero3), weights(ddp), 1e-6)
    kl = history(ddp, ["kl"]).flatten()
    assert kl[1] > 1e-7  # the policy has left its reference
    assert kl[2] < kl[1] / 10  # which was then replaced


def test_grpo_resumed_under_zero3_is_the_same_number_for_number(launch, place, grpo_zero3):
    resumed = place / "grpo_resumed"
    resumed.mkdir()
    shutil.copytree(grpo_zero3 / "checkpoint-2", resumed / "checkpoint-2")
    (resumed / "checkpoint-4").mkdir()  # what a kill leaves behind
    launch("grpo_resumed", "grpo", grpo(place), "cpu_zero3")
    names = ["loss", "reward", "kl", "grad_norm", "entropy"]
    assert torch.equal(history(resumed, names), history(grpo_zero3, names))
    assert_same_weights(weights(resumed), weights(grpo_zero3), 0)


# LoRA


def test_lora_trains_under_zero3_and_its_adapter_serves_the_next_stage_with_a_preference_model(launch, place):
    lora = {"use_peft": True, "lora_r": 4, "lora_dropout": 0.0, "lora_target_modules": ["q_proj", "v_proj"]}
    adapter = launch("lora", "sft", {**sft(place, 2), **lora, "learning_rate": 5e-2}, "cpu_zero3") / "model"
    assert is_adapter(adapter)
    trained = load_file(adapter / "adapter_model.safetensors")
    assert max(weight.abs().max() for name, weight in trained.items() if "lora_B" in name) > 1e-3
    config = {**grpo(place), "model_name_or_path": str(adapter), "max_steps": 1, "save_strategy": "no"}
    # A preference model beside the policy stays whole where the policy is cut up among the ranks.
    preference = {"func": "trl_r1.rewards.PreferenceModel", "args": {"model": str(make_preference_model(place))}}
    config["rewards"] = [*config["rewards"], preference]
    after = launch("after_lora", "grpo", config, "cpu_zero3")
    assert 0 < history(after, ["rewards/preference_model/mean"]).item() < 1
    base = load_file(place / "base" / "model.safetensors")
    # One step of 1e-3 after the merger: what is further from the base than that came from the adapter.
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (weights(after)[name] - base[name]).abs().max() > 3e-3


# Rewards


def test_rewards_under_zero3_are_what_one_process_gives_alone(launch, place):
    """A preference model, lengths of a group that two ranks share, and a judge with one budget for both."""
    preference = {"model": str(make_preference_model(place)), "normalise": "raw"}
    judge = {"model": "judge", "cache_dir": str(place / "judged"), "max_calls": 3}
    verdict = choices('{"analysis": "x", "verdict": "correct"}')
    with stub_server(lambda path, request: (200, verdict)) as (url, requests):
        config = {
            **grpo(place),
            "rewards": [
                {"func": "trl_r1.rewards.PreferenceModel", "args": preference},
                {"func": "trl_r1.rewards.GroupLength", "args": {"accuracy": "tests.stages.tiny.right"}},
                {"func": "trl_r1.rewards.Judge", "args": {**judge, "base_url": url}},
            ],
            "per_device_train_batch_size": 2,  # of 4 generations: each rank holds half a group
            "max_completion_length": 60,
            "max_steps": 3,
            "save_strategy": "no",
            "save_rollouts": True,
        }
        output = launch("rewards", "grpo", config, "cpu_zero3")
    traces = list(read_traces(output / "rollouts"))
    assert len(traces) == 12
    alone = PreferenceModel(**preference)(
        completions=[trace.completion for trace in traces], question=[trace.prompt for trace in traces]
    )
    assert [trace.rewards["preference_model"] for trace in traces] == pytest.approx(alone, abs=1e-4)
    assert len({round(score, 3) for score in alone}) > 6
    by_step = {}
    for trace in traces:
        by_step.setdefault(trace.step, []).append(trace)
    for group in by_step.values():
        given = [trace.rewards["group_length"] for trace in group]
        assert given == pytest.approx(group_length_of(group), abs=1e-6)
        assert any(given)
    judged = [trace.rewards["judge"] for trace in traces]
    assert len(requests) == 3  # of both ranks together
    assert judged.count(1.0) >= 3
    assert set(judged) <= {1.0, 0.0, None}  # 0 without an answer, None beyond the budget


def group_length_of(group):
    return GroupLength(right)(
        prompts=["one"] * len(group),
        completions=[trace.completion for trace in group],
        completion_ids=[[0] * trace.n_tokens for trace in group],
    )


# Configurations that would end with 0 and distribute nothing


def test_a_stage_that_learns_nothing_is_stopped_on_both_ranks(launch, place):
    (place / "null.jsonl").write_text(
        "".join(f'{{"prompt": "what is {i} + 1 ?", "solution": null}}\n' for i in range(32))
    )
    config = {**grpo(place), "data": [{"path": str(place / "null.jsonl")}], "max_steps": 20, "save_steps": 100}
    config |= {"rewards": [{"func": "tests.stages.tiny.unjudged"}], "max_steps_without_variance": 3}
    output = launch("stalled", "grpo", config, "cpu_ddp", stops="stopped at step 3: 3 steps running every reward was")
    progress = json.loads((output / "progress.json").read_text())
    assert progress["exit_code"] == 1
    assert progress["error"].count("reference answer: None") == 3
    assert [path.name for path in output.glob("checkpoint-*")] == ["checkpoint-3"]


@pytest.mark.parametrize(
    ("name", "accelerate", "arguments", "changes", "says"),
    [
        (
            "multi_cpu",
            "distributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true",
            [],
            {},
            "`MULTI_CPU` and `--cpu`",
        ),
        ("cpu_flag", "distributed_type: 'NO'", ["--cpu", "--num_processes", "2"], {}, "`MULTI_CPU` and `--cpu`"),
        ("no_use_cpu", "distributed_type: MULTI_GPU\nnum_processes: 2", [], {"use_cpu": False}, "`use_cpu: true`"),
        (
            "fsdp",
            "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: {fsdp_version: 2}",
            [],
            {},
            "FSDP was asked for",
        ),
    ],
)
def test_what_distributes_nothing_is_stopped(name, accelerate, arguments, changes, says, launch, place):
    file = place / f"accelerate_{name}.yaml"
    file.write_text(accelerate + "\nmain_process_port: 0\n")
    config = {**sft(place, 2), "expect_processes": None, **changes}
    config.pop("expect_processes")
    output = launch(f"nothing_{name}", "sft", config, file, arguments, stops=says)
    assert not (output / "model").exists()
