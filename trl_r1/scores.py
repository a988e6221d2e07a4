"""
The names, order and direction of the numbers that an evaluation writes, for everything that shows them. Torch-free.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """
    One number of an evaluation.

    Args:
        key (`str`):
            Key in `metrics.json`.
        meaning (`str`):
            One line on what it measures.
        better (`str`, *optional*, defaults to `"high"`):
            `"high"`, `"low"`, or `""` where more is neither better nor worse.
        digits (`int`, *optional*, defaults to `3`):
            Digits after the point.
        heading (`str`, *optional*):
            Heading of its column, where that is not the key.
    """

    key: str
    meaning: str
    better: str = "high"
    digits: int = 3
    heading: str = ""

    @property
    def title(self) -> str:
        return self.heading or self.key.replace("_", " ")

    @property
    def stderr_key(self) -> str:
        return f"{self.key}_stderr"


_PASS_AT_1 = Score("pass@1", "Share of samples with the right answer, the mean over prompts.")
_REFLECTION = "Words of reflection (wait, verify, check, ... and their Chinese counterparts) per 1,000 words."
_AFTER = (
    Score("best_of_n", "Share of prompts whose sample with the highest reward is right."),
    Score("format", "Share of samples with one closed thought and an answer after it."),
    Score("language_consistency", "Share of the words of the thought that are in the prompt's language."),
    Score("mixed_language", "Share of samples whose thought mixes languages.", "low"),
    Score("general_win_rate", "Share of general prompts won."),
    Score("mean_tokens", "Mean length of a sample in tokens.", "", 1),
    Score("truncated", "Share of samples cut at the maximum length.", "low"),
    Score("with_reflection", "Share of samples with a word of reflection.", ""),
    Score(
        "reflection_per_completion",
        "Words of reflection in a sample, on average.",
        "",
        1,
        "reflection words per sample",
    ),
    Score("reflection_per_1000_words", _REFLECTION, "", 1, "reflection words per 1,000"),
)
_AT_K = re.compile(r"(pass|cons)@(\d+)")


def scores_of(models: Iterable[Mapping[str, Any]]) -> list[Score]:
    """
    The columns that these models' metrics fill, in order of reading.

    `pass@k` and `cons@k` stand for the k's that were measured; a column that no model fills is left out.

    Args:
        models (`Iterable[Mapping[str, Any]]`):
            Metrics of each model.
    """
    models = list(models)
    at_k = {match for m in models for key in m if (match := _AT_K.fullmatch(str(key))) and key != "pass@1"}
    found = sorted({(m[1], int(m[2])) for m in at_k}, key=lambda pair: (pair[0] != "pass", pair[1]))
    meaning = {
        "pass": "Chance that at least one of {k} samples is right (unbiased estimate).",
        "cons": "Share of prompts whose most frequent answer among {k} samples is right.",
    }
    rewards = dict.fromkeys(
        key for m in models for key in m if str(key).startswith("reward/") and not key.endswith("_stderr")
    )
    others = [Score(key, f"Mean of the reward `{key[7:]}`.") for key in rewards]
    columns = (_PASS_AT_1, *(Score(f"{n}@{k}", meaning[n].format(k=k)) for n, k in found), *others, *_AFTER)
    return [score for score in columns if any(number(m.get(score.key)) is not None for m in models)]


def number(value: Any) -> float | None:
    """The value as a number; `None` for what is none: missing, NaN, infinite, true, a text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of one value or more, and its standard error; that of a single one is 0."""
    n, mean = len(values), math.fsum(values) / len(values)
    spread = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(spread / (n * (n - 1))) if n > 1 else 0.0


def show(value: Any, digits: int = 3) -> str:
    """The value as a reader wants it: fixed digits, thousands apart, a dash for what was not measured."""
    found = number(value)
    return "—" if found is None else f"{found:,.{digits}f}"


def show_duration(seconds: Any) -> str:
    """Wall time as a reader wants it: `48 s`, `12 min 3 s`, `2 h 05 min`, `3 d 4 h`."""
    found = number(seconds)
    if found is None:
        return "—"
    whole = round(found)
    if whole < 60:
        return f"{whole} s" if found >= 10 else f"{found:.1f} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
