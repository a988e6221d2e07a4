"""Plain arithmetic: read exactly, or not at all."""

from fractions import Fraction

import pytest

from trl_r1.verify.compare import compare, fast_leaf
from trl_r1.verify.exact import Exact, close_enough, read_exact
from trl_r1.verify.numeric import Undecided


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("007", 7),
        ("1,234,567", 1234567),
        ("1,234.5", Fraction(2469, 2)),
        ("3/4", Fraction(3, 4)),
        ("-3/4", Fraction(-3, 4)),
        (r"\frac{3}{-4}", Fraction(-3, 4)),
        (r"\frac{\frac{1}{2}}{3}", Fraction(1, 6)),
        (r"2\frac{1}{3}", Fraction(7, 3)),
        ("2 1/3", Fraction(7, 3)),
        ("-2 1/3", Fraction(-7, 3)),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("2(3)", 6),
        ("-3^2", -9),
        ("2^{-3}", Fraction(1, 8)),
        ("10-4-3", 3),
        ("12/3/2", 2),
        ("5!", 120),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"0.\overline{142857}", Fraction(1, 7)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("3^2^2", 81),
    ],
)
def test_numbers(text, value):
    assert read_exact(text).value == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2x",
        "1 2",
        "1,2",
        "1,23",
        "1/0",
        "0^0",
        "0^{-1}",
        "9^{9^{9}}",
        "2^{1000000}",
        "2^{0.5}",
        "1000!",
        "(2",
        "2)",
        "2+",
        "*2",
        "1/2(3)",
        "1.2.3",
        "--",
        r"\sqrt{4}",
        r"\pi",
        "5%",
        "1" * 500,
        "(" * 300,
        r"3\frac{3}{2}",
    ],
)
def test_what_is_no_plain_number_is_left_alone(text):
    assert read_exact(text) is None


def test_decimals_stand_for_rounded_values_to_six_digits():
    def close(gold, answer):
        return close_enough(read_exact(gold), read_exact(answer))

    assert close("1/3", "0.333333")
    assert not close("1/3", "0.33333")
    assert not close("1/3", "0.333334")
    assert not close("0.0000001", "0.0000002")
    assert close(r"\frac{1}{3000}", "0.000333333")
    assert not close(r"\frac{1}{3000}", "0.000333")
    assert not close("5", "5.1")
    assert close("1.50", "1.5")
    assert not close_enough(Exact(Fraction(2, 10**99), True), Exact(Fraction(1, 10**99), True))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("18", "18"),
        ("18", "17"),
        ("1/3", r"\frac{2}{6}"),
        ("4", "A4"),
        ("4", "so what"),
        ("4", "11+2=13"),
        ("Monday", "x^2"),
        ("(1,2)", "(1,3)"),
        ("1,2,3", "3,2,1"),
        (r"25\%", "0.25"),
        (r"3\text{ cm}", "3 m"),
    ],
)
def test_trivial_pairs_need_no_worker(gold, answer):
    compare(gold, answer, fast_leaf)  # raises Undecided where it needs one


def test_hard_pairs_do():
    with pytest.raises(Undecided):
        compare(r"\binom{5}{2}", "10", fast_leaf)
