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
from .review import Reviews


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
        output_dir (`str`):
            Where `data/train.parquet` (in parts, see [`~data_files`]), `rejected/`, `selection.json` and `traces/` go.
        data (`list[dict]`, *optional*):
            Prompts: see [`~data.DataSource`]. Without `samples_from` there must be some.
        samples_from (`list[dict]`, *optional*):
            Samples that are there: folders of traces of other stages (in a recipe `STAGE/rollouts`, what a training with
            `save_rollouts` kept, or `STAGE/traces`). They are scored anew, and count as what is sampled does.
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
        rejected_per_reason (`int`, *optional*, defaults to `200`):
            Of the rejected samples of each reason, how many `rejected/` holds, with that reason. `None`: all.
        model_name_or_path (`str`):
            The model that is sampled from: a folder, a Hub id or a model's name at a server.
    """

    output_dir: str
    data: list[dict[str, Any]] = field(default_factory=list)
    samples_from: list[dict[str, Any]] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)
    held_out: list[dict[str, Any]] = field(default_factory=list)
    min_overlap: float = 0.0
    boilerplate: list[str] | None = None
    against: list[dict[str, Any]] = field(default_factory=list)
    rejected_per_reason: int | None = 200
    model_name_or_path: str | None = None

    needs_model: ClassVar[bool] = True
    says_solved: ClassVar[bool] = False  # whether its rewards say which samples are solved, while it samples

    def __post_init__(self) -> None:
        if self.needs_model and self.data and not self.model_name_or_path:
            raise ConfigError("expected a folder, a Hub id or a model's name at a server", key="model_name_or_path")
        if self.data or not self.samples_from:
            parse_sources(self.data)
        if self.samples_from:
            parse_sources(self.samples_from, key="samples_from")
        expect(self, "rejected_per_reason", (self.rejected_per_reason or 0) >= 0, "a whole number, or null for all")
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
        messages (`bool`, *optional*, defaults to `False`):
            Whether rows also have a column `messages`: prompt and completion as a conversation.
    """

    rewards: list[dict[str, Any]] = field(default_factory=lambda: [{"func": "trl_r1.rewards.MathAccuracy"}])
    form: str | None = None
    messages: bool = False

    says_solved: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names(self.form, "form", "thought", "answer")


@help_from_docstring
@dataclass
class ColdStartConfig(RejectionConfig):
    """
    Cold-start data (paper, v1 2.3.1, v2 B.3.2): readable outputs of R1-Zero, refined by a chat model, and what a chat
    model writes itself. Then people look through it: `review.csv`.

    Args:
        sources (`list[str]`, *optional*, defaults to `["zero"]`):
            The paper's three (v1 2.3.1): `"zero"`, samples of the stage's model, refined; `"few_shot"`, a chat model that
            is shown `examples` with long thoughts; `"direct"`, one that is asked for a detailed answer with reflection
            and verification. Selection and `max_per_prompt` hold for each by itself.
        examples (`list[dict]`, *optional*):
            For `few_shot`: rows with `prompt` and `completion`, sources as in `data`.
        examples_per_prompt (`int`, *optional*, defaults to `2`):
            Examples that each prompt is shown, drawn at random, of its language where there are some. Own choice.
        chat_samples (`int`, *optional*, defaults to `4`):
            Completions of the chat model per prompt, for each of `few_shot` and `direct`. Own choice.
        reviewed (`str`, *optional*):
            A copy of the sheet `review.csv` that an earlier run left, filled in: `reject` as the `verdict` drops a sample,
            and a text under `edit` takes its place.
        refine_url (`str`, *optional*):
            Where the API of the chat model's server starts, which refines, and writes `few_shot` and `direct`. Without
            it, samples of `zero` are kept as they are.
        refine_model (`str`, *optional*):
            The chat model's name there.
        refine_instruction (`str`, *optional*):
            What it is asked, a text with `{prompt}`, `{language}`, `{thought}` and `{answer}`. By default our own words
            for what the paper asks: reasoning in the first person and in the question's language, and a faithful
            summary with the boxed answer.
        refine_temperature (`float`, *optional*, defaults to `0.3`):
            Temperature of the chat model where it refines; where it writes, it is the stage's. Our own choice.
        refine_max_tokens (`int`, *optional*, defaults to `8192`):
            Where its answer is cut. Our own choice.
        if_not_refined (`str`, *optional*, defaults to `"original"`):
            What becomes of a completion whose refined text fails the rules (a wrong answer, the wrong language, no
            answer at all): `"original"` keeps it unrefined, `"drop"` drops it.
    """

    sources: list[str] = field(default_factory=lambda: ["zero"])
    examples: list[dict[str, Any]] = field(default_factory=list)
    examples_per_prompt: int = 2
    chat_samples: int = 4
    reviewed: str | None = None
    refine_url: str | None = None
    refine_model: str | None = None
    refine_instruction: str | None = None
    refine_temperature: float = 0.3
    refine_max_tokens: int = 8192
    if_not_refined: Literal["original", "drop"] = "original"

    needs_model: ClassVar[bool] = False  # where no source samples from it

    def __post_init__(self) -> None:
        super().__post_init__()
        known = ("zero", "few_shot", "direct")
        one_each = 0 < len({*self.sources} & {*known}) == len(self.sources)
        expect(self, "sources", one_each, f"some of {', '.join(known)}, each once")
        for key in ("examples_per_prompt", "chat_samples"):
            expect(self, key, getattr(self, key) >= 1, "at least 1")
        if "zero" in self.sources and self.data and not self.model_name_or_path:
            raise ConfigError("expected a folder, a Hub id or a model's name at a server", key="model_name_or_path")
        if {*self.sources} != {"zero"} and not self.refine_url:
            raise ConfigError("expected the chat model's server, since it is one of `sources`", key="refine_url")
        if ("few_shot" in self.sources) != bool(self.examples):
            told = "expected rows with `prompt` and `completion`" if not self.examples else "expected none"
            raise ConfigError(f"{told}: `sources` says whether there is `few_shot`", key="examples")
        if self.examples:
            parse_sources(self.examples, key="examples")
        Reviews.read(self.reviewed)
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
        messages (`bool`, *optional*, defaults to `False`):
            Whether rows also have a column `messages`: prompt and completion as a conversation.
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
    messages: bool = False

    needs_model: ClassVar[bool] = False  # rows may be complete as they are

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples_from:
            raise ConfigError("expected none: what is written here depends on the rows of `data`", key="samples_from")
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
class SafetyConfig(BuilderConfig):
    """
    Responses with a label, safe or unsafe, for the `pointwise` stage (paper, v2 3.1: 106,000 prompts with the model's
    responses, labelled).

    Args:
        data (`list[dict]`):
            Prompts, as in [`~data.DataSource`]. A row with a `completion` is labelled as it is; others are sampled.
        judge (`dict`):
            Who labels, declared like a reward: `trl_r1.builders.SafetyJudge`, or a reward that gives 1 to a safe response
            and 0 to an unsafe one.
        safe_from (`float`, *optional*, defaults to `0.5`):
            Least value with which a response is safe. Own choice.
        model_name_or_path (`str`, *optional*):
            The model that responds, where rows have no response.
    """

    judge: dict[str, Any] = field(default_factory=dict)
    safe_from: float = 0.5

    needs_model: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.judge:
            raise ConfigError("expected who labels: a mapping with `func`", key="judge")


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
            How often each pair is scored (v2 3.1), half of the times in either order; of an odd number, the order of the
            one too many is random. A reward does not see the order and scores once.
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
