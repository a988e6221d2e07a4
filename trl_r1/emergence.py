"""
Whether words of reflection and long thoughts are what makes a model right: it is sampled again without them.

- `forbidden`: no word of reflection can be sampled. What the model then loses is what it owes to them.
- `budgets`: a thought is cut after so many tokens, and the answer asked for. What accuracy gains with the budget is what
  longer thoughts are worth.

Both leave the weights as they are. That reflection rises while accuracy does (paper, v2 C.2) would not tell a cause from
what merely goes with it.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .docstrings import help_from_docstring
from .errors import ConfigError, expect
from .sampling import Engine, Sample, SamplingConfig
from .sampling.engines.transformers import TransformersEngine
from .sampling.prompts import prefilled
from .text import REFLECTION_WORDS, count_reflection_words, render_prompt


if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase


# What follows a thought that was cut, for the model to go on from.
ASK = "</think>the answer is \\boxed{"
_ANSWER_TOKENS = 32  # enough for an answer that goes into a box
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


def interventions(config: EmergenceConfig, sampling: SamplingConfig) -> dict[str, tuple[type[Engine], SamplingConfig]]:
    """Return by name each intervention: the engine, which takes a full model, and how it samples."""
    found: dict[str, tuple[type[Engine], SamplingConfig]] = {"forbidden": (WithoutReflection, sampling)}
    for budget in config.budgets:
        found[f"budget-{budget}"] = (WithinBudget, replace(sampling, max_completion_tokens=budget))
    return found


class WithoutReflection(TransformersEngine):
    """A checkpoint that cannot write a word of reflection. Arguments as [`~sampling.Engine`]."""

    def __init__(self, model: str, config: SamplingConfig) -> None:
        super().__init__(model, config)
        self.generation.bad_words_ids = reflection_tokens(self.tokenizer) or None


class WithinBudget(TransformersEngine):
    """
    A checkpoint whose completions are cut after `max_completion_tokens`, and which then has to answer. Arguments as
    [`~sampling.Engine`]; the template is a text, not `"chat"`.
    """

    def __init__(self, model: str, config: SamplingConfig) -> None:
        if config.prompt_template == "chat":
            raise ConfigError("expected a template of text, which a cut thought goes on from", key="prompt_template")
        super().__init__(model, config)

    def generate(self, questions: "Sequence[str]", n: int, seed: int) -> list[list[Sample]]:
        """Complete each question `n` times. See [`~sampling.Engine`]."""
        samples = super().generate(questions, n, seed)
        cut = [(i, j) for i, each in enumerate(samples) for j in range(n) if each[j].finish_reason == "length"]
        if not cut:
            return samples
        answering = copy.copy(self)  # the same weights, going on from a text
        answering.config = replace(self.config, prompt_template="plain", completion_prefix="")
        answering.generation = copy.deepcopy(self.generation)
        answering.generation.max_new_tokens = _ANSWER_TOKENS
        thoughts, texts = [], []
        for i, j in cut:
            prompt = f"{render_prompt(self.config.prompt_template, questions[i])}{self.config.completion_prefix}"
            thoughts.append(samples[i][j].text.split("</think>")[0] + ASK)
            # A sample's text begins with what the prompt contains of it.
            texts.append(prompt + thoughts[-1][len(prefilled(prompt, self.config)) :])
        answers = TransformersEngine.generate(answering, texts, 1, seed)
        for (i, j), thought, (answer,) in zip(cut, thoughts, answers):
            n_tokens = samples[i][j].n_tokens + answer.n_tokens
            samples[i][j] = Sample(thought + answer.text, answer.finish_reason, n_tokens)
        return samples


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
