"""One way of writing for each answer."""

import pytest

from trl_r1.verify.normal import normalise, squeeze
from trl_r1.verify.structure import split_elements, take_apart
from trl_r1.verify.units import take_unit, unit_named


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (r"\dfrac13", r"\frac{1}{3}"),
        (r"\tfrac {1}{3}", r"\frac{1}{3}"),
        (r"\frac\pi2", r"\frac{\pi}{2}"),
        (r"\left( 1, 2 \right]", "( 1, 2 ]"),
        (r"1,\!080", "1,080"),
        (r"$x = 4$.", "x = 4"),
        (r"\$5", r"\$5"),
        ("$5", r"\$5"),
        (r"\mathbf{2340}", "2340"),
        (r"3~\mathrm{cm}", r"3 \text{cm}"),
        (r"x^{\circ}", r"x^\circ"),
        (r"a \leq b", r"a \le b"),
        ("（1，2）", "(1,2)"),
        ("x²", "x^{2}"),
        ("½", r"\frac{1}{2}"),
        ("2√3", r"2\sqrt{3}"),
        ("2**3", "2^3"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"\begin{pmatrix} 1 & \phantom -1 \end{pmatrix}", r"\begin{pmatrix} 1 & 1 \end{pmatrix}"),
        (r"\\frac{1}{2}", r"\frac{1}{2}"),
        (r"2, 3, \text{ and } 4", "2, 3, , 4"),
    ],
)
def test_normalise(text, normal):
    assert squeeze(normalise(text)) == squeeze(normal)
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("1,080", ["1,080"]),
        ("1,080, 2,000", ["1,080", "2,000"]),
        ("1, 2, 10", ["1", "2", "10"]),
        ("12,9", ["12", "9"]),
        ("(1,2), (3,4)", ["(1,2)", "(3,4)"]),
        ("1 and 2", ["1", "2"]),
        ("2, 3, and 4", ["2", "3", "4"]),
        ("x=1;y=2", ["x=1", "y=2"]),
        ("land", ["land"]),
        (r"\frac{1,2}{3}", [r"\frac{1,2}{3}"]),
    ],
)
def test_split_elements(text, elements):
    assert split_elements(text) == elements


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("(1,2)", "round", 2),
        ("[1,2]", "square", 2),
        ("(1,2]", "half", 2),
        (r"\{1,2,3\}", "set", 3),
        (r"\{\}", "set", 0),
        ("(x+1)(x+2)", "value", 0),
        ("(100,101)", "round", 2),
        ("100,101", "value", 0),
        (r"(1,2)\cup(3,4)", "union", 2),
        ("3:5", "ratio", 2),
        (r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", "matrix", 4),
        ("(1,2", "value", 0),
        ("f(x,y)", "value", 0),
    ],
)
def test_take_apart(text, kind, size):
    node = take_apart(text)
    assert (node.kind, len(node.items)) == (kind, size)


@pytest.mark.parametrize(
    ("text", "body", "unit"),
    [
        (r"3\text{ cm}", "3", "cm"),
        (r"3 \text{cm}^2", "3", "cm^2"),
        (r"\$5", "5", "dollar"),
        (r"-\$5.50", "-5.50", "dollar"),
        ("18 clips", "18", ""),
        (r"10\pi\text{ cm}", r"10\pi", "cm"),
        ("9页", "9", ""),
        ("3千米", "3", "km"),
        (r"12 \cdot 10000 元", r"12 \cdot 10000", "yuan"),
        (r"7\%", "7", "percent"),
        (r"2\pi", r"2\pi", None),
        ("2 pi", "2 pi", None),
        ("2s", "2s", None),
        ("1+s", "1+s", None),
        ("x", "x", None),
        (r"\sin 5^\circ", r"\sin 5^\circ", None),
    ],
)
def test_take_unit(text, body, unit):
    found_body, found_unit = take_unit(text)
    assert found_body == body
    assert found_unit == (None if unit is None else unit_named(unit))


def test_units_of_a_number_may_be_a_letter():
    assert take_unit("5m", numeric=True) == ("5", unit_named("m"))
    assert take_unit("5m") == ("5m", None)
