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
    return sentence
