r"""
One value against another: numbers, with units, percentages, words and bases, and expressions. Pure.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from .exact import Exact, close_enough, read_exact
from .expression import looks_mathematical, read_tree
from .prose import yes_or_no
from .units import PERCENT, Unit, compound, factor_between, take_unit
from .words import DENIAL, IN_TEXT, fraction_with_noun, number_in_words, number_with_noun, without_lead


class Unreadable(Exception):
    """The gold cannot be read, so that no answer can be judged by it."""


# leaf(gold, answer, factor) -> verdict: whether gold equals factor times the answer.
Leaf = Callable[[str, str, Fraction], bool]

_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LETTERS = re.compile(r"[A-Za-z]+")
_CONSTANTS = frozenset(["e", "i"])
_CONSTANT_COMMANDS_TEXT = (
    "frac sqrt cdot times pi infty le ge ne pm mp circ left right ldots overline lfloor rfloor lceil rceil binom "
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lg max min gcd lcm mod pmod bmod sum "
    "prod int lim det cup cap emptyset approx begin end mathbb text in langle rangle lor setminus"
)
_CONSTANT_COMMANDS = frozenset(_CONSTANT_COMMANDS_TEXT.split())
_PLAIN_FUNCTIONS_TEXT = "sqrt sin cos tan cot sec csc log ln exp lg max min gcd lcm mod abs"
_PLAIN_FUNCTIONS = frozenset(_PLAIN_FUNCTIONS_TEXT.split())
_PRIMED = re.compile(r"\w'+")
_BASE = re.compile(
    r"^\(?\s*(-?(?=[A-Fa-f]{0,8}\d)[0-9A-Fa-f]{1,200})\s*\)?\s*"
    r"(?:_\s*(?:\{\s*(?:\\text\{)?\s*(\w+)\s*\}?\s*\}|(\d+))|(?:\\text\{)?\s*\(?(?:in )?base[ -](\w+)\)?\}?)$"
)
_CHOICE_LABEL = re.compile(
    r"^(?:\\text\{\(?([A-H])\)?[.:]?\}|\(([A-H])\)|([A-H])(?:\)(?=\s)|\.(?=\s+(?!\(?[A-H]\b))))\s*[.:]?\s*(?=\S)"
)
_SECOND_LABEL = re.compile(r"\\lor(?![A-Za-z])|\bor\b|\([A-H]\)|^[^\w]*[A-H]\W*$")
_ONE_LABEL = re.compile(r"\(?[A-H]\)?")
_RADIANS_PER_DEGREE = r"\cdot\frac{\pi}{180}"


def compare_quantities(gold: str, answer: str, leaf: Leaf) -> bool:
    """
    Compare two values, each maybe with a unit.

    Args:
        gold (`str`):
            The gold, normalised. Words behind it that are no unit are dropped.
        answer (`str`):
            The answer, normalised. Words behind it must be a unit or a noun.
        leaf (`Callable`):
            Decides two expressions.

    Raises:
        [`Unreadable`], [`~verify.numeric.Undecided`]: passed on from `leaf`, or if the gold is no mathematics.
    """
    if (again := _RESTATED.match(answer)) and _same_in_units(again[1], again[2]):
        answer = again[1]
    small = compound(answer)
    if small is not None and compound(gold) is None and take_unit(gold, any_words=True)[1] is None:
        # A gold without a unit may be in either of the two.
        return any(
            compare_quantities(gold, written, leaf) for written in (small, compound(answer, large=True)) if written
        )
    gold, answer = compound(gold) or gold, small or answer
    gold_body, gold_unit = take_unit(gold, any_words=True)
    gold_exact = _number(gold_body)
    gold_is_number = gold_exact is not None or not has_letters(gold_body)
    answer_body, answer_unit = take_unit(answer, numeric=gold_is_number)
    gold_base, answer_base = _base(gold_body), _base(answer_body)
    if gold_base or (answer_base and answer_base[1] != "10"):
        return _same_digits(gold_base, answer_base, answer_body)
    if answer_base:
        answer_body = answer_base[0]
    answer_exact = _number(answer_body)
    if PERCENT in (gold_unit, answer_unit) and gold_unit != answer_unit:
        return _compare_percentage(gold_body, gold_unit, gold_exact, answer_body, answer_unit, answer_exact, leaf)
    if "degree" in (_kind(gold_unit), _kind(answer_unit)) and "\\pi" in gold_body + answer_body:
        return _compare_angles(gold_body, gold_unit, answer_body, answer_unit, leaf)
    factor = factor_between(gold_unit, answer_unit)
    if factor is None:
        return False
    if gold_exact is not None and answer_exact is not None:
        return close_enough(gold_exact, Exact(answer_exact.value * factor, answer_exact.decimal))
    if gold_is_number and (has_letters(answer_body) or "," in answer_body):
        return False
    return ask(leaf, _plainly(gold_body, gold_exact), _plainly(answer_body, answer_exact), factor)


def _same_in_units(one: str, other: str) -> bool:
    r"""Tell whether two quantities in units of one kind are the same: `150\text{ minutes}`, `2.5\text{ hours}`."""
    bodies, units = zip(*(take_unit(compound(text) or text, numeric=True) for text in (one, other)), strict=True)
    values = [read_exact(body) for body in bodies]
    if None in values or None in units or not (units[0].known and units[1].known):
        return False
    factor = factor_between(*units)
    return factor is not None and values[0].value == values[1].value * factor


# `150\text{ minutes} (2.5\text{ hours})`
_RESTATED = re.compile(r"^(.*\d.*?)\s*\(\s*(?:or |= ?|i\.e\.,? )?(\d[^()]*[A-Za-z}])\s*\)$")


def _plainly(body: str, exact: Exact | None) -> str:
    """Write a number that is no decimal as a fraction: mixed numbers and thousands are read in more than one way."""
    if exact is None or exact.decimal:
        return body
    value = exact.value
    return str(value.numerator) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def ask(leaf: Leaf, gold: str, answer: str, factor: Fraction = Fraction(1)) -> bool:
    """
    Ask a leaf, if both texts look like mathematics: prose and malformed LaTeX never reach computer algebra.

    Raises:
        [`Unreadable`]: if the gold is no mathematics.
    """
    if read_tree(gold) is None and not looks_mathematical(gold):
        raise Unreadable(gold)
    if _primed(gold) != _primed(answer):
        return False  # computer algebra takes `x'` for `x`
    return (read_tree(answer) is not None or looks_mathematical(answer)) and leaf(gold, answer, factor)


def _primed(text: str) -> set[str]:
    return set(_PRIMED.findall(text)) if "'" in text else set()


def _number(body: str) -> Exact | None:
    """Read digits, or a number in words, maybe with what is counted behind it."""
    found = read_exact(body)
    if found is None and (words := IN_TEXT.sub(r"\1", body)) and "\\" not in words:
        value = fraction_with_noun(words) or number_with_noun(words)
        if value is None and not words.isascii() and (numeral := without_lead(words)) != words:
            value = fraction_with_noun(numeral) or number_with_noun(numeral)
        found = None if value is None else Exact(Fraction(value))
    return found


def _base(body: str) -> tuple[str, str] | None:
    found = _BASE.match(IN_TEXT.sub(r"\1", body))
    if found is None:
        return None
    base = found[2] or found[3] or found[4]
    number = int(base) if base.isdigit() else number_in_words(base)
    return (found[1], str(number)) if number else None


def in_base(text: str) -> int | None:
    """Return the value of a number with a base, and of digits without one."""
    digits, base = _base(text) or (text.strip(), "10")
    try:
        return int(digits, int(base))
    except ValueError:
        return None


def _same_digits(gold: tuple[str, str] | None, answer: tuple[str, str] | None, answer_body: str) -> bool:
    """Compare numbers in a base: its digits, and the base where the answer names it."""
    if gold is None:
        return False
    return answer == gold if answer else answer_body == gold[0]


def _kind(unit: Unit | None) -> str:
    return unit.kind if unit is not None else ""


def _compare_angles(gold: str, gold_unit: Unit | None, answer: str, answer_unit: Unit | None, leaf: Leaf) -> bool:
    r"""Compare where one side is in degrees and one holds a $\pi$, so that it may be in radians."""
    if {_kind(gold_unit), _kind(answer_unit)} - {"degree", "radian", ""} or has_letters(answer):
        return False
    if _kind(gold_unit) == "degree" and _kind(answer_unit) != "degree":
        gold = f"({gold}){_RADIANS_PER_DEGREE}"
    elif _kind(answer_unit) == "degree" and _kind(gold_unit) != "degree":
        answer = f"({answer}){_RADIANS_PER_DEGREE}"
    return ask(leaf, gold, answer)


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
        return ask(leaf, gold_body, answer_body) or ask(leaf, gold_body, answer_body, Fraction(100))
    if gold_unit is not None and gold_unit.known:
        return False
    if gold_exact is not None:
        if gold_exact.value.denominator == 1:
            return False
        if answer_exact is not None:
            return close_enough(gold_exact, Exact(answer_exact.value * hundredth, True))
    return ask(leaf, gold_body, answer_body, hundredth)


def behind_label(gold: str, answer: str) -> str | None:
    r"""Return what stands behind the label of an option (`\text{(A)} s^2`), to a gold that is no label; `None` where there is none."""
    label = _CHOICE_LABEL.match(answer)
    if label is None or _ONE_LABEL.fullmatch(IN_TEXT.sub(r"\1", gold).strip()):
        return None
    behind = answer[label.end() :]
    return None if _CHOICE_LABEL.match(behind) else behind


def same_words(gold: str, answer: str) -> bool:
    """Compare a gold that is made of words and letters alone with an answer."""
    if re.match(r"[-+]", answer) and not re.match(r"[-+]", gold):
        return False  # a sign makes a letter a variable
    # One bare letter is a name, and its case matters; a label's or a word's does not.
    fold = "\\text" in gold or "(" in gold
    gold_words, answer_words = _words(gold, fold), _words(answer, fold)
    if gold_words == answer_words:
        return True
    number = number_with_noun(IN_TEXT.sub(r"\1", gold))
    if number is not None:
        body = take_unit(answer, numeric=True)[0]
        found = _number(body)
        return found is not None and found.value == number
    if is_nothing(gold) and is_nothing(answer):
        return True
    label = _CHOICE_LABEL.match(answer)
    if (
        label
        and not _SECOND_LABEL.search(answer, label.end())
        and not DENIAL.search(answer)
        and len(gold_words) == 1
        and len(gold_words[0]) == 1
    ):
        return gold_words[0].upper() == (label[1] or label[2] or label[3])
    single = all(len(word) == 1 for word in gold_words) and len(gold_words) > 1
    return single and sorted(gold_words) == sorted(answer_words)


_LEAD = re.compile(
    r"(?:so|thus|hence|therefore|then|clearly|finally|in conclusion|(?:this (?:means|shows|implies)|we (?:see|find|know|have|conclude|deduce)|it follows) that)\b,?\s*",
    re.IGNORECASE,
)
_IS = re.compile(
    r"[^.?!,]{1,70}\s+(?:is|are|was|were|will be|would be|must be|falls? on|fell on|will fall on|happen(?:s|ed)|occurs?|occurred|took place|represents?|describes?|lies?)\s+(?:\w+ (?=in |on ))?(?:an? |the |on |in )?([^?.!]+)$",
    re.IGNORECASE,
)
_OPTION = re.compile(
    r"(?:the )?(?:correct )?(?:option|choice)(?: is)? (\(?[A-H]\)?)(?: is (?:the )?(?:correct|right)(?: one| answer| choice)?)?",
    re.IGNORECASE,
)
_KIND = re.compile(r"\s+(?:functions?|numbers?|integers?|triangles?|quadrilaterals?|series|sequence|curves?)$")
_WHO = re.compile(r"\s+(?:who|that|which)\b.*")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_VERB = re.compile(
    r"\s+(?:is|was|are|were|has|had|will|can|must|won|came|got|took|finished|lied|lies|ate|made|said|told|gave|went|ran|lost|left|found|broke|stole|bought|sold|[a-z]{2,}ed|[a-z]{3,}s)\b(.*)$"
)
_LEFT_OPEN = re.compile(
    r"\b(?:or|and|either|both|but|than|if|nearly|almost|before|after|might|may|could|whether|unclear|unknown)\b|[?,;]",
    re.IGNORECASE,
)


def states_words(gold: str, answer: str) -> bool:
    """Tell whether a sentence says the words of the gold of its subject or as its subject, and names nobody else."""
    sentence = _LEAD.sub("", IN_TEXT.sub(r" \1 ", answer).strip(), count=1).strip(" .")
    words = " ".join(IN_TEXT.sub(r" \1 ", gold).split()).strip(" .")
    if (stated := yes_or_no(sentence)) is not None:
        return same_words(gold, stated)
    if DENIAL.search(sentence.replace(words, "")) or _LEFT_OPEN.search(sentence):
        return False
    if _CHINESE.search(words):
        said = re.escape(words)
        return bool(
            re.fullmatch(
                rf"(?:答[:：])?[^{_CHINESE_OPEN}]{{0,15}}[是为在]{said}的?[。.]?|(?:答[:：])?{said}[^的{_CHINESE_OPEN}]{{1,12}}",
                sentence,
            )
        )
    if option := _OPTION.fullmatch(sentence):
        return same_words(gold, option[1])
    if told := _IS.match(sentence):
        said = _WHO.sub("", told[1]).strip()
        if same_words(gold, said) or (len(words) > 2 and same_words(gold, said.rpartition(" ")[0]) and said.islower()):
            return True
    kind = _KIND.search(sentence)
    if kind and sentence.islower() and same_words(gold, sentence[: kind.start()]):
        return True  # `odd function`
    if words.endswith("s") and re.fullmatch(
        rf"(?:the|it|this)(?: \w+){{0,2}} {re.escape(words)}", sentence, re.IGNORECASE
    ):
        return True  # `The series converges.`
    behind = sentence[len(words) :] if len(words) > 1 and sentence.casefold().startswith(words.casefold()) else ""
    verb = _VERB.match(behind)
    return verb is not None and not re.search(r"\b[A-Z][a-z]", verb[1])


_CHINESE_OPEN = "比和与或不没非否若如，,、前后"
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?(?:no (?:real )?(?:solutions?|roots?)|none|(?:the )?empty set)|无解|空集", re.IGNORECASE
)


def is_nothing(text: str) -> bool:
    """Tell whether an answer says that there is nothing: the empty set, no solution."""
    return text.replace(" ", "") in ("\\emptyset", "\\{\\}") or bool(
        _NOTHING.fullmatch(IN_TEXT.sub(r"\1", text).strip(" ."))
    )


def _words(text: str, fold: bool) -> list[str]:
    plain = IN_TEXT.sub(r" \1 ", text).replace("\\lor", " ")
    words = re.findall(r"\w+", re.sub(r"(?<![A-Za-z])and(?![A-Za-z])", " ", plain))
    if len(words) > 1 and words[0].lower() in ("a", "an", "the") and all(len(word) > 1 for word in words[1:]):
        words = words[1:]
    name = len(words) == 1 and len(words[0]) == 1 and not fold
    return words if name else [word.casefold() for word in words]


def letters(text: str) -> frozenset[str]:
    """Return the letters and letter commands of a normalised expression that are no constant, function or word."""
    text = IN_TEXT.sub(" ", text)
    commands = {command for command in _COMMAND.findall(text) if command not in _CONSTANT_COMMANDS}
    runs = _LETTERS.findall(_COMMAND.sub(" ", text))
    plain = {c for run in runs if run not in _PLAIN_FUNCTIONS for c in run if c not in _CONSTANTS}
    return frozenset(commands | plain)


def has_letters(text: str) -> bool:
    """Tell whether a normalised expression holds a letter that is no constant, function or word in a text group."""
    text = IN_TEXT.sub(" ", text)
    if any(command not in _CONSTANT_COMMANDS for command in _COMMAND.findall(text)):
        return True
    plain = _COMMAND.sub(" ", text)
    return any(word not in _CONSTANTS and word not in _PLAIN_FUNCTIONS for word in _LETTERS.findall(plain))
