"""
The shape of a completion: its thought, its answer, and the template of its prompt. Pure.

R1-Zero's template is the paper's Table 1 (arXiv 2501.12948 v1), word for word. The thought stands between `<think>`
and `</think>`; the answer is what follows. Where the paper is silent (an unclosed thought, a prefilled `<think>`), the
reading here is the strict one: a thought that is opened and never closed has no answer after it.
"""

import re
from dataclasses import dataclass

from .errors import ConfigError


R1_ZERO_TEMPLATE = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> "
    "reasoning process here </think> <answer> answer here </answer>. User: {prompt}. Assistant:"
)

# Paper, v2 C.2: the words whose counts rise 5-7 fold in R1-Zero's training.
REFLECTION_WORDS: dict[str, tuple[str, ...]] = {
    "en": ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"),
    "zh": ("等等", "错误", "然而", "但是", "重试", "验证", "不对", "评估", "检查"),
}

_REFLECTION = {
    word: re.compile(rf"\b{word}\b" if language == "en" else word, re.IGNORECASE)
    for language, words in REFLECTION_WORDS.items()
    for word in words
}

_ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True)
class Parts:
    """
    A completion, taken apart.

    Args:
        thought (`str`, *optional*):
            What stands in the thinking block, stripped. `None` where no block was opened.
        answer (`str`, *optional*):
            What follows the last `</think>`, stripped; the inside of the last `<answer>` block where there is one; the
            whole completion where there is no thinking block. `None` where a thought was opened and never closed: such
            a completion has given no answer.
        well_formed (`bool`):
            Exactly one thought that is not blank, closed once, nothing before it, and an answer that is not blank.
    """

    thought: str | None
    answer: str | None
    well_formed: bool


def split_completion(completion: str, prefilled: bool = False) -> Parts:
    """
    Take a completion apart into its thought and its answer.

    Args:
        completion (`str`):
            What the model wrote.
        prefilled (`bool`, *optional*, defaults to `False`):
            Whether the prompt already ended in `<think>`, so that the completion starts inside the thought.
    """
    text = f"<think>{completion}" if prefilled else completion
    opened, closed = text.count("<think>"), text.count("</think>")
    if not opened and not closed:
        return Parts(thought=None, answer=_inside_answer_tag(text), well_formed=False)
    if not closed or text.rfind("<think>") > text.rfind("</think>"):
        return Parts(thought=text[text.find("<think>") + len("<think>") :].strip(), answer=None, well_formed=False)
    head, answer = text.rsplit("</think>", 1)
    before, _, thought = head.partition("<think>") if opened else ("", "", head)
    thought, answer = thought.strip(), answer.strip()
    well_formed = opened == closed == 1 and not before.strip() and bool(thought) and bool(answer)
    return Parts(thought=thought, answer=_inside_answer_tag(answer), well_formed=well_formed)


def _inside_answer_tag(text: str) -> str:
    blocks = _ANSWER_TAG.findall(text)
    return (blocks[-1] if blocks else text).strip()


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


def completion_text(completion: str | list[dict[str, str]]) -> str:
    """Return the text of a completion, which TRL hands over as a string or as a list of messages."""
    if isinstance(completion, str):
        return completion
    return "".join(
        message.get("content") or "" for message in completion if message.get("role", "assistant") == "assistant"
    )


def prompt_ends_in_thought(prompt: str | list[dict[str, str]]) -> bool:
    """Tell whether a rendered prompt already opened the thought, as R1-style chat templates do."""
    text = prompt if isinstance(prompt, str) else (prompt[-1].get("content") or "" if prompt else "")
    return text.rstrip().endswith("<think>")


def count_reflection_words(text: str) -> dict[str, int]:
    """
    Count the words of reflection in a text (paper, v2 C.2), in English and Chinese.

    Returns:
        `dict[str, int]`: count by word; words that do not occur are left out.
    """
    counts = {word: len(pattern.findall(text)) for word, pattern in _REFLECTION.items()}
    return {word: count for word, count in counts.items() if count}
