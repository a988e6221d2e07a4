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
    # what follows a value and what it counts
    ("45", "So he is 45 miles from home at the end of those 4 hours."),
    ("42", "There are exactly $42$ ordered pairs $(a,b)$ that satisfy the condition."),
    ("13", "There are 13 integers between 1 and 100 with this property."),
    ("17", "$17$ is the remainder when it is divided by $101$."),
    ("13", "The equation holds if and only if $x = 13$."),
    ("64", "Kylar needs to pay **\\$64.00** for the 16 glasses."),
    ("29", "They sold 29 tickets at \\$5 each."),
    ("36", "She can buy at most 36 pencils with \\$18."),
    ("2500000", "They raised \\$2.5 million."),
    ("3.5", "The answer is 7/2 (or 3.5 in decimal form)."),
    ("150", r"\boxed{150\text{ minutes }(2.5\text{ hours})}"),
    ("7", "The answer is 7. ✅"),
    ("100", "There are one hundred such numbers."),
    # Chinese
    ("12", "每人分到12颗糖。"),
    ("12", "答：原来有十二只鸡。"),
    ("18", "答：5小时后两车相距18千米。"),
    ("18", "答：科技书有18本，故事书有30本。"),
    (r"\frac{3}{5}", "答：女生占全班的五分之三。"),
    ("240", "路程=速度×时间=60×4=240（千米）"),
    # notation
    ("5", r"\boxed{N \equiv 5 \pmod{7}}"),
    ("45", r"$1+2+\dots+9=45.$"),
    (r"\frac{2x+1}{x-3}", r"\boxed{\frac{2x+1}{x-3}, x \neq 3}"),
    (r"\frac{5}{8}", r"\boxed{P(X \ge 1) = \frac58}"),
    ("[-3,2]", r"\boxed{x \ge -3 \text{ and } x \le 2}"),
    (r"(4,\infty)", r"\boxed{]4,\infty[}"),
    ("101_2", "$5_{10} = 101_2$"),
    ("252", r"\boxed{C_{10}^5 = 252}"),
    (r"\lg 5", r"\boxed{\log_{10} 5}"),
    ("$\text{13}$", "13"),  # a backslash that was swallowed
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
    # behind a value stands what denies, changes or joins it
    ("4", "We can buy at most 4 of the 5?"),
    ("10", "There are 10 less than 20."),
    ("4", "4 is the number that is wrong."),
    ("4", "There are 4 that work and 5 that also work."),
    ("4", "The answer is 4 (or 5)."),
    ("4", "4 hours (or 7 hours)"),
    ("4", "The answer is 4 ❌"),
    ("4", "The population is 4 million."),
    ("4", "In 4 days it will be Monday."),
    ("4", "答：每4个装一盒，共5盒。"),
    ("4", "答：第一天4个，不对，是5个。"),
    ("4", "等于4除以3"),
    ("4", "不是=4"),
    ("4", r"\boxed{1+2+\ldots+9=5}"),
    ("4", r"\boxed{4 \equiv 5}"),
    ("x^2", r"\boxed{x^2, x^3}"),
    ("[1,2]", r"\boxed{x \ge 1, x < 2}"),
    ("[1,2]", r"\boxed{]1,2[}"),
    ("101_2", r"\boxed{6_{10} = 101_2}"),
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
