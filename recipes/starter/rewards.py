"""A reward of your own: a function of TRL's form. A stage names it `rewards.distinct_lines`."""

from typing import Any

from trl_r1.text import completion_text


def distinct_lines(completions: list[Any], **columns: Any) -> list[float]:
    """Return for each completion the share of its lines that it has not written before: low for one that repeats itself."""
    rewards = []
    for completion in completions:  # text, or messages where the prompts are messages
        lines = [line.strip() for line in completion_text(completion).splitlines() if line.strip()]
        rewards.append(len(set(lines)) / len(lines) if lines else 0.0)
    return rewards
