r"""
Are right answers paid however they are written, and is a right answer to another question not?

    python -m tests.benchmarks.rewritings --data DIR [--each 150] [--cross 600] [--out refused.json]

Golds of MATH, GSM8K and CMATH are written in some seventy natural forms, each of which keeps the value: by a change of
typography (`\dfrac`, `½`, thin spaces), of notation (`0 \le x \le 1` for `[0,1]`, `x=1, y=2` for `(1,2)`), with words, units and
names around it, in several boxes, in a sentence. A form is tried on up to `--each` golds that it fits, drawn from a seed. Refused ones
are counted and listed by form. Then `--cross` golds of MATH are put to each other as answers; pairs that are paid although an
independent reading (`independently_equal`) finds them different are listed.

Exit code 1 if more than 2 % of all rewritings, or 10 % of one form's, are refused, or one cross pair is paid wrongly.
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from trl_r1.rewards import math_accuracy


SETS = {"math_train.json": "answer", "gsm8k_test.jsonl": "answer", "cmath_test.jsonl": "answer"}
Form = Callable[[str], str | None]

_INTEGER = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?\d*\.\d+")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}|(-?)(\d+)/(\d+)()")
_DEGREES = re.compile(r"(\d+)\s*\^\{?\\circ\}?")
_ROOT = re.compile(r"(\d*)\s*\\sqrt\{(\d+)\}")
_PAIR = re.compile(r"\((-?[\d./]+), ?(-?[\d./]+)\)")
_TRIPLE = re.compile(r"\((-?\d+), ?(-?\d+), ?(-?\d+)\)")
_LIST = re.compile(r"(-?\d{1,2}), ?(-?\d{1,2})")
_CLOSED = re.compile(r"\[(-?\d+), ?(-?\d+)\]")
_RAY = re.compile(r"([\[(])(-?\d+), ?\\infty\)")
_UNION = re.compile(r"\(-\\infty, ?(-?\d+)\) ?\\cup ?\((-?\d+), ?\\infty\)")
_COMPLEX = re.compile(r"(-?\d+) ?([-+]) ?(\d+)i")
_POLYNOMIAL = re.compile(r"[-+x\d^ ]*x[-+x\d^ ]*")
_WORD = re.compile(r"\\text\{([A-Za-z]+)\}|([A-Za-z]{4,})()")
_PERCENT = re.compile(r"(\d+)\s*\\?%")
_MONEY = re.compile(r"\\\$(\d+(?:\.\d+)?)")
_MATRIX = re.compile(r"\\begin\{pmatrix\}(.*?)\\end\{pmatrix\}")
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_HAN = "零一二三四五六七八九"


def fits(pattern: re.Pattern[str], write: Callable[..., str | None]) -> Form:
    """Make a form of golds that a pattern fits as a whole; `write` gets its groups, without those that are empty."""

    def form(gold: str) -> str | None:
        found = pattern.fullmatch(gold.strip())
        if not found:
            return None
        groups = found.groups()
        if pattern in (_FRACTION, _WORD) and len(groups) > 3:
            groups = groups[:3] if groups[1] else groups[3:6]
        return write(*groups) if groups else write(found[0])

    return form


def grouped(mark: str) -> Form:
    return fits(_INTEGER, lambda n: f"{int(n):,}".replace(",", mark) if len(n) > 4 else None)


def in_words(n: str) -> str | None:
    """Write a whole number below 1,000 in English words."""
    value = int(n)
    if not 0 <= value < 1000:
        return None
    ones, tens = _ONES.split(), _TENS.split()
    below = lambda k: ones[k] if k < 20 else tens[k // 10 - 2] + (f"-{ones[k % 10]}" if k % 10 else "")  # noqa: E731
    if value < 100:
        return below(value)
    rest = f" and {below(value % 100)}" if value % 100 else ""
    return f"{ones[value // 100]} hundred{rest}"


def in_han(n: str) -> str | None:
    """Write a whole number below 100 in Chinese numerals."""
    value = int(n)
    if not 0 < value < 100:
        return None
    if value < 10:
        return _HAN[value]
    return ("" if value < 20 else _HAN[value // 10]) + "十" + (_HAN[value % 10] if value % 10 else "")


def terminating(sign: str, above: str, below: str) -> str | None:
    rest = int(below)
    for factor in (2, 5):
        while rest and rest % factor == 0:
            rest //= factor
    return f"{sign}{int(above) / int(below):.12f}".rstrip("0") if rest == 1 else None


def recurring(mark: Callable[[str, str], str | None]) -> Form:
    def write(sign: str, above: str, below: str) -> str | None:
        whole, rest = divmod(int(above), int(below) or 1)
        digits, seen = "", {}
        while rest and rest not in seen and len(digits) < 7:
            seen[rest] = len(digits)
            rest *= 10
            digits, rest = digits + str(rest // int(below)), rest % int(below)
        if rest not in seen:
            return None
        written = mark(digits[: seen[rest]], digits[seen[rest] :])
        return f"{sign}{whole}.{written}" if written else None

    return fits(_FRACTION, write)


def mixed(sign: str, above: str, below: str) -> str | None:
    whole, rest = divmod(int(above), int(below))
    return rf"{sign}{whole}\frac{{{rest}}}{{{below}}}" if whole and rest else None


def dotted(head: str, tail: str) -> str:
    return head + (rf"\dot{{{tail}}}" if len(tail) == 1 else rf"\dot{{{tail[0]}}}{tail[1:-1]}\dot{{{tail[-1]}}}")


def plain(gold: str) -> bool:
    """Tell whether a gold is one value without a name, words or commas."""
    return not re.search(r"[=,<>:_]|\\(?:text|mbox|in|cup|le|ge|begin|pm|approx)", gold) and bool(gold.strip())


def box(text: str | None) -> str | None:
    return None if text is None else rf"\boxed{{{text}}}"


def boxed(form: Form) -> Form:
    return lambda gold: box(form(gold))


def value(write: Callable[[str], str]) -> Form:
    return lambda gold: box(write(gold)) if plain(gold) else None


def number(write: Callable[[str], str | None]) -> Form:
    return lambda gold: box(write(gold)) if _INTEGER.fullmatch(gold) or _DECIMAL.fullmatch(gold) else None


def whole(write: Callable[[str], str | None]) -> Form:
    return boxed(fits(re.compile(r"(\d+)"), write))


def system(*names: str) -> Callable[..., str]:
    return lambda *values: (
        r"\begin{cases} " + r" \\ ".join(f"{n} = {v}" for n, v in zip(names, values)) + r" \end{cases}"
    )


FORMS: dict[str, Form] = {
    # around the box
    "in a box": box,
    "in a formula": lambda g: rf"Thus $\boxed{{{g}}}$.",
    "displayed": lambda g: rf"\[\boxed{{{g}}}\]",
    "box in a box": lambda g: rf"\boxed{{\boxed{{{g}}}}}",
    "announced": lambda g: f"The answer is ${g}$." if plain(g) else None,
    "announced in bold": lambda g: f"**Final Answer:** ${g}$" if plain(g) else None,
    "GSM8K": lambda g: f"So it follows.\n#### {g}" if plain(g) else None,
    "a named box": lambda g: rf"We get $N = \boxed{{{g}}}$." if plain(g) else None,
    "a box with a unit behind": lambda g: rf"$\boxed{{{g}}}$ units." if _INTEGER.fullmatch(g) else None,
    # words in the box
    "therefore": value(lambda g: rf"\therefore {g}"),
    "the answer is": value(lambda g: rf"\text{{The answer is }} {g}"),
    "a sentence": value(lambda g: f"Therefore, the value is ${g}$."),
    "a name": value(lambda g: f"N = {g}"),
    "a name in words": value(lambda g: rf"\text{{Total}} = {g}"),
    "a function's value": value(lambda g: f"f(3) = {g}"),
    "an angle": value(lambda g: rf"\angle ABC = {g}"),
    "a length": value(lambda g: f"|AB| = {g}"),
    "approximately": number(lambda g: rf"x \approx {g}"),
    "as text": number(lambda g: rf"\text{{{g}}}"),
    "in bold": number(lambda g: rf"\textbf{{{g}}}"),
    "mathbf": value(lambda g: rf"\mathbf{{{g}}}" if "{" not in g else g),
    "coloured": value(lambda g: rf"\color{{red}}{{{g}}}"),
    # numbers
    "decimal zeros": boxed(lambda g: f"{g}.00" if _INTEGER.fullmatch(g) else None),
    "plus": boxed(lambda g: f"+{g}" if re.fullmatch(r"\d+", g) else None),
    "money": whole(lambda n: rf"\${n}"),
    "money as text": whole(lambda n: rf"\text{{\$}}{n}"),
    "dollars": whole(lambda n: rf"{n} \text{{ dollars}}"),
    "a noun": whole(lambda n: rf"{n}\text{{ apples}}"),
    "a noun and more": whole(lambda n: rf"{n}\text{{ apples left in total}}"),
    "a plain noun": whole(lambda n: f"{n} marbles"),
    "a unit": whole(lambda n: rf"{n}\ \text{{cm}}"),
    "a unit set upright": whole(lambda n: rf"{n}\,\mathrm{{m}}"),
    "a rate": whole(lambda n: rf"{n} \text{{ miles per hour}}"),
    "square units": whole(lambda n: rf"{n} \text{{ square units}}"),
    "a measure word": whole(lambda n: f"{n}个"),
    "in Chinese": whole(lambda n: f"一共{n}元"),
    "announced in Chinese": lambda g: f"所以答案是{g}。" if re.fullmatch(r"\d+", g) else None,
    "in words": whole(lambda n: rf"\text{{{in_words(n)}}}" if in_words(n) else None),
    "words and a noun": whole(lambda n: rf"\text{{{in_words(n)} apples}}" if in_words(n) and int(n) > 1 else None),
    "Chinese numerals": whole(in_han),
    "thousands by comma": boxed(grouped(",")),
    "thousands in braces": boxed(grouped("{,}")),
    "thousands by \\,": boxed(grouped("\\,")),
    "thousands by thin space": boxed(grouped("\u2009")),
    "thousands by narrow space": boxed(grouped("\u202f")),
    "thousands by hard space": boxed(grouped("\u00a0")),
    "thousands by space": boxed(grouped(" ")),
    "scientific": boxed(fits(re.compile(r"(\d+)"), lambda n: f"{n[0]}.{n[1:]}e{len(n) - 1}" if len(n) > 3 else None)),
    "power of ten": boxed(
        fits(re.compile(r"(\d+)"), lambda n: rf"{n[0]}.{n[1:]} \times 10^{{{len(n) - 1}}}" if len(n) > 3 else None)
    ),
    "thousand": boxed(fits(re.compile(r"(\d+)000"), lambda n: rf"{n}\text{{ thousand}}")),
    "full width": boxed(
        fits(re.compile(r"(\d+)"), lambda n: n.translate(str.maketrans("0123456789", "０１２３４５６７８９")))
    ),
    "sum": whole(lambda n: f"{int(n) + 3} - 3 = {n}"),
    # fractions
    "slash": boxed(fits(_FRACTION, lambda s, a, b: f"{s}{a}/{b}")),
    "dfrac": boxed(fits(_FRACTION, lambda s, a, b: rf"{s}\dfrac{{{a}}}{{{b}}}")),
    "over": boxed(fits(_FRACTION, lambda s, a, b: rf"{s}{{{a} \over {b}}}")),
    "bare fraction": boxed(fits(_FRACTION, lambda s, a, b: rf"{s}\frac {a}{b}" if len(a) == len(b) == 1 else None)),
    "inner sign": boxed(fits(_FRACTION, lambda s, a, b: rf"\frac{{-{a}}}{{{b}}}" if s else None)),
    "expanded": boxed(fits(_FRACTION, lambda s, a, b: rf"{s}\frac{{{2 * int(a)}}}{{{2 * int(b)}}}")),
    "mixed number": boxed(fits(_FRACTION, mixed)),
    "decimal": boxed(fits(_FRACTION, terminating)),
    "dotted": boxed(recurring(dotted)),
    "overlined": boxed(recurring(lambda head, tail: rf"{head}\overline{{{tail}}}")),
    "recurring in brackets": boxed(recurring(lambda head, tail: f"{head}({tail})")),
    "recurring with dots": boxed(recurring(lambda head, tail: f"{head}{tail * 3}..." if len(tail) < 3 else None)),
    "fraction of a decimal": boxed(lambda g: str(Fraction(g)) if _DECIMAL.fullmatch(g) else None),
    "decimal as percentage": boxed(
        lambda g: rf"{float(Fraction(g) * 100):g}\%" if re.fullmatch(r"0?\.\d{2}", g) else None
    ),
    # units that the gold has
    "degrees ^o": boxed(fits(_DEGREES, lambda n: f"{n}^o")),
    "degrees º": boxed(fits(_DEGREES, lambda n: f"{n}º")),
    "degrees °": boxed(fits(_DEGREES, lambda n: f"{n}°")),
    "degrees in words": boxed(fits(_DEGREES, lambda n: rf"{n}\text{{ degrees}}")),
    "degrees dropped": boxed(fits(_DEGREES, lambda n: n)),
    "radians": boxed(fits(_DEGREES, lambda n: rf"\frac{{{n}\pi}}{{180}}")),
    "percent in words": boxed(fits(_PERCENT, lambda n: f"{n} percent")),
    "percentage as decimal": boxed(fits(_PERCENT, lambda n: f"{int(n) / 100}")),
    "money in words": boxed(fits(_MONEY, lambda n: rf"{n}\text{{ dollars}}")),
    # roots, letters
    "root sign": boxed(fits(_ROOT, lambda k, n: f"{k}√{n}")),
    "sqrt()": boxed(fits(_ROOT, lambda k, n: f"{k}*sqrt({n})" if k else f"sqrt({n})")),
    "half power": boxed(fits(_ROOT, lambda k, n: rf"{k} \cdot {n}^{{1/2}}" if k else f"{n}^{{1/2}}")),
    "imaginary unit": boxed(fits(_COMPLEX, lambda a, s, b: rf"{a}{s}{b}\mathrm{{i}}")),
    "imaginary part first": boxed(
        fits(_COMPLEX, lambda a, s, b: f"{s if s == '-' else ''}{b}i {a if a[0] == '-' else '+' + a}")
    ),
    "a function": boxed(lambda g: f"f(x) = {g}" if _POLYNOMIAL.fullmatch(g) else None),
    "stars": boxed(lambda g: re.sub(r"(\d)x", r"\1*x", g).replace("^", "**") if _POLYNOMIAL.fullmatch(g) else None),
    # tuples
    "left and right": boxed(fits(_PAIR, lambda a, b: rf"\left( {a},\, {b} \right)")),
    "named tuple": boxed(fits(_PAIR, lambda a, b: f"(x, y) = ({a}, {b})")),
    "a point": boxed(fits(_PAIR, lambda a, b: f"P({a}, {b})")),
    "named values": boxed(fits(_PAIR, lambda a, b: f"x = {a}, y = {b}")),
    "named values and": boxed(fits(_PAIR, lambda a, b: rf"x = {a} \text{{ and }} y = {b}")),
    "a system": boxed(fits(_PAIR, system("x", "y"))),
    "a box each": fits(_PAIR, lambda a, b: rf"$x = \boxed{{{a}}}$ and $y = \boxed{{{b}}}$"),
    "a vector": boxed(fits(_TRIPLE, lambda *v: rf"\vec{{v}} = ({', '.join(v)})")),
    "angle brackets": boxed(fits(_TRIPLE, lambda *v: rf"\langle {', '.join(v)} \rangle")),
    # lists
    "reversed": boxed(fits(_LIST, lambda a, b: f"{b}, {a}")),
    "and": boxed(fits(_LIST, lambda a, b: rf"{a} \text{{ and }} {b}")),
    "or": boxed(fits(_LIST, lambda a, b: rf"x = {a} \text{{ or }} x = {b}")),
    "numbered": boxed(fits(_LIST, lambda a, b: f"x_1 = {a}, x_2 = {b}")),
    "a set": boxed(fits(_LIST, lambda a, b: rf"\{{{a}, {b}\}}")),
    "boxes and": fits(_LIST, lambda a, b: rf"$\boxed{{{a}}} \text{{ and }} \boxed{{{b}}}$"),
    "boxes, commas": fits(_LIST, lambda a, b: rf"The values are $\boxed{{{a}}}$, $\boxed{{{b}}}$."),
    # sets
    "condition": boxed(fits(_CLOSED, lambda a, b: rf"{a} \le x \le {b}")),
    "member": boxed(fits(_CLOSED, lambda a, b: rf"x \in \left[{a}, {b}\right]")),
    "condition of a ray": boxed(fits(_RAY, lambda o, a: rf"x {'>' if o == '(' else chr(92) + 'ge'} {a}")),
    "condition in a sentence": boxed(
        fits(_RAY, lambda o, a: rf"Therefore $x {'>' if o == '(' else chr(92) + 'ge'} {a}$ is the solution.")
    ),
    "union by or": boxed(fits(_UNION, lambda a, b: rf"(-\infty, {a}) \text{{ or }} ({b}, \infty)")),
    "conditions by or": boxed(fits(_UNION, lambda a, b: rf"x < {a} \text{{ or }} x > {b}")),
    "union sign": boxed(fits(_UNION, lambda a, b: f"(−∞, {a})∪({b}, ∞)")),
    # words and matrices
    "plain word": boxed(lambda g: (m := _WORD.fullmatch(g)) and (m[1] or m[2])),
    "small word": boxed(lambda g: (m := _WORD.fullmatch(g)) and (m[1] or m[2]).lower() if len(g) > 8 else None),
    "bold word": boxed(lambda g: (m := _WORD.fullmatch(g)) and rf"\textbf{{{m[1] or m[2]}}}"),
    "square matrix": boxed(lambda g: g.replace("pmatrix", "bmatrix") if _MATRIX.fullmatch(g) else None),
    "named matrix": boxed(lambda g: rf"\mathbf{{A}} = {g}" if _MATRIX.fullmatch(g) else None),
}


def golds_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield data set and final answer of each row."""
    for name, column in SETS.items():
        path = folder / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
        for row in rows:
            gold = str(row[column] or "").rpartition("####")[2].strip()
            if gold:
                yield name, gold.replace(",\\!", "").replace("{,}", "") if re.fullmatch(r"[\d,\\!{}]+", gold) else gold


