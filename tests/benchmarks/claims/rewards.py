"""Rewards of the claims' controls."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from trl_r1.text import completion_text, split_completion
from trl_r1.verify import final_answer


@dataclass(frozen=True)
class DrawnByLot:
    """1.0 where a search or a choice of the playground is answered by the one candidate that the prompt's hash has drawn."""

    __name__: ClassVar[str] = "drawn_by_lot"
    requires: ClassVar[tuple[str, ...]] = ("question", "domain")

    def __call__(self, *, completions: list[Any], question: list[str], domain: list[str], **_: Any) -> list[float]:
        drawn = [drawn_by_lot(prompt, kind) for prompt, kind in zip(question, domain, strict=True)]
        answers = [final_answer(split_completion(completion_text(each)).answer or "") for each in completions]
        return [float(answer == candidate) for answer, candidate in zip(answers, drawn, strict=True)]


def drawn_by_lot(prompt: str, domain: str) -> str:
    """Return one of a prompt's candidates: its number, of a choice its letter."""
    candidates = re.findall(r"([A-L])(\d+)", prompt)
    lot = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") % len(candidates)
    return candidates[lot][domain == "search"]


@dataclass(frozen=True)
class LenientFormat:
    """1.0 where a thought ends somewhere and anything follows, as the format rewards of several open reproductions have it."""

    __name__: ClassVar[str] = "lenient_format"
    requires: ClassVar[tuple[str, ...]] = ()

    def __call__(self, *, completions: list[Any], **_: Any) -> list[float]:
        return [
            float(re.search(r"<think>.*</think>.", completion_text(each), re.DOTALL) is not None)
            for each in completions
        ]
