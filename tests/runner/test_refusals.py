"""What contradicts the model, the launcher or what comes before a stage is refused before anything runs."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.hub_cache import write_model
from trl_r1.cli import main


REWARDS = [{"func": "trl_r1.rewards.ThinkFormat"}]
GRPO = {"prompt_template": "plain", "rewards": REWARDS, "ddp_timeout": 20000, "dtype": "float32"}
SFT = {"prompt_template": "chat", "dtype": "float32", "max_length": 2048, "ddp_timeout": 20000}
SAMPLING = {"prompt_template": "plain", "max_completion_tokens": 1024}
ZERO3 = {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 3}, "num_processes": 8}
DDP = {"distributed_type": "MULTI_GPU", "num_processes": 8}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with data and models of which no weights are there, and `plan`, which returns what was said."""
    rows = [{"prompt": f"{i}+1?", "solution": str(i + 1), "completion": "<think>.</think> 1"} for i in range(20)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(folder=tmp_path, stages=[], options=[])


def model(world, name: str = "Qwen/Qwen2.5-Math-7B", **changes) -> str:
    """Return the folder of a model that fits anywhere: Qwen2.5-Math-7B has 4,096 positions and 28 attention heads."""
    place = write_model(world.folder, name)
    config = json.loads((place / "config.json").read_text())
    small = {"num_hidden_layers": 2, "hidden_size": 32 * config["num_attention_heads"], "intermediate_size": 512}
    (place / "config.json").write_text(json.dumps(config | small | changes))
    return str(place)


def stage(world, name: str, kind: str, of: str | list[str] | dict[str, str], *, accelerate=None, **config) -> None:
    keys = {"name": name, "kind": kind, "model": of, "data": "sums", "set": config}
    if accelerate is not None:
        (world.folder / f"{name}-launch.yaml").write_text(yaml.safe_dump(accelerate))
        keys["accelerate"] = f"{name}-launch.yaml"
    world.stages.append(keys)


def plan(world, capsys, *options: str) -> str:
    """Return what is refused, nothing where the recipe is in order."""
    recipe = {"name": "small", "disk_gb": 0.001, "data": {"sums": {"path": "sums.jsonl"}}, "stages": world.stages}
    (world.folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    code = main(["plan", "recipe.yaml", *options])
    told = capsys.readouterr()
    assert code in (0, 2)
    assert ("The recipe is in order" in told.out) == (code == 0)
    return told.err if code else ""  # transformers may warn where nothing is refused


# --- weights ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accelerate", [None, DDP, {**ZERO3, "distributed_type": "FSDP"}], ids=["plain", "ddp", "fsdp1"]
)
@pytest.mark.parametrize("dtype", ["bfloat16", "auto"])
def test_weights_that_nothing_keeps_in_float32_are_not_trained_in_bfloat16(world, capsys, dtype, accelerate):
    stage(world, "zero", "grpo", "org/model", accelerate=accelerate, **GRPO | {"dtype": dtype})
    told = plan(world, capsys)
    assert "recipe.yaml:" in told
    assert "`zero.dtype`: the trained weights are" in told
    assert "Expected `dtype: float32`" in told


@pytest.mark.parametrize(
    ("config", "accelerate"),
    [
        ({"dtype": "float32", "bf16": True}, DDP),
        ({"dtype": "bfloat16"}, ZERO3),
        ({"dtype": "bfloat16"}, {"distributed_type": "FSDP", "num_processes": 8, "fsdp_config": {"fsdp_version": 2}}),
        ({"dtype": "bfloat16", "use_peft": True}, DDP),
    ],
    ids=["float32", "deepspeed", "fsdp2", "lora"],
)
def test_weights_that_are_kept_in_float32_or_frozen_are_trained(world, capsys, config, accelerate):
    stage(world, "zero", "grpo", "org/model", accelerate=accelerate, **GRPO | config)
    assert not plan(world, capsys)


# --- positions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "config", "key"),
    [
        ("grpo", GRPO | {"max_completion_length": 4096}, "max_completion_length"),
        (
            "grpo",
            GRPO | {"max_completion_length": 1024, "max_completion_length_schedule": {10: 8192}},
            "max_completion_length",
        ),
        (
            "grpo",
            GRPO | {"max_completion_length": 1024, "use_vllm": True, "vllm_max_model_length": 6144},
            "vllm_max_model_length",
        ),
        ("sft", SFT | {"max_length": 4097}, "max_length"),
        ("rejection", SAMPLING | {"max_completion_tokens": 4096}, "max_completion_tokens"),
        ("rejection", SAMPLING | {"backend": "vllm", "max_model_length": 4097}, "max_model_length"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_no_more_positions_are_asked_for_than_a_model_has(world, capsys, kind, config, key):
    stage(world, "one", kind, model(world), **config)
    told = plan(world, capsys)
    assert f"recipe.yaml:7: `one.{key}`: asks for " in told or f"`one.{key}`: asks for " in told
    assert "has 4096 positions. Expected at most 409" in told


def test_rope_scaling_and_what_an_earlier_stage_raised_count_as_positions(world, capsys):
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
    stage(world, "scaled", "sft", model(world, rope_scaling=yarn), **SFT | {"max_length": 16384})
    assert not plan(world, capsys)
    world.stages[0]["set"]["max_length"] = 16385
    assert "has 16384 positions" in plan(world, capsys)

    plain = model(world, rope_scaling=None)
    world.stages.clear()
    stage(world, "first", "sft", plain, **SFT | {"model_init_kwargs": {"max_position_embeddings": 32768}})
    stage(world, "second", "grpo", "first", **GRPO | {"prompt_template": "chat", "max_completion_length": 16384})
    stage(world, "scores", "evaluate", {"a": "second"}, **SAMPLING | {"prompt_template": "chat"})
    assert not plan(world, capsys)
    world.stages[-1]["set"]["max_completion_tokens"] = 32768
    told = plan(world, capsys)
    assert "`scores.max_completion_tokens`: for `a` it asks for 32768 tokens and a prompt" in told
    assert "the model of `second` has 32768 positions" in told


def test_only_the_model_that_is_too_short_is_named_and_its_own_settings_count(world, capsys):
    longer = model(world, "Qwen/Qwen2.5-7B")
    models = {"long": longer, "short": model(world)}
    stage(world, "scores", "evaluate", models, **SAMPLING | {"max_completion_tokens": 8192})
    told = plan(world, capsys)
    assert "for `short` it asks for 8192 tokens" in told
    assert "`long`" not in told
    world.stages[0]["set"]["by_model"] = {"short": {"max_completion_tokens": 2048}}
    assert not plan(world, capsys)
    world.stages[0]["set"]["by_model"] = {"short": {"backend": "none"}, "long": {"max_completion_tokens": 0}}
    told = plan(world, capsys)
    assert "`scores.backend`: expected one of " in told
    assert "`scores.max_completion_tokens`: expected at least 1" in told


def test_a_model_at_a_server_has_the_positions_of_the_server(world, capsys):
    server = {"backend": "server", "base_url": "http://127.0.0.1:9/v1", "max_completion_tokens": 99999}
    stage(world, "one", "rejection", model(world), **SAMPLING | server)
    assert not plan(world, capsys)


def test_room_for_a_prompt_is_left_beside_the_longest_completion(world, capsys):
    config = {"max_completion_length": 1024, "max_completion_length_schedule": {10: 2048}, "use_vllm": True}
    stage(world, "zero", "grpo", model(world), **GRPO | config | {"vllm_max_model_length": 2048})
    told = plan(world, capsys)
    assert "`zero.vllm_max_model_length`: is 2048, which leaves no room for a prompt before the 2048 tokens" in told


# --- GPUs and processes -------------------------------------------------------------------------------------------------


def test_attention_heads_are_divided_among_the_gpus_of_an_engine(world, capsys):
    engine = {"backend": "vllm", "max_model_length": 2048}
    stage(world, "one", "rejection", model(world), **SAMPLING | engine | {"tensor_parallel_size": 8})
    told = plan(world, capsys)
    assert "`one.tensor_parallel_size`: is 8;" in told
    assert "has 28 attention heads" in told
    assert "such as 4" in told
    world.stages[0]["set"]["tensor_parallel_size"] = 4
    assert not plan(world, capsys)


def test_an_engine_in_the_trainer_is_spread_over_whole_shares_of_the_processes(world, capsys):
    engine = {"use_vllm": True, "vllm_mode": "colocate", "max_completion_length": 1024, "vllm_max_model_length": 2048}
    stage(world, "zero", "grpo", model(world), accelerate=DDP, **GRPO | engine | {"vllm_tensor_parallel_size": 7})
    assert "`zero.vllm_tensor_parallel_size`: is 7; expected a divisor of the stage's 8 processes" in plan(
        world, capsys
    )


def test_a_stage_over_several_machines_is_not_started_on_one(world, capsys):
    stage(world, "large", "sft", "org/model", accelerate=ZERO3 | {"num_machines": 2}, **SFT)
    stage(world, "small", "sft", "org/model", **SFT)
    told = plan(world, capsys)
    assert "large-launch.yaml: `num_machines`: is 2, and `launcher: local` starts stages on this machine alone" in told
    assert "docs/scaling.md" in told
    assert not plan(world, capsys, "--only", "small")


def test_another_number_of_processes_does_not_change_the_batch_unsaid(world, capsys):
    stage(world, "small", "sft", "org/model", accelerate=DDP, **SFT)
    world.stages[0]["num_processes"] = 8
    assert not plan(world, capsys)
    told = plan(world, capsys, "--set", "num_processes=4", "--set", "small.num_processes=4")
    assert "`stages.small.num_processes`: is 4, and 8 in " in told
    assert "would be 0.5 times that of its config. Expected `batch_size: ...`" in told
    world.stages[0]["set"]["batch_size"] = 64
    assert not plan(world, capsys, "--set", "small.num_processes=4")


@pytest.mark.parametrize(("config", "needed"), [({}, 3277), ({"max_completion_length_schedule": {9: 65536}}, 6554)])
def test_ranks_may_wait_for_the_longest_completion(world, capsys, config, needed):
    stage(world, "zero", "grpo", "org/model", accelerate=DDP, **GRPO | config | {"ddp_timeout": needed - 1})
    assert f"`zero.ddp_timeout`: is {needed - 1} s; a rank may have to wait {needed} s" in plan(world, capsys)
    world.stages[0]["set"]["ddp_timeout"] = needed
    assert not plan(world, capsys)
    world.stages[0]["set"]["ddp_timeout"] = 1
    del world.stages[0]["accelerate"]
    assert not plan(world, capsys)


def test_ranks_may_wait_for_the_one_that_tokenises(world, capsys, monkeypatch):
    monkeypatch.setattr("trl_r1.cores.os.sched_getaffinity", lambda process: {0})
    (world.folder / "sums.jsonl").write_text('{"prompt": "1", "completion": "2"}\n' * 90_050)
    stage(world, "small", "sft", "org/model", accelerate=DDP, **SFT | {"ddp_timeout": 1800})
    told = plan(world, capsys)
    assert "`small.ddp_timeout`: is 1800 s; a rank may have to wait 1801 s" in told
    assert "or more of `dataset_num_proc`" in told
    world.stages[0]["set"]["dataset_num_proc"] = 2
    assert not plan(world, capsys)
    del world.stages[0]["set"]["dataset_num_proc"]
    world.stages[0]["data"] = [{"source": "sums", "limit": 90_000}]
    assert not plan(world, capsys)


# --- templates ----------------------------------------------------------------------------------------------------------


def test_a_model_is_read_under_the_template_that_it_was_trained_with(world, capsys):
    stage(world, "zero", "grpo", "org/model", **GRPO | {"prompt_template": "r1_zero"})
    stage(world, "more", "grpo", "zero", **GRPO | {"prompt_template": "chat"})
    stage(world, "kept", "rejection", "zero", **SAMPLING)
    stage(world, "scores", "evaluate", {"base": "org/model", "zero": "zero"}, **SAMPLING)
    told = plan(world, capsys)
    for key in ("more", "kept", "scores"):
        assert f"`{key}.prompt_template`: " in told
    assert "is 'chat', but the stage `zero` trains the model with 'r1_zero'" in told
    assert "for `zero` it is 'plain'" in told
    assert "for `base`" not in told

    for each in world.stages[1:3]:
        each["set"]["prompt_template"] = "r1_zero"
    world.stages[3]["set"]["by_model"] = {"zero": {"prompt_template": "r1_zero"}}
    assert not plan(world, capsys)


def test_fine_tuning_teaches_another_template(world, capsys):
    stage(world, "zero", "grpo", "org/model", **GRPO | {"prompt_template": "r1_zero"})
    stage(world, "tuned", "sft", "zero", **SFT)
    stage(world, "more", "grpo", "tuned", **GRPO | {"prompt_template": "r1_zero"})
    told = plan(world, capsys)
    assert "`tuned." not in told
    assert "`more.prompt_template`: is 'r1_zero', but the stage `tuned` trains the model with 'chat'" in told


def without_template(world) -> str:
    place = Path(model(world, "meta-llama/Llama-3.1-8B"))
    config = json.loads((place / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    return str(place)


def test_a_chat_template_that_is_missing(world, capsys):
    base = without_template(world)
    (world.folder / "turns.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    stage(world, "tuned", "sft", base, **SFT)
    stage(world, "kept", "rejection", "tuned", **SAMPLING | {"prompt_template": "chat"})
    told = plan(world, capsys)
    assert f"`tuned.prompt_template`: is `chat`, and `{base}` has no chat template" in told
    assert "`kept.prompt_template`: is `chat`, and the model of `tuned` has no chat template" in told
    assert "`chat_template_path`" in told
    world.stages[0]["set"]["chat_template_path"] = "turns.jinja"
    assert not plan(world, capsys)
    world.stages[0]["set"]["chat_template_path"] = base
    assert f"`{base}` has no chat template" in plan(world, capsys)


def test_chat_templates_that_differ_along_a_chain(world, capsys):
    base = model(world, "Qwen/Qwen2.5-7B")
    (world.folder / "turns.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    stage(world, "first", "sft", base, **SFT | {"chat_template_path": "turns.jinja"})
    stage(world, "second", "sft", "first", **SFT)
    assert not plan(world, capsys)
    world.stages[1]["set"]["chat_template_path"] = base
    told = plan(world, capsys)
    assert "`second.chat_template_path`: differs from the chat template with which the stage `first` trains" in told


def test_a_config_that_cannot_be_read(world, capsys):
    place = Path(model(world))
    (place / "config.json").write_text("{")
    stage(world, "one", "sft", str(place), **SFT)
    assert f"the config of `{place}` cannot be read" in plan(world, capsys)
