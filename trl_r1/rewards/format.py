"""
The format reward (arXiv 2501.12948 v2, eq. 4): the thinking stands between its tags, and an answer follows.

1 for a completion of exactly the asked form, 0 for any other. The paper gives no more detail than that; the reading
here is strict, since each looser one has been found to pay for something else: an empty thought, nested tags, two
answers, text in front of the thought or behind the answer's tag.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from ..errors import ConfigError
from ..text import (
    STYLES,
    chat_template_opens_thought,
    completion_text,
    prompt_ends_in_thought,
    split_completion,
    style_of_template,
    thoughts_opened,
)


_MARKS = {"think": ("<think>", "</think>"), "r1_zero": ("<think>", "</think>")}


@dataclass(frozen=True)
class ThinkFormat:
    """
    1.0 for a completion of exactly the asked form, 0.0 for any other; never `None`.

    Exactly one thought that is not blank, opened once (by the completion or by its prompt) and closed once; nothing
    before it; an answer after it that is not blank. A completion that was cut off is 0.0 even where the cut fell
    within the answer. A text does not show that, so it has to be told: by a column `truncated` (`list[bool]`) or
    `finish_reason` (`"length"`), or by `eos_token_ids`, with which every completion that does not end in one of them
    has been cut. Without any of the three only a cut within thought or `<answer>` is noticed.

    Args:
        style (`str`, *optional*, defaults to `"think"`):
            `"think"`: `<think>thought</think>answer`. `"r1_zero"`: `<think>thought</think> <answer>answer</answer>`
            and nothing around it (v1 Table 1). `"special_token"`: `|special_token|thought|special_token|summary`
            (v1 2.3.1). `"auto"`: whichever the template asks for ([`~text.style_of_template`]): a text prompt shows it;
            for a conversation it is the chat template, which [`R1GRPOTrainer`] hands over (`thought_style`) and which is
            read from `tokenizer` otherwise.
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
        prefilled (`bool`, *optional*):
            Whether the prompt already opens the thought. `None`: as [`~text.thoughts_opened`] finds, which for a
            conversation cannot see the chat template and so accepts a thought opened by neither.
        eos_token_ids (`tuple[int, ...]`, *optional*, defaults to `()`):
            Ids that end a finished completion.
        tokenizer (`str`, *optional*):
            Path or Hub id of the tokenizer whose chat template renders the conversations, for trainers that hand
            over neither `thought_style` nor `prefilled`: the template then tells both.

    Raises:
        [`~errors.ConfigError`]: if the style is not known, or is `"auto"` and a conversation's template is not to be
            found.
    """

    style: str = "think"
    special_token: str = "|special_token|"
    prefilled: bool | None = None
    eos_token_ids: tuple[int, ...] = ()
    tokenizer: str | None = None
    requires: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.style not in (*STYLES, "auto"):
            raise ConfigError(f"expected one of {', '.join(STYLES)}, auto, got {self.style!r}", key="style")
        ids = (self.eos_token_ids,) if isinstance(self.eos_token_ids, int) else tuple(self.eos_token_ids or ())
        object.__setattr__(self, "eos_token_ids", ids)

    @property
    def __name__(self) -> str:
        return "think_format"

    def __call__(
        self,
        *,
        completions: list[str] | list[list[dict[str, Any]]],
        prompts: list[str] | list[list[dict[str, Any]]] | None = None,
        completion_ids: list[list[int]] | None = None,
        trainer_state: Any = None,
        log_extra: Any = None,
        log_metric: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        """
        Score a batch.

        Args:
            completions (`list[str]` or `list[list[dict[str, Any]]]`):
                Texts or conversations.
            prompts (`list[str]` or `list[list[dict[str, Any]]]`, *optional*):
                Rendered prompts.
            completion_ids (`list[list[int]]`, *optional*):
                Token ids of the completions, the end-of-sequence token included.
            columns (`Any`):
                The data set's columns, one entry per completion. Read: `truncated`, `finish_reason`, `prefilled`,
                `thought_style`.

        Returns:
            `list[float | None]`: 1.0 or 0.0 per completion.
        """
        texts = [completion_text(completion) for completion in completions]
        styles = self._styles(prompts, len(texts), columns.get("thought_style"))
        prefilled = self._prefilled(prompts, columns.get("prefilled"))
        opened = {
            style: thoughts_opened(prompts, texts, prefilled, *_MARKS.get(style, (self.special_token,) * 2))
            for style in set(styles)
        }
        cut = self._truncated(len(texts), completion_ids, columns)
        return [
            float(not is_cut and split_completion(text, opened[style][i], style, self.special_token).well_formed)
            for i, (text, style, is_cut) in enumerate(zip(texts, styles, cut, strict=True))
        ]

    def _styles(self, prompts: list[Any] | None, count: int, handed: list[str] | None) -> list[str]:
        """Return the form that each completion is asked for."""
        if self.style != "auto":
            return [self.style] * count
        found = []
        for i in range(count):
            prompt = prompts[i] if prompts is not None else None
            if isinstance(prompt, str):
                found.append(style_of_template(prompt, self.special_token))
            elif handed is not None and handed[i]:
                found.append(handed[i])
            elif self.tokenizer is not None:
                found.append(style_of_template(_chat_template(self.tokenizer)[0], self.special_token))
            else:
                raise ConfigError(
                    "`auto` needs text prompts, a trainer that hands over `thought_style` (R1GRPOTrainer does), or "
                    "`tokenizer`, the path of the tokenizer with the chat template; expected one of these, or one of "
                    f"{', '.join(STYLES)}",
                    key="style",
                )
        return found

    def _prefilled(self, prompts: list[Any] | None, handed: list[bool] | None) -> bool | list[bool] | None:
        """Return what is known of whether the prompts opened the thought."""
        if self.prefilled is not None:
            return self.prefilled
        if handed is not None or self.tokenizer is None or prompts is None:
            return handed
        return [
            prompt_ends_in_thought(prompt) if isinstance(prompt, str) else _chat_template(self.tokenizer)[1]
            for prompt in prompts
        ]

    def _truncated(self, count: int, completion_ids: list[list[int]] | None, columns: dict[str, Any]) -> list[bool]:
        if columns.get("truncated") is not None:
            return [bool(cut) for cut in columns["truncated"]]
        if columns.get("finish_reason") is not None:
            return [reason == "length" for reason in columns["finish_reason"]]
        if self.eos_token_ids and completion_ids is not None:
            return [not ids or ids[-1] not in self.eos_token_ids for ids in completion_ids]
        return [False] * count


@lru_cache(maxsize=8)
def _chat_template(tokenizer: str) -> tuple[str, bool]:
    """Return a tokenizer's chat template, and whether its generation prompt opens the thought."""
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"expected the path or Hub id of a tokenizer, got {tokenizer!r}: {error}", key="tokenizer"
        ) from None
    template = loaded.chat_template
    if not template:
        raise ConfigError(f"expected a tokenizer with a chat template, and {tokenizer!r} has none", key="tokenizer")
    text = template if isinstance(template, str) else "\n".join(template.values())
    return text, chat_template_opens_thought(loaded)


think_format = ThinkFormat()
