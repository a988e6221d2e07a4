"""What an inference answers, and how it chooses. How it samples is in [`~sampling.SamplingConfig`]. Torch-free."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..data.source import parse_sources
from ..docstrings import help_from_docstring
from ..errors import ConfigError, expect


@help_from_docstring
@dataclass
class InferenceConfig:
    """
    Many samples of each question, one answer.

    Args:
        model_name_or_path (`str`):
            The model: a folder, a Hub id or a model's name at a server.
        output_dir (`str`):
            Where `data/answers.parquet` and `traces/` go.
        data (`list[dict]`, *optional*):
            Questions: see [`~data.DataSource`].
        questions (`list[str]`, *optional*):
            Further questions, as a user writes them.
        choose (`str`, *optional*, defaults to `"vote"`):
            `"vote"`: the most frequent answer, by mathematical equality. `"weighted_vote"`: the answer whose samples'
            rewards sum up to most. `"best_of_n"`: the sample with the highest reward.
        reward (`dict`, *optional*):
            The reward that weighs or chooses, declared as in training: a rule, a preference model, a judge. Where it gives
            `None`, a sample does not count. A weight must not be negative (`PreferenceModel` with its default, `sigmoid`).
        thought_budget (`int`, *optional*):
            Tokens after which a thought that goes on is cut and the answer asked for
            ([`~sampling.sample_within_budget`]). By default `max_completion_tokens` is the only limit.
        stop_early (`bool`, *optional*, defaults to `True`):
            With `"vote"`: a question whose vote further samples cannot change gets none. The answers are those of all
            `n_samples`.
    """

    model_name_or_path: str
    output_dir: str
    data: list[dict[str, Any]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    choose: Literal["vote", "weighted_vote", "best_of_n"] = "vote"
    reward: dict[str, Any] | None = None
    thought_budget: int | None = None
    stop_early: bool = True

    def __post_init__(self) -> None:
        expect(self, "model_name_or_path", bool(self.model_name_or_path), "a folder, a Hub id or a name at a server")
        if not self.data and not self.questions:
            raise ConfigError("expected data, or `questions`", key="data")
        if self.data:
            parse_sources(self.data)
        expect(self, "thought_budget", self.thought_budget is None or self.thought_budget >= 1, "at least 1")
        if self.choose != "vote" and self.reward is None:
            raise ConfigError(f"expected the reward by which `{self.choose}` chooses", key="reward")
        if self.choose == "vote" and self.reward is not None:
            raise ConfigError("expected none: a vote counts samples alike (`choose: weighted_vote`)", key="reward")
