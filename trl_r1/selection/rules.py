"""
What a completion has to satisfy to be kept, and the reasons for which one is not.

The paper samples several completions per prompt, keeps the right ones, and takes out chains of thought with mixed
languages, long paragraphs or code blocks (arXiv 2501.12948 v1 2.3.3, v2 B.3.2 and B.3.3: "repetition detection",
"language-mixing filter"). It gives no thresholds: those of [`Rules`] are our own choice, as are near duplicates, pass
rates and targets, which are off unless they are asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import expect
from ..language import normalize_language
from ..text import STYLES
from ..typed import make
from .targets import read_targets


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
    "pass_rate",  # its prompt is solved too often or too rarely
    "duplicate",  # the same completion of the same prompt was kept before
    "near_duplicate",  # a completion that is almost the same was kept before
    "capped",  # its prompt has enough kept completions
    "over_target",  # a target that it counts towards is reached
)

# What lets more through, for a stage that keeps nothing.
LOOSENED_BY = {
    "contaminated": "`min_overlap` or `boilerplate`",
    "unsampled": "the engine's log",
    "truncated": "a larger `max_completion_tokens`, or `rules.finished: false`",
    "unjudged": "reference answers that a reward of `rules.right_by` can read",
    "wrong": "a larger `n_samples`, or a lower `rules.min_reward`",
    "malformed": "the `rules.style` that `prompt_template` asks for, or `rules.well_formed: false`",
    "too_short": "a lower `rules.min_tokens`",
    "too_long": "a higher `rules.max_tokens`",
    "language": "a lower `rules.min_language_share`",
    "repetitive": "a higher `rules.max_repetition`",
    "long_paragraph": "a higher `rules.max_paragraph_words`",
    "code_block": "`rules.code_in_thought: true`",
    "pass_rate": "wider `rules.min_pass_rate` and `rules.max_pass_rate`",
    "duplicate": "`rules.drop_duplicates: false`",
    "near_duplicate": "a higher `rules.near_duplicates`",
    "capped": "a higher `rules.max_per_prompt`",
    "over_target": "larger `rules.targets`",
}


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
        language_by (`str`, *optional*):
            Name of a [`~rewards.LanguageConsistency`] whose value is that share, so that words are not counted again;
            where it has none they are. The builders set it where such a reward reads the same form and languages.
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
        min_pass_rate (`float`, *optional*), max_pass_rate (`float`, *optional*):
            Bounds, both included, of the share of its prompt's samples that are solved, among those that `right_by`
            judges, whatever else is wrong with them: prompts that are too hard or too easy to be learnt from.
        drop_duplicates (`bool`, *optional*, defaults to `True`):
            Whether to keep one only of the completions of a prompt that are equal but for case, white space and form
            of characters: the first.
        near_duplicates (`float`, *optional*):
            Of completions that are as similar as this, or more, only the first is kept: of the same prompt, of another,
            or of a data set that was given as seen. Similarity is the share of runs of 5 words that two completions
            have in common, among those of either (Jaccard), estimated by MinHash; 0.8 is usual. Those of fewer than 20
            words are compared for equality only. `None`: not asked.
        max_per_prompt (`int`, *optional*):
            Most completions to keep per prompt.
        prefer (`str`, *optional*, defaults to `"first"`):
            Which ones to keep then: `"first"`, `"shortest"` (in tokens; the earlier of equals) or `"random"`.
        seed (`int`, *optional*, defaults to `0`):
            Seed of `"random"`; the pick for a prompt depends on nothing but it, the prompt's id and its completions.
        targets (`list[dict]`, *optional*):
            How many completions or tokens to keep of which domain, language, source and length: see
            [`~selection.Target`].

    Raises:
        [`~errors.ConfigError`]: if a value is not one of those named here.
    """

    right_by: tuple[str, ...] | str = ("math_accuracy", "choice_accuracy", "code_accuracy")
    min_reward: float = 1.0
    finished: bool = True
    well_formed: bool = True
    style: str = "think"
    min_language_share: float | None = 0.9
    language_by: str | None = None
    languages: tuple[str, ...] | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    max_repetition: float | None = 0.3
    repetition_ngram: int = 10
    max_paragraph_words: int | None = 400
    code_in_thought: bool = False
    min_pass_rate: float | None = None
    max_pass_rate: float | None = None
    drop_duplicates: bool = True
    near_duplicates: float | None = None
    max_per_prompt: int | None = None
    prefer: str = "first"
    seed: int = 0
    targets: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "right_by", (self.right_by,) if isinstance(self.right_by, str) else tuple(self.right_by)
        )
        object.__setattr__(self, "targets", read_targets(self.targets))
        if self.languages is not None:
            object.__setattr__(self, "languages", tuple(normalize_language(x) for x in self.languages))
        for key, allowed in (("style", STYLES), ("prefer", ("first", "shortest", "random"))):
            expect(self, key, getattr(self, key) in allowed, f"one of {', '.join(allowed)}")
        for key in ("min_language_share", "max_repetition", "min_pass_rate", "max_pass_rate"):
            value = getattr(self, key)
            expect(self, key, value is None or 0 <= value <= 1, "a share between 0 and 1")
        expect(
            self, "near_duplicates", self.near_duplicates is None or 0 < self.near_duplicates <= 1, "a share above 0"
        )
        for key in ("repetition_ngram", "max_per_prompt", "max_paragraph_words", "max_tokens"):
            value = getattr(self, key)
            expect(self, key, value is None or value >= 1, "a whole number above 0")

    @property
    def of_one_trace(self) -> dict[str, Any]:
        """The rules that decide on a trace by itself: what its stored reason depends on."""
        alone = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _COMPARING}
        return {**alone, "near_duplicates": self.near_duplicates is not None}


# What is decided by comparing traces; the other rules look at one trace by itself.
_COMPARING = frozenset(
    [
        "min_pass_rate",
        "max_pass_rate",
        "drop_duplicates",
        "max_per_prompt",
        "prefer",
        "seed",
        "targets",
        "near_duplicates",
    ]
)


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
