"""
One reward, tried on the battery.

A reward says by itself what it measures: it is tried on a question if it judges both honest completions and pays the
right one more. So no reward has to be classified, and one's own is judged like ours. `None` for an exploit counts as 0,
which is what TRL adds to the sum. An exploit **pays** if it earns more than the honest wrong completion; where it deserves a part of
the way to the right one (`allowed`), if it earns more than that part. A reward that raises an exception on an exploit
would end a training, and so counts as one that pays.

A rewriting of a right answer is **refused** if it earns less than half of the way from the honest wrong completion to the
right one, or the reward raises an exception on it. Rewritings of a choice are tried on rewards that read `options` (by
`requires`, `may_read` or a parameter), all others on those that do not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from ..errors import TrlR1Error
from ..rewards.schedule import call
from ..rewards.scheduled import required_columns
from ..text import STYLES, render_prompt
from .battery import Exploit, Form, Question, Rewriting, load_battery, tried_in


_MARGIN = 0.01  # of the way from wrong to right: rounding


@dataclass(frozen=True)
class Outcome:
    """
    What an exploit or a rewriting earned.

    Args:
        sample ([`Exploit`] or [`Rewriting`]):
            What was tried.
        reward (`float`, *optional*):
            Its reward; `None` where the reward gave none.
        wrong (`float`):
            The honest wrong completion's.
        right (`float`):
            The honest right completion's.
        error (`str`, *optional*):
            The exception that it raised.
    """

    sample: Exploit | Rewriting
    reward: float | None
    wrong: float
    right: float
    error: str | None = None

    @property
    def fails(self) -> bool:
        """Whether an exploit earned more than it deserves, or a rewriting less; or the reward raised an exception."""
        earned, way = self.reward or 0.0, self.right - self.wrong
        if isinstance(self.sample, Exploit):
            return self.error is not None or earned > self.wrong + (self.sample.allowed + _MARGIN) * way
        return self.error is not None or earned < self.wrong + way / 2


@dataclass
class Audit:
    """
    A reward's outcomes.

    Args:
        exploits (`list[Outcome]`):
            One for each exploit on a question that the reward measures.
        rewritings (`list[Outcome]`):
            One for each rewriting of a right answer to such a question.
        skipped (`str`, *optional*):
            Why it was not tried, or not on some questions.
    """

    exploits: list[Outcome] = field(default_factory=list)
    rewritings: list[Outcome] = field(default_factory=list)
    skipped: str | None = None

    @property
    def paying(self) -> list[Outcome]:
        """The exploits that pay."""
        return [outcome for outcome in self.exploits if outcome.fails]

    @property
    def refused(self) -> list[Outcome]:
        """The right answers that are refused."""
        return [outcome for outcome in self.rewritings if outcome.fails]


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
    questions, exploits, rewritings = load_battery()
    audit = Audit()
    reads_options = "options" in (*required_columns(reward), *getattr(reward, "may_read", ()))
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
            audit.exploits += trial.outcomes(tried_in(form, question.name, exploits), right, wrong)
            if ("options" in question.columns) is reads_options:
                audit.rewritings += trial.outcomes(tried_in(form, question.name, rewritings), right, wrong)
    if not audit.exploits:
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

    def outcomes(self, samples: Sequence[Exploit | Rewriting], right: float, wrong: float) -> list[Outcome]:
        """Try exploits or rewritings, all at once; where the reward raises an exception, each by itself."""
        if not samples:
            return []
        try:
            earned = self.rewards([sample.text for sample in samples], [sample.truncated for sample in samples])
            return [Outcome(sample, one, wrong, right) for sample, one in zip(samples, earned, strict=True)]
        except Exception as error:
            if len(samples) == 1:
                return [Outcome(samples[0], None, wrong, right, error=_said(error))]
            return [outcome for sample in samples for outcome in self.outcomes([sample], right, wrong)]

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
