"""
Rejection: traces in, kept ones and reasons out. Pure.

The paper samples several completions per prompt, keeps the right ones, and takes out chains of thought with mixed
languages, long paragraphs or code blocks (arXiv 2501.12948 v1 2.3.3, v2 B.3.2 and B.3.3: "repetition detection",
"language-mixing filter"). It gives no thresholds: those of [`Rules`] are our own choice. Decontamination by 10-grams is
v2 D.1.

Every trace that is not kept is counted under exactly one reason, the first of `REASONS` that applies. Nothing here
depends on chance but the order in which `prefer="random"` picks, and that on the seed alone.
"""

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import expect
from .language import LANGUAGES, detect, normalize_language, word_counts
from .solved import is_solved
from .text import STYLES, split_completion
from .trace import Trace, grouped
from .typed import make


REASONS = (
    "contaminated",  # shares an n-gram with a held-out prompt
    "unsampled",  # the engine could not complete its prompt
    "truncated",  # cut at the maximum length
    "unjudged",  # none of the rewards that decide could judge it
    "wrong",  # a reward that decides is below its minimum
    "malformed",  # not exactly one thought and an answer
    "too_short",  # fewer tokens than asked
    "too_long",  # more tokens than allowed
    "language",  # the thought mixes languages, or is in another than the prompt's
    "repetitive",  # says the same over and over
    "long_paragraph",  # a paragraph of the thought is too long to read
    "code_block",  # the thought holds a fenced block of code
    "duplicate",  # the same completion of the same prompt was kept before
    "capped",  # its prompt has enough kept completions
)


@dataclass(frozen=True)
class Rules:
    """
    What a completion has to satisfy to be kept.

    Args:
        right_by (`tuple[str, ...]`, *optional*, defaults to `("math_accuracy", "choice_accuracy", "code_accuracy")`):
            Names of the rewards that decide whether it is solved (see [`~solved`]); where none of them judges it, it is
            `unjudged`. Empty: not asked.
        min_reward (`float`, *optional*, defaults to `1.0`):
            What each reward of `right_by` that judges it must give; below 1 a part of the marks is enough.
        finished (`bool`, *optional*, defaults to `True`):
            Whether it must have ended by itself.
        well_formed (`bool`, *optional*, defaults to `True`):
            Whether it must have exactly one thought and an answer, as [`~rewards.ThinkFormat`] reads it.
        style (`str`, *optional*, defaults to `"think"`):
            The form: `"think"`, `"r1_zero"` or `"special_token"`.
        min_language_share (`float`, *optional*, defaults to `0.9`):
            Least share, among the thought's words, of the language it should be in: the trace's, else that of its
            prompt, else that of most of its words. Without a thought the answer is looked at; what has no words
            passes. `None`: not asked.
        languages (`tuple[str, ...]`, *optional*):
            The languages that may occur, for [`~language.word_counts`].
        min_tokens (`int`, *optional*), max_tokens (`int`, *optional*):
            Bounds of its length in tokens, both included.
        max_repetition (`float`, *optional*, defaults to `0.3`):
            Largest share of its words that repeat: those that end a run of `repetition_ngram` words which occurred
            before. `None`: not asked.
        repetition_ngram (`int`, *optional*, defaults to `10`):
            Length of such a run.
        max_paragraph_words (`int`, *optional*, defaults to `400`):
            Most words in a paragraph of the thought, that is in a line (Chinese and Japanese: characters). `None`: not asked.
        code_in_thought (`bool`, *optional*, defaults to `False`):
            Whether the thought may hold fenced code.
        drop_duplicates (`bool`, *optional*, defaults to `True`):
            Whether to keep one only of the completions of a prompt that are equal but for case, white space and form
            of characters: the first.
        max_per_prompt (`int`, *optional*):
            Most completions to keep per prompt.
        prefer (`str`, *optional*, defaults to `"first"`):
            Which ones to keep then: `"first"`, `"shortest"` (in tokens; the earlier of equals) or `"random"`.
        seed (`int`, *optional*, defaults to `0`):
            Seed of `"random"`; the pick for a prompt depends on nothing but it, the prompt's id and its completions.

    Raises:
        [`~errors.ConfigError`]: if a value is not one of those named here.
    """

    right_by: tuple[str, ...] | str = ("math_accuracy", "choice_accuracy", "code_accuracy")
    min_reward: float = 1.0
    finished: bool = True
    well_formed: bool = True
    style: str = "think"
    min_language_share: float | None = 0.9
    languages: tuple[str, ...] | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    max_repetition: float | None = 0.3
    repetition_ngram: int = 10
    max_paragraph_words: int | None = 400
    code_in_thought: bool = False
    drop_duplicates: bool = True
    max_per_prompt: int | None = None
    prefer: str = "first"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "right_by", (self.right_by,) if isinstance(self.right_by, str) else tuple(self.right_by)
        )
        if self.languages is not None:
            object.__setattr__(self, "languages", tuple(normalize_language(x) for x in self.languages))
        for key, allowed in (("style", STYLES), ("prefer", ("first", "shortest", "random"))):
            expect(self, key, getattr(self, key) in allowed, f"one of {', '.join(allowed)}")
        for key in ("min_language_share", "max_repetition"):
            value = getattr(self, key)
            expect(self, key, value is None or 0 <= value <= 1, "a share between 0 and 1")
        for key in ("repetition_ngram", "max_per_prompt", "max_paragraph_words", "max_tokens"):
            value = getattr(self, key)
            expect(self, key, value is None or value >= 1, "a whole number above 0")


