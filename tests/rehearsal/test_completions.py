"""Right completions earn what right ones should, and each spoilt one loses where it is spoilt."""

import pytest

from trl_r1.rehearsal.completions import completions_of
from trl_r1.rewards import ChoiceAccuracy, CodeAccuracy, LanguageConsistency, MathAccuracy, ThinkFormat
from trl_r1.sandbox.rows import read_row
from trl_r1.selection import Rules, select
from trl_r1.trace import Trace


RIGHT, WRONG, SHAPELESS, CUT = range(4)


def earned(reward, row, style="think", number=1, **columns):
    made = completions_of(row, 4, style, number)
    column = {name: [value] * 4 for name, value in {**row, **columns}.items() if name != "prompt"}
    ends = [one.finish_reason for one in made]
    return reward(completions=[one.text for one in made], finish_reason=ends, **column)


@pytest.mark.parametrize("gold", ["34", "-2", "\\frac{1}{3}", "$\\boxed{18}$", "$x^2+1$", "(1,2)", "2024", "0"])
@pytest.mark.parametrize("language", ["en", "zh", "de", "sw"])
def test_a_gold_is_repeated_and_missed(gold, language):
    found = earned(MathAccuracy(), {"prompt": "How many?", "solution": gold, "language": language})
    assert found[RIGHT] == found[SHAPELESS] == 1.0
    assert found[WRONG] == 0.0
    assert found[CUT] in (0.0, None)


@pytest.mark.parametrize("style", ["think", "r1_zero"])
def test_the_form_is_kept_and_missed(style):
    found = earned(ThinkFormat(style=style), {"prompt": "How many?", "solution": "3"}, style)
    assert found == [1.0, 1.0, 0.0, 0.0]


def test_an_option_is_chosen_and_another():
    row = {"prompt": "Which?\nA) 1\nB) 2", "solution": "B", "options": ["1", "2", "3"]}
    assert earned(ChoiceAccuracy(), row)[:3] == [1.0, 0.0, 1.0]


def test_every_other_row_has_a_thought_in_another_language():
    reward = LanguageConsistency(languages=("en", "zh"))
    for language in ("en", "zh"):
        row = {"prompt": "How many?", "solution": "3", "language": language}
        found = earned(reward, row, number=0)
        assert found[RIGHT] >= 0.95
        assert found[CUT] < 0.5


@pytest.mark.parametrize("column", ["tests", "verification_info"])
def test_a_program_is_made_of_its_tests(column):
    tests = {"language": "python", "test_cases": [{"input": "3\n", "output": "5\n", "type": "stdin_stdout"}]}
    row = {"prompt": "Add two.", column: tests, "language": "en"}
    assert len(read_row(tests).tests) == 1
    reward = CodeAccuracy(column=column, isolation="none")
    assert earned(reward, row)[:2] == [1.0, 0.0]


def test_filters_keep_the_right_ones_and_no_other():
    for language in ("en", "zh", "fr", "es", "de", "ja", "ru"):
        row = {"prompt": "?", "solution": "3", "language": language}
        traces = [
            Trace(
                "id",
                "?",
                one.text,
                "3",
                "math",
                language,
                {"math_accuracy": float(i != WRONG)},
                finish_reason=one.finish_reason,
            )
            for i, one in enumerate(completions_of(row, 4, number=1))
        ]
        selection = select(traces, Rules(min_language_share=0.9))
        assert [trace.completion for trace in selection.kept] == [traces[RIGHT].completion], language
        assert [reason for _, reason in selection.rejected] == ["wrong", "malformed", "truncated"]
