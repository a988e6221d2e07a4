"""
What the builders build from. How they sample is in [`~sampling.SamplingConfig`]. Torch-free.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ..data.source import parse_sources
from ..docstrings import help_from_docstring
from ..errors import ConfigError, expect
from ..selection import read_rules


FORM = "<think>\n{thought}\n</think>\n\n{answer}"


def _check_names(text: str | None, key: str, *names: str) -> None:
    """Refuse a text without `{name}` for one of these names."""
    for name in names:
        if text is not None and f"{{{name}}}" not in text:
            raise ConfigError(f"expected a text with {{{name}}}, got {text!r}", key=key)


@help_from_docstring
@dataclass
class BuilderConfig:
    """
    What every builder needs.

    Args:
        data (`list[dict]`):
            Prompts: see [`~data.DataSource`].
        output_dir (`str`):
            Where `data/train.parquet`, `selection.json` and `traces/` go.
        rules (`dict`, *optional*):
            What a completion has to satisfy to be kept: arguments of [`~selection.Rules`].
        held_out (`list[dict]`, *optional*):
            Prompts of evaluations, as in `data`: prompts that share a 10-gram with one of them are not sampled (paper, v2
            D.1). Each source is counted by its name.
        min_overlap (`float`, *optional*, defaults to `0.0`):
            Least share of a prompt's 10-grams that must be an evaluation's for it to be left out. By default one is
            enough, as in the paper.
        boilerplate (`list[str]`, *optional*):
            Sentences that count for nothing when prompts are compared with `held_out`. By default those by which
            well-known data sets ask for the form of an answer (`trl_r1.selection.BOILERPLATE`).
        against (`list[dict]`, *optional*):
            Other data sets, as in `data`, with completions: what they have already is not kept a second time.
        model_name_or_path (`str`):
            The model that is sampled from: a folder, a Hub id or a model's name at a server.
    """

    data: list[dict[str, Any]]
    output_dir: str
    rules: dict[str, Any] = field(default_factory=dict)
    held_out: list[dict[str, Any]] = field(default_factory=list)
    min_overlap: float = 0.0
    boilerplate: list[str] | None = None
    against: list[dict[str, Any]] = field(default_factory=list)
    model_name_or_path: str | None = None

    needs_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.needs_model and not self.model_name_or_path:
            raise ConfigError("expected a folder, a Hub id or a model's name at a server", key="model_name_or_path")
        parse_sources(self.data)
        if self.held_out:
            parse_sources(self.held_out, key="held_out")
        if self.against:
            parse_sources(self.against, key="against")
        expect(self, "min_overlap", 0 <= self.min_overlap <= 1, "a share between 0 and 1")
        read_rules(self.rules)


@help_from_docstring
@dataclass
class RejectionConfig(BuilderConfig):
    """
    Rejection sampling (paper, v1 2.3.3, v2 B.3.3), from the checkpoint of RL stage 1.

    Args:
        rewards (`list[dict]`, *optional*):
            Rewards, declared as in training; by default `MathAccuracy` alone. The accuracy rewards among them decide
            (see [`~solved`]), unless `rules` has `right_by`. Prompts that no rule can check are judged by a model,
            `trl_r1.rewards.Judge`.
        form (`str`, *optional*):
            Text with `{thought}` and `{answer}` in which kept completions are written. As they were sampled by default.
    """

    rewards: list[dict[str, Any]] = field(default_factory=lambda: [{"func": "trl_r1.rewards.MathAccuracy"}])
    form: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.form, "form", "thought", "answer")


@help_from_docstring
@dataclass
class ColdStartConfig(RejectionConfig):
    """
    Cold-start data (paper, v1 2.3.1, v2 B.3.2): readable outputs of R1-Zero, refined by a chat model.

    Args:
        refine_url (`str`, *optional*):
            Where the API of the chat model's server starts. Without it, completions are kept as they are.
        refine_model (`str`, *optional*):
            The chat model's name there.
        refine_instruction (`str`, *optional*):
            What it is asked, a text with `{prompt}`, `{language}`, `{thought}` and `{answer}`. By default our own words
            for what the paper asks: reasoning in the first person and in the question's language, and a faithful
            summary with the boxed answer.
        refine_temperature (`float`, *optional*, defaults to `0.3`):
            Temperature of the chat model. Our own choice.
        refine_max_tokens (`int`, *optional*, defaults to `8192`):
            Where its answer is cut. Our own choice.
        if_not_refined (`str`, *optional*, defaults to `"original"`):
            What becomes of a completion whose refined text fails the rules (a wrong answer, the wrong language, no
            answer at all): `"original"` keeps it unrefined, `"drop"` drops it.
    """

    refine_url: str | None = None
    refine_model: str | None = None
    refine_instruction: str | None = None
    refine_temperature: float = 0.3
    refine_max_tokens: int = 8192
    if_not_refined: Literal["original", "drop"] = "original"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refine_url and not self.refine_model:
            raise ConfigError("expected the chat model's name, since there is a `refine_url`", key="refine_model")
        _check_names(self.refine_instruction or None, "refine_instruction", "prompt", "thought", "answer")


@help_from_docstring
@dataclass
class GeneralConfig(BuilderConfig):
    """
    Data that is no reasoning: writing, factual questions, translation, self-cognition (paper, v1 2.3.3, v2 B.3.3).

    Args:
        rewards (`list[dict]`, *optional*):
            Rewards, declared as in training, by whose weighted sum the best of the sampled answers is kept.
        min_reward (`float`, *optional*):
            Least such sum with which an answer is kept.
        keep_per_prompt (`int`, *optional*, defaults to `1`):
            Number of a prompt's best sampled answers to keep.
        simple_pattern (`str`, *optional*):
            A regular expression: a query that it matches as a whole, case and punctuation aside, is simple and gets no
            chain of thought. A row's column `simple` (true or false) comes first. By default greetings, thanks,
            goodbyes and "who are you", in English and Chinese: our own choice, since the paper names "hello" as an
            example and no rule. Empty: none is simple.
        simple_thoughts (`dict[str, str]`, *optional*):
            The text of a simple query's thinking block, by language. By default nothing: an empty block, as R1
            itself writes it. An empty block does not satisfy [`~rewards.ThinkFormat`]: where a later RL stage rewards
            that form on general prompts too, give a short thought here.
        answer_instruction (`str`, *optional*):
            What the model is asked for an answer: a text with `{prompt}`. By default the query itself, which suits a
            model that thinks before it answers.
        thought_instruction (`str`, *optional*):
            What the model is asked for a chain of thought that leads to an answer a row has: a text with `{prompt}` and
            `{answer}`. By default our own words.
        form (`str`, *optional*, defaults to `"<think>\\n{thought}\\n</think>\\n\\n{answer}"`):
            The form in which thought and answer are put together.
        model_name_or_path (`str`, *optional*):
            The chat model that writes what the rows lack: an answer, or a chain of thought for the answer they have. It
            may be at a server (`backend: server`). Rows that lack neither need none.
    """

    rewards: list[dict[str, Any]] = field(default_factory=list)
    min_reward: float | None = None
    keep_per_prompt: int = 1
    simple_pattern: str | None = None
    simple_thoughts: dict[str, str] = field(default_factory=dict)
    answer_instruction: str | None = None
    thought_instruction: str | None = None
    form: str = FORM

    needs_model: ClassVar[bool] = False  # rows may be complete as they are

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.form, "form", "thought", "answer")
        expect(self, "keep_per_prompt", self.keep_per_prompt >= 1, "at least 1")
        if self.min_reward is not None and not self.rewards:
            raise ConfigError("expected `rewards` to compare it with", key="min_reward")
        _check_names(self.answer_instruction or None, "answer_instruction", "prompt")
        _check_names(self.thought_instruction or None, "thought_instruction", "prompt", "answer")
        try:
            re.compile(self.simple_pattern or "")
        except re.error as error:
            raise ConfigError(f"expected a regular expression: {error}", key="simple_pattern") from None


@help_from_docstring
@dataclass
class PairsConfig(BuilderConfig):
    """
    Preference pairs (paper, v2 3.1).

    Args:
        judge (`dict`):
            Who compares, declared like a reward: a reward, which scores each answer by itself, or
            `trl_r1.builders.ComparisonJudge`, which sees two at a time.
        rounds (`int`, *optional*, defaults to `4`):
            How often each pair is scored, each time in a random order (v2 3.1). A reward does not see the order and
            scores once.
        min_gap (`float`, *optional*, defaults to `1.0`):
            Pairs are kept whose mean scores are further apart (v2 3.1).
        pairs_per_prompt (`int`, *optional*, defaults to `1`):
            Most pairs of a prompt to keep: those furthest apart. Our own choice.
        max_length_ratio (`float`, *optional*, defaults to `1.05`):
            How much longer, over all pairs, the chosen answers may be than the rejected ones, or the other way round:
            pairs that tip the balance are left out, the most lopsided first. The paper asks for "comparable" lengths
            and gives no number.
    """

    judge: dict[str, Any] = field(default_factory=dict)
    rounds: int = 4
    min_gap: float = 1.0
    pairs_per_prompt: int = 1
    max_length_ratio: float = 1.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.judge:
            raise ConfigError("expected who compares: a mapping with `func`", key="judge")
        for key in ("rounds", "pairs_per_prompt", "max_length_ratio"):
            expect(self, key, getattr(self, key) >= 1, "at least 1")
