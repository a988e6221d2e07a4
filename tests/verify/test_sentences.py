"""How completions end: sentences, lists, headings. The gold first, then the ending, then the verdict."""

import pytest

from trl_r1.verify import equivalent


SAME = [
    # what a sentence says beside its value
    ("-8", "The minimum value is $-8$, attained at $x=2$."),
    ("-8", "The minimum value is **-8**, which occurs at x = 2."),
    ("7", "The maximum is $7$, achieved when $a=b=1$."),
    ("31", "The maximum value is $31$ at $x = 2$."),
    ("31", "最大值是31，此时x=2。"),
    ("58", "The maximum is 58 and it is attained at $(1, 3)$."),
    ("7/12", "the probability is 7/12, or about 0.583."),
    ("9/20", "so the probability is 0.45 or 45%."),
    ("f(x)=2x+3", "$f(x)=2x+3$ for all $x$."),
    ("3n+1", "$a_n = 3n+1$ for $n \\ge 1$."),
    ("2^n-1", r"\boxed{a_n = 2^{n} - 1 \ (n \in \mathbb{N}^*)}"),
    (r"\frac{x^3}{3}+C", r"$\frac{x^3}{3} + C$, where $C$ is a constant."),
    # lists
    ("-2,5", "So the solutions are:\n- $x = -2$\n- $x = 5$"),
    ("(1,-2,3)", "- **x** = 1\n- **y** = -2\n- **z** = 3"),
    ("3,-3", "The solutions are **x = 3** and **x = -3**."),
    ("a=1,b=6", "Thus, a = 1 and b = 6."),
    ("p=3,q=5", "So p is 3 and q is 5."),
    (r"(-\infty,-1)\cup(4,\infty)", "The solution is $x < -1$ or $x > 4$."),
    ("0,7", "两根分别为0和7。"),
    # expressions without delimiters
    (r"\frac{\sqrt{3}}{2}", "the value is √3/2."),
    (r"16\pi", "A = 16π square units"),
    (r"\frac{2\pi}{3}", "θ = 2π/3"),
    ("y=3x-7", "The tangent line is y = 3x - 7."),
    ("y=3x-7", "所以直线方程是 y=3x-7。"),
    ("-2-i", "the conjugate is -2 - i."),
    ("(3,5)", "So the two lines meet at (3, 5)."),
    (r"\frac{1}{x+1}", "It simplifies to 1/(x+1)."),
    (r"\{1,2,3\}", "A ∩ B = {1, 2, 3}"),
    ("2:3", "the ratio of boys to girls is 2 to 3."),
    (r"\log_3 7", "x = log₃ 7"),
    # mixed numbers, quantities in two units, units in words
    ("^{7}/_{12}", r"\boxed{\dfrac{7}{12}}"),
    (r"3\frac{7}{12}", "3^{7}/_{12}"),
    (r"2\frac{1}{3}", "It takes 2 1/3 hours."),
    (r"2\frac{1}{3}", "It takes 2⅓ hours."),
    ("3.5", "共3元5角。"),
    (r"200\text{ minutes}", r"It takes \boxed{3 \text{ hours and } 20 \text{ minutes}}"),
    (r"\frac{\pi}{4}", r"\boxed{\theta = \frac{\pi}{4} \text{ radians}}"),
    (r"5:30\text{ p.m.}", "They arrive at 5:30 in the afternoon."),
    ("24", "答：小明还剩24元。"),
    ("80", "所以，速度是每小时80千米。"),
    ("31", "Tim needs to buy 31 more cards."),
    ("17", "There are therefore seventeen ways."),
    # words
    ("Carol", "**Carol** wins."),
    ("Carol", "Thus, Carol is the tallest."),
    (r"\text{Carol}", "Therefore, the winner is Carol."),
    ("Dana", "So it was Dana who broke the vase."),
    ("Sunday", "The 100th day will be a Sunday."),
    (r"\text{isosceles}", "It is an isosceles triangle."),
    ("Yes", "**Yes**, it is possible."),
    ("No", "No, such a number does not exist."),
    ("B", "So the correct choice is (B)."),
    ("星期三", "那天是星期三。"),
    (r"(-\infty,0)\cup(0,\infty)", "All real numbers except 0."),
]

DIFFERENT = [
    # not where it is attained, nor one of several
    ("2", "The minimum value is $-8$, attained at $x=2$."),
    ("-8", "The minimum value is $8$, attained at $x=-8$."),
    ("2", "The minimum value is **-8**, which occurs at x = 2."),
    ("31", "最大值是7，此时x=31。"),
    ("58", "The maximum is 7 and it is attained at $58$."),
    ("5", "So the solutions are:\n- $x = -2$\n- $x = 5$"),
    ("-3", "The solutions are **x = 3** and **x = -3**."),
    ("6", "Thus, a = 1 and b = 6."),
    ("5", "So p is 3 and q is 5."),
    ("5", "Thus $p = 3$ while $q = 5$."),
    ("4", "The maximum of $f$ is attained at $x=4$ and equals 9."),
    ("(-1,3)", "-1 or 3"),
    ("9/20", "so the probability is 0.45 or 46%."),
    # not a part of an expression
    ("-7", "The tangent line is y = 3x - 7."),
    ("-2", "the conjugate is -2 - i."),
    ("5", "So the two lines meet at (3, 5)."),
    ("1", "It simplifies to 1/(x+1)."),
    ("4", r"\boxed{\theta = \frac{\pi}{4} \text{ radians}}"),
    ("3", "It takes 2 1/3 hours."),
    ("1/3", "It takes 2 1/3 hours."),
    ("5", "共3元5角。"),
    ("7", "The ratio of cats to dogs is 2:7."),
    # units
    (r"5\text{ cm}", "The radius is 5 meters."),
    (r"60^\circ", r"$\angle C = 60$ radians"),
    (r"8\text{ m}", "高为8厘米。"),
    (r"5:30\text{ p.m.}", "They arrive at 5:30 in the morning."),
    # denied, bounded, changed
    ("15", "<answer>14, as 15 is too large</answer>"),
    ("15", r"\boxed{15\text{ is an upper bound}}"),
    ("17", "She is 17 years older than Tom."),
    ("17", "The result exceeds 17."),
    ("31", "Tim has 31 more cards than Ann."),
    ("64", "We need 64 < x."),
    ("64", "My answer was 64, but that was wrong."),
    ("64", "Let's test 64: it fails."),
    # words
    ("Carol", "**Bob** wins, and Carol is second."),
    ("Carol", "**Carol** loses to **Bob**."),
    ("Carol", "Dana beats Carol."),
    ("Dana", "Dana's brother wins."),
    ("Dana", "So it was not Dana who broke the vase."),
    ("Tuesday", "It is two days after **Tuesday**."),
    ("Yes", "Yes... wait, no."),
    ("No", "No... yes."),
    ("B", "(B) is wrong; it is (C)."),
    (r"\text{even}", "The function is neither odd nor even."),
    ("星期三", "那天不是星期三。"),
    ("星期三", "星期三的后一天。"),
    (r"\mathbb{R}", "All real numbers except 0."),
]


@pytest.mark.parametrize(("gold", "ending"), SAME)
def test_an_ending_that_says_the_gold(gold, ending):
    assert equivalent(gold, ending) is True


@pytest.mark.parametrize(("gold", "ending"), DIFFERENT)
def test_an_ending_that_says_something_else(gold, ending):
    assert equivalent(gold, ending) is False
