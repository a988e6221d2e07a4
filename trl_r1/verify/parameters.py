r"""
Integer parameters, whose names are free: `\frac{\pi}{4} + k\pi, k \in \mathbb{Z}` and `\frac{\pi}{4} + n\pi, n \in \mathbb{Z}`. Pure.
"""

import re

from .quantity import letters


_SIGNS = ("\\in", "nteger", "整数")


def _words(pattern: str) -> str:
    return rf"(?:\\text\{{\s*{pattern}\s*\}}|{pattern})"


_PARAMETER = re.compile(
    rf"(?<=[\w)}}\]])\s*[,;]?\s*\(?\s*(?:{_words('(?:where|with|for(?: all| any| some)?)')}\s*)?(?<![A-Za-z\\])([a-z])\s*"
    r"(?:\\in(?![A-Za-z])\s*(?:\\mathbb\s*\{?\s*([A-Z])\s*\}?|([A-Z]))(\s*[\^_]\s*\{?\s*(?:[*+-]|\\cdot)\s*\}?)?|"
    rf"{_words('(?:is|are|be|为|是)?(?: an?| any)? ?(?:integers?|整数)')})\s*\)?$|"
    rf"(?<=[\w)}}\]])\s*[,;]?\s*{_words('(?:where|with|for)? ?(?:an|any|all|every|each)? ?integers?')}\s*([a-z])$",
    re.IGNORECASE,
)


def with_its_parameter(gold: str, answer: str) -> tuple[str, str] | None:
    """
    Give the integer parameter of an answer the name that it has in the gold.

    Args:
        gold (`str`):
            The gold, normalised.
        answer (`str`):
            The answer, normalised.

    Returns:
        `tuple[str, str]` or `None`: both without what they say about the parameter; as they were if not both say something; `None` if
        it is an integer to the gold, and something else to the answer.
    """
    if not any(sign in gold for sign in _SIGNS):
        return gold, answer
    mine, theirs = _PARAMETER.search(gold), _PARAMETER.search(answer)
    if mine is None or theirs is None or not _is_integer(mine):
        return gold, answer
    if not _is_integer(theirs):
        return None
    body, name, other = answer[: theirs.start()], mine[1] or mine[5], theirs[1] or theirs[5]
    if name == other:
        return gold[: mine.start()], body
    if name in letters(body):
        return gold, answer
    return gold[: mine.start()], re.sub(rf"(?<![A-Za-z\\]){other}(?![A-Za-z])", name, body)


def _is_integer(said: re.Match[str]) -> bool:
    return (said[2] or said[3] or "Z").upper() == "Z" and not said[4]
