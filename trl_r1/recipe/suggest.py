"""
What the reader may have meant.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean `this`?"`, or nothing where no known name is near."""
    near = get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return names for a sentence: `a`, `b`, `c`, and how many more there are."""
    names = list(names)
    text = ", ".join(f"`{name}`" for name in names[:limit])
    return f"{text} and {len(names) - limit} more" if len(names) > limit else text or "none"
