"""
The reason for which a trace by itself is rejected. Pure; the texts of a trace are read here and nowhere else.
"""

import re
from functools import lru_cache

from ..language import LANGUAGES, detect, normalize_language, word_counts
from ..solved import is_solved
from ..text import split_completion
from ..trace import Trace
from .rules import Rules
from .words import has_line_longer_than, repetition


VERSION = 1  # of what is found here: to be raised with every change of it, so that stored reasons are found again

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def reason_of(trace: Trace, rules: Rules) -> str | None:
    """
    Return the first reason, in the order of `REASONS`, for which a trace by itself is rejected.

    Args:
        trace ([`~trace.Trace`]):
            The trace. One whose `extra` says `simple: true` answers a simple query (see
            [`~builders.GeneralConfig`]), and needs no thought.
        rules ([`Rules`]):
            The rules. Those that compare traces are not looked at.

    Returns:
        `str` or `None`: `None` where nothing is wrong with it.
    """
    if not trace.was_sampled:
        return "unsampled"
    if rules.finished and trace.finish_reason == "length":
        return "truncated"
    if rules.right_by:
        solved = is_solved((trace.rewards.get(name) for name in rules.right_by), at_least=rules.min_reward)
        if solved is None:
            return "unjudged"
        if not solved:
            return "wrong"
    prefilled = bool(trace.sampling.get("prefilled")) and "<think>" not in trace.completion
    parts = split_completion(trace.completion, prefilled, rules.style)
    if rules.well_formed and not parts.well_formed and trace.extra.get("simple") is not True:
        return "malformed"
    if rules.min_tokens is not None and trace.n_tokens < rules.min_tokens:
        return "too_short"
    if rules.max_tokens is not None and trace.n_tokens > rules.max_tokens:
        return "too_long"
    text = parts.thought or parts.answer or ""
    least = rules.min_language_share
    if least is not None and (share := _language_share(text, trace, rules)) is not None and share < least:
        return "language"
    if rules.max_repetition is not None and repetition(text, rules.repetition_ngram) > rules.max_repetition:
        return "repetitive"
    if rules.max_paragraph_words is not None and has_line_longer_than(text, rules.max_paragraph_words):
        return "long_paragraph"
    if not rules.code_in_thought and parts.thought and _FENCE.search(parts.thought):
        return "code_block"
    return None


def _language_share(text: str, trace: Trace, rules: Rules) -> float | None:
    """Share of the words of a text that are of the language it should be in; `None` where it has no words."""
    if rules.language_by is not None and (counted := trace.rewards.get(rules.language_by)) is not None:
        return counted
    counts = word_counts(text, rules.languages)
    if not counts:
        return None
    target = normalize_language(trace.language) if trace.language else _language_of(trace.prompt, rules.languages)
    if target not in LANGUAGES:  # unknown language: the most frequent one
        target = next(iter(counts))
    return counts.get(target, 0) / sum(counts.values())


@lru_cache(maxsize=64)
def _language_of(prompt: str, languages: tuple[str, ...] | None) -> str | None:
    return detect(prompt, languages)
