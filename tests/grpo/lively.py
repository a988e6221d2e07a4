"""Prompts of which some teach and some do not, whatever is answered, and the reward that makes it so."""

from typing import Any

from datasets import Dataset


class Lively:
    """
    The share of digits in a completion where the prompt is lively, and always the same where it is `solved` or
    `hopeless`. Right is what has a reward of at least 1.
    """

    __name__ = "lively"
    is_accuracy = True

    def __call__(self, *, completions: list[Any], kind: list[str], **columns: Any) -> list[float]:
        fixed = {"solved": 1.0, "hopeless": 0.0}
        return [fixed[k] if k in fixed else share_of_digits(c) for c, k in zip(completions, kind, strict=True)]


def share_of_digits(completion: Any) -> float:
    """0.5 for the share of digits, and 0.5 more where the number of words is even: seldom the same for two texts."""
    words = (completion if isinstance(completion, str) else completion[0]["content"]).split()
    return 0.5 * sum(word.isdigit() for word in words) / max(1, len(words)) + 0.5 * (len(words) % 2 == 0)


def mixed_prompts(n: int = 24, conversational: bool = False) -> Dataset:
    """Prompts, each its own; of each three one is lively, one solved and one hopeless."""
    texts = [f"what is the sum of {i // 10} and {i % 10} ?" for i in range(n)]
    return Dataset.from_dict(
        {
            "prompt": [[{"role": "user", "content": text}] for text in texts] if conversational else texts,
            "kind": [("lively", "solved", "hopeless")[i % 3] for i in range(n)],
            "prompt_id": [f"p{i}" for i in range(n)],
        }
    )
