"""The base model follows from its seed, killed or not, and its stage leaves what the others read."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from trl_r1.errors import StageError
from trl_r1.playground import pretrain as pretraining
from trl_r1.playground.config import PlaygroundConfig
from trl_r1.playground.pretrain import Pretraining, encode, measure_skills, padded, pretrain
from trl_r1.playground.tokenizer import make_tokenizer
from trl_r1.stages import playground


TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "head_dim": 8,
    "intermediate_size": 16,
    "documents_per_step": 4,
    "noisy_steps": 10,
    "save_steps": 20,
    "train_prompts": 20,
    "heldout_prompts": 10,
    "general_prompts": 20,
    "general_heldout_prompts": 10,
    "general_answers": 20,
    "preference_pairs": 20,
}


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def open_gate(monkeypatch):
    """A model of this size learns nothing in a second: the gate lets everyone in."""
    monkeypatch.setattr(pretraining, "GATE", {"facts": 0.0})


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.usefixtures("open_gate")
def test_a_killed_pretraining_ends_with_the_same_weights(tokenizer, tmp_path):
    whole, history = pretrain(PlaygroundConfig(str(tmp_path / "whole"), **TINY), tokenizer)

    class Killed(Exception):
        pass

    def kill(step, total, info):
        if step == 45:
            raise Killed

    config = PlaygroundConfig(str(tmp_path / "killed"), **TINY)
    with pytest.raises(Killed):
        pretrain(config, tokenizer, kill)
    steps = []
    again, history_again = pretrain(config, tokenizer, lambda step, total, info: steps.append(step))
    assert steps[0] == 41  # from the checkpoint, not from the start
    assert torch.equal(weights(whole), weights(again))
    assert history == history_again


@pytest.mark.usefixtures("open_gate")
def test_a_checkpoint_of_another_config_is_left_alone(tokenizer, tmp_path):
    pretrain(PlaygroundConfig(str(tmp_path), **TINY), tokenizer)
    other = Pretraining(PlaygroundConfig(str(tmp_path), **{**TINY, "seed": 2}), tokenizer)
    other.load()
    assert other.steps == 0


def test_a_model_without_the_skills_is_given_up(tokenizer, tmp_path):
    config = PlaygroundConfig(str(tmp_path), **{**TINY, "max_clean_steps": 50})
    with pytest.raises(StageError, match="facts"):
        pretrain(config, tokenizer)


def test_skills_are_what_the_most_probable_tokens_say(tokenizer, tmp_path):
    model = pretraining.make_model(PlaygroundConfig(str(tmp_path), **TINY), tokenizer)
    skills = measure_skills(model, tokenizer)
    assert set(skills) == {"facts", "sums", "search", "choice", "general"}
    assert max(skills.values()) < 0.2

    class Oracle(torch.nn.Module):
        def forward(self, input_ids):
            following = torch.cat([input_ids[:, 1:], input_ids[:, :1]], dim=1)
            logits = torch.nn.functional.one_hot(following, len(tokenizer)).float()
            return type("Output", (), {"logits": logits})

    assert measure_skills(Oracle(), tokenizer) == dict.fromkeys(skills, 1.0)


def test_what_is_given_has_no_label(tokenizer):
    ids, labels = padded(tokenizer, encode(tokenizer, [("User: what is ", "A4"), ("", "3+4=7. ")]))
    assert ids.shape == labels.shape == (2, 7)
    assert labels[0].tolist() == [-100, -100, *ids[0, 2:5].tolist(), -100, -100]
    assert ids[0, 4] == tokenizer.eos_token_id
    ids, labels = padded(tokenizer, encode(tokenizer, [("A4 B7? B", "7", ". A", "4")]))
    assert tokenizer.decode(labels[0][labels[0] != -100]) == "74<eos>"


@pytest.mark.usefixtures("open_gate")
def test_the_stage_leaves_a_model_and_data(tmp_path):
    config = tmp_path / "base.yaml"
    config.write_text(json.dumps({**TINY, "output_dir": str(tmp_path / "base"), "seed": 3}))
    assert playground.main(["--config", str(config)]) == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base" / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base" / "model")
    assert model.config.model_type == "qwen3"
    assert model.config.eos_token_id == tokenizer.eos_token_id
    names = {path.stem for path in (tmp_path / "base" / "data").iterdir()}
    assert names == {
        "train",
        "heldout",
        "general-train",
        "general-heldout",
        "general-answers",
        "preference-pairs",
    }
    assert pq.read_table(tmp_path / "base" / "data" / "train.parquet").num_rows == 20
    progress = json.loads((tmp_path / "base" / "progress.json").read_text())
    assert progress["step"] == progress["total"]


def test_a_wrong_config_ends_with_2(tmp_path, capsys):
    assert playground.main(["--output_dir", str(tmp_path), "--head_dim", "5"]) == 2
    assert "head_dim" in capsys.readouterr().err
