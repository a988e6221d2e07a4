"""For random golds of each kind: each rewriting that keeps the value is accepted, each change of value refused."""

from fractions import Fraction
from math import gcd

from hypothesis import given, settings
from hypothesis import strategies as st

from trl_r1.verify import equivalent, final_answer, read_golds
from trl_r1.verify.normal import normalise


quick = settings(max_examples=60, deadline=None, derandomize=True)
whole = st.integers(-99_999, 9_999_999)
positive = st.integers(1, 9_999)
small = st.integers(-99, 99)
unequal = st.tuples(small, small).filter(lambda pair: pair[0] < pair[1])


@st.composite
def proper(draw):
    below = draw(st.integers(2, 60))
    return draw(st.integers(-200, 200).filter(lambda above: gcd(above, below) == 1)), below


around = st.sampled_from(
    [
        r"\boxed{%s}",
        r"Thus $\boxed{%s}$.",
        r"\[ \boxed{ %s } \]",
        r"\boxed{\boxed{%s}}",
        r"\boxed{\therefore %s}",
        r"\boxed{\text{The answer is } %s}",
        r"\boxed{N = %s}",
        r"\boxed{\text{Total} = %s}",
        "The answer is $%s$.",
        "**Final answer:** $%s$",
    ]
)
numbers = st.sampled_from(
    [
        "{n}",
        "{n}.0",
        "{n:,}",
        r"\text{{{n}}}",
        r"\mathbf{{{n}}}",
        r"{n} \text{{ apples}}",
        r"{n}\ \text{{cm}}",
        r"{n}\text{{ miles per hour}}",
        r"\${n}",
        r"\text{{\$}}{n}",
        "{n}个",
        "一共{n}元",
        "{spaced}",
        "{braced}",
        "{scientific}",
    ]
)


def written(form: str, n: int) -> str:
    digits = f"{n:,}"
    scientific = rf"{n / 10 ** (len(str(abs(n))) - 1):.6f}".rstrip("0").rstrip(".") + f"e{len(str(abs(n))) - 1}"
    return form.format(
        n=n, spaced=digits.replace(",", "\u202f"), braced=digits.replace(",", "{,}"), scientific=scientific
    )


@quick
@given(n=whole, form=numbers, box=around)
def test_a_whole_number(n, form, box):
    assert equivalent(str(n), box % written(form, n)) is True


@quick
@given(n=whole, other=whole, form=numbers, box=around)
def test_another_whole_number(n, other, form, box):
    assert equivalent(str(n), box % written(form, other)) is (n == other)


@quick
@given(
    n=positive,
    one=st.sampled_from(["mm", "cm", "meters"]),
    other=st.sampled_from(["mm", "cm", "meters"]),
    times=st.sampled_from([1, 10, 100, 1000]),
    form=st.sampled_from([r"It is $\boxed{%s}$ %s long.", r"\[\boxed{%s}\text{ %s}\]", r"\(\boxed{%s}\) %s"]),
)
def test_a_unit_behind_the_box(n, one, other, times, form):
    size = {"mm": 1, "cm": 10, "meters": 1000}
    verdict = n * size[one] == n * times * size[other]
    assert equivalent(rf"{n}\text{{ {one}}}", form % (n * times, other)) is verdict


says = st.sampled_from(
    [
        "0",
        "5",
        ", 5",
        "or 5",
        "and 5",
        "million",
        "thousand",
        "hundred",
        "dozen",
        "is wrong",
        "is not right",
        "squared",
        "times 2",
        "and a half",
        "percent",
        "maybe",
        "to 6",
    ]
)


@quick
@given(n=positive, words=says, group=st.booleans())
def test_words_behind_a_number_that_say_something(n, words, group):
    answer = rf"{n} \text{{ {words}}}" if group else f"{n} {words}"
    assert equivalent(str(n), rf"\boxed{{{answer}}}") is False


