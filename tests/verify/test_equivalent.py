"""What counts as the same answer. The gold first, then the answer, then the verdict."""

import pytest

from trl_r1.verify import Convention, equivalent


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
    ("8,1,-1,-8", r"x = \pm 1, \pm 8"),
    ("8,1,-1,-8", r"\{\pm 1, \pm 8\}"),
    (r"4+i, 4-i, 4+i\sqrt5, 4-i\sqrt5", r"4\pm i,\ 4\pm i\sqrt5"),
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
    (r"\begin{pmatrix}-19\\-6\\4\end{pmatrix}", r"-19\mathbf{i} - 6\mathbf{j} + 4\mathbf{k}"),
    (r"(\frac12, 0, \sqrt3)", r"\vec v = \frac12\hat{i} + \sqrt3\,\hat{k}"),
    (r"2\mathbf{i}+3\mathbf{j}", "(2,3)"),
    (r"\begin{pmatrix}2&1\\7&-2\end{pmatrix}", "M = [[2, 1], [7, -2]]"),
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
    # names, systems and several values
    ("(p,q)=(3,2)", "(3,2)"),
    ("(3,2)", "(p,q)=(3,2)"),
    ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
    ("(5,2),(7,2)", r"p=5,q=2 \text{ or } p=7,q=2"),
    (r"\frac{NO}{BO}=\frac{1}{\sqrt6}", r"\frac{1}{\sqrt6}"),
    (r"A=\{1,2\}", r"\{1,2\}"),
    (r"\vec a=(1,2)", "(1,2)"),
    ("(1,2)", "P(1,2)"),
    ("x=1,y=2", "y=2,x=1"),
    ("x=1,y=2", r"\begin{cases} x=1 \\ y=2 \end{cases}"),
    ("x=1,y=2", r"\begin{cases} x &= 1 \\ y &= 2 \end{cases}"),
    ("4", "4=x"),
    ("7", "a+b=7"),
    ("6", r"\text{Total} = 6"),
    ("1000", "N = 1,000"),
    ("y = 2x + 1", "f(x) = 2x + 1"),
    ("6", r"x \approx 6"),
    ("6.28", r"2\pi \approx 6.28"),
    # words and numbers in words
    ("6", r"\text{6}"),
    ("13", r"\text{\$}13"),
    ("6", r"\therefore 6"),
    ("2", r"\text{two}"),
    ("24", r"\text{twenty-four apples}"),
    ("5", "五"),
    ("24", "共24元"),
    ("4", r"\text{The answer is }4"),
    (r"x \ge 5", r"Therefore $x \ge 5$ is the solution."),
    ("18", r"18\text{ apples left in total}"),
    ("25", r"25\text{ OLED TVs}"),
    ("90", r"90\text{ jellyfish}"),
    ("20", r"20\text{ miles per hour}"),
    ("4000000", "4 million"),
    # numbers
    ("1/2", r"{1 \over 2}"),
    ("1200", "1.2e3"),
    ("1000000", "1\u2009000\u2009000"),
    ("1000000", "1\u00a0000\u00a0000"),
    (r"-\frac13", r"-0.\dot3"),
    (r"\frac13", "0.(3)"),
    (r"\frac16", "0.1666..."),
    (r"60^\circ", "60^o"),
    (r"60^\circ", "60º"),
    (r"60^\circ", r"\frac{\pi}{3}"),
    ("3+4i", r"3+4\mathrm{i}"),
    # sets
    ("[0,1]", r"0\le x\le1"),
    (r"[0,\sqrt2]", r"0 \le x \le \sqrt2"),
    (r"\emptyset", r"\varnothing"),
    (r"(-\infty,1)\cup(2,\infty)", r"(-\infty,1) \text{ or } (2,\infty)"),
    (r"(-\infty,1)\cup(2,\infty)", r"x<1 \text{ or } x>2"),
    (r"(-\infty,\infty)", r"\mathbb{R}"),
    (r"x \ne 2", r"\mathbb{R}\setminus\{2\}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}^T"),
    (r"(-\infty,3)\cup(3,\infty)", r"\{x \in \mathbb{R} : x \neq 3\}"),
    (r"(-\infty,3)\cup(3,\infty)", r"x \in \mathbb{R}, x \neq 3"),
    (r"(-\infty,-1)\cup(-1,1)\cup(1,\infty)", r"x \ne \pm 1"),
    (r"(-\infty,1)\cup(1,3)\cup(3,\infty)", r"x \neq 1 \text{ 且 } x \neq 3"),
    (r"(-\infty,1)\cup(1,3)\cup(3,\infty)", r"\{x \mid x \neq 1, x \ne 3\}"),
    (r"(-\infty,\infty)", r"\text{all real numbers } t"),
    # times of day
    (r"6:45\text{ p.m.}", "6:45 PM"),
    (r"6:45\text{ p.m.}", "18:45"),
    (r"6:45\text{ p.m.}", "6:45"),
    # fractions, signs, ordinals and limits in words and symbols
    ("5/2", r"\text{two and a half}"),
    ("3/4", r"\text{three quarters}"),
    ("1/3", "三分之一"),
    (r"20\%", "百分之二十"),
    ("-5", "负五"),
    ("-8", r"\text{negative eight}"),
    ("4", r"4^{\text{th}}"),
    ("1:4", r"\text{1 to 4}"),
    ("120", r"\dbinom{10}{3} = 120"),
    ("e", r"\lim_{n\to\infty}\left(1+\frac1n\right)^n = e"),
    ("6x", r"\frac{dy}{dx} = 6x"),
    ("x^3+C", r"\int 3x^2\,dx = x^3+C"),
    # money and quantities in two units
    ("1500", "£1,500"),
    ("1500", r"\text{USD }1500"),
    (r"3\text{ hours }20\text{ minutes}", r"200\text{ minutes}"),
    (r"66\text{ inches}", r"5\text{ feet }6\text{ inches}"),
    # sets as descriptions, single elements, nothing and everything
    (r"(-\infty,1)\cup(2,\infty)", r"\{x \mid x<1 \text{ or } x>2\}"),
    (r"x>3", r"\{x \in \mathbb{R} : x > 3\}"),
    (r"\{0\}", "0"),
    (r"\emptyset", r"\text{no solution}"),
    (r"\mathbb{R}", r"\text{all real numbers}"),
    (r"\text{all real numbers}", r"\mathbb{R}"),
    (r"\begin{pmatrix}-7\\16\end{pmatrix}", "(-7, 16)^T"),
    ("(2,3)", "y=3, x=2"),
    # short words
    ("Yes", r"\text{Yes}"),
    ("no", r"\text{No}"),
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
    ("12.5", r"12.5\%"),
    ("40", "４０％"),
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
    ("8,1,-1,-8", r"x = \pm 1, 8"),
    ("8,1,-1,-8", r"x = \pm 1, \pm 7"),
    (r"4+i, 4-i, 4+i\sqrt5, 4-i\sqrt5", r"4\pm i,\ 4\pm i\sqrt6"),
    ("1, 1, 2", "1, 2, 2"),
    ("1,2", "1"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"(-\infty,2)\cup(3,4]", r"(-\infty,2)\cup(3,4)"),
    (r"\begin{pmatrix}-19\\-6\\4\end{pmatrix}", r"-19\mathbf{i} + 6\mathbf{j} + 4\mathbf{k}"),
    (r"\begin{pmatrix}-19\\-6\\4\end{pmatrix}", r"-19\mathbf{i} - 6\mathbf{k} + 4\mathbf{j}"),
    (r"2\mathbf{i}+3\mathbf{j}", "(3,2)"),
    ("(3,4)", "3+4i"),
    (r"\begin{pmatrix}2&1\\7&-2\end{pmatrix}", "M = [[2, 7], [1, -2]]"),
    (r"\begin{pmatrix}2&1\\7&-2\end{pmatrix}", "[2, 1, 7, -2]"),
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
    # what stands behind or before a number and says something
    ("4", r"4\text{0}"),
    ("4", r"4\text{, 5, 6}"),
    ("4", r"4 \text{ is wrong}"),
    ("4", r"4\text{: no}"),
    ("4", "4 million"),
    ("4", r"4\text{ squared}"),
    ("4", r"4\text{ and a half}"),
    ("4", r"\text{not }4"),
    ("4", "The number is not 4"),
    ("4", "4M"),
    ("4", "4'"),
    ("3", "负3"),
    ("3", "不是3"),
    ("3", "3百"),
    ("3", "3以上"),
    ("3", "三十"),
    # times of day
    (r"6:45\text{ p.m.}", "4:30"),
    (r"6:45\text{ p.m.}", r"6:45\text{ a.m.}"),
    ("2:15", "4:30"),
    ("4:30", r"\frac{2}{15}"),
    # names that values keep, and equations that name nothing
    ("x=1,y=2", "2,1"),
    ("x=1,y=2", "x=2,y=1"),
    ("(x,y)=(1,2)", "(2,1)"),
    ("7=11a+c", "11a+c"),
    ("11a+c", "7=11a+c"),
    ("x+2", "y+1=x+2"),
    ("4", "2x=4"),
    ("4", "x+1=4"),
    (r"\tan \theta = 2\theta", r"2\theta"),
    ("0", "49x^2 - 42xy + 9y^2 = 0"),
    ("25", "x^2 + y^2 = 25"),
    ("4", r"\text{not } = 4"),
    # transposes, bases, factorials, units
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}'"),
    ("12", "12_3"),
    ("12", r"12_{\text{three}}"),
    ("1000!", "1000!+1"),
    (r"10^{50}\sqrt{2}", r"10^{50}\sqrt{2}+1"),
    (r"60^\circ", r"60\text{ rad}"),
    # sets
    (r"(-\infty,1)\cup(2,\infty)", "1<x<2"),
    ("[0,1]", "0<x<1"),
    (r"(-\infty,3)\cup(3,\infty)", r"\{x \in \mathbb{R} : x \neq 2\}"),
    (r"(-\infty,3)\cup(3,\infty)", r"x > 0, x \neq 3"),
    (r"(-\infty,-1)\cup(-1,1)\cup(1,\infty)", r"x \ne \pm 2"),
    (r"(-\infty,1)\cup(1,\infty)", r"x \ne \pm 1"),
    (r"(-\infty,1)\cup(1,3)\cup(3,\infty)", r"x \neq 1 \text{ or } x \neq 3"),
    (r"(-\infty,1)\cup(1,3)\cup(3,\infty)", r"\{x \mid x \neq 1, x \ne 4\}"),
    (r"(-\infty,3)\cup(3,\infty)", r"\text{all real numbers } t"),
    ("x \\ge 5", r"It is not true that $x \ge 5$."),
    # fractions, signs and orders in words
    ("2", r"\text{two and a half}"),
    ("3", r"\text{three quarters}"),
    ("2", r"\text{two thirds}"),
    ("20", r"20\text{ hours }3\text{ minutes}"),
    (r"3\text{ hours }20\text{ minutes}", r"20\text{ hours }3\text{ minutes}"),
    (r"3\text{ hours }20\text{ minutes}", r"3\text{ hours}"),
    ("(2,3)", "y=2, x=3"),
    (r"\{0\}", r"\emptyset"),
    ("x", "x'"),
    ("f'(x)", "f(x)"),
    ("x^2", r"x^{\prime 2}"),
    (r"\mathbb{R}", r"\text{no real numbers}"),
    ("144", r"\text{none of the }144"),
    ("144", r"\boxed{\text{if } x=1 \text{ then } 144}"),
    ("144", r"\text{Is it }144?"),
    ("Yes", r"\text{Yes and no}"),
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


