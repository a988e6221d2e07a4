r"""
Accuracy of a mathematical answer, the paper's rule-based reward (arXiv 2501.12948, 2.2.2: "the model is required to
provide the final answer in a specified format, enabling reliable rule-based verification").

1 if the completion's final answer equals the row's `solution`, 0 if it does not or there is none, `None` if it cannot
be judged. It looks only at what follows the last `</think>`; a thought that is opened and never closed has no answer
after it. See [`~verify.final_answer`] for where in the answer part the final answer stands, and [`~verify.equivalent`]
for what counts as equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..text import STYLES, completion_text, split_completion, thoughts_opened
from ..verify import DEADLINE_CPU_SECONDS, final_answer, judge, read_gold
from ._columns import column


def answer_parts(
    completions: list[Any],
    prompts: list[Any] | None = None,
    prefilled: bool | list[bool] | None = None,
    style: str = "think",
    special_token: str = "|special_token|",
    truncated: list[bool] | None = None,
) -> list[str | None]:
    """
    Return what each completion says after its thought.

    Args:
        completions (`list[str]` or `list[list[dict[str, Any]]]`):
            The completions, as TRL hands them over.
        prompts (`list`, *optional*):
            Their rendered prompts; only looked at where `prefilled` is `None`.
        prefilled (`bool` or `list[bool]`, *optional*):
            Whether the prompts opened the thought. `None`: see [`~text.thoughts_opened`].
        style (`str`, *optional*, defaults to `"think"`):
            Form of a completion. See [`~text.split_completion`].
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
        truncated (`list[bool]`, *optional*):
            Which completions were cut off. What such a one says last is no answer, unless it stands in a closed box or
            `<answer>` block.

    Returns:
        `list[str | None]`: `None` where a thought was opened and never closed, or the answer was cut.
    """
    texts = [completion_text(completion) for completion in completions]
    marks = (special_token, special_token) if style == "special_token" else ("<think>", "</think>")
    opened = thoughts_opened(prompts, texts, prefilled, *marks)
    parts = [split_completion(text, yes, style, special_token).answer for text, yes in zip(texts, opened, strict=True)]
    if truncated is None:
        return parts
    whole = [any(mark in text for mark in ("\\boxed", "\\fbox", "</answer>")) for text in texts]
    return [part if ends or not cut else None for part, ends, cut in zip(parts, whole, truncated, strict=True)]


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
            Whether the prompts open the thought, so that completions start inside it. `None`: the column `prefilled`
            where the trainer supplies one, else the prompts' text. That cannot show a `<think>` which the chat template
            of a conversation adds: with such a template and a stock trainer set `True`, or a thought that was cut off
            counts as an answer.
        style (`str`, *optional*, defaults to `"think"`):
            Form of a completion: `"think"`, `"r1_zero"` or `"special_token"`. See [`~text.split_completion`].
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
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
    style: str = "think"
    special_token: str = "|special_token|"
    workers: int | None = None

    __name__: ClassVar[str] = "math_accuracy"
    requires: ClassVar[tuple[str, ...]] = ("solution",)
    is_accuracy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.deadline_cpu_seconds <= 0:
            raise ConfigError(
                f"expected a number of seconds above 0, got {self.deadline_cpu_seconds!r}", key="deadline_cpu_seconds"
            )
        if self.style not in STYLES:
            raise ConfigError(f"expected one of {', '.join(STYLES)}, got {self.style!r}", key="style")

    def reads_gold(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row of data has a solution that answers can be compared with."""
        return read_gold(row.get("solution") or "") is not None

    def __call__(
        self,
        *,
        completions: list[Any],
        prompts: list[Any] | None = None,
        completion_ids: list[Any] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        solutions = column("solution", columns, len(completions), self.__name__)
        golds = [read_gold(solution) for solution in solutions]
        prefilled = columns.get("prefilled") if self.prefilled is None else self.prefilled
        truncated = columns.get("truncated")
        parts = answer_parts(completions, prompts, prefilled, self.style, self.special_token, truncated)
        answers = [None if part is None else final_answer(part) for part in parts]
        rewards: list[float | None] = [None if gold is None else 0.0 for gold in golds]
        asked = [i for i, gold in enumerate(golds) if gold is not None and answers[i] is not None]
        pairs: list[tuple[Any, Any]] = [(golds[i], answers[i]) for i in asked]
        for i, verdict in zip(asked, judge(pairs, self.deadline_cpu_seconds, self.workers), strict=True):
            rewards[i] = None if verdict is None else float(verdict)
        if log_extra is not None:
            log_extra("answer", [answer if answer is not None else "" for answer in answers])
        if log_metric is not None and completions:
            log_metric("math_unscorable", sum(reward is None for reward in rewards) / len(rewards))
        return rewards


math_accuracy = MathAccuracy()
