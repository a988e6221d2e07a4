"""What a sentence says beside its value, taken off: where it is attained, why, for which letters, what it is rounded. Pure."""

import itertools
import re


_LONGEST_WHOLE = 2_000
# Beside the value: where it is attained, why it is so, for which letters it holds, what it is rounded.
_ASIDE = re.compile(
    r"\s*[(（][^()（）=]*\d[^()（）=]*[×÷][^()（）=]*[)）][\s.。*]*$|[，,；;。.]?\s*[(（]?(?:\bcheck|\bverification|检验|验算)\s*[:：].*$|"
    r"\s*,?\s+(?:and|with)\s+[^,\d]*\b(?:nothing|no)\b[^,\d]*\b(?:left|over|remaining|remainder|change)\b[^,\d]*$|"
    r"\s+and (?:it |this )?(?:is |are )?(?:attained|achieved|reached|occurs)\b.*$|"
    r"\s*(?:[,;(（，—]|\s-\s)\s*(?:and\s+|which\s+|that\s+|it\s+)?(?:is\s+|are\s+|was\s+|being\s+)?(?:only\s+|exactly\s+)?"
    r"(?:(?:attained|achieved|reached|obtained|reali[sz]ed|occurr?(?:s|ed|ing)?|happen(?:s|ed|ing)?|(?:with )?equality|when|where|with|provided|for|at|"
    r"since|as|because)\b|此时|当)[^,，]*(?:[,，]\s*(?:and\s+)?\$?\\?[A-Za-z]\w*\s*=[^,，]*)*$|"
    r"(?<=\S)\s+(?:(?:for (?:all|every|any)|where)\b|for \$?[A-Za-z]\s*(?:\\(?:n?eq?|ge|le|in|geq|leq)(?![A-Za-z])|[<>≠≥≤]))[^,]*$|"
    r"(?:\s*[,;(（，]\s*|\s+)(?:or |which is |that is |i\.e\.,? )?(?:about|approximately|roughly|approx\.?|≈|约为?)\s*\$?(?:\\\$)?-?\d[\d.,]*"
    r"(?:\s*\\?%)?\$?(?:\s+[a-z]+){0,2}\s*[)）]?[.。]?$",
    re.IGNORECASE,
)
_AT = re.compile(
    r"(\b(?:minim\w+|maxim\w+|least|greatest|smallest|largest|value)\b[^.]{0,80}?\b(?:is|of|equals|value|=)\s+\$?-?[\d\\][^\s$]*\$?)\s+"
    r"(?:when|at|for|if|where|which)\b.*$",
    re.IGNORECASE,
)
# A value with what it counts, and which letters that has: `**42** ordered pairs $(a, b)$`. `the 3 friends` are no value.
_VALUE_AND_NOUNS = re.compile(
    r"(?<![\w.,$\\])(?<!\b[Tt]he )(?<!\b(?:[Dd]ay|all|any) )(?<!\b(?:[Tt]hese|[Tt]hose|first|other) )"
    r"(?:\*\*)?(?:\\?[$¥€£]-?\d[\d,.]*\$?|-?\d[\d,.]*(?:/\d+)?(?:\s?\\?%)?|\$[^$]*\d[^$]*\$|\\\((?:(?!\\[()]).)*\d(?:(?!\\[()]).)*\\\))(?:\*\*)?"
    r"(?:\s+(?!(?:and|or|but|so|then|plus|minus|times|is|are|was|were|than|equals|to|by|percent|less)\b)[A-Za-z'/-]+){0,5}"
    r"(?:\*\*)?(?P<letters>(?:\s+(?:\$\(?[A-Za-z](?:_\w)?(?:, ?[A-Za-z](?:_\w)?)*\)?\$|\\\([A-Za-z]\\\))(?:\s+integers)?)?)$"
)
# How long after, for how much, to what end; and which of them.
_ADJUNCT = re.compile(
    r"(?=(?P<which>\s(?:that|such that|satisfying|for which|whose|with|between)\s|(?<=[a-z])\s(?:less than|greater than|divisible by)\s)|"
    r"\s(?:(?:after|within|during|in(?! \S*\d\S* (?:[a-z]+ )?ways)|over|for|at \\?[$€£]\S+|from (?:19|20)\d\d to|on day|on page|in week|by day|at the (?:end|beginning|start) of|by the end of|among|out of)\s|"
    r"(?:of|on|from|across|to|by) (?:the|these|those|his|her|their|its|all|each|every)\s|"
    r"to (?!get|obtain|find|have|make|give|equal|become|be\b|the\b|an?\b)[a-z]{2,} ))"
)
_STATES = re.compile(
    r"\b(?:is|are|was|were|be|equals?|gives?|has|have|leaves?|makes?|gets?|but|so|not|then|than|wrong|incorrect|false|fails?)\b|=|\band \W*\d",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:wrong|incorrect|false|fail\w*|not|but|bound|guess|estimate|and \W*\d)\b", re.IGNORECASE
)
_VALUED = re.compile(r"\d|\$[^$]*\\[^$]*\$|[=√π]")


def main_clause(sentence: str) -> str:
    """Leave out what a sentence says beside its value, if a value is left: `the least value is $-8$, attained at $x = 2$`."""
    if len(sentence) > _LONGEST_WHOLE or "?" in sentence or "？" in sentence:
        return sentence
    for pattern in (_AT, _ASIDE, _ASIDE):
        found = pattern.search(sentence)
        if found is None:
            continue
        left = found[1] if pattern is _AT else sentence[: found.start()]
        if _VALUED.search(left) and not re.match(r"\s*(?:if|when|since|as|because|for|at)\b", left, re.IGNORECASE):
            sentence = left
    if (named := _NAMES_WHAT_WAS_ASKED.match(sentence)) and not _TAKEN_BACK.search(sentence, named.end()):
        return sentence[: named.end(1)]
    return _without_adjunct(_ONLY_IF.sub("means", sentence))


# `13 is the remainder when it is divided by 17.`, `The equation holds if and only if $x = 13$.`
_NAMES_WHAT_WAS_ASKED = re.compile(
    r"((?:(?:so|thus|hence|therefore|then),?\s+)?(?:\*\*)?(?:\$[^$]*\d[^$]*\$|-?\d[\d,.]*(?<=\d)(?:/\d+)?)(?:\*\*)?)\s+(?:is|are) (?:the|our|your)\b",
    re.IGNORECASE,
)
_ONLY_IF = re.compile(r"\b(?:if and only if|iff)\b")


def _without_adjunct(sentence: str) -> str:
    """Leave out what a sentence says behind a value and what it counts: `He is 45 miles from home after 4 hours.`"""
    for found in itertools.islice(_ADJUNCT.finditer(sentence), 20):
        behind = _RANGE.sub("", sentence[found.start() :])
        end = _end_of_value(sentence, found.start())[0]
        if not end or not (found["which"] or re.search(r"[\d$]|\\\(", behind)):
            continue
        if not (_TAKEN_BACK if found["which"] else _STATES).search(behind):
            return sentence[:end]
    end, letters = _end_of_value(sentence, len(sentence.rstrip(" .")))
    return sentence[:end] if letters else sentence


def _end_of_value(sentence: str, end: int) -> tuple[int, bool]:
    """Return where a value and what it counts end, 0 if none stands there, and whether letters stand behind them."""
    value = _VALUE_AND_NOUNS.search(sentence[:end], max(0, end - 150))
    return (value.start("letters"), bool(value["letters"])) if value is not None else (0, False)


_RANGE = re.compile(r"between \S+ and \S+")
