r"""
The verdict on one pair, but for the mathematics of its leaves. Pure.

The same code runs in two places: in the caller's process with a leaf that decides only plain expressions and raises
[`~verify.numeric.Undecided`] for the rest, and in a worker with a leaf that asks computer algebra. What the first decides the
second would decide the same way, so the fast path cannot change a verdict.

Rules that keep a verdict from being fooled:
- every numeric part of a chain of equations in the answer must be equal to its last part: neither `5=4` nor
  `x=1=2=3=4` answers 4, while `x=4` and `2+2=4` do;
- a number is not answered by an expression that contains letters other than constants;
- as many elements as the gold has, each used once; the order counts in tuples, not in lists and sets.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from .exact import Exact, close_enough, read_exact
from .intervals import same_set
from .normal import normalise, squeeze
from .numeric import Undecided, compare_equations, compare_values
from .structure import Node, split_outside, take_apart
from .units import PERCENT, Unit, factor_between, take_unit


class Unreadable(Exception):
    """The gold cannot be read, so that no answer can be judged by it."""


# leaf(gold, answer, factor) -> verdict: whether gold equals factor times the answer.
Leaf = Callable[[str, str, Fraction], bool]

_EQUALS = re.compile(r"(?<![<>!\\:=])=(?!=)")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|lt|gt|in|subset|equiv)(?![A-Za-z])|!=")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LETTERS = re.compile(r"[A-Za-z]+")
_CONSTANTS = frozenset(["e", "i"])
_KNOWN_COMMANDS = (
    "frac sqrt cdot times pi infty le ge ne pm mp circ left right ldots overline lfloor rfloor lceil rceil binom "
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lg max min gcd lcm mod pmod bmod "
    "sum prod int lim det cup cap emptyset approx begin end mathbb text in langle rangle"
)
_CONSTANT_COMMANDS = frozenset(_KNOWN_COMMANDS.split())
_KNOWN_FUNCTIONS = "sqrt sin cos tan cot sec csc log ln exp lg max min gcd lcm mod abs"
_PLAIN_FUNCTIONS = frozenset(_KNOWN_FUNCTIONS.split())
_TEXT_GROUP = re.compile(r"\\text\{([^{}]*)\}")
_APPROXIMATELY = re.compile(r"\s*\\approx(?![A-Za-z])\s*|\s*\\simeq(?![A-Za-z])\s*")
_BASE = re.compile(r"^\(?\s*(-?(?=[A-Fa-f]{0,8}\d)[0-9A-Fa-f]{1,200})\s*\)?_\s*(?:\{\s*(\d+)\s*\}|(\d+))$")
_CHOICE_LABEL = re.compile(r"^(?:\\text\{\(?([A-H])\)?[.:]?\}|\(([A-H])\))\s*[.:]?\s*(?=\S)")
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WORDS = {word: number for number, word in enumerate(_NUMBER_WORDS.split())}


def compare(gold: str, answer: str, leaf: Leaf) -> bool:
    """
    Tell whether an answer is equal to the gold.

    Args:
        gold (`str`):
            The reference, as [`~verify.gold.read_gold`] returns it.
        answer (`str`):
            The final answer, as [`~verify.extract.final_answer`] returns it.
        leaf (`Callable`):
            Decides two single values.

    Raises:
        [`~verify.numeric.Undecided`], [`Unreadable`]: passed on from `leaf`.
    """
    gold_text, answer_text = normalise(gold), normalise(answer)
    if not answer_text:
        return False
    if squeeze(gold_text) == squeeze(answer_text):
        return True
    if not gold_text:
        raise Unreadable(gold)
    readings = [part for part in _APPROXIMATELY.split(gold_text) if part]
    if len(readings) > 1 or readings != [gold_text]:
        # `\dfrac23 \approx 0.67`: the answer may be either.
        return any(compare(reading, answer_text, leaf) for reading in readings)
    closest = [part for part in _APPROXIMATELY.split(answer_text) if part]
    if len(closest) > 1 or closest != [answer_text]:
        return bool(closest) and compare(gold_text, closest[0], leaf)
    if is_text(gold_text):
        return _same_words(gold_text, answer_text)
    return _compare_nodes(take_apart(gold_text), take_apart(answer_text), leaf)


def is_text(text: str) -> bool:
    r"""Tell whether a normalised answer is made of words and letters alone: `Monday`, `\text{(A)}`, `CBAD`, `A, B`."""
    plain = _TEXT_GROUP.sub(r" \1 ", text)
    if plain != text and not re.search(r"[\\^_=<>+*/]", plain):
        return not _TEXT_GROUP.sub("", text).strip(" ,.()") and bool(re.search(r"[^\W\d_]", plain))
    if re.search(r"[\d\\^_=<>+*/|{}\[\]-]", text):
        return False
    words = re.findall(r"[^\W\d_]+", text)
    if not words:
        return False
    return all(not w.isascii() or len(w) > 3 or (w.isupper() and (len(w) > 1 or w in "ABCDEFGH")) for w in words) or (
        len(words) > 1 and any(len(w) > 3 for w in words)
    )


def _same_words(gold: str, answer: str) -> bool:
    if re.match(r"[-+]", answer) and not re.match(r"[-+]", gold):
        return False  # a sign makes a letter a variable
    # One bare letter is a name, and its case matters; a label's or a word's does not.
    fold = "\\text" in gold or "(" in gold
    gold_words, answer_words = _words(gold, fold), _words(answer, fold)
    if gold_words == answer_words:
        return True
    if len(gold_words) == 1 and gold_words[0] in _WORDS:
        found = read_exact(take_unit(answer, numeric=True)[0])
        return found is not None and found.value == _WORDS[gold_words[0]]
    label = _CHOICE_LABEL.match(answer)
    if label and len(gold_words) == 1 and len(gold_words[0]) == 1:
        return gold_words[0].upper() == (label[1] or label[2])
    letters = all(len(word) == 1 for word in gold_words) and len(gold_words) > 1
    return letters and sorted(gold_words) == sorted(answer_words)


def _words(text: str, fold: bool) -> list[str]:
    plain = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    words = re.findall(r"\w+", re.sub(r"(?<![A-Za-z])and(?![A-Za-z])", " ", plain))
    name = len(words) == 1 and len(words[0]) == 1 and not fold
    return words if name else [word.casefold() for word in words]


def _compare_nodes(gold: Node, answer: Node, leaf: Leaf) -> bool:
    if gold.kind == "value":
        return _compare_value(gold, answer, leaf)
    if answer.kind == "value" and (named := _named(answer.text)):
        inner = take_apart(named[1], as_list=gold.kind in ("round", "square", "half"))
        if inner.kind != "value":
            answer = inner
    if answer.kind == "value" and gold.kind in ("list", "round", "set", "square", "half"):
        answer = take_apart(answer.text, as_list=True)
    if gold.kind == "ratio" and answer.kind == "value":
        return _compare_value(Node("value", "/".join(part.text for part in gold.items)), answer, leaf)
    if not _shapes_agree(gold, answer):
        if _holds_infinity(gold) or gold.kind in ("union", "half") or answer.kind == "union":
            return same_set(gold, answer) is not False and leaf(gold.text, answer.text, Fraction(1))
        # `\frac{1}{2} \begin{pmatrix} ... \end{pmatrix}` is a matrix too.
        scaled = gold.kind == "matrix" and answer.kind == "value" and "matrix}" in answer.text
        return scaled and leaf(gold.text, answer.text, Fraction(1))
    if gold.kind == "union":
        if len(gold.items) == len(answer.items) and _match_any_order(gold.items, answer.items, leaf, decided=False):
            return True
        return same_set(gold, answer) is not False and leaf(gold.text, answer.text, Fraction(1))
    if len(gold.items) != len(answer.items):
        return False
    if gold.kind in ("list", "set"):
        return _match_any_order(gold.items, answer.items, leaf)
    return all(_compare_nodes(g, a, leaf) for g, a in zip(gold.items, answer.items, strict=True))


_AGREE = {
    # A bare list may be written with any brackets that do not change its meaning; a tuple may lose its own.
    "list": ("list", "set", "round"),
    "set": ("set", "list"),
    "round": ("round", "list", "matrix"),
    "square": ("square",),
    "half": ("half",),
    "matrix": ("matrix", "round"),
    "union": ("union",),
    "ratio": ("ratio",),
}


def _shapes_agree(gold: Node, answer: Node) -> bool:
    if answer.kind not in _AGREE[gold.kind]:
        return False
    if gold.kind == answer.kind:
        return gold.shape == answer.shape or gold.kind == "set"
    if "matrix" in (gold.kind, answer.kind):
        shape = gold.shape or answer.shape
        shape = gold.shape if gold.kind == "matrix" else answer.shape
        return "1" in shape.split("x")
    return True


def _holds_infinity(node: Node) -> bool:
    return node.kind in ("round", "square", "half") and "\\infty" in node.text


def _match_any_order(gold: tuple[Node, ...], answer: tuple[Node, ...], leaf: Leaf, decided: bool = True) -> bool:
    """Pair the elements off, each used once. Elements written alike are paired first, so that the rest are few."""
    left = list(answer)
    unmatched = []
    for item in gold:
        same = next((a for a in left if squeeze(a.text) == squeeze(item.text)), None)
        if same is None:
            unmatched.append(item)
        else:
            left.remove(same)
    for item in unmatched:
        found = next((a for a in left if _compare_nodes(item, a, leaf)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _compare_value(gold: Node, answer: Node, leaf: Leaf) -> bool:
    if answer.kind == "value":
        return _compare_texts(gold.text, answer.text, leaf)
    if answer.kind == "ratio" and len(answer.items) == 2:
        return _compare_texts(gold.text, "/".join(part.text for part in answer.items), leaf)
    if (same := same_set(gold, answer)) is not None:
        return same
    if _RELATION.search(gold.text) or "\\mathbb" in gold.text or (answer.kind == "matrix" and "matrix}" in gold.text):
        return leaf(gold.text, answer.text, Fraction(1))
    return False


def _compare_texts(gold: str, answer: str, leaf: Leaf) -> bool:
    """Compare two single values, each maybe `name = value`, maybe with a unit."""
    if squeeze(gold) == squeeze(answer):
        return True
    if is_text(gold):
        return _same_words(gold, answer)
    if _RELATION.search(gold) or _RELATION.search(answer):
        if (same := same_set(Node("value", gold), Node("value", answer))) is not None:
            return same
        return bool(_RELATION.search(gold)) and leaf(gold, answer, Fraction(1))
    gold_chain, answer_chain = _chain(gold), _chain(answer)
    if len(gold_chain) > 1 and not has_letters(gold_chain[0]):
        # `0.56 = 56\%`: two ways of writing the gold.
        return any(_compare_texts(reading, answer, leaf) for reading in gold_chain)
    name = gold_chain[0] if len(gold_chain) > 1 and _is_name(gold_chain[0]) else None
    if len(gold_chain) > 1 and name is None:  # an equation that is no definition: `2x + z - 5 = 0`
        return len(answer_chain) == 2 and has_letters(answer) and _same_equation(gold_chain, answer_chain, leaf)
    if not _consistent(answer_chain, leaf):
        return False
    if name is not None and len(answer_chain) > 1 and squeeze(answer_chain[0]) != squeeze(name):
        return has_letters(answer_chain[0]) and _same_equation(gold_chain, [answer_chain[0], answer_chain[-1]], leaf)
    return _compare_quantities(gold_chain[-1], answer_chain[-1], leaf)


def _same_equation(gold: list[str], answer: list[str], leaf: Leaf) -> bool:
    if len(gold) == 2:
        try:
            return compare_equations((gold[0], gold[1]), (answer[0], answer[1]))
        except Undecided:
            pass
    return leaf(" = ".join(gold), " = ".join(answer), Fraction(1))


def _chain(text: str) -> list[str]:
    return split_outside(text, _EQUALS)


def _consistent(chain: list[str], leaf: Leaf) -> bool:
    """Every part of a chain of equations that is a number must equal the last one. `= 4` alone is no chain."""
    if not chain[-1]:
        return False
    try:
        return all(has_letters(part) or _compare_quantities(chain[-1], part, leaf) for part in chain[:-1] if part)
    except Unreadable:
        return False  # the parts are the answer's: what cannot be read in them is no fault of the gold


def _named(text: str) -> tuple[str, str] | None:
    chain = _chain(text)
    return (chain[0], chain[-1]) if len(chain) == 2 and has_letters(chain[0]) else None


def _is_name(text: str) -> bool:
    r"""Tell whether a left-hand side only names the value: `x`, `AB`, `f(x)`, `k_1`, `\angle A`."""
    return has_letters(text) and not re.search(r"[+*/^-]|\d\s*[A-Za-z]|\\(?:frac|sqrt|cdot|times)", text)


def has_letters(text: str) -> bool:
    """Tell whether a normalised expression holds a letter that is no constant, function or word in a text group."""
    text = _TEXT_GROUP.sub(" ", text)
    if any(command not in _CONSTANT_COMMANDS for command in _COMMAND.findall(text)):
        return True
    plain = _COMMAND.sub(" ", text)
    return any(word not in _CONSTANTS and word not in _PLAIN_FUNCTIONS for word in _LETTERS.findall(plain))


def _compare_quantities(gold: str, answer: str, leaf: Leaf) -> bool:
    gold_body, gold_unit = take_unit(gold)
    gold_exact = read_exact(gold_body)
    gold_is_number = gold_exact is not None or not has_letters(gold_body)
    answer_body, answer_unit = take_unit(answer, numeric=gold_is_number)
    if label := _CHOICE_LABEL.match(answer_body):
        answer_body, answer_unit = take_unit(answer_body[label.end() :], numeric=gold_is_number)
    gold_base, answer_base = _BASE.match(gold_body), _BASE.match(answer_body)
    if gold_base:
        base = answer_base and (answer_base[2] or answer_base[3])
        digits = answer_base[1] if answer_base else answer_body
        return digits == gold_base[1] and base in (None, gold_base[2] or gold_base[3])
    answer_exact = read_exact(answer_body)
    if answer_exact is None and gold_exact is not None and answer_body.lower() in _WORDS:
        answer_exact = Exact(Fraction(_WORDS[answer_body.lower()]))
    if PERCENT in (gold_unit, answer_unit) and gold_unit != answer_unit:
        return _compare_percentage(gold_body, gold_unit, gold_exact, answer_body, answer_unit, answer_exact, leaf)
    factor = factor_between(gold_unit, answer_unit)
    if factor is None:
        return False
    if gold_exact is not None and answer_exact is not None:
        return close_enough(gold_exact, Exact(answer_exact.value * factor, answer_exact.decimal))
    if gold_is_number and has_letters(answer_body):
        return False
    return leaf(gold_body, answer_body, factor)


def _compare_percentage(
    gold_body: str,
    gold_unit: Unit | None,
    gold_exact: Exact | None,
    answer_body: str,
    answer_unit: Unit | None,
    answer_exact: Exact | None,
    leaf: Leaf,
) -> bool:
    """Compare where exactly one side is a percentage. See the rule in [`~verify.units`]."""
    hundredth = Fraction(1, 100)
    if gold_unit == PERCENT:
        if answer_unit is not None and answer_unit.known:
            return False
        if gold_exact is not None and answer_exact is not None:
            as_share = Exact(gold_exact.value * hundredth, gold_exact.decimal)
            return close_enough(gold_exact, answer_exact) or close_enough(as_share, answer_exact)
        return leaf(gold_body, answer_body, Fraction(1)) or leaf(gold_body, answer_body, Fraction(100))
    if gold_unit is not None and gold_unit.known:
        return False
    if gold_exact is not None:
        if gold_exact.value.denominator == 1:
            return False
        if answer_exact is not None:
            return close_enough(gold_exact, Exact(answer_exact.value * hundredth, True))
    return leaf(gold_body, answer_body, hundredth)


def fast_leaf(gold: str, answer: str, factor: Fraction) -> bool:
    """
    The leaf of the caller's process: values of plain expressions. The rest is for the workers.

    Raises:
        [`~verify.numeric.Undecided`]: if it takes computer algebra.
    """
    return compare_values(gold, answer, factor)


def normal_form(text: str) -> str:
    """Return the form under which an answer is cached: its normalised text without spaces that mean nothing."""
    return squeeze(normalise(text))
