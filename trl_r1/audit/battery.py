"""
The exploits and the rewritings of right answers, as `exploits.yaml` lists them, and how a completion is written in the
style that a reward asks for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from ..errors import ConfigError
from ..text import STYLES
from ..typed import make


BATTERY = Path(__file__).with_name("exploits.yaml")


@dataclass(frozen=True)
class Question:
    """
    A row of data with an honest pair of completions.

    Args:
        name (`str`):
            Its name.
        right (`str`):
            A completion that deserves the reward.
        wrong (`str`):
            One that does not, and tries nothing.
        unless (`str`, *optional*):
            Another question; rewards that measure it are not tried on this one.
        columns (`dict[str, Any]`):
            What a data set would hold: `question`, `solution`, `options`, `tests`, `language`.
    """

    name: str
    right: str
    wrong: str
    unless: str | None
    columns: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Exploit:
    """
    A completion that some reward pays for and should not.

    Args:
        id (`str`):
            Its name.
        row (`str`):
            The question that it answers.
        what (`str`):
            What it does.
        fools (`str`):
            Who is known to pay.
        completion (`str`):
            The text, with `<<think>>`, `<<answer>>` and `<<end>>` for the marks of a style.
        allowed (`float`, *optional*, defaults to `0.0`):
            How much of the way from the honest wrong completion's reward to the right one's it deserves.
        styles (`Sequence[str]`, *optional*):
            The styles in which it makes sense.
        prefilled (`bool`, *optional*, defaults to `True`):
            Whether it makes sense where the prompt opens the thought.
        truncated (`bool`, *optional*, defaults to `False`):
            Whether the length limit cut it.
        repeated (`str`, *optional*), times (`int`, *optional*):
            What replaces `<<repeated>>`, and how often it is repeated.
    """

    id: str
    row: str
    what: str
    fools: str
    completion: str
    allowed: float = 0.0
    styles: Sequence[str] = field(default=STYLES, hash=False)
    prefilled: bool = True
    truncated: bool = False
    repeated: str = ""
    times: int = 0

    @property
    def text(self) -> str:
        """The completion with its repetition."""
        return self.completion.replace("<<repeated>>", self.repeated * self.times)


@dataclass(frozen=True)
class Rewriting:
    """
    A completion that deserves what the honest right one earns, and that some reward refuses.

    Args:
        id (`str`):
            Its name.
        row (`str`):
            The question that it answers.
        what (`str`):
            How it differs from the right one.
        refused_by (`str`):
            Who is known to refuse it.
        completion (`str`):
            The text, as that of an [`Exploit`].
        styles (`Sequence[str]`, *optional*):
            The styles in which it makes sense.
        prefilled (`bool`, *optional*, defaults to `True`):
            Whether it makes sense where the prompt opens the thought.
    """

    id: str
    row: str
    what: str
    refused_by: str
    completion: str
    styles: Sequence[str] = field(default=STYLES, hash=False)
    prefilled: bool = True
    truncated = False

    @property
    def text(self) -> str:
        """The completion."""
        return self.completion


Sample = TypeVar("Sample", Exploit, Rewriting)


class Battery(NamedTuple):
    """What a reward is tried on: questions by name, exploits, and rewritings of right answers."""

    questions: dict[str, Question]
    exploits: tuple[Exploit, ...]
    rewritings: tuple[Rewriting, ...]


@dataclass(frozen=True)
class Form:
    """
    How completions are written for a reward.

    Args:
        style (`str`):
            One of [`~text.STYLES`].
        prefilled (`bool`, *optional*, defaults to `False`):
            Whether the prompt opens the thought.
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
    """

    style: str = "think"
    prefilled: bool = False
    special_token: str = "|special_token|"

    def written(self, text: str) -> str:
        """Put the marks of the style into a completion of the battery."""
        opening, closing, end = {
            "think": ("<think>", "</think>", ""),
            "r1_zero": ("<think>", "</think> <answer>", "</answer>"),
            "special_token": (self.special_token, self.special_token, ""),
        }[self.style]
        text = text.replace("<<think>>", opening).replace("<<answer>>", closing).replace("<<end>>", end)
        return text.removeprefix(opening) if self.prefilled else text


@lru_cache(maxsize=4)
def load_battery(path: Path = BATTERY) -> Battery:
    """
    Read the battery.

    Args:
        path (`Path`, *optional*):
            A file of the form of `exploits.yaml`.

    Returns:
        [`Battery`]: what it holds.

    Raises:
        [`~errors.ConfigError`]: if an entry has an unknown key, lacks one, or is of no question.
    """
    battery = yaml.safe_load(path.read_text(encoding="utf-8"))
    questions = {}
    for name, row in battery["rows"].items():
        columns = {key: value for key, value in row.items() if key not in ("right", "wrong", "unless")}
        questions[name] = Question(name, row["right"], row["wrong"], row.get("unless"), columns)
    exploits: list[Exploit] = []
    rewritings: list[Rewriting] = []
    for key, kind, found in (("exploits", Exploit, exploits), ("rewritings", Rewriting, rewritings)):
        for i, declared in enumerate(battery.get(key) or ()):
            found += make([kind], declared, within=f"{key}[{i}]")  # type: ignore[operator]
            if declared["row"] not in questions:
                raise ConfigError("is of no row", file=str(path), key=f"{key}[{i}]")
    return Battery(questions, tuple(exploits), tuple(rewritings))


def tried_in(form: Form, row: str, samples: Iterable[Sample]) -> list[Sample]:
    """Return the exploits or rewritings of a question that make sense in a form."""
    return [
        sample
        for sample in samples
        if sample.row == row and form.style in sample.styles and (sample.prefilled or not form.prefilled)
    ]
