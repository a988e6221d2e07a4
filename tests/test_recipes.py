"""The recipes that ship: each passes `trl-r1 plan` without a network, and each number in them has its source."""

import re
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from tests.runner.conftest import check_here
from trl_r1.cli import main
from trl_r1.runner import configs


RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FOR_REAL_MODELS = ("r1_zero", "r1", "distill")
ACCELERATE = ("cpu_ddp", "single_gpu", "ddp", "zero2", "zero3", "zero3_offload", "fsdp2", "multi_node_zero3")


def files(recipes: bool) -> list[Path]:
    """The recipes themselves, or the configs of their stages."""
    found = [path for name in FOR_REAL_MODELS for path in sorted((RECIPES / name).glob("*.yaml"))]
    return [path for path in found if ("stages" in yaml.safe_load(path.read_text())) == recipes]


@pytest.fixture(autouse=True)
def _checked_here(request, monkeypatch):
    if request.function is not test_the_largest_recipe_passes_plan_as_it_is_started:
        monkeypatch.setattr(configs, "ask", check_here)


def test_the_largest_recipe_passes_plan_as_it_is_started(tmp_path, capsys):
    """Its configs made in a process of their own."""
    assert main(["plan", "r1", "--output-dir", str(tmp_path / "run")]) == 0
    assert "The recipe is in order. 0 of 11 stages are done, 11 to run." in capsys.readouterr().out


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
    stage = yaml.safe_load(recipe.read_text())["stages"][0]["name"]
    arguments = ["plan", str(recipe), "--output-dir", str(tmp_path / "run")]
    assert main([*arguments, "--set", f"{stage}.lerning_rate=1e-6"]) == 2
    assert "lerning_rate" in capsys.readouterr().err


@pytest.mark.parametrize("config", files(recipes=False), ids=lambda path: str(path.relative_to(RECIPES)))
def test_each_number_has_its_source(config):
    """A paper's section, or the words `own choice`: beside it, or at the head of its block."""
    source = re.compile(r"v[12] |DeepSeekMath|own choice")
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
    stage = {"grpo": "rl1.yaml", "rejection": "rejection.yaml"}
    kind = next(kind for kind, name in stage.items() if name == config.name)
    recipe = {
        "name": "commented",
        "base_model": "org/base",
        "data": {"prompts": [{"path": str(data)}]},
        "stages": [{"name": "one", "kind": kind, "model": "base_model", "data": ["prompts"], "config": config.name}],
    }
    if kind == "grpo":
        recipe["stages"][0]["accelerate"] = "zero3"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["plan", str(tmp_path / "recipe.yaml"), "--output-dir", str(tmp_path / "run")]) == 0, (
        capsys.readouterr()
    )
    assert len(rewards) >= 2
