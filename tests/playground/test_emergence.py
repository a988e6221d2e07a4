"""The benchmarks of emergence measure what they say."""

import pytest

from tests.benchmarks.claims.wordless import make_wordless
from tests.benchmarks.playground import together, whole_chain
from trl_r1.playground import words
from trl_r1.playground.config import PlaygroundConfig
from trl_r1.playground.corpus import Corpus
from trl_r1.stages import playground
from trl_r1.text import count_reflection_words
from trl_r1.trace import Trace


def rising(start, end, steps=100):
    return [min(1.0, max(0.0, (i - start) / (end - start))) for i in range(steps)]


def test_curves_that_rise_at_once_are_together_and_others_are_not():
    over, follows = together({"accuracy": rising(20, 70), "tokens": rising(20, 70), "reflection": rising(60, 100)})
    assert over == pytest.approx(0.5, abs=0.1)
    assert follows["tokens"] == pytest.approx(1.0)
    assert follows["reflection"] < 0.8
    over, _ = together({"accuracy": rising(40, 41), "tokens": rising(20, 70)})
    assert over < 1 / 3


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("try A4+3=7, wrong. retry B7+3=10, right. 7", True),
        ("try A4+3=7, wrong. retry C2+3=5, wrong. 2", False),
        ("try A4+3=7, wrong. retry B7+3=11, wrong. retry C2+3=5, wrong. none", True),
        ("try B7+3=10, right. 7", False),
        ("i guess B7. 7", False),
    ],
)
def test_a_whole_chain_goes_on_after_a_failed_try_until_it_fits_or_none_is_left(completion, expected):
    prompt = "which of A4 B7 C2 plus 3 makes a ten?"
    assert whole_chain(Trace(prompt_id="1", prompt=prompt, completion=completion, solution="7")) == expected


def test_a_wordless_playground_has_no_word_of_reflection(tmp_path, monkeypatch):
    monkeypatch.setattr(playground, "make_playground", lambda config: None)
    for language, each in words.WORDS.items():
        monkeypatch.setitem(words.WORDS, language, each)  # put back afterwards
    make_wordless(PlaygroundConfig(str(tmp_path)))
    corpus = Corpus(1)
    texts = ["".join(corpus.document(clean)) for clean in (True, False) for _ in range(1000)]
    assert not any(map(count_reflection_words, texts))
    assert any(text.count("try ") > 2 for text in texts)
