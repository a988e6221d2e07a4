"""What stands in for models and data sets has their form: architectures, columns, golds that rewards read."""

from pathlib import Path

import pytest
import yaml
from datasets import Dataset

from tests.hub_cache import MODELS, write_model
from trl_r1.data import DataSource, load_source
from trl_r1.errors import DataError
from trl_r1.rehearsal.completions import completions_of
from trl_r1.rehearsal.prepare import few_rows, make_model, reward_names, with_rewards
from trl_r1.rehearsal.stand_ins import stand_in_rows
from trl_r1.rewards import ChoiceAccuracy, MathAccuracy


ENDS = ["<|im_end|>", "<|endoftext|>"]  # of Qwen's chat models
SOURCES = [
    source
    for found in yaml.safe_load((Path(__file__).parents[2] / "recipes" / "data.yaml").read_text())["data"].values()
    for source in (found if isinstance(found, list) else [found])
]


def use_of(source: dict) -> tuple[str, tuple[str, ...]]:
    if "label_column" in source:
        return "labelled", ("prompt", "completion", "label")
    if "prefs" in source.get("split", ""):
        return "preference", ("prompt", "chosen", "rejected")
    return "prompts", ("prompt",)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.get("name", source["path"]))
def test_rows_of_our_own_are_read_as_the_data_set_would_be(source, tmp_path):
    domain, (use, reads) = source.get("domain"), use_of(source)
    kinds = {"code": ["CodeAccuracy"], "stem": ["ChoiceAccuracy"], "logic": ["ChoiceAccuracy"]}.get(domain, [])
    needed = ["tests"] if kinds == ["CodeAccuracy"] else ["solution"] if "solution_column" in source else []
    made = stand_in_rows(source, reads, needed, kinds, 16)
    Dataset.from_list(made).to_parquet(tmp_path / "rows.parquet")
    outside = ("path", "config", "split", "needs", "limit")
    kept = {key: value for key, value in source.items() if key not in outside}
    rows = load_source(DataSource(path=str(tmp_path / "rows.parquet"), **kept), use)
    assert len(rows) == 16
    assert len(set(rows["prompt"])) == 16 or "options_columns" in source
    assert set(reads) <= set(rows.column_names)
    if "solution_column" in source:
        reward = ChoiceAccuracy() if kinds else MathAccuracy()
        for i, row in enumerate(rows):
            texts = [one.text for one in completions_of(row, 2, number=i)]
            columns = {name: [value] * 2 for name, value in row.items() if name != "prompt"}
            assert reward(completions=texts, **columns) == [1.0, 0.0], row


def test_a_data_set_that_is_not_here_is_told_and_a_misnamed_split_is_refused(tmp_path):
    rows, told = few_rows({"path": "org/nowhere", "prompt_column": "p"})
    assert rows == []
    assert "stand-in rows" in told
    (tmp_path / "rows.jsonl").write_text(
        '{"prompt": "a", "domain": "x"}\n' * 50 + '{"prompt": "b", "domain": "y"}\n' * 4
    )
    rows, told = few_rows({"path": str(tmp_path / "rows.jsonl"), "domain_column": "domain"})
    assert sorted({row["domain"] for row in rows}) == ["x", "y"]
    assert len(rows) < 30
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read"):
        few_rows({"path": str(tmp_path / "broken.parquet")})


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-7B", "Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B"])
def test_a_tiny_model_has_the_architecture_the_tokenizer_and_the_ends_of_its_own(name, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = str(write_model(tmp_path / "hub", name))
    folder, told = make_model(place, tmp_path / "tiny")
    assert make_model(place, tmp_path / "tiny")[0] == folder  # the same again, in the same place
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert type(model).__name__ in told
    assert model.config.model_type == MODELS[name][0].replace("llama3", "llama")
    assert sum(parameter.numel() for parameter in model.parameters()) < 200_000
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == MODELS[name][2][-1]
    ends = model.generation_config.eos_token_id
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert ends == (tokenizer.eos_token_id if MODELS[name][1] == "base" else tokenizer.convert_tokens_to_ids(ENDS))
    assert (tokenizer.chat_template is None) == (name == "meta-llama/Llama-3.1-8B")
    heads = model.config.num_attention_heads, model.config.num_key_value_heads
    assert heads == (2, 1)  # grouped, as its own are


def test_rewards_are_known_by_the_names_that_traces_have():
    declared = [
        "trl_r1.rewards.ThinkFormat",
        {"func": "trl_r1.rewards.MathAccuracy", "domains": ["a"]},
        {"func": "no.such"},
    ]
    assert reward_names({"rewards": declared[:2]}) == [("think_format", False), ("math_accuracy", True)]
    assert reward_names({"rewards": declared}) == []
    # Where a config declares none, those of its kind: pairs have a judge, and general data nothing that is right.
    by_default = {
        kind: reward_names(with_rewards(kind, {})) for kind in ("rejection", "evaluate", "general", "pairs", "sft")
    }
    math = [("math_accuracy", True)]
    assert by_default == {"rejection": math, "evaluate": math, "general": [], "pairs": [], "sft": []}
    assert reward_names(with_rewards("rejection", {"rewards": declared[:1]})) == [("think_format", False)]
