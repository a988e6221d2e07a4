"""The playground's recipe fits the playground."""

from pathlib import Path

import pytest
import yaml

from trl_r1.cli import main
from trl_r1.playground.corpus import TEMPLATE
from trl_r1.playground.tasks import DOMAINS


FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "playground"
CONFIGS = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "recipe.yaml")


def test_it_passes_plan(tmp_path, capsys):
    assert main(["plan", str(FOLDER / "recipe.yaml"), "--output-dir", str(tmp_path / "run")]) == 0
    assert "The recipe is in order" in capsys.readouterr().out


def test_every_config_is_used():
    recipe = yaml.safe_load((FOLDER / "recipe.yaml").read_text())
    assert {stage["config"] for stage in recipe["stages"]} == {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_template_is_that_of_the_corpus_and_rewards_name_its_domains(path):
    config = yaml.safe_load(path.read_text())
    assert config.get("prompt_template", TEMPLATE) == TEMPLATE
    for reward in config.get("rewards", []):
        assert set(reward.get("domains", [])) <= {*DOMAINS, "general"}


def test_the_control_differs_from_r1_zero_by_the_language_reward_alone():
    zero, control = (yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) for name in ("r1_zero", "language_control"))
    (added,) = [reward for reward in control.pop("rewards") if reward not in zero["rewards"]]
    zero.pop("rewards")
    assert added["func"].endswith("LanguageConsistency")
    assert zero == control


@pytest.mark.parametrize("other", ["recipes/dpo/recipe.yaml", "tests/benchmarks/claims/tricks.yaml"])
def test_whoever_trains_its_base_elsewhere_does_so_with_the_same_instructions(other):
    """In another environment sums round otherwise, and it is another base."""
    env, of_other = (
        yaml.safe_load(path.read_text())["env"] for path in (FOLDER / "recipe.yaml", FOLDER.parents[1] / other)
    )
    assert of_other == env
    assert {"ATEN_CPU_CAPABILITY", "MKL_CBWR"} < set(env)


def test_the_base_is_what_the_rest_starts_from():
    stages = {stage["name"]: stage for stage in yaml.safe_load((FOLDER / "recipe.yaml").read_text())["stages"]}
    assert {name for name, stage in stages.items() if stage.get("model") == "base_model"} == {
        "r1-zero",
        "language-control",
        "dev1",
        "dev3",
    }
    held_out = {"base/heldout", "base/general-heldout"}
    for stage in stages.values():
        sources = {item["source"] if isinstance(item, dict) else item for item in stage.get("data", [])}
        assert bool(sources & held_out) == (stage["kind"] == "evaluate")
