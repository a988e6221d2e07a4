"""A reward of your own: a function of TRL's form. A stage names it `rewards.states_answer`."""

from typing import Any

from trl_r1.text import completion_text


def states_answer(completions: list[Any], **columns: Any) -> list[float]:
    """Return 1 for each completion that marks its answer, in `<answer>` tags or in a box, else 0."""
    texts = [
        completion_text(completion) for completion in completions
    ]  # text, or messages where the prompts are messages
    return [float("</answer>" in text or "\\boxed{" in text) for text in texts]
