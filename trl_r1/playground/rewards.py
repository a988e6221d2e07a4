"""
The rule for general prompts, as a reward: what a preference model only approximates. For evaluation.

The paper has people and chat models judge such answers; a playground has the rule by which its pairs were made, so that
what RL gains on the preference model's score can be distinguished from what it gains by fooling it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from ..errors import ConfigError
from ..text import completion_text, question_of, split_completion
from .general import Request, every_request, quality


@lru_cache(maxsize=1)
def _requests() -> dict[str, Request]:
    return {request.prompt: request for request in every_request()}


@dataclass(frozen=True)
class Courtesy:
    """
    Reward of 1.0 for an answer that is right and kind, 0.5 for one that is right and curt, 0.0 for a wrong one, `None`
    for a prompt that is no request of the playground. Only what follows the thought is looked at.
    """

    __name__: ClassVar[str] = "courtesy"
    requires: ClassVar[tuple[str, ...]] = ()

    def __call__(
        self, *, completions: list[Any], prompts: list[Any] | None = None, **columns: Any
    ) -> list[float | None]:
        questions = columns.get("question")
        if questions is None:
            if prompts is None:
                raise ConfigError("the reward `courtesy` needs prompts or the column `question`", key="question")
            questions = [question_of(prompt) for prompt in prompts]
        scores: list[float | None] = []
        for question, completion in zip(questions, completions, strict=True):
            request = _requests().get(question.strip())
            answer = split_completion(completion_text(completion)).answer
            scores.append(None if request is None else quality(request, answer or ""))
        return scores


courtesy = Courtesy()
