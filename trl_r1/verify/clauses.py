"""What a sentence says beside its value, taken off: where it is attained, why, for which letters, what it is rounded. Pure."""

import re


_LONGEST_WHOLE = 2_000
# Beside the value: where it is attained, why it is so, for which letters it holds, what it is rounded.
_ASIDE = re.compile(
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
    r"(?:\s+(?!(?:and|or|but|so|then|plus|minus|times|is|are|was|were|than|equals|to|by|percent|less|more|fewer)\b)[A-Za-z'/-]+){0,5}"
    r"(?:\*\*)?(?P<letters>(?:\s+(?:\$\(?[A-Za-z](?:_\w)?(?:, ?[A-Za-z](?:_\w)?)*\)?\$|\\\([A-Za-z]\\\))(?:\s+integers)?)?)$"
)
# How long after, for how much, to what end; and which of them.
_ADJUNCT = re.compile(
    r"(?=\s(?:(?:after|within|during|in|over|for|at the (?:end|beginning|start) of|by the end of|of (?:the|these|those)|among|between)\s|"
    r"to (?!get|obtain|find|have|reach|make|give|equal|become|be\b|the\b|an?\b)[a-z]{2,} )|(?P<which>\s(?:that|such that|satisfying|for which|whose|less than|greater than|divisible by)\s))"
)
_STATES = re.compile(
    r"\b(?:is|are|was|were|be|equals?|gives?|has|have|leaves?|makes?|gets?|but|so|not|then|than|wrong|incorrect|false|fails?)\b|=|\band \W*\d",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(r"\b(?:wrong|incorrect|false|fail\w*|not|but|is an?)\b", re.IGNORECASE)
_VALUED = re.compile(r"\d|\$[^$]*\\[^$]*\$|[=√π]")


def main_clause(sentence: str) -> str:
    """Leave out what a sentence says beside its value, if a value is left: `the least value is $-8$, attained at $x = 2$`."""
    if len(sentence) > _LONGEST_WHOLE:
        return sentence
    for pattern in (_AT, _ASIDE, _ASIDE):
        found = pattern.search(sentence)
        if found is None:
            continue
        left = found[1] if pattern is _AT else sentence[: found.start()]
        if _VALUED.search(left) and not re.match(r"\s*(?:if|when|since|as|because|for|at)\b", left, re.IGNORECASE):
            sentence = left
    return _without_adjunct(sentence)


def _without_adjunct(sentence: str) -> str:
    """Leave out what a sentence says behind a value and what it counts: `He is 45 miles from home after 4 hours.`"""
    for found in _ADJUNCT.finditer(sentence):
        behind = sentence[found.start() :]
        value = _VALUE_AND_NOUNS.search(sentence[: found.start()])
        if value is None or not (found["which"] or re.search(r"[\d$]|\\\(", behind)):
            continue
        if not (_TAKEN_BACK if found["which"] else _STATES).search(behind):
            return sentence[: value.start("letters")]
    value = _VALUE_AND_NOUNS.search(sentence.rstrip(" ."))
    return sentence[: value.start("letters")] if value is not None and value["letters"] else sentence
