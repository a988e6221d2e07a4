"""
The format reward (arXiv 2501.12948 v2, eq. 4): the thinking stands between its tags, and an answer follows.

1 for a completion of exactly the asked form, 0 for any other. The paper gives no more detail than that; the reading
here is strict, since each looser one has been found to pay for something else: an empty thought, nested tags, two
answers, text in front of the thought or behind the answer's tag.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..text import STYLES, completion_text, split_completion, thoughts_opened


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
            (v1 2.3.1).
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
        prefilled (`bool`, *optional*):
            Whether the prompt already opens the thought. `None`: as [`~text.thoughts_opened`] finds, which for a
            conversation cannot see the chat template and so accepts a thought opened by neither.
        eos_token_ids (`tuple[int, ...]`, *optional*, defaults to `()`):
            Ids that end a finished completion.

    Raises:
        [`~errors.ConfigError`]: if the style is not known.
    """

    style: str = "think"
    special_token: str = "|special_token|"
    prefilled: bool | None = None
    eos_token_ids: tuple[int, ...] = ()
    requires: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if self.style not in STYLES:
            raise ConfigError(f"expected one of {', '.join(STYLES)}, got {self.style!r}", key="style")
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
                The data set's columns, one entry per completion. Read: `truncated`, `finish_reason`, `prefilled`.

        Returns:
            `list[float | None]`: 1.0 or 0.0 per completion.
        """
        texts = [completion_text(completion) for completion in completions]
        opening, closing = (self.special_token,) * 2 if self.style == "special_token" else ("<think>", "</think>")
        prefilled = columns.get("prefilled") if self.prefilled is None else self.prefilled
        opened = thoughts_opened(prompts, texts, prefilled, opening, closing)
        cut = self._truncated(len(texts), completion_ids, columns)
        return [
            float(not is_cut and split_completion(text, inside, self.style, self.special_token).well_formed)
            for text, inside, is_cut in zip(texts, opened, cut)
        ]

    def _truncated(self, count: int, completion_ids: list[list[int]] | None, columns: dict[str, Any]) -> list[bool]:
        if columns.get("truncated") is not None:
            return [bool(cut) for cut in columns["truncated"]]
        if columns.get("finish_reason") is not None:
            return [reason == "length" for reason in columns["finish_reason"]]
        if self.eos_token_ids and completion_ids is not None:
            return [not ids or ids[-1] not in self.eos_token_ids for ids in completion_ids]
        return [False] * count


think_format = ThinkFormat()
