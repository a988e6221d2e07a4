r"""
Numbers in prose: where they stand, what unit is theirs, and what beside them denies them or makes others of them. Pure, and linear
in the text.
"""

import itertools
import re

from .units import compound, unit_named
from .words import DENIAL, NUMBER_IN_WORDS, STILL_TO_DO, changes, says_a_number, without_lead


NUMBER = re.compile(
    r"(?<![A-Za-z\d_.\\])[-+−]?\s?(?:\\\$|[$¥€£])?\s?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=[½⅓⅔¼¾⅕-⅞]))"
    r"(?:[ \t]?[½⅓⅔¼¾⅕-⅞]|[ \t]\d{1,3}/\d{1,3}(?![\d/])|(?::\d{1,2}){1,2}(?:\s?[ap]\.?m\b\.?)?|(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*(?:\\?%|percent\b|pct\b)|\s+(?:hundred|thousand|million|billion|trillion|dozen)\b|\s+and (?:a|one)[ -](?:half|quarter|third)\b)?)",
    re.IGNORECASE,
)
LISTED = re.compile(r"\s*(?:,|;|/|，|、|;|(?:,\s*)?(?:and|or)(?![A-Za-z])|和|或)\s*")
_BOTH = re.compile(r"or|and|或|和")
CLAUSE_END = re.compile(
    r"[,;:!?，。；：！？\n]|\.(?!\d)|\b(?:but|it['’]s|so|thus|hence|therefore)\b|而是|但", re.IGNORECASE
)
TEXT_GROUP = re.compile(r"\\(?:text|textbf|textrm|mbox|textnormal)\s*\{([^{}]*)\}")
# Beside a number of prose: what makes another of it, or says where it lies.
_BEFORE_NUMBER = re.compile(
    r"(?:\b(?:than|close to|near|exceeds?|surpass(?:es)?|least|most|over|under|below|above|within|almost|nearly|half|twice|thrice|double|triple|times|plus|minus|"
    r"negative|between|beyond|(?<!add )(?<!adds )(?<!adding )up to|anything but|all but|负|大于|小于|超过|不到)|[<>≤≥]|\\(?:le|ge|lt|gt)q?|"
    r"\d\s*(?:to|through|[-–—~]|到|至)|"
    r"(?:squares?|cubes?|roots?|reciprocal|half|third|quarter|inverse|opposite|negative|multiples?|powers?|factorial|logarithm|double|"
    r"percent|fraction|factors?|divisors?|out|instead)\s+of)\s*[$(]*$",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(r"[\s$,:;.)]{0,4}(?:no|not|wrong|incorrect|false)\b(?!\s*\S{0,3}\d)", re.IGNORECASE)
_BEHIND_NUMBER = re.compile(
    r"[)$]*(?:\s*(?:[百千万亿](?![米克瓦卡赫升])|倍(?!\s*[。.]?$)|[加减乘除]|分之|的[平立倒一几]|次方|[\u3400-\u9fff]?(?:半|多(?!少)|几))|\s*(?:[<>≤≥≠]|\\(?:le|ge|lt|gt|ne)q?(?![A-Za-z]))|[,;:]?\s*(?:but|which|that|it|this)\b[^.!?\d]{0,40}\b(?:wrong|incorrect|false|fails?|failed|not (?:right|true|correct))\b|(?:\s+\w+){0,3}\s+\w+er than\b|\s+(?:hundreds?|thousands?|millions?|billions?|trillions?|dozens?|squared|cubed|factorial|plus|minus|and a|times (?=as|more|the|that|larger|bigger|greater|[\d$\\])|"
    r"halves|thirds?|quarters?|fourths?|fifths?|tenths?|hundredths?|or (?:more|less|so)|(?:is |are |was )?too|is (?:an?|the) (?:upper|lower) bound)\b)",
    re.IGNORECASE,
)
BOLD = re.compile(r"(?<![*A-Za-z\d_)}])\*\*([^*\s][^*:：\n]{0,80})\*\*(?!\s*[:：])")
STATES = re.compile(
    r"\b(?:is|are|be|equals|equal to|get|obtain|gives|that|has|takes?|took|needs?|costs?)\b:?|[:：=]|等于|[是为得]",
    re.IGNORECASE,
)
NOT_STATED = re.compile(
    r"\b(?:but|any\w*|every\w*|except|unlike|than|or|if|either|both|before|after|nearly|almost)\b|[?？]|或|前|后",
    re.IGNORECASE,
)
_MORE_ARE_NEEDED = re.compile(r" more(?:[.\s]*$| (?!than)\w)")
_NEEDED = re.compile(r"\b(?:needs?|must|ha(?:s|ve) to)\b", re.IGNORECASE)
_LEFT_OPEN = re.compile(
    r"\b(?:rul\w*|exclud\w*|eliminat\w*|reject\w*|discard\w*|suppos\w*|assum\w*|guess\w*|(?<!there )were)\b|排除|假设|如果",
    re.IGNORECASE,
)
# The limit is what was asked for: `She can buy at most 36 pencils.`
_LIMIT = re.compile(
    r"\b(?:can|could|must|needs?|ha(?:s|ve) to|required?)\b[^.!?;\d]{0,40}\bat (?:most|least)\s*[$(]*$", re.IGNORECASE
)
_ASKED = re.compile(r"[^\d.!?。！？]{0,60}[?？]")
EITHER_WORD = re.compile(r"\b(?:or|either)\b|或", re.IGNORECASE)


def says(words: str) -> bool:
    """Tell whether words bound, deny or offer something else."""
    return bool(_BOUND.search(words) or DENIAL.search(words) or EITHER_WORD.search(words))


_BOUND = re.compile(r"\b(?:(?:upper|lower) bound|estimate|guess|too \w+|at (?:least|most))\b", re.IGNORECASE)


def denied(text: str, start: int, end: int) -> bool:
    """Tell whether the clause around a span of prose denies it, or makes another number of it."""
    if _BEHIND_NUMBER.match(text, end):
        return True
    if _BEFORE_NUMBER.search(text[max(0, start - 30) : start]) and not _LIMIT.search(text[max(0, start - 80) : start]):
        return True
    if _ASKED.match(text, end):
        return True
    before = text[max(0, start - 200) : start]
    for number in NUMBER.finditer(before):  # `not 3 but 4` denies the first, `not 3 and 4` both
        if not LISTED.fullmatch(before[number.end() :]):
            last = number.end()
            before = " " * last + before[last:]
    before = CLAUSE_END.split(before)[-1]
    if _DENIED_BEHIND.match(text, end) or (
        text[end : end + 1] == " "
        and not (_MORE_ARE_NEEDED.match(text, end) and _NEEDED.search(before))
        and changes(CLAUSE_END.split(text[end : end + 60])[0])
    ):
        return True
    after = STILL_TO_DO.sub("", CLAUSE_END.split(text[end : end + 200], maxsplit=1)[0])
    if _LEFT_OPEN.search(before):
        return True
    return bool(DENIAL.search(before) or DENIAL.search(after) or re.search(r"≠|\\neq?(?![A-Za-z])|!=", before))


_UNIT_BEHIND = re.compile(
    r"[$)]*[ \t\u00a0]?((?:square |cubic |sq\.? )?[A-Za-z]{2,12}(?:²|³|\^\{?[23]\}?)?(?:(?: per |/)[A-Za-z]+)?)(?![A-Za-z])|[$)]*\s?([\u3400-\u9fff]{1,4})"
)
_HALF_OF_DAY = re.compile(r" in the (morning|afternoon|evening)\b", re.IGNORECASE)
_OTHERWISE_MEANT = frozenset(["in", "am", "as", "pm", "pound", "pounds", "second", "us", "degree", "rs"])


def unit_behind(text: str, end: int) -> str:
    """Return the known unit right behind a value of prose; empty where there is none."""
    found = _UNIT_BEHIND.match(text, end)
    if found is None:
        return ""
    if found[2]:
        return next((found[2][:n] for n in range(len(found[2]), 0, -1) if unit_named(found[2][:n]).known), "")
    name = found[1].replace("²", "^2").replace("³", "^3")
    return name if unit_named(name).known and name.lower() not in _OTHERWISE_MEANT else ""


def _with_unit(text: str, found: re.Match[str]) -> str:
    if ":" in found[0] and (half := _HALF_OF_DAY.match(text, found.end())):
        return f"{found[0].strip()} {'a' if half[1].lower() == 'morning' else 'p'}.m."
    unit = unit_behind(text, found.end())
    return f"{found[0].strip()} {unit}".strip()


def number_in(text: str, last: bool) -> str | None:
    """Return the first or last number of a text; with its neighbours where three or more are listed, or an `or` parts them."""
    text = TEXT_GROUP.sub(r"\1", text)
    if "**" in text:
        text = BOLD.sub(r"\1", text)
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    between = [text[one.end() : other.start()] for one, other in itertools.pairwise(found)]
    start = end = len(found) - 1 if last else 0
    while start > 0 and LISTED.fullmatch(between[start - 1]):
        start -= 1
    while end < len(found) - 1 and LISTED.fullmatch(between[end]):
        end += 1
    if any(denied(text, number.start(), number.end()) for number in found[start : end + 1][:20]):
        return None
    if end - start >= 2 or any(_BOTH.search(joint) for joint in between[start:end]):
        joint = " or " if any(re.search("or|或", joint) for joint in between[start:end]) else ", "
        return joint.join(number[0].strip() for number in found[start : end + 1])
    at = len(found) - 1 if last else 0
    for first in (at - 1, at) if last else (at,):
        if 0 <= first < len(found) - 1:
            both = (
                text[found[first].start() : found[first + 1].end()] + " " + unit_behind(text, found[first + 1].end())
            )
            if compound(both) is not None:
                return both
    return _with_unit(text, found[at])


_CONCLUSION = re.compile(r"(?:^|,)\s*(?:and )?(?:so|thus|hence|therefore)\b,?\s*", re.IGNORECASE)
# Of a named thing, not of a value: `$5$ is the **answer**` says nothing beside the 5.
_BOLD_LAST = re.compile(
    r"(?:(?<!\bwhich)(?<!\bthat)(?<!\bthis)(?<=[A-Za-z])|\$[A-Za-z](?:\([A-Za-z]\))?\$)\s+(?:is|are|defined for) (?:an? |the )?"
    r"\*\*(?!(?i:.*\b(?:answer|solution|value|correct|right|unique|result|only|required|final|true|valid|maximum|minimum)\b))"
    r"([A-Za-z][a-z]+(?: [a-z]+){0,3})\*\*[.\s]*$"
)
_BOLD_THAT = re.compile(r"\b[Ii]t(?:['’]s| is| was) (?:an? |on )?\*\*([A-Z][a-z]+)\*\* (?:that|who|when)\b")


def words_in_bold(sentence: str) -> str | None:
    """Return the words in bold type that end a sentence of formulas (`$f(-x) = -f(x)$, so f is an **odd function**.`) or that it is about."""
    if "**" not in sentence:
        return None
    found = _BOLD_THAT.search(sentence) or (
        _BOLD_LAST.search(sentence, max(0, len(sentence) - 150)) if "$" in sentence else None
    )
    if (
        found is None
        or DENIAL.search(_CONCLUSION.split(sentence)[-1])
        or NOT_STATED.search(sentence[max(0, found.start() - 40) :])
    ):
        return None
    return found[1]


def stated_in_words(sentence: str) -> str | None:
    """Return the number in words that ends a sentence behind its verb: `The probability is two-thirds.`, `所以是五分之四。`"""
    clause = sentence.strip(" .。*")
    if clause.isascii():
        *before, clause = _CONCLUSION.split(clause)
        verbs = list(STATES.finditer(clause))
        stated = clause[verbs[-1].end() :].strip() if verbs else ""
        if before and not says_a_number(stated):
            stated = _leading_number(clause)  # `so twelve students leave early`
    else:
        clause = re.split("[，,；;：:]|就是", clause)[-1]
        stated = without_lead(clause)
    if not stated or re.search(r"[\d$]", clause) or says(clause) or not says_a_number(stated):
        return None
    return stated


def _leading_number(clause: str) -> str:
    """Return the number in words that a clause begins with, if it holds no other; empty where there is none."""
    words = clause.split()
    for count in (4, 3, 2):
        said, rest = " ".join(words[:count]), " ".join(words[count:])
        if says_a_number(said):
            changed = (changes(rest) and not said.endswith(" of")) or " than " in clause
            return "" if changed or NUMBER_IN_WORDS.search(rest) else said
    return ""


# `the quotient is 43 (in base 5)`, `the probability is 11 out of 15`, `a 1 in 15 chance that it rains`
_IN_BASE = re.compile(r"(?<![\w.,])(\d+)\$?,? \(?(?:written )?(?:in )?base[ -](\w+)\)?[.\s*]*$")
_OUT_OF = re.compile(
    r"\b(?:probability|chance)\b[^\d]*\bis (\d+) (?:out of|in) (\d+)[.\s*]*$|\ban? (\d+)[ -](?:out of|in)[ -](\d+) (?:chance|probability)\b[^\d]*$"
)
_COORDINATES = re.compile(
    r"(?:横坐标[是为]|x-coordinate (?:is|equals))\s*\$?(-?[\d\\][^\s$，,]{0,30})\$?(?:[，,]\s*|,? and (?:the |its )?)"
    r"(?:纵坐标[是为]|y-coordinate (?:is|equals))\s*\$?(-?[\d\\][^\s$，,。]{0,30}?)\$?[。.\s]*$"
)


def stated_in_two_numbers(sentence: str) -> str | None:
    """Return the number with its base, the probability as a fraction, or the point by its coordinates, that ends a sentence."""
    found = _IN_BASE.search(sentence) or _OUT_OF.search(sentence) or _COORDINATES.search(sentence)
    if found is None or denied(sentence, found.start(), found.end()):
        return None
    if found.re is _IN_BASE:
        return f"{found[1]} in base {found[2]}"
    if found.re is _COORDINATES:
        return f"({found[1]}, {found[2]})"
    return f"{found[1] or found[3]}/{found[2] or found[4]}"
