"""
The language-consistency reward of the paper's first RL stage (arXiv 2501.12948 v2, 3.2.1 and eq. 7).

    reward = words of the target language in the thought / words of the thought

The paper adds it directly to the other rewards, on reasoning and other data alike. How words are told apart is
[`trl_r1.language`]'s matter; what the paper leaves open and is decided here stands in [`LanguageConsistency`].
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..language import LANGUAGES, detect, normalize_language, share
from ..text import STYLES, completion_text, question_of, split_completion, thoughts_opened


_LONGEST = 300_000  # characters, some 75,000 tokens; of a longer thought the middle does not count


@dataclass(frozen=True)
class LanguageConsistency:
    r"""
    Share of target-language words in the chain of thought (arXiv 2501.12948 v2, eq. 7).

    The target is the row's `language`; where it is missing or empty, the language of the question (column `question`,
    else the prompt's own text). Only the thought counts, not the answer: of a thought that is never closed, all that
    follows its opening, and of more than 300,000 characters the first and the last half of as many. `None` (does not
    apply) where there is no thought, no word in it, or no target: a question of digits alone, a language that
    [`trl_r1.language`] does not know.

    Args:
        languages (`tuple[str, ...]`, *optional*):
            The languages that may occur, to choose from where several share a script. Worth setting where they are
            known: with one language to a script, as in `("en", "zh")`, no word list is loaded. `None`: all.
        style (`str`, *optional*, defaults to `"think"`):
            How the thought is marked: `"think"`, `"r1_zero"` or `"special_token"` (see
            [`~text.split_completion`]).
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
        prefilled (`bool`, *optional*):
            Whether the prompt already opens the thought. `None`: as [`~text.thoughts_opened`] finds.

    Raises:
        [`~errors.ConfigError`]: if the style or a language is not known.
    """

    languages: tuple[str, ...] | None = None
    style: str = "think"
    special_token: str = "|special_token|"
    prefilled: bool | None = None
    requires: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ConfigError(f"expected one of {', '.join(STYLES)}, got {self.style!r}", key="style")
        if self.languages is not None:
            languages = tuple(normalize_language(language) for language in self.languages)
            for language in languages:
                if language not in LANGUAGES:
                    raise ConfigError(
                        f"expected languages of {', '.join(LANGUAGES)}, got {language!r}", key="languages"
                    )
            object.__setattr__(self, "languages", languages)

    @property
    def __name__(self) -> str:
        return "language_consistency"

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
            columns (`Any`):
                The data set's columns, one entry per completion. Read: `language`, `question`, `prefilled`.

        Returns:
            `list[float | None]`: one reward in `[0, 1]` per completion.
        """
        texts = [completion_text(completion) for completion in completions]
        opening, closing = (self.special_token,) * 2 if self.style == "special_token" else ("<think>", "</think>")
        prefilled = columns.get("prefilled") if self.prefilled is None else self.prefilled
        opened = thoughts_opened(prompts, texts, prefilled, opening, closing)
        missing = [None] * len(texts)
        targets = columns.get("language") or missing
        questions = columns.get("question") or (missing if prompts is None else [question_of(x) for x in prompts])
        detected: dict[str, str | None] = {}  # a group of completions shares its question
        rewards: list[float | None] = []
        for text, starts_inside, target, question in zip(texts, opened, targets, questions):
            thought = split_completion(text, starts_inside, self.style, self.special_token).thought
            if not target and question:
                if question not in detected:
                    detected[question] = detect(question, self.languages)
                target = detected[question]
            if not thought or not target or normalize_language(target) not in LANGUAGES:
                rewards.append(None)
            else:
                if len(thought) > _LONGEST:
                    thought = f"{thought[: _LONGEST // 2]}\n{thought[-_LONGEST // 2 :]}"
                rewards.append(share(thought, target, self.languages))
        return rewards


language_consistency = LanguageConsistency()
