r"""
Units of measurement, money and percentages: taken off an answer, and compared. Pure.

A unit that one side leaves out is no difference (gold `3\text{ cm}`, answer `3`). Two units that are both known must
measure the same thing, and convert (`80\text{ cents}` is `\$0.80`; `3\text{ m}` is not `3\text{ cm}`). Other nouns
(`18 clips`) say nothing about the value and are dropped; what is no noun ([`~verify.words.is_noun_phrase`]) stays, and
then the answer is no number.

A percentage is a unit with a rule of its own: gold `25\%` is answered by `25\%`, `25` and `0.25`, and gold `0.25` by
`25\%`; but a gold that is a whole number is never answered by a percentage, neither `4` by `4\%` nor `4` by `400\%`.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from .words import is_noun_phrase, number_in_words, only_leads


@dataclass(frozen=True)
class Unit:
    """
    What a number counts.

    Args:
        kind (`str`):
            What is measured: `length`, `mass`, `money:usd`, `percent`, ...; empty for a noun that is no known unit.
        power (`int`):
            2 for areas, 3 for volumes.
        scale (`Fraction`):
            Size of one unit, in the base unit of its kind.
    """

    kind: str
    power: int = 1
    scale: Fraction = Fraction(1)

    @property
    def known(self) -> bool:
        return bool(self.kind)


PERCENT = Unit("percent")
_NOUN = Unit("")

_INCH = Fraction(254, 10000)
_POUND = Fraction(45359237, 10**8)
_TABLE: dict[str, list[tuple[str, Fraction]]] = {
    "length": [
        ("mm millimeter millimetre 毫米", Fraction(1, 1000)),
        ("cm centimeter centimetre 厘米", Fraction(1, 100)),
        ("dm decimeter decimetre 分米", Fraction(1, 10)),
        ("m meter metre 米", Fraction(1)),
        ("km kilometer kilometre 千米 公里", Fraction(1000)),
        ("in inch inche", _INCH),
        ("ft foot feet", 12 * _INCH),
        ("yd yard", 36 * _INCH),
        ("mi mile", 63360 * _INCH),
    ],
    "volume": [
        ("ml milliliter millilitre 毫升", Fraction(1, 1000)),
        ("l liter litre 升", Fraction(1)),
        ("floz", Fraction(295735295625, 10**13)),
        ("gal gallon", Fraction(3785411784, 10**9)),
    ],
    "mass": [
        ("mg milligram", Fraction(1, 10**6)),
        ("g gram 克", Fraction(1, 1000)),
        ("kg kilogram 千克 公斤", Fraction(1)),
        ("t tonne 吨", Fraction(1000)),
        ("lb pound", _POUND),
        ("oz ounce", _POUND / 16),
    ],
    "time": [
        ("ms millisecond", Fraction(1, 1000)),
        ("s sec second 秒", Fraction(1)),
        ("min minute 分钟", Fraction(60)),
        ("h hr hour 小时 时", Fraction(3600)),
        ("day 天", Fraction(86400)),
        ("week", Fraction(604800)),
    ],
    "months": [("month", Fraction(1)), ("yr year", Fraction(12))],
    "length/time": [("mph", 63360 * _INCH / 3600), ("kph kmh kmph", Fraction(1000, 3600))],
    "money:usd": [("\\$ $ dollar usd buck", Fraction(1)), ("cent ¢", Fraction(1, 100))],
    "money:cny": [("¥ 元 yuan rmb cny", Fraction(1)), ("角", Fraction(1, 10))],
    "money:eur": [("€ euro eur", Fraction(1))],
    "money:gbp": [("£ gbp", Fraction(1))],
    "money:inr": [("₹ rs inr rupee", Fraction(1))],
    "degree": [("degree deg ^\\circ 度", Fraction(1))],
    "radian": [("rad radian 弧度", Fraction(1))],
    "percent": [("% \\% percent percentage pct", Fraction(1))],
}
_UNITS = {
    name: Unit(kind, 1, scale) for kind, rows in _TABLE.items() for names, scale in rows for name in names.split()
}

_SQUARE = re.compile(r"^(?:square|sq)\.?\s+|^平方")
_CUBIC = re.compile(r"^(?:cubic|cu)\.?\s+|^立方")
_FLUID = re.compile(r"\bfl(?:uid|\.)?\s*(?:oz|ounces?)\b", re.IGNORECASE)
_EXPONENT = re.compile(r"\s*\^\s*\{?\s*([23])\s*\}?$")
# In a text group, where they can be no variables.
_SYMBOLS_TEXT = "N J W V A C F K Pa Hz mol kJ kN kW kWh kPa kHz MHz cal kcal B KB MB GB TB bits ha"
_SYMBOLS_OF_PHYSICS = frozenset(_SYMBOLS_TEXT.split())
# Words that look like a unit behind a number and are mathematics.
_MATHEMATICS = "pi sqrt inf infty sin cos tan cot sec csc log ln exp mod and or"

_CJK = r"\u3400-\u9fff"
_POWER = r"(\s*\^\s*(?:\{\s*[23]\s*\}|[23]))?"
_TRAILING_PERCENT = re.compile(r"\s*\\?%$")
_TRAILING_DEGREE = re.compile(r"\s*\^\\circ\s*(?:[CF]|\\text\{\s*[CF]\s*\})?$")
_TRAILING_MONEY = re.compile(r"(?<=\d)\s*(\\\$|[¥€£])$")
_TRAILING_RATE = re.compile(
    r"\s*\\text\{([^{}]*)\}\s*(?:/\s*\\text\{([^{}/]*)\}|\\text\{([^{}/]*)\}\s*\^\s*\{\s*-1\s*\})$"
)
_TRAILING_PER = re.compile(r"(?<=\d)\s*/\s*(?:\\text\{\s*([A-Za-z]+)\s*\}|([A-Za-z]{3,}))$")
_TRAILING_FRACTION = re.compile(r"\s*\\frac\{\s*\\text\{([^{}]*)\}\s*\}\{\s*\\text\{([^{}]*)\}\s*\}()$")
_TRAILING_BRACKET = re.compile(rf"(?<=\d)\s*\(\s*(?:\\text\{{)?([-A-Za-z {_CJK}]+)\}}?\s*\)()$")
_TRAILING_TEXT = re.compile(r"\s*\\text\{([^{}]*)\}" + _POWER + r"[.\s]*$")
_TRAILING_CJK = re.compile(rf"\s*([{_CJK}][{_CJK}\s/]*){_POWER}$")
_TRAILING = (_TRAILING_RATE, _TRAILING_FRACTION, _TRAILING_PER, _TRAILING_BRACKET, _TRAILING_TEXT, _TRAILING_CJK)
_WORDS_BEHIND = r"(?:[\s/]+[A-Za-z][A-Za-z.-]*)*)" + _POWER + r"[.\s]*$"
_TRAILING_WORDS = re.compile(
    r"(?:(?<=[\d})])|(?<=\\pi)(?=\s))\s*((?:(?<=\s)[A-Za-z][A-Za-z-]*|(?<![A-Za-z])[A-Za-z]{2,}|[¢])" + _WORDS_BEHIND
)
_TRAILING_LETTERS = re.compile(r"(?:(?<=[\d})])|(?<=\\pi)(?=\s))\s*((?:[A-Za-z][A-Za-z-]*|[¢])" + _WORDS_BEHIND)
_LEADING_MONEY = re.compile(
    r"^([-+]?)\s*(?:US|USD)?\s*(?:(\\\$|\$|¥|€|£|₹|USD|RMB|[Rr]s\.?)|\\text\{\s*(USD|EUR|GBP|RMB|CNY|INR|US\\?\$|\\?\$|[Rr]s\.?)\s*\})\s*"
    r"(?=[-\d.\\(])"
)
_LEADING_CJK = re.compile(rf"^[{_CJK}\s]+[:,]?\s*(?=[-+\d.\\($])")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)")


@lru_cache(maxsize=4096)
def unit_named(name: str) -> Unit:
    """
    Look a unit up by its name.

    Args:
        name (`str`):
            Symbol or word, singular or plural, with `square`, `cubic`, `^2` or `^3`.

    Returns:
        [`Unit`]: one of kind `""` if it is no known unit.
    """
    power = 1
    if exponent := _EXPONENT.search(name):
        power, name = int(exponent[1]), name[: exponent.start()]
    name = _FLUID.sub("floz", name).strip().strip(".").strip()
    if name != "M":  # a million, not a metre
        name = name.lower()
    for pattern, value in ((_SQUARE, 2), (_CUBIC, 3)):
        if pattern.search(name):
            power, name = value, pattern.sub("", name).strip()
    if name in ("sq", "square") or not name:
        return _NOUN
    for candidate in (name, name.removesuffix("s"), name.removesuffix("es")):
        if found := _UNITS.get(candidate):
            return Unit(found.kind, power, found.scale**power)
    above, parted, below = re.sub(r"\s+(?:per|an?)\s+", "/", name).partition("/")
    if parted and above and below:
        one, other = unit_named(above.strip()), unit_named(below.strip())
        if (one.kind, other.kind) == ("length", "time"):
            return Unit("length/time", 1, one.scale / other.scale)
    return _NOUN


def take_unit(text: str, numeric: bool = False, any_words: bool = False) -> tuple[str, Unit | None]:
    r"""
    Take the unit off a normalised answer.

    Args:
        text (`str`):
            The answer, normalised.
        numeric (`bool`, *optional*, defaults to `False`):
            Whether the answer is known to be a number, so that letters right behind the digits can only be a unit:
            `5m` is then five metres and not five times *m*.
        any_words (`bool`, *optional*, defaults to `False`):
            Whether words that are no unit and no noun are dropped too: for golds, which do not try to deceive.

    Returns:
        `tuple[str, Unit | None]`: the answer without its unit, and the unit, `None` where there was none.
    """
    unit: Unit | None = None
    prefix = _LEADING_CJK.match(text)
    if prefix and (any_words or only_leads(prefix[0])):
        text = text[prefix.end() :]
    if money := _LEADING_MONEY.match(text):
        unit, text = unit_named((money[2] or money[3]).removeprefix("US")), money[1] + text[money.end() :]
    for _ in range(4):
        found = _last_unit(text, numeric, any_words)
        if found is None:
            break
        text, named = found
        if named in (PERCENT, _UNITS["degree"]):
            return text, named
        unit = _first_known(unit, named)
    return text, unit


def compound(text: str, large: bool = False) -> str | None:
    r"""
    Write a quantity in two units of one kind in one of them: `3\text{ hours }20\text{ minutes}` as `200\text{minutes}`; `None` for
    anything else.

    Args:
        text (`str`):
            The quantity, normalised.
        large (`bool`, *optional*, defaults to `False`):
            Whether the larger unit is the one.
    """
    lead = _LEADING_CJK.match(text)
    found = _COMPOUND.fullmatch(text, lead.end() if lead and only_leads(lead[0]) else 0)
    if found is None:
        return None
    large_name, small_name = found[2] or found[3], found[5] or found[6]
    above, below = unit_named(large_name), unit_named(small_name)
    if not above.known or (above.kind, above.power) != (below.kind, below.power) or above.scale <= below.scale:
        return None
    total = Fraction(found[1]) * above.scale / below.scale + Fraction(found[4])
    total *= below.scale / above.scale if large else 1
    number = str(total.numerator) if total.denominator == 1 else rf"\frac{{{total.numerator}}}{{{total.denominator}}}"
    return rf"{number}\text{{{large_name if large else small_name}}}"


_COMPOUND = re.compile(
    rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s*(?:\\text\{{\s*([A-Za-z]+)\.?(?:,? and)?\s*\}}|([A-Za-z]+?|[{_CJK}]+?))"
    rf"\s*(?:(?:,? ?(?<![A-Za-z])and(?![A-Za-z])|,|[又零])\s*)?"
    rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s*(?:\\text\{{\s*([A-Za-z]+)\.?\s*\}}|([A-Za-z]+|[{_CJK}]+))\.?"
)


def _last_unit(text: str, numeric: bool, any_words: bool) -> tuple[str, Unit] | None:
    """Take one unit, or the words of one noun phrase, off the end."""
    if found := _TRAILING_PERCENT.search(text):
        return text[: found.start()].strip(), PERCENT
    if (found := _TRAILING_DEGREE.search(text)) and found.start() and not _TRIGONOMETRY.search(text):
        return text[: found.start()].strip(), _UNITS["degree"]
    if found := _TRAILING_MONEY.search(text):
        return text[: found.start()].strip(), unit_named(found[1])
    for pattern in _TRAILING:
        found = pattern.search(text)
        if not found or not text[: found.start()].strip():
            continue
        name = (found[1] or "") + (found[2] or "")
        if pattern in (_TRAILING_RATE, _TRAILING_FRACTION):
            name = f"{found[1]}/{found[2] or found[3]}"
        unit = unit_named(name)
        before = text[: found.start()].strip()
        if pattern is _TRAILING_PER:
            return (before, _NOUN) if unit.known else None
        same = pattern is _TRAILING_BRACKET and before == str(number_in_words(found[1]))  # `58 (fifty-eight)`
        symbol = pattern is _TRAILING_TEXT and all(
            part in _SYMBOLS_OF_PHYSICS or unit_named(part).known for part in found[1].strip().split("/")
        )
        if unit.known or any_words or same or symbol or is_noun_phrase(found[1]):
            return before, unit
        return None
    words = _TRAILING_LETTERS if numeric else _TRAILING_WORDS
    if (found := words.search(text)) and _is_unit(found[1], text[: found.start()], numeric):
        unit = unit_named(found[1] + (found[2] or ""))
        if unit.known or any_words or is_noun_phrase(found[1]):
            return text[: found.start()].strip(), unit
    return None


def _first_known(*units: Unit | None) -> Unit | None:
    present = [unit for unit in units if unit is not None]
    return next((unit for unit in present if unit.known), present[0] if present else None)


def _is_unit(words: str, before: str, numeric: bool) -> bool:
    names = re.split(r"[\s/]+", words.lower())
    if not set(names).isdisjoint(_MATHEMATICS.split()):
        return False
    if unit_named(words).known:
        return numeric or len(words) > 1
    # A noun of one or two letters may be a product of variables (`2xy`); behind a space and longer it is a word.
    return (
        names[0] == "of"
        or (len(names) > 1 and len(names[0]) > 1 and unit_named(names[0]).known)
        or (len(names[0]) > 2 and (numeric or before.endswith(" ") or len(names) > 1 or len(names[0]) > 3))
    )


def factor_between(gold: Unit | None, answer: Unit | None) -> Fraction | None:
    """
    Tell by what the answer's number must be multiplied before it is compared with the gold's.

    Returns:
        `Fraction` or `None`: `None` if the two units measure different things. Percentages are not treated here.
    """
    if gold is None or answer is None or not gold.known or not answer.known:
        return Fraction(1)
    if (gold.kind, gold.power) != (answer.kind, answer.power):
        return None
    return answer.scale / gold.scale