def try_forms(golds: list[str], each: int, seed: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Put each form to up to `each` golds that it fits; return how many were tried of each, and what was refused."""
    tried: dict[str, int] = {}
    refused = []
    for name, form in FORMS.items():
        generator = random.Random(f"{seed}/{name}")
        chosen = [(gold, text) for gold in generator.sample(golds, len(golds)) if (text := form(gold))][:each]
        rewards = math_accuracy(
            completions=[f"<think>so</think> {text}" for _, text in chosen], solution=[gold for gold, _ in chosen]
        )
        tried[name] = len(chosen)
        refused += [
            {"form": name, "gold": gold, "answer": text, "reward": reward}
            for (gold, text), reward in zip(chosen, rewards, strict=True)
            if reward != 1.0
        ]
    return tried, refused


_DROPPED = re.compile(r"\\(?:text|mbox)\s*\{[^{}]*\}|\\[!,; ]|\\\$|\\?%|\^\{?\\circ\}?|\\left|\\right|[\s$]")


def independently_equal(one: str, other: str) -> bool:
    """Tell whether two golds are equal as texts without units or to math-verify: as they are, without units, in radians."""
    from math_verify import parse, verify

    texts = [_DROPPED.sub("", gold).replace("dfrac", "frac").replace("tfrac", "frac") for gold in (one, other)]
    if texts[0] == texts[1]:
        return True
    in_radians = [re.sub(r"\^\{?\\circ\}?", r"\\cdot \\frac{\\pi}{180}", gold) for gold in (one, other)]
    for pair in ((one, other), texts, in_radians):
        parsed = [parse(f"${gold}$") for gold in pair]
        if verify(*parsed) or verify(*parsed[::-1]):
            return True
    return False


def cross(golds: list[str], count: int, seed: int) -> tuple[int, list[tuple[str, str]]]:
    """Answer each of some golds with every other; return how many pairs were tried, and those paid wrongly."""
    chosen = random.Random(seed).sample(sorted(set(golds)), min(count, len(set(golds))))
    wrong = []
    for gold in chosen:
        rewards = math_accuracy(
            completions=[rf"</think> \boxed{{{other}}}" for other in chosen], solution=[gold] * len(chosen)
        )
        paid = [other for other, reward in zip(chosen, rewards, strict=True) if reward and other != gold]
        wrong += [(gold, other) for other in paid if not independently_equal(gold, other)]
    return len(chosen) ** 2, wrong


def main(argv: list[str] | None = None) -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the files")
    parser.add_argument("--each", type=int, default=150, help="golds to a form")
    parser.add_argument("--cross", type=int, default=600, help="golds of MATH that answer each other")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write what was refused as JSON")
    args = parser.parse_args(argv)
    found = list(golds_of(args.data))
    tried, refused = try_forms([gold for _, gold in found], args.each, args.seed)
    by_form = {name: [one for one in refused if one["form"] == name] for name in tried}
    for name, count in tried.items():
        print(f"{name:<28}{count:>6}{len(by_form[name]):>6} refused")
        for one in by_form[name]:
            print(f"    {one['gold']}  by  {one['answer']}: {one['reward']}")
    share = len(refused) / max(1, sum(tried.values()))
    worst = max((len(by_form[name]) / count for name, count in tried.items() if count), default=0.0)
    print(
        f"\n{len(tried)} forms, {sum(tried.values())} rewritings: {len(refused)} refused ({share:.2%}), worst form {worst:.1%}"
    )
    pairs, wrong = cross([gold for name, gold in found if name.startswith("math")], args.cross, args.seed)
    for gold, other in wrong:
        print(f"    {gold}  paid for  {other}")
    print(f"{pairs} cross pairs: {len(wrong)} paid wrongly")
    if args.out:
        args.out.write_text(json.dumps(refused, indent=1, ensure_ascii=False), encoding="utf-8")
    return int(not found or share > 0.02 or worst > 0.1 or bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
