r"""
Accuracy of a mathematical answer, the paper's rule-based reward (arXiv 2501.12948, 2.2.2: "the model is required to
provide the final answer in a specified format, enabling reliable rule-based verification").

1 if the completion's final answer equals the row's `solution`, 0 if it does not or there is none, `None` if it cannot
be judged. It looks only at what follows the last `</think>`; a thought that is opened and never closed has no answer
after it. See [`~verify.final_answer`] for where in the answer part the final answer stands, and [`~verify.equivalent`]
for what counts as equal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..text import completion_text, prompt_ends_in_thought, split_completion
from ..verify import DEADLINE_CPU_SECONDS, final_answer, judge, read_gold
from ._columns import column


def answer_part(completion: Any, prompt: Any = None, prefilled: bool | None = None) -> str | None:
    """
    Return what a completion says after its thought.

    Args:
        completion (`str` or `list[dict[str, str]]`):
            The completion, as TRL hands it over.
        prompt (`str` or `list[dict[str, str]]`, *optional*):
            Its prompt; only looked at where `prefilled` is `None`.
        prefilled (`bool`, *optional*):
            Whether the prompt ended in `<think>`. `None`: look at the prompt's text.

    Returns:
        `str` or `None`: `None` if the thought was never closed.
    """
    if prefilled is None:
        prefilled = prompt is not None and prompt_ends_in_thought(prompt)
    return split_completion(completion_text(completion), prefilled=prefilled).answer


@dataclass(frozen=True)
class MathAccuracy:
    r"""
    Reward of 1.0 for a right final answer, 0.0 for a wrong or missing one, `None` where it cannot be judged: the row
    has no readable `solution`, or computer algebra hit its deadline.

    Needs the column `solution`: an answer (`18`, `\frac{1}{3}`, `(1, 2]`, `\text{Monday}`) or a worked solution that
    ends in one (`#### 18`, `\boxed{18}`).

    Args:
        deadline_cpu_seconds (`float`, *optional*, defaults to `2.0`):
            CPU time that computer algebra may spend on one answer.
        prefilled (`bool`, *optional*):
            Whether the prompt ends in `<think>`, so that completions start inside the thought. `None` looks at the
            prompt's text; it cannot see a `<think>` that the chat template of a conversational prompt adds, so set
            `True` there.
        workers (`int`, *optional*):
            How many worker processes may be used. Defaults to the cores of the machine, shared among its ranks.

    Example:
    ```python
    >>> from trl_r1.rewards import math_accuracy

    >>> math_accuracy(completions=["<think>6 * 7</think> \\boxed{42}", "<think>\\boxed{42}"], solution=["42", "42"])
    [1.0, 0.0]
    ```
    """

    deadline_cpu_seconds: float = DEADLINE_CPU_SECONDS
    prefilled: bool | None = None
    workers: int | None = None

    __name__: ClassVar[str] = "math_accuracy"
    requires: ClassVar[tuple[str, ...]] = ("solution",)
    is_accuracy: ClassVar[bool] = True

    def __call__(
        self,
        *,
        completions: list,
        prompts: list | None = None,
        completion_ids: list | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        solutions = column("solution", columns, len(completions), self.__name__)
        golds = [read_gold(solution) for solution in solutions]
        prompts = prompts if prompts is not None else [None] * len(completions)
        answers = [
            None if part is None else final_answer(part)
            for part in (answer_part(c, p, self.prefilled) for c, p in zip(completions, prompts, strict=True))
        ]
        rewards: list[float | None] = [None if gold is None else 0.0 for gold in golds]
        asked = [i for i, gold in enumerate(golds) if gold is not None and answers[i] is not None]
        pairs = [(golds[i], answers[i]) for i in asked]
        for i, verdict in zip(asked, judge(pairs, self.deadline_cpu_seconds, self.workers), strict=True):
            rewards[i] = None if verdict is None else float(verdict)
        if log_extra is not None:
            log_extra("answer", [answer if answer is not None else "" for answer in answers])
        if log_metric is not None and completions:
            log_metric("math_unscorable", sum(reward is None for reward in rewards) / len(rewards))
        return rewards


math_accuracy = MathAccuracy()
