"""The `dpo` stage: what it trains, resumes and refuses, and that a recipe with one needs to know no more than its name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from trl_r1.adapters import is_adapter
from trl_r1.cli import main
from trl_r1.errors import ConfigError
from trl_r1.hub.cards import Destination, model_card
from trl_r1.lineage import read_run
from trl_r1.stages import dpo
from trl_r1.stages._pairs import usable_pairs

from .tiny import CHAT_TEMPLATE, make_config


# Runs the stage and dies, without a word, as soon as its second checkpoint is written.
KILLED_AT_STEP_4 = """
import os, signal, sys
from transformers import TrainerCallback, trainer
from trl_r1.stages import dpo
from trl_r1.stages._pairs import usable_pairs

class Kill(TrainerCallback):
    def on_save(self, args, state, control, **kwargs):
        if state.global_step == 4:
            os.kill(os.getpid(), signal.SIGKILL)

trainer.DEFAULT_CALLBACKS.append(Kill)
sys.exit(dpo.main(["--config", sys.argv[1]]))
"""


@pytest.fixture
def run(tmp_path, common):
    def run(**changes):
        return dpo.main(["--config", str(make_config(tmp_path / "dpo.yaml", common, **changes))])

    return run


def logged(stage, *names):
    log = json.loads((Path(stage) / "trainer_state.json").read_text())["log_history"]
    return [[line[name] for name in names] for line in log if "loss" in line]


def weights(stage):
    return load_file(Path(stage) / "model" / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("template", ["chat", "User : {prompt} Assistant : "])
def test_it_learns_which_response_is_preferred(template, run, common, data, tmp_path):
    """The worse response always says 39: a policy that learns at all becomes less likely to say it."""
    pairs = [json.loads(line) for line in data.read_text().splitlines()]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps({**row, "chosen": "answer 1", "rejected": "answer 39"}) for row in pairs))
    assert run(prompt_template=template, data=[{"path": str(file)}], max_steps=10, save_strategy="no") == 0
    stage = Path(common["output_dir"])
    assert AutoModelForCausalLM.from_pretrained(stage / "model")
    assert AutoTokenizer.from_pretrained(stage / "model").chat_template == CHAT_TEMPLATE
    last = json.loads((stage / "metrics.json").read_text())["last"]
    assert last["rewards/accuracies"] == 1.0
    assert last["rewards/margins"] > 0.1
    assert logged(stage, "rewards/margins")[0] == [0.0], "before the first step the policy is the reference"


def test_a_killed_stage_ends_with_the_weights_of_an_uninterrupted_one(run, common, tmp_path):
    settings = {"max_steps": 6, "save_steps": 2}
    assert run(**settings) == 0
    killed = {**common, **settings, "output_dir": str(tmp_path / "killed")}
    file = make_config(tmp_path / "killed.yaml", killed)
    died = subprocess.run([sys.executable, "-c", KILLED_AT_STEP_4, str(file)], capture_output=True, text=True)
    assert died.returncode == -9, died.stderr
    assert {path.name for path in Path(killed["output_dir"]).glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    assert not Path(killed["output_dir"], "model").exists()

    assert dpo.main(["--config", str(file)]) == 0
    assert same(weights(killed["output_dir"]), weights(common["output_dir"]))
    values = ("step", "loss", "rewards/margins", "logps/chosen")
    assert logged(killed["output_dir"], *values) == logged(common["output_dir"], *values)
    assert len(logged(killed["output_dir"])) == 6


def test_an_adapter_is_trained_and_merged_where_the_config_says_so(run, common, base, tmp_path):
    lora = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj", "v_proj"], "max_steps": 2}
    assert run(**lora) == 0
    assert is_adapter(Path(common["output_dir"]) / "model")
    merged = str(tmp_path / "merged")
    assert run(**lora, merge_adapter=True, output_dir=merged) == 0
    before = load_file(base / "model.safetensors")
    assert weights(merged).keys() == before.keys()
    assert not same(weights(merged), before)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sync_ref_model": True}, "dpo.yaml: `sync_ref_model`: expected false"),
        ({"max_length": 3}, "dpo.yaml: `data`: expected pairs of two different responses of at most 3 tokens"),
        ({"prompt_template": "no place"}, "dpo.yaml: `prompt_template`: expected"),
        ({"betta": 0.1}, "dpo.yaml: `betta`: unknown key; did you mean `beta`?"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_key(changes, says, run, capsys):
    assert run(**changes) == 2
    assert says in capsys.readouterr().err


def test_a_pair_that_would_lose_its_end_is_left_out():
    ids = [{"prompt_ids": [1] * 4, "chosen_ids": [2] * n, "rejected_ids": [3] * 2} for n in (1, 4, 5)]
    rows = Dataset.from_list(ids)
    assert [len(row["chosen_ids"]) for row in usable_pairs(rows, 8)] == [1, 4]
    assert len(usable_pairs(rows, None)) == 3


def test_a_template_that_drops_the_reasoning_is_refused(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    pair = {"prompt": "what is 1 + 2 ?", "chosen": "<think> the sum is 3 </think> so 3", "rejected": "4"}
    rows = Dataset.from_list([dpo.rendered(pair, "chat")])
    dpo.check_template(rows, tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE.replace(
        "{{ message['content'] }} <eos>", "{{ message['content'].split('</think>')[-1] }} <eos>"
    )
    with pytest.raises(ConfigError, match="drops the reasoning"):
        dpo.check_template(rows, tokenizer)
    dpo.check_template(Dataset.from_list([dpo.rendered(pair, "plain")]), tokenizer)


def test_a_recipe_samples_pairs_and_trains_on_them_and_report_and_card_tell_of_it(
    base, data, common, tmp_path, capsys
):
    machine = {
        key: common[key] for key in ("prompt_template", "bf16", "use_cpu", "report_to", "gradient_checkpointing")
    }
    judge = {"func": "tests.stages.tiny.digits"}
    sampling = {"prompt_template": "chat", "n_samples": 8, "max_completion_tokens": 8, "temperature": 1.0}
    recipe = {
        "name": "preferences",
        "base_model": str(base),
        "data": {"sums": {"path": str(data)}},
        "stages": [
            {"name": "pairs", "kind": "pairs", "model": "base_model", "data": ["sums"]}
            | {"set": {**sampling, "judge": judge, "min_gap": 0.1}},
            {"name": "policy", "kind": "dpo", "model": "base_model", "data": ["pairs"]}
            | {"set": {**machine, "max_steps": 4, "logging_steps": 1, "learning_rate": 1e-2, "max_length": 64}},
        ],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    home = tmp_path / "run"
    assert main(["plan", str(tmp_path / "recipe.yaml"), "--output-dir", str(home)]) == 0
    assert "The recipe is in order" in capsys.readouterr().out
    assert main(["plan", str(tmp_path / "recipe.yaml"), "--output-dir", str(home), "--set", "policy.betta=1"]) == 2
    assert "betta" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "recipe.yaml"), "--output-dir", str(home)]) == 0, capsys.readouterr()

    found = read_run(home)
    assert [stage.name for stage in found.lineage("policy")] == ["pairs", "policy"]
    assert found.stage("policy").artifact["kind"] == "model"
    page = (home / "report.html").read_text()
    training = page.partition('<section id="training">')[2].partition("</section>")[0]
    assert training.count("<figure") == len(dpo.STAGE.curves) == 5
    assert "Nothing logged for" not in training
    assert "<title>pairs → policy: data</title>" in page
    card = model_card(found, found.stage("policy"), Destination({"policy": "org/policy"}))
    assert "| **policy** | dpo | base_model | pairs |" in card
    assert 'AutoModelForCausalLM.from_pretrained("org/policy")' in card
    assert "`python -m trl_r1.stages.dpo --config config.yaml`" in card


def test_the_shipped_recipe_passes_plan_and_a_typo_does_not(tmp_path, capsys):
    arguments = ["plan", "dpo", "--output-dir", str(tmp_path / "run")]
    assert main(arguments) == 0
    assert "The recipe is in order" in capsys.readouterr().out
    assert main([*arguments, "--set", "dpo.lerning_rate=1e-6"]) == 2
    assert "lerning_rate" in capsys.readouterr().err
