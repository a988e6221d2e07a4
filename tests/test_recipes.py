"""The recipes that ship: each passes `trl-r1 plan` without a network, and each number in them has its source."""

import re
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from tests.runner.conftest import check_here
from trl_r1.cli import main
from trl_r1.recipe import load_recipe, optional
from trl_r1.runner import configs


RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FOR_REAL_MODELS = ("starter", "r1_zero", "r1", "distill", "dapo")
ACCELERATE = ("cpu", "cpu_ddp", "single_gpu", "ddp", "zero2", "zero3", "zero3_offload", "fsdp2", "multi_node_zero3")


def files(recipes: bool) -> list[Path]:
    """The recipes themselves, or the configs of their stages."""
    found = [path for name in FOR_REAL_MODELS for path in sorted((RECIPES / name).glob("*.yaml"))]
    return [path for path in found if bool({"stages", "include"} & yaml.safe_load(path.read_text()).keys()) == recipes]


@pytest.fixture(autouse=True)
def _checked_here(request, monkeypatch):
    monkeypatch.setitem(optional._MACHINE, "bubblewrap", lambda: "there is none in this test")
    if request.function is not test_the_largest_recipe_passes_plan_as_it_is_started:
        monkeypatch.setattr(configs, "ask", check_here)


def test_the_largest_recipe_passes_plan_as_it_is_started(tmp_path, capsys):
    """Its configs made in a process of their own. What it has no server and no jail for is off, and said to be."""
    assert main(["plan", "r1", "--output-dir", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "The recipe is in order. 0 of 13 stages are done, 13 to run." in told
    assert (
        "  - bubblewrap (there is none in this test): data `code`, data `livecodebench`, `CodeAccuracy` of r1-zero"
        in told
    )
    assert "stage `scores-8`" in told
    assert "  - judge (the recipe names none by `judge:`): data `judged`, `Judge` of reasoning-data" in told


@pytest.mark.skipif(optional._no_bubblewrap() is not None, reason="no jail can be built here")
@pytest.mark.parametrize("name", ["r1", "r1/qwen2.5-1.5b"])
def test_with_a_jail_and_a_judge_nothing_is_off(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(optional._MACHINE, "bubblewrap", optional._no_bubblewrap)
    judge = "judge={base_url: 'http://127.0.0.1:1/v1', model: some/judge}"
    assert main(["plan", name, "--output-dir", str(tmp_path / "run"), "--set", judge]) == 0
    told = capsys.readouterr().out
    assert "0 of 14 stages are done" in told
    assert "Off," not in told


def test_a_misspelt_name_lists_every_shipped_recipe(capsys):
    assert main(["plan", "plaground"]) == 2
    told = capsys.readouterr().err
    shipped = {path.relative_to(RECIPES).with_suffix("").as_posix() for path in files(recipes=True)}
    for name in {"playground", *(name.removesuffix("/recipe") for name in shipped)}:
        assert f"`{name}`" in told
    assert "did you mean `playground`?" in told


@pytest.mark.parametrize("recipe", files(recipes=True), ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_shipped_recipe_passes_plan(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["plan", str(recipe), "--output-dir", str(tmp_path / "run")]) == 0
    assert "The recipe is in order" in capsys.readouterr().out


@pytest.mark.parametrize("recipe", files(recipes=True), ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_typo_in_a_shipped_recipe_does_not_pass(recipe, tmp_path, capsys):
    """Or else the test above would show nothing."""
    stage = load_recipe(recipe).stages[0].name
    arguments = ["plan", str(recipe), "--output-dir", str(tmp_path / "run")]
    assert main([*arguments, "--set", f"{stage}.lerning_rate=1e-6"]) == 2
    assert "lerning_rate" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", files(recipes=True), ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_recipe_for_gpus_says_what_disk_it_needs_and_saves_whole_rollouts(recipe):
    """A checkpoint within a rollout would hold the rollout too: gigabytes."""
    found = load_recipe(recipe)
    assert found.disk_gb >= 20
    for stage in found.stages:
        if stage.kind == "grpo":
            config = stage.config
            assert config["save_steps"] * config["batch_size"] % config["generation_batch_size"] == 0, stage.name
            steps = [entry["from_step"] for entry in (*config["rewards"], *stage.data) if "from_step" in entry]
            assert len(set(steps)) <= 1, stage.name
            assert all(step * config["batch_size"] % config["generation_batch_size"] == 0 for step in steps)


@pytest.mark.parametrize("config", files(recipes=False), ids=lambda path: str(path.relative_to(RECIPES)))
def test_each_number_has_its_source(config):
    """A section of a paper, a file of its authors, or the words `own choice`: beside it, or at the head of its block."""
    source = re.compile(r"v[12] |DeepSeekMath|own choice|DAPO|script|README")
    head, without = "", []
    for line in config.read_text().splitlines():
        if not line.strip():
            head = ""
        elif line.startswith("#"):
            head += line
        elif re.match(r"[a-z_]+: *[\"'{[]?[\d.]", line):
            comment = line.partition("#")[2]
            block = source.search(head)
            if not source.search(comment) and not comment.startswith(" ...") and not block:
                without.append(line)
    assert not without


@pytest.mark.parametrize(
    "name", sorted({*ACCELERATE, *(path.stem for path in (RECIPES / "accelerate").glob("*.yaml"))})
)
def test_accelerate_understands_its_configurations(name):
    arguments = launch_command_parser().parse_args(
        ["--config_file", str(RECIPES / "accelerate" / f"{name}.yaml"), "x"]
    )
    parsed, config, _ = _validate_launch_command(arguments)
    assert parsed.num_processes % parsed.num_machines == 0
    assert (parsed.num_machines > 1) == name.startswith("multi_node")
    assert parsed.use_fsdp == (name == "fsdp2")
    assert parsed.use_deepspeed == ("zero" in name)
    if "zero3" in name:
        assert config.deepspeed_config["zero_stage"] == 3
        assert config.deepspeed_config["zero3_save_16bit_model"] is True
        assert (config.deepspeed_config["offload_optimizer_device"] == "cpu") == name.endswith("offload")


COMMENTED = re.compile(r"^# +- (\{func: .*\})$", re.MULTILINE)


def commented(config: Path) -> list[dict]:
    return [yaml.safe_load(found) for found in COMMENTED.findall(config.read_text())]


@pytest.mark.parametrize(
    "config",
    [path for path in files(recipes=False) if commented(path)],
    ids=lambda path: str(path.relative_to(RECIPES)),
)
def test_rewards_that_stand_as_comments_pass_plan_where_they_are_put_in(config, tmp_path, capsys):
    """Of a config's commented rewards and the data that its comment asks for."""
    rewards = commented(config)
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "?", "solution": "1", "domain": "stem"}\n')
    changed = yaml.safe_load(config.read_text())
    changed["rewards"] = [*changed["rewards"], *rewards]
    (tmp_path / config.name).write_text(yaml.safe_dump(changed))
    recipe = {
        "name": "commented",
        "base_model": "org/base",
        "data": {"prompts": [{"path": str(data)}]},
        "stages": [{"name": "one", "kind": "grpo", "model": "base_model", "data": ["prompts"], "config": config.name}],
    }
    recipe["stages"][0]["accelerate"] = "zero3"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["plan", str(tmp_path / "recipe.yaml"), "--output-dir", str(tmp_path / "run")]) == 0, (
        capsys.readouterr()
    )
    assert len(rewards) >= 2
