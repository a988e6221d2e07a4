"""What the tokenizer decodes is what it encoded, and nothing the playground says is unknown to it."""

import pytest

from trl_r1.playground.config import PlaygroundConfig
from trl_r1.playground.corpus import TEMPLATE, Corpus
from trl_r1.playground.rows import make_rows
from trl_r1.playground.tokenizer import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def test_every_text_of_the_playground_comes_back(tokenizer):
    corpus = Corpus(1)
    texts = ["".join(corpus.document(clean)) for clean in (True, False) for _ in range(1500)]
    for rows in make_rows(PlaygroundConfig("unused")).values():
        for row in rows:
            said = [row.get(key) for key in ("completion", "thought", "chosen", "rejected", "reference")]
            texts += [TEMPLATE.format(prompt=row["prompt"]) + text for text in said if text]
    longest = 0
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids) == tokenizer.decode(ids, skip_special_tokens=True) == text
        longest = max(longest, len(ids))
    assert longest <= 160  # words and numbers are single tokens; spelled out, a worked search has 400


def test_tags_and_box_are_ordinary_tokens(tokenizer):
    for token in ("<think>", "</think>", "\\boxed{"):
        ids = tokenizer(token)["input_ids"]
        assert len(ids) == 1
        assert ids[0] not in tokenizer.all_special_ids


def test_any_english_text_can_be_read(tokenizer):
    text = 'Natalia sold 48/2 = 24 clips (in May)!\nHow many "clips" altogether? $x^2 \\le 3$ ~ `a` {b} 73%'
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text


def test_a_prompt_and_its_completion_are_cut_where_they_meet(tokenizer):
    corpus = Corpus(2)
    for pieces in (corpus.document() for _ in range(500)):
        apart = [token for piece in pieces for token in tokenizer(piece)["input_ids"]]
        assert tokenizer("".join(pieces))["input_ids"] == apart


def test_it_survives_a_folder(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = TEMPLATE.format(prompt="what is A4+B7+C2+D9?") + "<think>先加A4+B7=11。</think>答案是\\boxed{22}"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.decode(again(text)["input_ids"]) == text
    assert (again.pad_token, again.eos_token, again.padding_side) == ("<pad>", "<eos>", "left")
    assert again.chat_template is None
