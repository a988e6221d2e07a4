"""
Language models at a server that judge for builders: two answers against each other, for preference pairs, and whether a
response is safe.

Paper, v2 3.1: a judge scores each pair several times, in random order; responses are labelled safe or unsafe. The paper's
prompt for pairs is given there; these are our own, to the same effect. How a judge is asked, what is kept and when it stops the stage: [`~rewards.asking`].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..model_server import run_coroutine
from ..rewards.asking import AskedModel, Case
from ..rewards.forgery import parts_between_marks
from ..text import split_completion
from .instructions import INSTRUCTIONS, fill


LOWEST, HIGHEST = 1, 10


@dataclass(frozen=True)
class ComparisonJudge(AskedModel):
    """
    A model that scores two answers to one query, from 1 to 10. Only what follows the thoughts is shown to it.

    Takes the arguments of [`~rewards.asking.AskedModel`].
    """

    __name__: ClassVar[str] = "comparison_judge"

    def __call__(self, pairs: Sequence[tuple[str, str, str]]) -> list[tuple[float, float] | None]:
        """
        Score pairs.

        Args:
            pairs (`Sequence[tuple[str, str, str]]`):
                Question, first answer and second answer of each, in the order in which the judge is to see them. A pair
                that comes again is asked again.

        Returns:
            `list[tuple[float, float] | None]`: the two scores; `None` without a readable judgement.
        """
        cases: list[Case] = []
        times: dict[tuple[str, tuple[str, ...]], int] = {}
        for question, first, second in pairs:
            answers = tuple(split_completion(answer).answer or "" for answer in (first, second))
            times[question, answers] = times.get((question, answers), 0) + 1
            cases.append(self._case(question, answers, times[question, answers]))
        return [one.value for one in run_coroutine(self.ask(cases, "score_a", _scores))]

    def _case(self, question: str, answers: tuple[str, ...], time: int) -> Case:
        parts = {"query": question, "answer of A": answers[0], "answer of B": answers[1]}
        rubric = self.rubric or INSTRUCTIONS["comparison_rubric"]
        instruction = fill(INSTRUCTIONS["comparison"], rubric=rubric, lowest=str(LOWEST), highest=str(HIGHEST))
        return Case(f"{parts_between_marks(parts)}\n\n{instruction}", answers, time)


def _scores(said: dict[str, Any]) -> tuple[float, float]:
    return _score(said["score_a"]), _score(said["score_b"])


def _score(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number) or not LOWEST <= number <= HIGHEST:
        raise ValueError(f"a score outside its scale: {value!r}")
    return number


@dataclass(frozen=True)
class SafetyJudge(AskedModel):
    """
    A model that says whether a response is safe: 1 for safe, 0 for unsafe. The whole response is shown to it, thought
    included (paper, v1 2.3.4).

    Takes the arguments of [`~rewards.asking.AskedModel`]. It is called as a reward.
    """

    __name__: ClassVar[str] = "safety_judge"

    def __call__(self, completions: Sequence[str], question: Sequence[str], **columns: Any) -> list[float | None]:
        """
        Label responses.

        Args:
            completions (`Sequence[str]`):
                The responses.
            question (`Sequence[str]`):
                What each responds to.
            **columns:
                Not read.

        Returns:
            `list[float | None]`: `None` without a readable judgement.
        """
        cases = [self._case(query, response) for query, response in zip(question, completions, strict=True)]
        return [one.value for one in run_coroutine(self.ask(cases, "verdict", _verdict))]

    def _case(self, query: str, response: str) -> Case:
        rubric = self.rubric or INSTRUCTIONS["safety_rubric"]
        asked = parts_between_marks({"query": query, "response": response})
        return Case(f"{asked}\n\n{fill(INSTRUCTIONS['safety'], rubric=rubric)}", (query, response))


def _verdict(said: dict[str, Any]) -> float:
    return {"safe": 1.0, "unsafe": 0.0}[str(said["verdict"]).strip().lower()]
