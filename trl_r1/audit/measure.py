"""
One reward, tried on the battery.

A reward says by itself what it measures: it is tried on a question if it judges both honest completions and pays the
right one more. So no reward has to be classified, and one's own is judged like ours. `None` for an exploit counts as 0,
which is what TRL adds to the sum. An exploit **pays** if it earns more than the honest wrong completion; where it deserves a part of
the way to the right one (`allowed`), if it earns more than that part. A reward that raises an exception on an exploit
would end a training, and so counts as one that pays.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from ..errors import TrlR1Error
from ..rewards.schedule import call
from ..rewards.scheduled import required_columns
from ..text import STYLES, render_prompt
from .battery import Exploit, Form, Question, load_battery, tried_in


_MARGIN = 0.01  # of the way from wrong to right: rounding


@dataclass(frozen=True)
class Outcome:
    """
    What an exploit earned.

    Args:
        exploit ([`Exploit`]):
            The exploit.
        reward (`float`, *optional*):
            Its reward; `None` where the reward gave none.
        wrong (`float`):
            The honest wrong completion's.
        right (`float`):
            The honest right completion's.
        error (`str`, *optional*):
            The exception that it raised.
    """

    exploit: Exploit
    reward: float | None
    wrong: float
    right: float
    error: str | None = None

    @property
    def pays(self) -> bool:
        """Whether it earned more than it deserves, or raised an exception."""
        deserved = self.wrong + (self.exploit.allowed + _MARGIN) * (self.right - self.wrong)
        return self.error is not None or (self.reward or 0.0) > deserved


@dataclass
class Audit:
    """
    A reward's outcomes.

    Args:
        outcomes (`list[Outcome]`):
            One for each exploit on a question that the reward measures.
        skipped (`str`, *optional*):
            Why it was not tried, or not on some questions.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    skipped: str | None = None

    @property
    def paying(self) -> list[Outcome]:
        """The exploits that pay."""
        return [outcome for outcome in self.outcomes if outcome.pays]


def audit_reward(reward: Callable[..., Any], prompt_template: str = "chat") -> Audit:
    """
    Try a reward on the battery.

    Args:
        reward (`Callable`):
            The reward, without a schedule.
        prompt_template (`str`, *optional*, defaults to `"chat"`):
            The template of the stage's prompts (see [`~text.render_prompt`]), which says whether completions are
            messages or text, and in which style.

    Returns:
        [`Audit`]: its outcomes; none, and why, where it needs a model or a server that is not there.
    """
    if why := _out_of_reach(reward):
        return Audit(skipped=why)
    form = form_of(reward, prompt_template)
    questions, _ = load_battery()
    audit = Audit()
    refused: dict[str, str] = {}
    measured: set[str] = set()
    for question in questions.values():
        trial = _Trial(reward, question, form, prompt_template)
        given = {*trial.columns(), "domain", "prompt_id"}
        missing = [name for name in required_columns(reward) if name not in given]
        if missing:
            refused.setdefault(f"it reads the column `{missing[0]}`", question.name)
            continue
        try:
            right, wrong = trial.rewards([question.right, question.wrong], [False, False])
        except Exception as error:
            refused.setdefault(_said(error), question.name)
            continue
        if right is None or wrong is None or right <= wrong + 1e-9:
            continue
        measured.add(question.name)
        if question.unless not in measured:
            audit.outcomes += trial.outcomes(tried_in(form, question.name), right, wrong)
    if not audit.outcomes:
        audit.skipped = next(iter(refused), "it prefers the right completion on no question of the battery")
    return audit


def form_of(reward: Any, prompt_template: str = "chat") -> Form:
    """Return how completions are to be written for a reward: by its own `style`, else by the stage's template."""
    style = getattr(reward, "style", None)
    if style not in STYLES:
        style = "r1_zero" if prompt_template == "r1_zero" else "think"
    token = getattr(reward, "special_token", None) or Form.special_token
    return Form(style, getattr(reward, "prefilled", None) is True, token)


def _out_of_reach(reward: Any) -> str | None:
    """Say why a reward cannot be tried on this machine, if it cannot."""
    if isinstance(getattr(reward, "base_url", None), str):
        return f"it asks the model `{getattr(reward, 'model', '?')}` at {reward.base_url}"
    if type(reward).__name__ == "PreferenceModel":
        return f"it scores with the model `{str(getattr(reward, 'model', '?')).removeprefix('${run}/')}`"
    try:
        if (check := getattr(reward, "check_machine", None)) is not None:
            check()
    except TrlR1Error as error:
        return f"this machine cannot run it: {error}"
    return None


@dataclass(frozen=True)
class _Trial:
    """A reward that is tried on one question, with the form and the template of its completions."""

    reward: Callable[..., Any]
    question: Question
    form: Form
    template: str

    def columns(self) -> dict[str, Any]:
        """Return the columns of the question, its tests also under the name by which a `CodeAccuracy` reads them."""
        columns = self.question.columns
        tests = {getattr(self.reward, "column", "tests"): columns["tests"]} if "tests" in columns else {}
        return {**columns, **tests}

    def outcomes(self, exploits: list[Exploit], right: float, wrong: float) -> list[Outcome]:
        """Try exploits, all at once; where the reward raises an exception, each by itself."""
        texts = [exploit.completion.replace("<<repeated>>", exploit.repeated * exploit.times) for exploit in exploits]
        try:
            earned = self.rewards(texts, [exploit.truncated for exploit in exploits])
            return [Outcome(exploit, one, wrong, right) for exploit, one in zip(exploits, earned, strict=True)]
        except Exception as error:
            if len(exploits) == 1:
                return [Outcome(exploits[0], None, wrong, right, error=_said(error))]
            return [outcome for exploit in exploits for outcome in self.outcomes([exploit], right, wrong)]

    def rewards(self, texts: list[str], truncated: list[bool]) -> list[float | None]:
        """Call the reward as a trainer would, on completions of the question."""
        count = len(texts)
        # Each is a group of its own for rewards that compare the completions of one prompt.
        asked = [f"({i + 1}) {self.question.columns['question']}" for i in range(count)]
        prompts = [render_prompt(self.template, one) for one in asked]
        texts = [self.form.written(text) for text in texts]
        completions: list[Any] = texts
        if self.template == "chat":
            completions = [[{"role": "assistant", "content": text}] for text in texts]
        elif self.form.prefilled:
            prompts = [f"{prompt} <think>" for prompt in prompts]
        rewards = call(
            self.reward,
            prompts=prompts,
            completions=completions,
            completion_ids=[list(range(len(text.split()) + 1)) for text in texts],
            trainer_state=SimpleNamespace(global_step=0, max_steps=1),
            log_extra=lambda column, values: None,
            log_metric=lambda name, value: None,
            **{
                **{name: [value] * count for name, value in self.columns().items()},
                "question": asked,
                "domain": [self.question.name] * count,
                "prompt_id": [f"{self.question.name}-{i}" for i in range(count)],
                "truncated": truncated,
                "prefilled": [self.form.prefilled] * count,
                "thought_style": [self.form.style] * count,
            },
        )
        return [None if one is None or math.isnan(one) else float(one) for one in rewards]


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]
