"""A text that is in one language is seen to be, without trying every path; and never where another path is better."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from trl_r1.language import lexicon
from trl_r1.language.lexicon import SWITCH, best_path


GAPS = list(SWITCH)
scores = st.floats(-16, 0).map(lambda x: round(x, 2))


@st.composite
def texts(draw):
    """Mostly one language, with words here and there that another has too, or alone."""
    usual = draw(st.integers(0, 2))
    items = draw(st.lists(st.tuples(scores, scores, scores), min_size=1, max_size=5))
    items = [tuple(-2.0 if i == usual and draw(st.booleans()) else x for i, x in enumerate(item)) for item in items]
    return items, [
        "sentence",
        *draw(st.lists(st.sampled_from(GAPS), min_size=len(items) - 1, max_size=len(items) - 1)),
    ]


def value(path, items, breaks):
    total = (lexicon._FIRST_STATE if path[0] == 0 else 0.0) + sum(item[state] for item, state in zip(items, path))
    return total - sum(SWITCH[gap] for a, b, gap in zip(path, path[1:], breaks[1:]) if a != b)


@given(texts())
def test_the_path_is_the_best_of_all(text):
    items, breaks = text
    every = [value(path, items, breaks) for path in itertools.product(range(3), repeat=len(items))]
    assert abs(value(best_path(items, breaks), items, breaks) - max(every)) < 1e-9
    if (state := lexicon._only_state(items, breaks)) is not None:
        assert value([state] * len(items), items, breaks) == max(every)
        assert sum(x > max(every) - 1e-9 for x in every) == 1


def test_a_text_in_one_language_is_seen_at_once_and_one_in_two_is_not():
    english, german = (-2.0, -9.0, -12.0), (-8.0, -3.0, -12.0)
    plain = [lexicon.SENTENCE, *[lexicon.PLAIN] * 39]
    assert lexicon._only_state([english, english, german, english] * 10, plain) == 0
    assert lexicon._only_state([english] * 20 + [german] * 20, plain) is None
    assert best_path([english] * 20 + [german] * 20, plain) == [0] * 20 + [1] * 20