# Values by cases: the rows of a gold in each way that keeps them, and changed.
SIZE = r"f(x) = \begin{cases} x & \text{if } x \ge 0 \\ -x & \text{if } x < 0 \end{cases}"
PARITY = r"\begin{cases} 0 & \text{if } n \text{ is odd} \\ 2 & \text{if } n \text{ is even} \end{cases}"
RATIONAL = r"\begin{cases} 1, & x\in\mathbb{Q} \\ 0, & x\notin\mathbb{Q} \end{cases}"
FROM_TWO = r"\begin{cases} 1 & n = 1 \\ 2n & n \ge 2 \end{cases}"


@pytest.mark.parametrize(
    ("gold", "rows", "verdict"),
    [
        (SIZE, r"x, & x \geq 0, \\ -x, & x < 0.", True),
        (SIZE, r"-x & \text{for } x < 0 \\ x & \text{for } x \ge 0", True),
        (SIZE, r"-x, & x < 0 \\ x, & \text{otherwise}", True),
        (SIZE.replace(r"if } x < 0", "otherwise}"), r"x & x \ge 0 \\ -x & x < 0", True),
        (PARITY, r"2, & n \text{ even} \\ 0, & n \text{ odd}", True),
        (PARITY, r"2, & n \text{为偶数} \\ 0, & n \text{为奇数}", True),
        (FROM_TWO, r"1, & n=1 \\ 2n, & n \geq 2, n \in \mathbb{N}^*", True),
        (SIZE, r"x, & x < 0 \\ -x, & x \ge 0", False),
        (SIZE, r"x, & x > 0 \\ -x, & x \le 0", False),
        (SIZE, r"x, & x \ge 0 \\ -2x, & x < 0", False),
        (SIZE, r"x, & x \ge 0 \\ -x, & y < 0", False),
        (SIZE, r"x, & x \ge 0 \\ -x, & x < 0 \\ 1, & x = 0", False),
        (SIZE.replace(r"if } x < 0", "otherwise}"), r"x & x \ge 0 \\ -x & x < 5", False),
        (RATIONAL, r"1 & \text{if } x \in \mathbb Q \\ 0 & \text{if } x \notin \mathbb Q", True),
        (RATIONAL, r"0 & \text{if } x \in \mathbb Q \\ 1 & \text{if } x \notin \mathbb Q", False),
        (PARITY, r"0, & n \text{ even} \\ 2, & n \text{ odd}", False),
        (PARITY, r"2, & n \text{ is not even} \\ 0, & n \text{ is not odd}", False),
        (FROM_TWO, r"1, & n=2 \\ 2n, & n \geq 2", False),
    ],
)
def test_values_by_cases(gold, rows, verdict):
    assert equivalent(gold, rf"\boxed{{\begin{{cases}} {rows} \end{{cases}}}}") is verdict
    assert equivalent(gold, rf"\boxed{{\left\{{\begin{{array}}{{ll}} {rows} \end{{array}}\right.}}") is verdict
    assert equivalent(gold, r"\boxed{x}") is False


