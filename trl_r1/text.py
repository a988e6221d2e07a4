"""
The shape of a completion: its thought, its answer, and the template of its prompt. Pure.

R1-Zero's template is the paper's Table 1 (arXiv 2501.12948 v1), word for word. The thought is between `<think>`
and `</think>`; the answer is what follows. Where the paper is silent (an unclosed thought, a prefilled `<think>`), the
reading here is the strict one: a thought that is opened and never closed has no answer after it.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import ConfigError


R1_ZERO_TEMPLATE = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> "
    "reasoning process here </think> <answer> answer here </answer>. User: {prompt}. Assistant:"
)

STYLES = ("think", "r1_zero", "special_token")

# Paper, v2 C.2: the words whose counts rise 5-7 fold in R1-Zero's training. The Chinese ones are our counterparts.
REFLECTION_WORDS: dict[str, tuple[str, ...]] = {
    "en": ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"),
    "zh": ("等等", "错误", "然而", "但是", "重试", "验证", "不对", "评估", "检查"),
}

_ENGLISH_REFLECTION = re.compile(rf"\b(?:{'|'.join(REFLECTION_WORDS['en'])})\b", re.IGNORECASE)
# At the start of a clause 等等 is "wait"; at the end of a list it is "and so on".
_CHINESE_REFLECTION = re.compile(
    rf"(?:^|(?<=[\s。！？!?…>]))等等(?=[,，.。!！…])|{'|'.join(w for w in REFLECTION_WORDS['zh'] if w != '等等')}"
)


@dataclass(frozen=True)
class Parts:
    """
    A completion, taken apart.

    Args:
        thought (`str`, *optional*):
            The content of the thinking block, stripped; all that follows the opening where it is never closed. `None`
            where no block was opened or closed.
        answer (`str`, *optional*):
            What follows the last closing, stripped; the inside of the last `<answer>` block where there is one (of one
            that is not closed, all that follows); the whole completion where there is no thinking block. `None` where a thought was opened and not closed: such a
            completion has given no answer.
        well_formed (`bool`):
            Exactly one thought that has words, closed once, nothing before it, and an answer that is not blank;
            for the style `r1_zero`, that answer in exactly one `<answer>` block and nothing around it.
    """

    thought: str | None
    answer: str | None
    well_formed: bool


def split_completion(
    completion: str, prefilled: bool = False, style: str = "think", special_token: str = "|special_token|"
) -> Parts:
    """
    Take a completion apart into its thought and its answer.

    Args:
        completion (`str`):
            What the model wrote.
        prefilled (`bool`, *optional*, defaults to `False`):
            Whether the prompt already opened the thought, so that the completion starts inside it.
        style (`str`, *optional*, defaults to `"think"`):
            `"think"` (`<think>thought</think>answer`), `"r1_zero"` (`<think>thought</think> <answer>answer</answer>`)
            or `"special_token"` (the cold start's `|special_token|thought|special_token|summary`, v1 2.3.1). The style
            is what `well_formed` is judged by; thought and answer of the first two are found alike.
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            What parts thought and summary in the style `"special_token"`.

    Raises:
        [`~errors.ConfigError`]: if the style is none of these.
    """
    if style not in STYLES:
        raise ConfigError(f"expected one of {', '.join(STYLES)}, got {style!r}", key="style")
    if style == "special_token":
        return _split_at_token(completion, prefilled, special_token)
    text = f"<think>{completion}" if prefilled else completion
    opened, closed = text.count("<think>"), text.count("</think>")
    if not opened and not closed:
        return Parts(thought=None, answer=_inside_answer_tag(text), well_formed=False)
    if not closed or text.rfind("<think>") > text.rfind("</think>"):
        return Parts(thought=text[text.find("<think>") + len("<think>") :].strip(), answer=None, well_formed=False)
    head, rest = text.rsplit("</think>", 1)
    before, opening, thought = head.partition("<think>")
    if not opening:  # closed, never opened: the template may have opened it where we cannot see
        before, thought = "", head
    answer = _inside_answer_tag(rest)
    well_formed = opened == closed == 1 and not before.strip() and has_words(thought) and not is_blank(answer)
    if style == "r1_zero":
        rest = rest.strip()
        tags = text.count("<answer>") == text.count("</answer>") == 1
        well_formed = well_formed and tags and rest.startswith("<answer>") and rest.endswith("</answer>")
    return Parts(thought=thought.strip(), answer=answer, well_formed=well_formed)


def _split_at_token(completion: str, prefilled: bool, special_token: str) -> Parts:
    pieces = (special_token + completion if prefilled else completion).split(special_token)
    if len(pieces) == 1:
        return Parts(thought=None, answer=completion.strip(), well_formed=False)
    if len(pieces) == 2:
        return Parts(thought=pieces[1].strip(), answer=None, well_formed=False)
    before, thought, answer = pieces[0], special_token.join(pieces[1:-1]), pieces[-1]
    well_formed = len(pieces) == 3 and not before.strip() and has_words(thought) and not is_blank(answer)
    return Parts(thought=thought.strip(), answer=answer.strip(), well_formed=well_formed)


def _inside_answer_tag(text: str) -> str:
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, end) if end >= 0 else text.rfind("<answer>")
    if start < 0:
        return text.strip()
    return text[start + len("<answer>") :].partition("</answer>")[0].strip()


def is_blank(text: str) -> bool:
    """Tell whether a reader would see nothing: white space, zero-width and other invisible characters only."""
    return all(letter.isspace() or letter in _FILLERS or unicodedata.category(letter) in _INVISIBLE for letter in text)


def has_words(text: str) -> bool:
    """Tell whether a text says something: a letter or digit that is not part of an entity (`&nbsp;`), tag or LaTeX command."""
    return any(found[0] not in _FILLERS for found in re.finditer(r"[^\W_]", _ENTITY.sub(" ", text)))


_FILLERS = frozenset("\u2800\u3164\u115f\u1160\uffa0")  # letters by category, and nothing to see
_ENTITY = re.compile(r"&(?:#\w{1,8}|\w{1,12});|<[^<>]{0,80}>|\\[A-Za-z]{1,20}")
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp", "Zs", "Mn"})


def render_prompt(template: str, prompt: str) -> str | list[dict[str, str]]:
    """
    Put a question into the prompt template of a stage.

    Args:
        template (`str`):
            `"chat"` (a conversation, for the tokenizer's chat template), `"r1_zero"` (the paper's Table 1), `"plain"`
            (the question itself) or any text that contains `{prompt}`.
        prompt (`str`):
            The question as a user writes it.

    Returns:
        `str` or `list[dict[str, str]]`: plain text, or messages for `"chat"`.

    Raises:
        [`~errors.ConfigError`]: if the template is none of these.
    """
    if template == "chat":
        return [{"role": "user", "content": prompt}]
    if template == "plain":
        return prompt
    if template == "r1_zero":
        template = R1_ZERO_TEMPLATE
    if "{prompt}" not in template:
        raise ConfigError(
            f"expected `chat`, `r1_zero`, `plain` or a text that contains {{prompt}}, got {template!r}",
            key="prompt_template",
        )
    return template.replace("{prompt}", prompt)


def as_text(value: Any) -> str | None:
    """Return a cell of a data set as text: a text as it is, nothing as `None`, all else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def question_of(prompt: str | list[dict[str, Any]]) -> str:
    """
    Return what the user asked: the inverse of [`render_prompt`] as far as possible.

    Args:
        prompt (`str` or `list[dict[str, Any]]`):
            A rendered prompt. Of messages, the last of the user counts; of R1-Zero's template, the part after
            `User:`; other text is taken as it is.
    """
    if not isinstance(prompt, str):
        return next((_content(message) for message in reversed(prompt) if message.get("role") == "user"), "")
    head, tail = R1_ZERO_TEMPLATE.split("{prompt}")
    if prompt.startswith(head):
        return prompt[len(head) :].rpartition(tail)[0] or prompt[len(head) :]
    return prompt


def completion_text(completion: str | list[dict[str, Any]]) -> str:
    """
    Return the text of a completion, which TRL hands over as a string or as a list of messages.

    Only what the assistant wrote counts, not the results of tools. Where the reasoning was parsed out of the text
    (`reasoning_content`, or `thinking` for some families), it is put back between `<think>` and `</think>`.

    Raises:
        [`~errors.ConfigError`]: if it is neither.
    """
    if isinstance(completion, str):
        return completion
    if not all(isinstance(message, dict) for message in completion):
        raise ConfigError(
            f"a completion is {str(completion)[:80]!r}; expected text, or a list of messages such as "
            "{'role': 'assistant', 'content': ...}",
            key="completions",
        )
    return "".join(_content(message) for message in completion if message.get("role", "assistant") == "assistant")


def _content(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):  # [{"type": "text", "text": ...}]
        content = "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    reasoning = message.get("reasoning_content") or message.get("thinking") or message.get("reasoning")
    return f"<think>{reasoning}</think>{content}" if isinstance(reasoning, str) else content


def prompt_ends_in_thought(prompt: str | list[dict[str, Any]], opening: str = "<think>") -> bool:
    """
    Tell whether a rendered prompt already opened the thought.

    Args:
        prompt (`str` or `list[dict[str, Any]]`):
            The prompt. Of a conversation only the messages are seen, not what its chat template adds: see
            [`chat_template_opens_thought`].
        opening (`str`, *optional*, defaults to `"<think>"`):
            What opens a thought.
    """
    text = prompt if isinstance(prompt, str) else (_content(prompt[-1]) if prompt else "")
    return text.rstrip().endswith(opening)


def chat_template_opens_thought(tokenizer: Any, opening: str = "<think>", **template_kwargs: Any) -> bool:
    """
    Tell whether a tokenizer's chat template ends its generation prompt in an opened thought, as R1's do.

    Args:
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The tokenizer; one without a chat template opens nothing.
        opening (`str`, *optional*, defaults to `"<think>"`):
            What opens a thought.
        template_kwargs (`Any`):
            What the trainer hands to `apply_chat_template` (`enable_thinking=...`).
    """
    if not getattr(tokenizer, "chat_template", None):
        return False
    messages = [{"role": "user", "content": "?"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **template_kwargs)
    return prompt_ends_in_thought(rendered, opening)


def style_of_template(template: str, special_token: str = "|special_token|") -> str:
    """
    Tell which form of completion a template asks for.

    Args:
        template (`str`):
            A chat template's source, or a prompt as rendered.
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.

    Returns:
        `str`: `"special_token"` where its mark occurs, `"r1_zero"` where the template speaks of `<think>` and
        `<answer>`, else `"think"`.
    """
    if special_token in template:
        return "special_token"
    return "r1_zero" if "<think>" in template and "<answer>" in template else "think"


def thoughts_opened(
    prompts: Sequence[str | list[dict[str, Any]]] | None,
    completions: list[str],
    prefilled: bool | list[bool] | None = None,
    opening: str = "<think>",
    closing: str = "</think>",
) -> list[bool]:
    """
    Decide for each completion whether its prompt had already opened the thought.

    Args:
        prompts (`list`, *optional*):
            The prompts as rendered: text, or messages.
        completions (`list[str]`):
            The completions' texts.
        prefilled (`bool` or `list[bool]`, *optional*):
            What is known, for all or for each. `None`: a text prompt is looked at. Of a conversation the chat template
            cannot be seen; there, a completion that closes its thought once without ever opening it is read as one
            whose template opened it, since under a template that does so every completion looks like that.
        opening (`str`, *optional*, defaults to `"<think>"`):
            What opens a thought.
        closing (`str`, *optional*, defaults to `"</think>"`):
            What closes it.
    """
    if prefilled is not None:
        return [prefilled] * len(completions) if isinstance(prefilled, bool) else list(prefilled)
    if prompts is None:
        return [False] * len(completions)
    return [
        prompt_ends_in_thought(prompt, opening)
        or (
            not isinstance(prompt, str)
            and opening != closing
            and opening not in completion
            and completion.count(closing) == 1
        )
        for prompt, completion in zip(prompts, completions)
    ]


def find_reflection_words(text: str) -> list[tuple[int, int]]:
    """
    Find the words of reflection in a text, those that [`count_reflection_words`] counts.

    Returns:
        `list[tuple[int, int]]`: where each begins and ends, in order.
    """
    patterns = (_ENGLISH_REFLECTION,) if text.isascii() else (_ENGLISH_REFLECTION, _CHINESE_REFLECTION)
    return sorted(match.span() for pattern in patterns for match in pattern.finditer(text))


def count_reflection_words(text: str) -> dict[str, int]:
    """
    Count the words of reflection in a text (paper, v2 C.2), in English and Chinese.

    Returns:
        `dict[str, int]`: count by word, in lower case; words that do not occur are left out. Inflected forms
        (`errors`, `checked`) are other words and do not count.
    """
    return dict(Counter(text[start:end].lower() for start, end in find_reflection_words(text)))