@quick
@given(n=positive, before=st.sampled_from(["not ", "负", "不是", "minus ", "-", r"\ne ", "<", r"\text{not }", "非"]))
def test_what_stands_before_a_number_and_says_something(n, before):
    assert equivalent(str(n), rf"\boxed{{{before}{n}}}") is False


@quick
@given(
    fraction=proper(),
    form=st.sampled_from(
        [
            r"{s}\dfrac{{{a}}}{{{b}}}",
            "{s}{a}/{b}",
            r"{s}{{{a} \over {b}}}",
            r"\frac{{{s}{a}}}{{{b}}}",
            r"\frac{{{s}{c}}}{{{d}}}",
        ]
    ),
    box=around,
)
def test_a_fraction(fraction, form, box):
    above, below = fraction
    sign, size = ("-" if above < 0 else ""), abs(above)
    answer = form.format(s=sign, a=size, b=below, c=3 * size, d=3 * below)
    assert equivalent(rf"\frac{{{above}}}{{{below}}}", box % answer) is True
    assert equivalent(rf"\frac{{{above + below}}}{{{below}}}", box % answer) is False
    assert equivalent(str(Fraction(above, below)), box % answer) is True


@quick
@given(
    pair=unequal,
    form=st.sampled_from(
        ["({a}, {b})", r"\left({a},{b}\right)", "(x, y) = ({a}, {b})", "x = {a}, y = {b}", r"x = {a} \text{{ and }} y = {b}", "y = {b}, x = {a}",
         r"\begin{{cases}} x = {a} \\ y = {b} \end{{cases}}", "P({a}, {b})"]
    ),
)  # fmt: skip
def test_a_named_pair(pair, form):
    a, b = pair
    for gold in (f"(x, y) = ({a}, {b})", f"x = {a}, y = {b}"):
        if "P" not in form:
            assert equivalent(gold, rf"\boxed{{{form.format(a=a, b=b)}}}") is True
        assert equivalent(gold, rf"\boxed{{{form.format(a=b, b=a)}}}") is False


@quick
@given(
    pair=unequal,
    form=st.sampled_from(
        [
            "{b}, {a}",
            r"{a} \text{{ and }} {b}",
            "x = {b} or x = {a}",
            r"\{{{a}, {b}\}}",
            "x_1 = {a}, x_2 = {b}",
            "{a}; {b}",
        ]
    ),
)
def test_a_list(pair, form):
    a, b = pair
    assert equivalent(f"{a}, {b}", rf"\boxed{{{form.format(a=a, b=b)}}}") is True
    assert equivalent(f"{a}, {b + 1}", rf"\boxed{{{form.format(a=a, b=b)}}}") is False
    assert equivalent(str(a), rf"\boxed{{{form.format(a=a, b=b)}}}") is False


@quick
@given(
    sizes=st.lists(positive, min_size=1, max_size=3, unique=True),
    form=st.sampled_from(["{s}", "x = {s}", r"\{{{s}\}}", "{o}"]),
)
def test_a_list_of_both_signs(sizes, form):
    gold = ", ".join(str(sign * size) for sign in (1, -1) for size in sizes)

    def write(sizes):
        return form.format(s=", ".join(rf"\pm {n}" for n in sizes), o=" or ".join(rf"x = \pm {n}" for n in sizes))

    assert equivalent(gold, rf"\boxed{{{write(sizes)}}}") is True
    assert equivalent(gold, rf"\boxed{{{write([*sizes[:-1], sizes[-1] + 10_000])}}}") is False
    assert equivalent(gold, rf"\boxed{{{write(sizes).replace(chr(92) + 'pm', '', 1)}}}") is False


