"""Whatever a model writes: no reward raises, each returns one number or `None` for each completion."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from trl_r1.rewards import ChoiceAccuracy, GroupLength, LanguageConsistency, MathAccuracy, ThinkFormat


PIECES = [
    *"0123456789ABCDxyz{}()[]$^_\\|<>=+-*/,;:.!?%&~`'\" \n\t",
    *("<think>", "</think>", "<answer>", "</answer>", "|special_token|", "####", "\x00", "\ufffd", "\ud800", "\u202f", "é", "½", "°", "𝐚", "ꦗ"),
    *(r"\boxed{", r"\boxed{4}", r"\frac", r"\frac{1}{2}", r"\text{", r"\begin{pmatrix}", r"\end{pmatrix}", r"\cup ", r"\infty", r"\pm "),
    *("The answer is ", "not ", " or ", " and ", "答案是", "负", "三", "个", "故选：", "option B", "4 million", "6:45 p.m.", "```python\n", "[asy]"),
]  # fmt: skip
completions = st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), min_size=1, max_size=4)
REWARDS = (
    MathAccuracy(deadline_cpu_seconds=0.2),
    ChoiceAccuracy(deadline_cpu_seconds=0.2),
    ThinkFormat(),
    ThinkFormat(style="r1_zero"),
    LanguageConsistency(languages=("en", "zh")),
    GroupLength(accuracy=ThinkFormat()),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    texts=completions,
    gold=st.sampled_from(["4", "B", r"\frac{1}{2}", "(1, 2)", "x > 1", "Monday", ["3", "4"], None, math.nan]),
)
def test_no_completion_makes_a_reward_raise(texts, gold):
    size = len(texts)
    handed = {"completions": texts, "solution": [gold] * size, "language": ["en"] * size, "truncated": [False] * size}
    for reward in REWARDS:
        found = reward(prompts=["?"] * size, completion_ids=[[1, 2]] * size, **handed)
        assert isinstance(found, list)
        assert len(found) == size
        assert all(one is None or (isinstance(one, float) and math.isfinite(one)) for one in found)
