"""
Whether words of reflection and long thoughts are what makes a model right: it is sampled again without them.

- `forbidden`: no word of reflection can be sampled. What the model then loses is what it owes to them.
- `budgets`: a thought is cut after so many tokens, and the answer asked for ([`~sampling.sample_within_budget`]). What accuracy gains with the budget is what
  longer thoughts are worth.

Both leave the weights as they are. That reflection rises while accuracy does (paper, v2 C.2) would not tell a cause from
what merely goes with it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .docstrings import help_from_docstring
from .errors import expect
from .sampling import SamplingConfig
from .sampling.engines.transformers import TransformersEngine
from .text import REFLECTION_WORDS, count_reflection_words


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_WORDS = frozenset(word for words in REFLECTION_WORDS.values() for word in words)


@help_from_docstring
@dataclass
class EmergenceConfig:
    """
    Which models are sampled again without reflection, and on which prompts.

    Args:
        models (`list[str]`):
            Names of models of the evaluation.
        domains (`list[str]`, *optional*):
            Only prompts of these domains; by default all.
        budgets (`list[int]`, *optional*):
            Lengths, in tokens, at which thoughts are cut.
    """

    models: list[str]
    domains: list[str] | None = None
    budgets: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        expect(self, "models", bool(self.models), "at least one model")
        expect(self, "budgets", all(budget >= 1 for budget in self.budgets), "numbers above 0")


class WithoutReflection(TransformersEngine):
    """A checkpoint that cannot write a word of reflection. Arguments as [`~sampling.Engine`]."""

    def __init__(self, model: str, config: SamplingConfig) -> None:
        super().__init__(model, config)
        self.generation.bad_words_ids = reflection_tokens(self.tokenizer) or None


def reflection_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """
    Return what must not be sampled, for `bad_words_ids`: each token that contains a word of reflection, and each sequence
    of tokens that spells one, with and without a space and a capital.
    """
    tokens = [[i] for i in range(len(tokenizer)) if contains_reflection(tokenizer.decode([i]))]
    forms = {form for word in _WORDS for form in (word, word.capitalize(), f" {word}", f" {word.capitalize()}")}
    sequences = [tokenizer.encode(form, add_special_tokens=False) for form in sorted(forms)]
    return tokens + [s for s in sequences if len(s) > 1 and tokenizer.unk_token_id not in s]


def contains_reflection(text: str) -> bool:
    """Tell whether a text contains a word of reflection, or is one of those that count only in their context."""
    return text.strip().lower() in _WORDS or bool(count_reflection_words(text))
