"""Under an intervention a model is sampled without words of reflection."""

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from trl_r1.emergence import WithoutReflection, contains_reflection, reflection_tokens
from trl_r1.playground.corpus import TEMPLATE
from trl_r1.playground.tokenizer import make_tokenizer
from trl_r1.sampling import SamplingConfig
from trl_r1.sampling.budget import ASK


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


def test_no_word_of_reflection_is_sampled_where_they_are_forbidden(model, tokenizer):
    sampling = SamplingConfig(prompt_template=TEMPLATE, max_completion_tokens=100, batch_size=64)
    (samples,) = WithoutReflection(model, sampling).generate([QUESTION], 64, seed=1)
    texts = [each.text for each in samples]
    assert not any(map(contains_reflection, texts))
    banned = {tokenizer.decode(ids) for ids in reflection_tokens(tokenizer)}
    assert {", wrong. ", "retry ", "check ", "now check ", "wrong"} <= banned
    assert {"重试", "，不对。", "检查", "再检查"} <= banned
    assert not banned & {"try ", ", right. ", "试", "i guess ", ASK}
