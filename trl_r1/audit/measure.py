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
from ..rewards.schedule import call, required_columns
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
        given = {*_columns(reward, question), "domain", "prompt_id"}
        missing = [name for name in required_columns(reward) if name not in given]
        if missing:
            refused.setdefault(f"it reads the column `{missing[0]}`", question.name)
            continue
        try:
            right, wrong = _rewards(reward, question, [question.right, question.wrong], form, prompt_template)
        except Exception as error:
            refused.setdefault(_said(error), question.name)
            continue
        if right is None or wrong is None or right <= wrong + 1e-9:
            continue
        measured.add(question.name)
        if question.unless in measured:
            continue
        tried = tried_in(form, question.name)
        audit.outcomes += _outcomes(reward, question, tried, form, prompt_template, right, wrong)
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


def _columns(reward: Any, question: Question) -> dict[str, Any]:
    """Return the columns of a question, its tests also under the name by which a `CodeAccuracy` reads them."""
    tests = {getattr(reward, "column", "tests"): question.columns["tests"]} if "tests" in question.columns else {}
    return {**question.columns, **tests}


def _outcomes(
    reward: Callable[..., Any],
    question: Question,
    exploits: list[Exploit],
    form: Form,
    prompt_template: str,
    right: float,
    wrong: float,
) -> list[Outcome]:
    cut = [exploit.truncated for exploit in exploits]
    texts = [exploit.completion.replace("<<repeated>>", exploit.repeated * exploit.times) for exploit in exploits]
    try:
        earned = _rewards(reward, question, texts, form, prompt_template, cut)
        return [Outcome(exploit, one, wrong, right) for exploit, one in zip(exploits, earned, strict=True)]
    except Exception:
        pass  # one of them: find out which
    found = []
    for exploit, text, is_cut in zip(exploits, texts, cut, strict=True):
        try:
            (one,) = _rewards(reward, question, [text], form, prompt_template, [is_cut])
            found.append(Outcome(exploit, one, wrong, right))
        except Exception as error:
            found.append(Outcome(exploit, None, wrong, right, error=_said(error)))
    return found


def _rewards(
    reward: Callable[..., Any],
    question: Question,
    texts: list[str],
    form: Form,
    prompt_template: str,
    truncated: list[bool] | None = None,
) -> list[float | None]:
    """Call a reward as a trainer would, on completions of one question."""
    texts = [form.written(text) for text in texts]
    count = len(texts)
    # Each is a group of its own for rewards that compare the completions of one prompt.
    asked = [f"({i + 1}) {question.columns['question']}" for i in range(count)]
    prompts = [render_prompt(prompt_template, one) for one in asked]
    columns = {name: [value] * count for name, value in _columns(reward, question).items()}
    if form.prefilled:
        prompts = [prompt if isinstance(prompt, list) else f"{prompt} <think>" for prompt in prompts]
    rewards = call(
        reward,
        prompts=prompts,
        completions=[
            [{"role": "assistant", "content": text}] if isinstance(prompt, list) else text
            for text, prompt in zip(texts, prompts, strict=True)
        ],
        completion_ids=[list(range(len(text.split()) + 1)) for text in texts],
        trainer_state=SimpleNamespace(global_step=0, max_steps=1),
        log_extra=lambda column, values: None,
        log_metric=lambda name, value: None,
        **{
            **columns,
            "question": asked,
            "domain": [question.name] * count,
            "prompt_id": [f"{question.name}-{i}" for i in range(count)],
            "truncated": truncated or [False] * count,
            "prefilled": [form.prefilled] * count,
            "thought_style": [form.style] * count,
        },
    )
    return [None if one is None or math.isnan(one) else float(one) for one in rewards]


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]