GENERAL = r"\frac{\pi}{4}+k\pi, k \in \mathbb{Z}"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (r"x = \frac{\pi}{4} + n\pi,\ n \in \mathbb{Z}", True),
        (r"n\pi + \frac{\pi}{4}\ (n \in Z)", True),
        (r"m\pi + \frac{\pi}{4} \text{ where } m \text{ is an integer}", True),
        (r"x = n\pi + \frac{\pi}{4}, \text{ for any integer } n", True),
        (r"x = \frac{\pi}{4} + k\pi", True),
        (r"x = \frac{\pi}{4} + n\pi", False),
        (r"x = \frac{\pi}{4} + m\pi,\ n \in \mathbb{Z}", False),
        (r"x = \frac{\pi}{4} + 2n\pi,\ n \in \mathbb{Z}", False),
        (r"x = \frac{\pi}{3} + n\pi,\ n \in \mathbb{Z}", False),
        (r"x = \frac{\pi}{4} + k\pi,\ k \in \mathbb{N}", False),
    ],
)
def test_the_name_of_an_integer_parameter_is_free_where_both_say_what_it_is(answer, verdict):
    assert equivalent(GENERAL, rf"\boxed{{{answer}}}") is verdict


def test_what_the_data_decide():
    assert equivalent("10000", "10 000") is True
    assert equivalent("10000", "10 000", convention=Convention(thousands_by_space=False)) is False
    assert equivalent("1.5", "1,5") is False
    assert equivalent("1,5", "1,50", convention=Convention(decimal_comma=True)) is True
    assert equivalent("1080", "1.080", convention=Convention(decimal_comma=True)) is True
    assert equivalent("25", r"25\%") is False
    assert equivalent("25", r"25\%", convention=Convention(percent_golds=True)) is True
    assert equivalent("40", "４０％", convention=Convention(percent_golds=True)) is True
    assert equivalent("12.5", r"12.5\%", convention=Convention(percent_golds=True)) is True
    assert equivalent("12.5", r"12.6\%", convention=Convention(percent_golds=True)) is False


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