@quick
@given(
    pair=unequal,
    low=st.booleans(),
    high=st.booleans(),
    form=st.sampled_from(["{o}{a}, {b}{c}", r"x \in {o}{a}, {b}{c}", "{a} {l} x {h} {b}"]),
)
def test_an_interval(pair, low, high, form):
    a, b = pair

    def write(form, low, high):
        signs = {True: r"\le", False: "<"}
        return form.format(a=a, b=b, o="[" if low else "(", c="]" if high else ")", l=signs[low], h=signs[high])

    gold = write("x \\in {o}{a}, {b}{c}", low, high)
    assert equivalent(gold, rf"\boxed{{{write(form, low, high)}}}") is True
    assert equivalent(gold, rf"\boxed{{{write(form, not low, high)}}}") is False
    assert equivalent(gold, rf"\boxed{{{write(form, low, high).replace(str(b), str(b + 1))}}}") is False


@quick
@given(
    pair=unequal,
    at=small,
    closed=st.booleans(),
    words=st.sampled_from(["", r"\text{if } ", r"\text{for }"]),
    rest=st.booleans(),
    turned=st.booleans(),
)
def test_a_value_by_cases(pair, at, closed, words, rest, turned):
    def write(values, at, closed, words="", rest=False, turned=False):
        below, above = (r"\le", ">") if closed else ("<", r"\ge")
        second = r"\text{otherwise}" if rest else f"{words}x {above} {at}"
        rows = [f"{values[0]}x, & {words}x {below} {at}", f"{values[1]}x & {second}"]
        return r"\begin{cases} " + r" \\ ".join(rows[::-1] if turned else rows) + r" \end{cases}"

    gold, style = write(pair, at, closed), (words, rest, turned)
    assert equivalent(gold, rf"\boxed{{g(x) = {write(pair, at, closed, *style)}}}") is True
    for changed in ((pair[::-1], at, closed), (pair, at + 1, closed), (pair, at, not closed)):
        assert equivalent(gold, rf"\boxed{{{write(*changed, *style)}}}") is False


@quick
@given(
    a=st.integers(1, 9),
    b=st.integers(1, 99),
    form=st.sampled_from(["{a}x + {b}", "{b} + {a}x", "f(x) = {a}x + {b}", "{a}*x + {b}", r"{a} \cdot x + {b}"]),
)
def test_an_expression(a, b, form):
    assert equivalent(f"{a}x + {b}", rf"\boxed{{{form.format(a=a, b=b)}}}") is True
    assert equivalent(f"{a}x + {b + 1}", rf"\boxed{{{form.format(a=a, b=b)}}}") is False
    assert equivalent(f"y = {a}x + {b}", rf"\boxed{{{form.format(a=a, b=b)}}}") is True
    assert equivalent(f"{b + 1} = {a}x + c", rf"\boxed{{{a}x + c}}") is False


@quick
@given(hour=st.integers(1, 12), minute=st.integers(0, 59), other=st.integers(0, 59))
def test_a_time_of_day(hour, minute, other):
    gold = rf"{hour}:{minute:02d}\text{{ p.m.}}"
    assert equivalent(gold, rf"\boxed{{{hour}:{minute:02d} PM}}") is True
    assert equivalent(gold, rf"\boxed{{{hour}:{minute:02d}\text{{ a.m.}}}}") is False
    assert equivalent(gold, rf"\boxed{{{hour}:{other:02d}}}") is (minute == other)


fragments = st.lists(
    st.sampled_from(
        [*"0123456789", *"{}()[]$^_\\|<>=+-*/,;:.!?%&~ \n", *"xyzabe", r"\frac", r"\sqrt", r"\boxed{", r"\text{", r"\begin{pmatrix}", "cases", "\\cup ",
         "\\infty", "\\pm ", " or ", " and ", "not ", "负", "三", "个", "答案是", "####", "The answer is ", "<answer>", "\\left(", "\\le ", "½", "°"]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=fragments)
def test_what_is_read_is_text_and_normal_forms_stay(text):
    found = final_answer(text)
    assert found is None or isinstance(found, str)
    assert all(isinstance(gold, str) for gold in read_golds(text) if not text.lstrip().startswith("{"))
    assert normalise(normalise(text)) == normalise(normalise(normalise(text)))
