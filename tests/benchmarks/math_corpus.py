r"""
Pairs of a reference answer and a completion, made from a seed: what a reward for mathematics meets in training.

Each pair knows by construction whether the completion is right, so that where two rewards differ it can be said which
of them errs. Completions are traces of 2,000 to 8,000 characters: a thought of prose and formulas, boxes of
intermediate results in some, then a summary with the final answer in a box.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import comb, gcd
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """
    A reference answer and a completion.

    Args:
        kind (`str`):
            What sort of mathematics the reference is, and where it matters how the completion gives its answer.
        gold (`str`):
            The reference, as a data set's `solution`.
        answer (`str`):
            The final answer, as the completion writes it.
        completion (`str`):
            The trace.
        right (`bool`):
            Whether the completion answers rightly.
    """

    kind: str
    gold: str
    answer: str
    completion: str
    right: bool


def _fraction(above: int, below: int) -> str:
    common = gcd(above, below) or 1
    above, below = above // common, below // common
    return str(above) if below == 1 else rf"\frac{{{above}}}{{{below}}}"


def _integer(r: random.Random):
    n = r.randint(-2_000, 200_000)
    spellings = [str(n), f"{n:,}", f"{n}.0", f"x = {n}", rf"{n - 7} + 7"]
    return f"{n:,}" if r.random() < 0.3 else str(n), spellings, [str(n + r.choice([-1, 1, 10])), str(-n - 1)]


def _rational(r: random.Random):
    below = r.randint(2, 40)
    above = r.choice([k for k in range(1, 90) if gcd(k, below) == 1])
    gold = _fraction(above, below)
    same = [rf"\dfrac{{{above}}}{{{below}}}", f"{above}/{below}", rf"\frac{{{3 * above}}}{{{3 * below}}}"]
    return gold, same, [_fraction(above + 1, below), _fraction(below, above), f"-{gold}"]


def _decimal(r: random.Random):
    n = r.randint(1, 99_999)
    n += n % 10 == 0
    gold = f"{n / 1000:.3f}"
    return gold, [_fraction(n, 1000), gold + "0"], [f"{(n + 1) / 1000:.3f}", f"{n / 100:.2f}"]


def _radical(r: random.Random):
    k, n, below = r.randint(2, 30), r.choice([2, 3, 5, 6, 7, 10, 11, 13, 14, 15, 17, 19, 21, 22, 23]), r.randint(2, 9)
    whole = k // below if k % below == 0 else None
    gold = (f"{whole}" if whole else rf"\frac{{{k}}}{{{below}}}") + rf"\sqrt{{{n}}}"
    same = [rf"\frac{{{k}\sqrt{{{n}}}}}{{{below}}}", rf"\frac{{{k * n}}}{{{below}\sqrt{{{n}}}}}"]
    same.append(rf"\frac{{\sqrt{{{k * k * n}}}}}{{{below}}}")
    return gold, same, [rf"\frac{{{k}\sqrt{{{n + 1}}}}}{{{below}}}", rf"\frac{{{k + 1}\sqrt{{{n}}}}}{{{below}}}"]


def _surd_sum(r: random.Random):
    a, b, n = r.randint(1, 60), r.randint(2, 20), r.choice([2, 3, 5, 6, 7, 10, 11, 13])
    same = [rf"{b}\sqrt{{{n}}} + {a}", rf"{a} + \sqrt{{{b * b * n}}}", rf"\frac{{{2 * a} + {2 * b}\sqrt{{{n}}}}}{{2}}"]
    return rf"{a} + {b}\sqrt{{{n}}}", same, [rf"{a} - {b}\sqrt{{{n}}}", rf"{a} + {b}\sqrt{{{n + 1}}}"]


def _circle(r: random.Random):
    k, below = r.randint(2, 90), r.choice([1, 2, 3, 4, 6, 12])
    gold = _fraction(k, below) + r"\pi"
    same = [rf"\frac{{{k}\pi}}{{{below}}}", rf"\pi \cdot {_fraction(k, below)}"]
    return gold, same, [rf"\frac{{{k + 1}\pi}}{{{below}}}", _fraction(k, below)]


def _polynomial(r: random.Random):
    a, b, c = r.randint(1, 9), r.randint(1, 12), r.randint(1, 12)
    b += a * c == b  # so that the middle term is not 0
    gold = f"{a}x^2 {b - a * c:+d}x {-b * c:+d}"
    same = [f"({a}x + {b})(x - {c})", f"(x - {c})({a}x + {b})", f"x({a}x {b - a * c:+d}) {-b * c:+d}"]
    return gold, same, [f"({a}x + {b})(x + {c})", f"({a}x + {b})(x - {c}) + 1", f"{a}x^2 {b - a * c:+d}x {b * c:+d}"]


def _rational_function(r: random.Random):
    a, b, c = r.randint(1, 9), r.randint(1, 12), r.randint(13, 20)
    gold = rf"\frac{{x + {a}}}{{x - {b}}}"
    same = [rf"\frac{{-x - {a}}}{{{b} - x}}", rf"1 + \frac{{{a + b}}}{{x - {b}}}"]
    same.append(rf"\frac{{(x+{a})(x+{c})}}{{(x-{b})(x+{c})}}")
    return gold, same, [rf"\frac{{x - {a}}}{{x - {b}}}", rf"\frac{{x + {a}}}{{x + {b}}}"]


def _trigonometric(r: random.Random):
    a, b = r.randint(2, 9), r.randint(1, 20)
    gold = rf"{a}\sin^2 x + {b}"
    same = [rf"{a + b} - {a}\cos^2 x", rf"\frac{{{a}(1 - \cos 2x)}}{{2}} + {b}"]
    return gold, same, [rf"{a + b} + {a}\cos^2 x", rf"{a}\sin x + {b}"]


def _logarithm(r: random.Random):
    base, power, k = r.choice([2, 3, 5, 7]), r.randint(2, 6), r.randint(2, 40)
    same = [rf"{power} \ln {k}", rf"\ln {k}^{{{power}}}"]
    return rf"{power}\ln({k})", same, [rf"{power} \ln {k + 1}", rf"{power}\log_{{{base}}} {k}"]


def _complex(r: random.Random):
    a, b = r.randint(1, 40), r.randint(2, 40)
    return f"{a} + {b}i", [f"{b}i + {a}", rf"\frac{{{2 * a} + {2 * b}i}}{{2}}"], [f"{a} - {b}i", f"{b} + {a + 1}i"]


def _line(r: random.Random):
    m, b = r.randint(2, 30), r.randint(31, 80)
    return f"y = {m}x + {b}", [f"y = {b} + {m}x", f"{m}x + {b}", f"y - {b} = {m}x"], [f"y = {m}x - {b}", f"{b}x + {m}"]


def _point(r: random.Random):
    a, b, c = -r.randint(1, 20), r.randint(1, 20), r.randint(2, 9)
    gold = rf"({a}, {_fraction(b, c)})"
    return (
        gold,
        [rf"\left({a}, \frac{{{2 * b}}}{{{2 * c}}}\right)"],
        [rf"\left({_fraction(b, c)}, {a}\right)", f"({a}, {b + c})"],
    )


def _interval(r: random.Random):
    a, b = r.randint(-20, 0), r.randint(1, 20)
    opening, closing = r.choice("[("), r.choice("])")
    same = [rf"\left{opening}{a}, {b}\right{closing}", rf"x \in {opening}{a}, {2 * b}/2{closing}"]
    return (
        f"{opening}{a}, {b}{closing}",
        same,
        [f"{opening}{a}, {b + 1}{closing}", rf"[{a}, {b}]" if opening == "(" else f"({a}, {b})"],
    )


def _union(r: random.Random):
    a, b = r.randint(-20, 0), r.randint(1, 20)
    gold = rf"(-\infty, {a}) \cup ({b}, \infty)"
    same = [rf"({b}, \infty) \cup (-\infty, {a})", rf"\left(-\infty, {a}\right)\cup\left({b}, \infty\right)"]
    return gold, same, [rf"(-\infty, {a}] \cup ({b}, \infty)", rf"({a}, {b})"]


def _roots(r: random.Random):
    a, b, c = r.sample(range(-30, 30), 3)
    return (
        f"{a}, {b}, {c}",
        [rf"\{{{c}, {a}, {b}\}}", f"{b}, {c}, {a}", f"{c}, {a} and {b}"],
        [f"{a}, {b}", f"{a}, {b}, {c + 1}"],
    )


def _surd_roots(r: random.Random):
    a, n = r.randint(1, 20), r.choice([2, 3, 5, 6, 7, 10, 11, 13])
    same = [rf"{a} \pm \sqrt{{{n}}}", rf"{a} - \sqrt{{{n}}}, \sqrt{{{n}}} + {a}"]
    return rf"{a} + \sqrt{{{n}}}, {a} - \sqrt{{{n}}}", same, [rf"{a} + \sqrt{{{n}}}", rf"{n} \pm \sqrt{{{a + n}}}"]


def _matrix(r: random.Random):
    a, b, c, d = (r.randint(-9, 9) for _ in range(4))
    gold = rf"\begin{{pmatrix}} {a} & {b} \\ {c} & {d} \end{{pmatrix}}"
    same = [rf"\begin{{bmatrix}} {a} & {b} \\ {c} & \frac{{{2 * d}}}{{2}} \end{{bmatrix}}"]
    return gold, same, [rf"\begin{{pmatrix}} {a} & {b} \\ {c} & {d + 1} \end{{pmatrix}}"]


def _measured(r: random.Random):
    n, unit, word = r.randint(2, 900), *r.choice([("cm", "centimeters"), ("kg", "kilograms"), ("m", "meters")])
    same = [rf"{n} \text{{ {word}}}", rf"{n}\,\mathrm{{{unit}}}", str(n)]
    return rf"{n}\text{{ {unit}}}", same, [rf"{n + 1}\text{{ {unit}}}", rf"{n}\text{{ s}}"]


def _money(r: random.Random):
    n = r.randint(100, 99_999)
    return rf"\${n / 100:.2f}", [f"{n / 100:.2f}", rf"{n / 100:.2f} \text{{ dollars}}"], [rf"\${(n + 1) / 100:.2f}"]


def _percent(r: random.Random):
    n = r.choice([k for k in range(2, 99) if k % 10])
    return rf"{n}\%", [f"{n}", rf"0.{n:02d}", rf"{n}\text{{ percent}}"], [rf"{n + 1}\%", rf"0.{n + 1:02d}"]


def _weekday(r: random.Random):
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    day, other = r.sample(days, 2)
    return rf"\text{{{day}}}", [day, rf"\text{{{day.lower()}}}"], [rf"\text{{{other}}}"]


def _equation(r: random.Random):
    a, b, c = r.randint(2, 9), r.randint(2, 9), r.randint(10, 60)
    gold = f"{a}x + {b}y - {c} = 0"
    return (
        gold,
        [f"{2 * a}x + {2 * b}y = {2 * c}", f"{b}y + {a}x = {c}"],
        [f"{a}x + {b}y + {c} = 0", f"{a}x - {b}y = {c}"],
    )


def _inequality(r: random.Random):
    a, b = r.randint(-20, 20), r.randint(21, 40)
    return rf"{a} < x \le {b}", [f"({a}, {b}]", rf"{b} \ge x > {a}"], [f"[{a}, {b}]", rf"{a} < x < {b}"]


def _binomial(r: random.Random):
    n, k = r.randint(6, 40), r.randint(2, 5)
    return rf"\binom{{{n}}}{{{k}}}", [str(comb(n, k)), rf"\binom{{{n}}}{{{n - k}}}"], [str(comb(n, k) + 1)]


def _absolute(r: random.Random):
    a, b = r.randint(2, 30), r.randint(2, 30)
    return f"|x - {a}| + {b}", [f"{b} + |{a} - x|", f"{b} + |x - {a}|"], [f"|x + {a}| + {b}", f"|x - {b}| + {a + 1}"]


def _degrees(r: random.Random):
    n = r.choice([k for k in range(5, 85) if k % 15])
    function, other = r.choice([("sin", "cos"), ("cos", "sin"), ("tan", "cot")])
    same = [rf"\{other} {90 - n}^\circ", rf"\{function}({n}^\circ)"]
    return rf"\{function} {n}^\circ", same, [rf"\{other} {n + 1}^\circ"]


Maker = Callable[[random.Random], tuple[str, list[str], list[str]]]

# About a third are plain numbers; in the MATH data set it is two thirds, and those cost us next to nothing.
KINDS: dict[str, tuple[Maker, int]] = {
    "integer": (_integer, 14),
    "fraction": (_rational, 12),
    "decimal": (_decimal, 4),
    "radical": (_radical, 8),
    "sum with a radical": (_surd_sum, 6),
    "multiple of pi": (_circle, 6),
    "polynomial": (_polynomial, 10),
    "rational function": (_rational_function, 5),
    "trigonometric": (_trigonometric, 3),
    "logarithm": (_logarithm, 3),
    "complex number": (_complex, 4),
    "line": (_line, 4),
    "point": (_point, 4),
    "interval": (_interval, 4),
    "union of intervals": (_union, 2),
    "list of roots": (_roots, 4),
    "list with radicals": (_surd_roots, 3),
    "matrix": (_matrix, 3),
    "measured": (_measured, 4),
    "money": (_money, 2),
    "percentage": (_percent, 2),
    "word": (_weekday, 1),
    "equation": (_equation, 1),
    "inequality": (_inequality, 1),
    "binomial": (_binomial, 1),
    "degrees": (_degrees, 1),
    "absolute value": (_absolute, 2),
}

_STEPS = (
    "First, let $x_{{{i}}} = {a}$ and note that ${a} + {b} = {c}$, so we may write $x_{{{i}}} + {b} = {c}$.",
    "Substituting gives\n$$\\frac{{{a}x + {b}}}{{{c}}} = \\sqrt{{{c}}} - \\frac{{{b}}}{{{a}}}$$\nwhich we simplify.",
    "Wait, that is not right. Let me check the sign of ${a} - {b}$ again before going on.",
    "By symmetry the case $n = {i}$ is like the one before, with ${b}$ in place of ${a}$.",
    "Hmm, if $\\alpha = {a}^\\circ$ then $\\cos \\alpha + \\sin \\alpha \\le \\sqrt{{2}}$, and the bound holds.",
    "Expanding, \\[ (x + {a})(x - {b}) = x^2 + ({a} - {b})x - {a} \\cdot {b}, \\] as wanted.",
    "So far there are {a} cases, and {b} of them were counted twice; {c} are left over in the end.",
    "Alternatively, use \\(f(t) = {a}t^2 + {b}t + {c}\\) and look at where its derivative is zero.",
)


def solution(gold: str) -> str:
    """Write a reference as the solutions of MATH end, which both rewards can read."""
    return rf"$\boxed{{{gold}}}$"


def trace(r: random.Random, closing: str, boxed_on_the_way: str | None = None) -> str:
    """Write a thought of random length, and a summary that ends in `closing`."""
    length = r.randint(1_700, 7_500)
    steps, size = [], 0
    while size < length:
        a, b = r.randint(2, 99), r.randint(2, 99)
        step = r.choice(_STEPS).format(i=len(steps) + 1, a=a, b=b, c=a + b)
        steps.append(step)
        size += len(step) + 1
    if boxed_on_the_way is not None:
        steps.insert(r.randrange(len(steps)), rf"It might be $\boxed{{{boxed_on_the_way}}}$, but let me verify that.")
    thought = "\n".join(steps)
    summary = "Putting the steps together, and checking each of them once more, we find the result."
    return f"<think>\n{thought}\n</think>\n{summary}\n\n{closing}"


def _make(r: random.Random, kind: str, golden: tuple[str, list[str], list[str]], right: bool) -> Pair:
    gold, same, different = golden
    answer = (gold if r.random() < 0.4 else r.choice(same)) if right else r.choice(different)
    manner = r.random()
    if manner < 0.02:  # the right answer, but in the thought alone
        closing = "I am not sure about the result, and leave it open."
        return Pair(f"{kind}, in the thought only", solution(gold), "", trace(r, closing, gold), False)
    if manner < 0.04:  # one attempt, and another after it
        wrong = r.choice(different)
        first, last = (wrong, answer) if right else (gold, answer)
        closing = rf"At first sight it is $\boxed{{{first}}}$. On reflection it is $\boxed{{{last}}}$."
        return Pair(f"{kind}, second attempt", solution(gold), answer, trace(r, closing), right)
    closing = r.choice([r"The answer is $\boxed{%s}$.", r"**Final answer:** \[ \boxed{%s} \]", r"$$\boxed{%s}$$"])
    on_the_way = r.choice(different) if r.random() < 0.2 else None
    return Pair(kind, solution(gold), answer, trace(r, closing % answer, on_the_way), right)


def diverse(count: int, seed: int = 0) -> list[Pair]:
    """Make pairs that have nothing to do with one another; half of them are right."""
    r = random.Random(seed)
    names, weights = list(KINDS), [weight for _, weight in KINDS.values()]
    return [_make(r, kind, KINDS[kind][0](r), r.random() < 0.5) for kind in r.choices(names, weights, k=count)]


def groups(count: int, size: int = 16, distinct: int = 4, seed: int = 0) -> list[Pair]:
    """Make groups of completions to one prompt each, with at most `distinct` different answers, as GRPO samples them."""
    r = random.Random(seed)
    names, weights = list(KINDS), [weight for _, weight in KINDS.values()]
    pairs = []
    for kind in r.choices(names, weights, k=count):
        gold, same, different = KINDS[kind][0](r)
        answers = [(gold, True), (r.choice(same), True), *((answer, False) for answer in different)]
        answers = r.sample(answers, min(len(answers), r.randint(1, distinct)))
        for _ in range(size):
            answer, right = r.choice(answers)
            pairs.append(Pair(kind, solution(gold), answer, trace(r, rf"The answer is $\boxed{{{answer}}}$."), right))
    return pairs


def from_data(folder: Path, count: int, seed: int = 0) -> Iterator[Pair]:
    """Make pairs of the golds of a data set, `math_train.json` in the folder: each itself, restated, or perturbed."""
    from trl_r1.verify import read_gold

    from .golds import perturbed, restated

    r = random.Random(seed)
    rows = json.loads((folder / "math_train.json").read_text(encoding="utf-8"))
    for row in r.sample(rows, min(count, len(rows))):
        gold = read_gold(row["answer"])
        changed = perturbed(gold) if gold is not None else None
        if changed is None:
            continue
        manner = r.choice(["itself", "restated", "perturbed"])
        answer = {"itself": gold, "restated": restated(gold), "perturbed": changed}[manner]
        completion = trace(r, rf"The answer is $\boxed{{{answer}}}$.")
        yield Pair(f"MATH, {manner}", solution(gold), answer, completion, manner != "perturbed")