def read_rules(declared: Mapping[str, Any], **defaults: Any) -> Rules:
    """
    Make the rules of a config.

    Args:
        declared (`Mapping[str, Any]`):
            Arguments of [`Rules`].
        **defaults:
            Arguments where `declared` has none.

    Raises:
        [`~errors.ConfigError`]: on an unknown rule or a wrong value, under the key `rules`.
    """
    rules: Rules = make([Rules], {**defaults, **declared}, within="rules")[0]
    return rules


@dataclass(frozen=True)
class Selection:
    """
    What [`select`] kept and why it dropped the rest; every trace it saw is in exactly one of the two.

    Args:
        kept (`list[Trace]`):
            The kept traces, in the order in which they came.
        rejected (`list[tuple[Trace, str]]`):
            The others, in the order in which they came, each with its reason.
    """

    kept: list[Trace] = field(default_factory=list)
    rejected: list[tuple[Trace, str]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Rejected traces by reason, in the order of `REASONS`; reasons that never applied are left out."""
        return _count(reason for _, reason in self.rejected)

    def to_json(self) -> dict[str, Any]:
        """Return what `selection.json` holds: `seen`, `kept` and `rejected`, in all and by domain."""
        rejected = sorted(grouped(self.rejected, lambda pair: _domain(pair[0])).items())
        return {
            "seen": len(self.kept) + len(self.rejected),
            "kept": len(self.kept),
            "rejected": self.counts,
            "kept_by_domain": dict(sorted(Counter(map(_domain, self.kept)).items())),
            "rejected_by_domain": {domain: _count(reason for _, reason in pairs) for domain, pairs in rejected},
        }


def _domain(trace: Trace) -> str:
    return trace.domain or "none"


def _count(reasons: Iterable[str]) -> dict[str, int]:
    seen = Counter(reasons)
    return {reason: seen[reason] for reason in REASONS if reason in seen}


def select(
    traces: Iterable[Trace],
    rules: Rules | Mapping[str, Any] | None = None,
    held_out: "HeldOut | Iterable[str] | None" = None,
) -> Selection:
    """
    Keep the traces that satisfy the rules.

    Args:
        traces (`Iterable[Trace]`):
            What was sampled.
        rules ([`Rules`] or `Mapping[str, Any]`, *optional*):
            The rules, or their arguments.
        held_out ([`HeldOut`] or `Iterable[str]`, *optional*):
            Prompts of evaluations: a trace whose prompt shares a 10-gram with one of them is `contaminated`.

    Returns:
        [`Selection`]: the same for the same traces in the same order.

    Raises:
        [`~errors.ConfigError`]: if the rules have an unknown key or a wrong value.
    """
    if not isinstance(rules, Rules):
        rules = read_rules(rules or {})
    if held_out is not None and not isinstance(held_out, HeldOut):
        held_out = HeldOut(held_out)
    traces = list(traces)
    reasons = [_reason(trace, rules, held_out) for trace in traces]
    kept_texts: set[tuple[str, str]] = set()
    by_prompt: dict[str, list[int]] = {}
    for position, trace in enumerate(traces):
        if reasons[position] is not None:
            continue
        if rules.drop_duplicates:
            key = (normalized(trace.prompt), normalized(trace.completion))
            if key in kept_texts:
                reasons[position] = "duplicate"
                continue
            kept_texts.add(key)
        by_prompt.setdefault(trace.prompt_id, []).append(position)
    if rules.max_per_prompt is not None:
        for prompt_id, positions in by_prompt.items():
            for position in _ranked(positions, traces, prompt_id, rules)[rules.max_per_prompt :]:
                reasons[position] = "capped"
    return Selection(
        kept=[trace for trace, reason in zip(traces, reasons) if reason is None],
        rejected=[(trace, reason) for trace, reason in zip(traces, reasons) if reason is not None],
    )


def _ranked(positions: list[int], traces: Sequence[Trace], prompt_id: str, rules: Rules) -> list[int]:
    if rules.prefer == "shortest":
        return sorted(positions, key=lambda position: traces[position].n_tokens)
    if rules.prefer == "random":
        positions = list(positions)
        random.Random(f"{rules.seed}:{prompt_id}").shuffle(positions)
    return positions


def _reason(trace: Trace, rules: Rules, held_out: "HeldOut | None") -> str | None:
    """The first reason, in the order of `REASONS`, for which a trace by itself is rejected."""
    if held_out is not None and held_out.overlaps(trace.prompt):
        return "contaminated"
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
    if rules.well_formed and not parts.well_formed:
        return "malformed"
    if rules.min_tokens is not None and trace.n_tokens < rules.min_tokens:
        return "too_short"
    if rules.max_tokens is not None and trace.n_tokens > rules.max_tokens:
        return "too_long"
    text = parts.thought or parts.answer or ""
    share = rules.min_language_share
    if share is not None and not _in_one_language(text, trace, share, rules.languages):
        return "language"
    if rules.max_repetition is not None and repetition(text, rules.repetition_ngram) > rules.max_repetition:
        return "repetitive"
    longest = rules.max_paragraph_words
    if longest is not None and any(len(_TOKEN.findall(line)) > longest for line in text.splitlines()):
        return "long_paragraph"
    if not rules.code_in_thought and parts.thought and _FENCE.search(parts.thought):
        return "code_block"
    return None


def _in_one_language(text: str, trace: Trace, share: float, languages: tuple[str, ...] | None) -> bool:
    counts = word_counts(text, languages)
    if not counts:
        return True
    target = normalize_language(trace.language) if trace.language else detect(trace.prompt, languages)
    if target not in LANGUAGES:  # unknown language: the most frequent one
        target = next(iter(counts))
    return counts.get(target, 0) >= share * sum(counts.values())


_HAN = "぀-ヿ㐀-䶿一-鿿"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+|[=+\-*/^<>%×÷]")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def repetition(text: str, n: int = 10) -> float:
    """
    Share of a text's words that only repeat: those that end a run of `n` words which occurred before.

    Args:
        text (`str`):
            Any text. Words, numbers, operators and single Han characters count; punctuation does not.
        n (`int`, *optional*, defaults to `10`):
            Length of a run, in words.

    Returns:
        `float` in `[0, 1)`: 0.0 for a text of no more than `n` words.
    """
    words = _TOKEN.findall(text)
    total = len(words) - n + 1
    if total < 2:
        return 0.0
    distinct = len(set(zip(*(words[start:] for start in range(n)))))
    return (total - distinct) / len(words)


def normalized(text: str) -> str:
    """Return a text without what makes equal texts look different: case, white space, form of characters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


class HeldOut:
    """
    The prompts of an evaluation, to keep training data clear of them (paper, v2 D.1: a 10-gram filter).

    Args:
        prompts (`Iterable[str]`):
            Held-out prompts.
        n (`int`, *optional*, defaults to `10`):
            Length of a run of words that counts as contamination. Words are compared in lower case and without
            punctuation; operators count as words, and so do single Han characters. A prompt of fewer words is found by
            equality only.
    """

    def __init__(self, prompts: Iterable[str], n: int = 10):
        self.n = n
        expect(self, "n", n >= 1, "a whole number above 0")
        self._grams = {gram for prompt in prompts for gram in self._of(prompt)}

    def overlaps(self, text: str) -> bool:
        """Tell whether a text shares a run of `n` words with a held-out prompt, or is one."""
        return not self._grams.isdisjoint(self._of(text))

    def _of(self, text: str) -> list[tuple[str, ...]]:
        words = _TOKEN.findall(normalized(text))
        if len(words) < self.n:
            return [tuple(words)] if words else []
        return [tuple(words[start : start + self.n]) for start in range(len(words) - self.n + 1)]
