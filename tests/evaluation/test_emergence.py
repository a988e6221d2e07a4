"""Under an intervention a model is sampled without words of reflection, or has to answer when its budget is spent."""

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from trl_r1.emergence import ASK, EmergenceConfig, contains_reflection, interventions, reflection_tokens
from trl_r1.errors import ConfigError
from trl_r1.playground.corpus import TEMPLATE
from trl_r1.playground.tokenizer import make_tokenizer
from trl_r1.sampling import SamplingConfig


QUESTION = "which of A4 B7 plus 3 makes a ten?"


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory):
    """Says every token alike."""
    folder = tmp_path_factory.mktemp("model")
    size = {"n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 400}
    config = GPT2Config(vocab_size=len(tokenizer), **size, eos_token_id=tokenizer.eos_token_id)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def sampled(model, intervention, **changes):
    sampling = SamplingConfig(
        **{"prompt_template": TEMPLATE, "max_completion_tokens": 300, "batch_size": 64, **changes}
    )
    engine, sampling = interventions(EmergenceConfig(models=["base"], budgets=[5]), sampling)[intervention]
    (samples,) = engine(model, sampling).generate([QUESTION], 64, seed=1)
    return samples


def test_no_word_of_reflection_is_sampled_where_they_are_forbidden(model, tokenizer):
    texts = [each.text for each in sampled(model, "forbidden", max_completion_tokens=100)]
    assert not any(map(contains_reflection, texts))
    banned = {tokenizer.decode(ids) for ids in reflection_tokens(tokenizer)}
    assert {", wrong. ", "retry ", "check ", "now check ", "wrong"} <= banned
    assert {"重试", "，不对。", "检查", "再检查"} <= banned
    assert not banned & {"try ", ", right. ", "试", "i guess ", ASK}


def test_a_thought_is_cut_at_its_budget_and_the_answer_asked_for(model):
    samples = sampled(model, "budget-5")
    cut = [each for each in samples if ASK in each.text]
    assert len(cut) > 50, "a model that says every token alike seldom ends within five"
    for each in cut:
        thought, answer = each.text.split(ASK, 1)
        assert "</think>" not in thought
        assert 5 < each.n_tokens <= 5 + 32
        assert len(answer) > 0 or each.n_tokens == 6
    assert all(each.n_tokens <= 5 for each in samples if ASK not in each.text)


def test_what_the_prompt_holds_of_a_thought_is_not_given_twice(model, monkeypatch):
    from trl_r1.sampling.engines.transformers import TransformersEngine

    asked = []
    inner = TransformersEngine.generate
    monkeypatch.setattr(
        TransformersEngine, "generate", lambda self, texts, n, seed: asked.append(texts) or inner(self, texts, n, seed)
    )
    samples = sampled(model, "budget-5", completion_prefix="<think>")
    assert all(text.startswith(TEMPLATE.format(prompt=QUESTION) + "<think>") for text in asked[1])
    assert not any("<think><think>" in text for text in asked[1])
    assert any(each.text.startswith("<think>") and ASK in each.text for each in samples)


def test_a_conversation_has_no_text_to_go_on_from(model):
    with pytest.raises(ConfigError, match="template of text"):
        sampled(model, "budget-5", prompt_template="chat")
