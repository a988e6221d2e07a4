"""What only a data set can say about its numbers: what a comma and a space between digits mean, and a lone percentage."""

import re
from dataclasses import dataclass


_GROUPS_BY_SPACE = re.compile(r"(?<![\d.,\w])(\d{1,3}(?:(?:\\ |[ ~\u00a0\u2009\u202f])\d{3})+)(?![\d/])(?!\s*\\frac)")
_GROUPS_BY_POINT = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![.\d])")
_DECIMAL_COMMA = re.compile(r"(?<=\d)(?:\{,\}|,)(?=\d)")
_NUMBER = re.compile(r"\s*\$?[-+]?\d[\d.,]*\$?\s*")


@dataclass(frozen=True)
class Convention:
    """
    How a data set writes numbers.

    Args:
        decimal_comma (`bool`, *optional*, defaults to `False`):
            Whether a comma between digits is the decimal mark, and a point between groups of three parts thousands, as in
            `1.080,50`. Otherwise a comma parts thousands, or the elements of a list.
        thousands_by_space (`bool`, *optional*, defaults to `True`):
            Whether a space between groups of three digits parts thousands: `10 000`.
        percent_golds (`bool`, *optional*, defaults to `False`):
            Whether a gold that is a bare number is a percentage whose sign was left out, so that `25%` and `0.25` answer `25`.
    """

    decimal_comma: bool = False
    thousands_by_space: bool = True
    percent_golds: bool = False

    def gold(self, text: str) -> str:
        """Write a gold by the default convention."""
        text = self.answer(text)
        return rf"{text.strip().strip('$')}\%" if self.percent_golds and _NUMBER.fullmatch(text) else text

    def answer(self, text: str) -> str:
        """Write an answer by the default convention."""
        if self.thousands_by_space and " " in text.translate(_SPACES):
            text = _GROUPS_BY_SPACE.sub(lambda found: re.sub(r"[\s~\\]", "", found[0]), text)
        if self.decimal_comma:
            text = _GROUPS_BY_POINT.sub(lambda found: found[0].replace(".", ""), text)
            text = _DECIMAL_COMMA.sub(".", text)
        return text


_SPACES = str.maketrans("~\u00a0\u2009\u202f", "    ")
