"""
Language models at a server as judges: of one answer against the ground truth, and of two answers against each other.

Paper, v2 B.3.3: for prompts that no rule can check, DeepSeek-V3 is given the ground truth and the prediction and answers
in JSON with an analysis and a verdict. v2 3.1: for preference pairs a judge scores two answers, several times, in random
order. The paper's prompts are given there; those here are our own, to the same effect. A judgement that cannot be read
is asked for once more and is then `None`: not judged, never a silent 0.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..sampling.server import PromptRefused, Server
from ..text import completion_text, split_completion


VERDICT_INSTRUCTION = """\
You are given a question, its reference answer, and a candidate answer. Decide whether the candidate's final answer is \
equivalent to the reference answer. Do not solve the question yourself; judge only whether the two agree.

Question:
{question}

Reference answer:
{solution}

Candidate answer:
{answer}

Reply with JSON only: {{"analysis": "<one or two sentences>", "verdict": "correct" or "incorrect"}}"""

COMPARISON_INSTRUCTION = """\
Two assistants, A and B, answered the same query. Score each answer from 1 (useless) to 10 (could not be better) for how \
helpful and relevant it is to the user. Neither length nor order is a merit.

Query:
{question}

Answer of A:
{first}

Answer of B:
{second}

Reply with JSON only: {{"analysis": "<two or three sentences>", "score_a": <number>, "score_b": <number>}}"""

_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True)
class _Judge:
    """
    A model at a server that is asked for JSON.

    Args:
        base_url (`str`):
            Where the server's API starts.
        model (`str`):
            The model's name there.
        instruction (`str`, *optional*):
            What it is asked. Braces that stand for themselves are doubled.
        temperature (`float`, *optional*, defaults to `0.0`):
            Temperature; the second try is at 1.
        max_tokens (`int`, *optional*, defaults to `1024`):
            Where its reply is cut.
        concurrency (`int`, *optional*, defaults to `32`):
            Requests under way at once.
        timeout_seconds (`float`, *optional*, defaults to `600.0`), retries (`int`, *optional*, defaults to `6`):
            See [`~sampling.server.Server`].
        api_key_variable (`str`, *optional*, defaults to `"OPENAI_API_KEY"`):
            Environment variable with the server's key.
    """

    base_url: str
    model: str
    instruction: str | None = None
    temperature: float = 0.0
    max_tokens: int = 1024
    concurrency: int = 32
    timeout_seconds: float = 600.0
    retries: int = 6
    api_key_variable: str = "OPENAI_API_KEY"

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        for name in self.needs if self.instruction else ():
            if f"{{{name}}}" not in self.instruction:
                raise ConfigError(f"expected a text with {{{name}}}", key="instruction")

    def ask(self, texts: Sequence[str], read: Callable[[dict[str, Any]], Any]) -> list[Any]:
        """Ask each text; return what `read` makes of the JSON, `None` where it makes nothing of it twice."""
        server = Server(
            base_url=self.base_url,
            model=self.model,
            api_key=os.environ.get(self.api_key_variable),
            timeout_seconds=self.timeout_seconds,
            retries=self.retries,
        )

        def one(text: str) -> Any:
            for attempt in range(2):
                try:
                    reply = server.complete(
                        [{"role": "user", "content": text}],
                        temperature=self.temperature if attempt == 0 else 1.0,
                        max_tokens=self.max_tokens,
                        seed=attempt,
                    )[0].text
                except PromptRefused:
                    return None
                found = _OBJECT.search(split_completion(reply).answer or "")
                try:
                    return read(json.loads(found[0] if found else ""))
                except (ValueError, KeyError, TypeError):
                    continue
            return None

        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(one, texts))


@dataclass(frozen=True)
class VerdictJudge(_Judge):
    """
    Reward of 1.0 where a model finds the answer equivalent to the row's `solution`, 0.0 where it does not, `None` where
    there is no solution or no readable verdict. Only what follows the thought is shown to it.

    Declared like any reward:

    ```yaml
    rewards:
      - {func: trl_r1.rewards.MathAccuracy, domains: [math]}
      - {func: trl_r1.builders.VerdictJudge, args: {base_url: "http://judge:8000/v1", model: deepseek-v3}, domains: [stem]}
    ```
    """

    __name__: ClassVar[str] = "verdict_judge"
    requires: ClassVar[tuple[str, ...]] = ("question", "solution")
    is_accuracy: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("question", "solution", "answer")

    def __call__(
        self,
        *,
        completions: list,
        prompts: list | None = None,
        completion_ids: list | None = None,
        trainer_state: Any = None,
        log_extra: Any = None,
        log_metric: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        """Score a batch, as TRL calls a reward."""
        questions, solutions = columns["question"], columns["solution"]
        answers = [split_completion(completion_text(completion)).answer for completion in completions]
        verdicts: list[float | None] = [
            None if solution is None else 0.0 for solution in solutions
        ]  # a thought that is never closed gives no answer, and that is wrong whoever judges
        asked = [i for i, answer in enumerate(answers) if answer and solutions[i] is not None]
        texts = [
            (self.instruction or VERDICT_INSTRUCTION).format(
                question=questions[i], solution=solutions[i], answer=answers[i]
            )
            for i in asked
        ]
        for i, verdict in zip(asked, self.ask(texts, _read_verdict)):
            verdicts[i] = verdict
        return verdicts


@dataclass(frozen=True)
class ComparisonJudge(_Judge):
    """
    A model that scores two answers to one query, from 1 to 10. Only what follows the thoughts is shown to it.
    """

    __name__: ClassVar[str] = "comparison_judge"
    needs: ClassVar[tuple[str, ...]] = ("question", "first", "second")

    def __call__(self, pairs: Sequence[tuple[str, str, str]]) -> list[tuple[float, float] | None]:
        """
        Score pairs.

        Args:
            pairs (`Sequence[tuple[str, str, str]]`):
                Question, first answer and second answer of each, in the order in which the judge is to see them.

        Returns:
            `list[tuple[float, float] | None]`: the two scores; `None` without a readable judgement.
        """
        texts = [
            (self.instruction or COMPARISON_INSTRUCTION).format(
                question=question,
                first=split_completion(first).answer or "",
                second=split_completion(second).answer or "",
            )
            for question, first, second in pairs
        ]
        return self.ask(texts, lambda reply: (float(reply["score_a"]), float(reply["score_b"])))


def _read_verdict(reply: dict[str, Any]) -> float:
    verdict = str(reply["verdict"]).strip().lower()
    return {"correct": 1.0, "incorrect": 0.0, "true": 1.0, "false": 0.0}[verdict]
