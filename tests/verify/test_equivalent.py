"""What counts as the same answer. The gold first, then the answer, then the verdict."""

import pytest

from trl_r1.verify import equivalent


SAME = [
    # numbers
    ("18", "18"),
    ("18", "18.0"),
    ("18", "+18"),
    ("1,080", "1080"),
    ("1080", "1,080"),
    ("1080", r"1{,}080"),
    ("1080", r"1,\!080"),
    ("109,200,000", "109200000"),
    ("0.5", r"\frac{1}{2}"),
    ("1/2", ".5"),
    ("2/6", "1/3"),
    (r"\frac13", r"\dfrac{1}{3}"),
    (r"\frac{1}{3}", "0.333333"),
    (r"-\frac 32", "-1.5"),
    (r"-\frac{1}2", r"\frac{-1}{2}"),
    (r"1\frac{2}{3}", r"\frac{5}{3}"),
    ("1 2/3", r"1\frac{2}{3}"),
    (r"-15\frac{3}{5}", "-15.6"),
    (r"0.\overline{3}", r"\frac13"),
    (r"3 \times 10^5", "300000"),
    ("2^{10}", "1024"),
    (r"\frac{1}{2^{98}}", "2^{-98}"),
    ("5!", "120"),
    ("½", r"\frac12"),
    ("−3", "-3"),
    ("１８", "18"),
    # units, money, percentages
    (r"3\text{ cm}", "3"),
    ("3", r"3\text{ cm}"),
    (r"3\text{ cm}", "3 cm"),
    (r"3\text{ cm}", "3cm"),
    (r"3\text{ cm}", r"3\,\mathrm{cm}"),
    (r"3\text{ cm}", "30 mm"),
    (r"2400 \mbox{ cm}^2", r"2400\text{ square centimeters}"),
    (r"2400 \mbox{ cm}^2", r"0.24\ \text{m}^2"),
    (r"80\text{ cents}", r"\$0.80"),
    (r"\$18", "18 dollars"),
    (r"\$18", "$18"),
    ("18", "$18$"),
    ("18", "$18"),
    (r"\$23{,}000", "23000"),
    (r"12\sqrt{13}\text{ feet}", r"12\sqrt{13}"),
    ("18", "18 clips"),
    ("5", "5 m"),
    ("9", "9页"),
    ("24", "共24元"),
    ("120000", "12万"),
    (r"9^\circ", "9"),
    ("9", r"9^{\circ}"),
    (r"108\text{ degrees}", r"108^\circ"),
    (r"25\%", r"25\%"),
    (r"25\%", "25 percent"),
    (r"25\%", "25"),
    (r"25\%", "0.25"),
    ("0.25", r"25\%"),
    ("1/4", "25%"),
    (r"0.56 = 56\%", r"56\%"),
    (r"\$\dfrac23 \approx \$0.67", r"\frac23"),
    # expressions
    (r"\sqrt{8}", r"2\sqrt2"),
    (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
    (r"2\sqrt5", "2*sqrt(5)"),
    (r"2\sqrt5", "2√5"),
    (r"10\pi", "10 pi"),
    (r"10\pi", "10π"),
    ("x^2-1", "(x-1)(x+1)"),
    ("x^2 + 2x", "x**2 + 2*x"),
    ("xy", "yx"),
    (r"\tan 15^\circ", r"2-\sqrt{3}"),
    ("e^{2}", "e^2"),
    ("3+4i", "4i + 3"),
    (r"\log_2 8", "3"),
    (r"\binom{5}{2}", "10"),
    (r"\frac{1}{4} - \frac{3}{7} i", r"\frac{7-12i}{28}"),
    # equations and relations
    ("4", "x=4"),
    ("4", "2+2=4"),
    ("4", "x = 2 + 2 = 4"),
    ("4", r"\angle ABC = 4"),
    ("x=4", "4"),
    ("x=4", "x = 4"),
    ("y = 2x - 13", "2x - 13"),
    ("y = 2x - 13", "y=-13+2x"),
    ("2x + z - 5 = 0", "4x + 2z = 10"),
    ("1<x<2", "(1,2)"),
    ("1<x<2", "1 < x < 2"),
    (r"(0,\infty)", "x>0"),
    (r"x \in (1,2]", "(1, 2]"),
    # tuples, lists, sets, intervals, matrices
    ("(1,2)", "(1, 2)"),
    ("(1,2)", r"\left(1, \frac{4}{2}\right)"),
    ("(1,2)", "（1，2）"),
    ("(100,101)", "(100, 101)"),
    ("2,-2", "-2, 2"),
    ("2,-2", r"\pm 2"),
    (r"1+\sqrt{2}, 1-\sqrt{2}", r"1 \pm \sqrt{2}"),
    ("2,-2", r"2 \text{ or } -2"),
    ("2,-2", "2 and -2"),
    ("2,-2", r"\{-2, 2\}"),
    ("x=2, y=3", "x=2, y=3"),
    ("AB=9, CD=4", "AB=9, CD=4"),
    (r"75^\circ, 75^\circ", "75, 75"),
    (r"\{4,5,7\}", r"\{7, 5, 4\}"),
    ("[0,3)", "[0, 3)"),
    (r"(-\infty,2)\cup(3,4]", r"(3,4]\cup(-\infty,2)"),
    (r"(-\infty, 3) \cup (3, \infty)", r"\left(-\infty,3\right)\cup\left(3,\infty\right)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ \frac{4}{2} \end{bmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
    (r"\begin{pmatrix}\frac12\\1\end{pmatrix}", r"\frac{1}{2}\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"\frac{1}{2}\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}\frac12\\1\end{pmatrix}"),
    ("3:5", "3 : 5"),
    ("3:5", r"\frac{3}{5}"),
    # words
    ("Monday", "monday"),
    (r"\text{Monday}", "Monday"),
    ("Monday", r"\textbf{Monday}"),
    ("A", "A"),
    ("A", r"\text{(A)}"),
    (r"\text{(A)}", "A"),
    ("A", r"\textbf{(A)}\ 5"),
    ("5", r"\textbf{(A)}\ 5"),
    (r"\text{(A)}", "a"),
    (r"\text{A,B}", "B, A"),
    (r"\text{even}", "even"),
    (r"\mbox{four}", "4"),
    ("4", "four"),
    ("星期一", "星期一"),
    # number bases
    ("12_5", "12_{5}"),
    ("12_5", "12"),
    # a gold that is a whole solution
    ("She sold 72 clips.\n#### 72", "72"),
    (r"So $x$ is $\boxed{\frac{1}{2}}$.", "0.5"),
    ("$4$", "4"),
]

DIFFERENT = [
    ("18", "19"),
    ("18", "-18"),
    ("18", "180"),
    ("1,080", "1.080"),
    ("1/3", "0.33"),
    ("3.14", "3.1416"),
    (r"\pi", "3.14"),
    ("2^{-99}", "2^{-98}"),
    ("0.0000001", "0.0000002"),
    ("1234567", "1234567.4"),
    (r"1\frac{2}{3}", r"\frac{2}{3}"),
    # a chain of equations that is not true, or ends elsewhere
    ("4", "5=4"),
    ("4", "4=5"),
    ("4", "x=1=2=3=4"),
    ("x=4", "x=1=2=3=4"),
    ("x=4", "y=4"),
    ("x=4", "x=5"),
    ("4", "x=5"),
    # a percentage is no whole number
    ("4", r"400\%"),
    ("4", r"4\%"),
    (r"4\%", "400"),
    ("0.25", "0.25%"),
    # units that measure something else, or in another size
    (r"3\text{ cm}", "3 m"),
    (r"3\text{ cm}", "3 kg"),
    (r"3\text{ cm}", r"3\text{ cm}^2"),
    (r"80\text{ cents}", r"\$80"),
    ("12", "12万"),
    ("2s", "2"),
    # order, number and kind of elements
    ("(1,2)", "(2,1)"),
    ("(1,2)", "(1,2]"),
    ("(1,2)", "[1,2]"),
    ("[0,3)", "[0,3]"),
    ("(1,2)", r"\{1,2\}"),
    ("(1,2)", "(1,2,3)"),
    ("(1,2)", "1<x<2"),
    ("4", "4 or 5"),
    ("4", "4, 5"),
    ("4", "(4,5)"),
    ("4", r"\pm 4"),
    ("1, 1, 2", "1, 2, 2"),
    ("1,2", "1"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"(-\infty,2)\cup(3,4]", r"(-\infty,2)\cup(3,4)"),
    ("3:5", "5:3"),
    # expressions
    (r"\sqrt{8}", r"2\sqrt{3}"),
    ("x^2-1", "x^2+1"),
    ("x", "y"),
    ("4", "x"),
    ("4", "4x"),
    ("x>0", "x<0"),
    (r"x \ge 0", "x > 0"),
    # words
    ("Monday", "Tuesday"),
    ("A", "B"),
    ("A", "AB"),
    ("A", "a"),
    ("E", "-E"),
    (r"\text{Monday}", r"-\text{Monday}"),
    (r"\begin{pmatrix}\frac12\\1\end{pmatrix}", r"\frac{1}{3}\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"\text{CBAD}", "CBDA"),
    ("4", "banana"),
    ("banana", "4"),
    ("4", "I do not know"),
    ("12_5", "12_6"),
    ("12_5", "13_5"),
    ("4", ""),
    # not mathematics at all
    ("4", r"\frac{"),
    ("4", "}{"),
    ("4", "\\"),
    ("4", "\ud800"),
    ("4", "((((((((((4"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_the_same(gold, answer):
    assert equivalent(gold, answer) is True


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different(gold, answer):
    assert equivalent(gold, answer) is False


@pytest.mark.parametrize("gold", ["", "   ", r"\boxed{}", r"\frac{x}{", "<answer>"])
def test_a_gold_that_cannot_be_read_judges_nothing(gold):
    assert equivalent(gold, "4") is None


def test_the_gold_comes_first():
    assert equivalent("1<x<2", "(1,2)") is True
    assert equivalent("(1,2)", "1<x<2") is False


@pytest.mark.parametrize(("gold", "answer"), [pair for pair in SAME if pair[0] != pair[1]])
def test_a_wrapped_answer_is_the_same_answer(gold, answer):
    if "\n" not in gold and "boxed" not in gold and not answer.startswith("$"):
        assert equivalent(gold, rf"So it must be $\boxed{{{answer}}}$.") is True
