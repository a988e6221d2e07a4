r"""
Accuracy of a multiple-choice answer (paper, v2 B.3.1: STEM questions of four to eight options, binary reward).

The gold is the letter of an option (`B`, `(B)`, `\text{B}`) or the text of one, looked up in the row's `options`. The
completion may answer with either.
"""

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..text import STYLES
from ..verify import DEADLINE_CPU_SECONDS, final_answer, judge, read_golds
from ..verify.words import DENIAL
from ._columns import column
from .math import answer_parts


LETTERS = "ABCDEFGH"

_WRAPPING = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit|boldsymbol|mbox)\s*\{([^{}]*)\}")
# `B`, `(B)`, `B.`, `B) 12`, `option B`; a capital `A` before a word is an article, not an option.
_LETTER = re.compile(
    r"^(?:(?:option|choice|answer|选项|选)\s*)?[(\[（]?\s*([A-H])\s*(?:[)\]）.:、,]|$|\s*[-–=]\s)", re.IGNORECASE
)
_LABEL = re.compile(r"^\s*(?:(?:option|choice|answer|选项|选)\s*)?[(\[（]?\s*[A-H]\s*[)\]）.:、,]*\s*", re.IGNORECASE)
_LOOKED_AT = 20_000
_SPACES = re.compile(r"\s+")
# A small `a` before a word is an article.
_OPTION = r"[(（\[]?\s*((?-i:[A-H])|[b-h]|a(?=\s*(?:[)）\].,;:!?。，]|$)))(?![A-Za-z'’])\s*[)）\]]?"
_NAMED = re.compile(
    rf"(?:\b(?:option|choice|letter)\b(?:\s+(?:is|would be|should be|must be))?\s*[:：]?|"
    rf"\banswers?\b(?:\s+(?:is|would be|should be|must be))?(?:,?\s+(?:therefore|thus|hence|then|clearly|obviously|simply),?)?\s*[:：]?|"
    rf"\b(?:choose|chose|select|pick|go with)\b|"
    rf"答案(?:是|为|应该是|应为|选)?\s*[:：]?|选项(?:是|为)?\s*[:：]?|(?:故|应|因此|所以)?选(?:择|项)?\s*[:：]?)"
    rf"\s*(?:(?:option|choice|answer|选项)\s*)?{_OPTION}|"
    rf"\b(?:it|this|that)\s+(?:is|must be|has to be|should be)\s+{_OPTION}(?=\s*(?:[.,;:!?。，]|$))|"
    rf"\b(?:therefore|thus|hence|so)\b,?\s+{_OPTION}(?=\s*(?:[.!?。]|$))|"
    rf"(?:\b(?:option|choice)\s+)?(?<![A-Za-z]){_OPTION}\s*(?:is|项?是?)\s*(?:the\s+)?(?:correct|right|best|正确)",
    re.IGNORECASE,
)
_ANOTHER = re.compile(rf"\s*(?:,?\s*\b(?:and|or)\b|,|/|&|、|，|和|或)\s*(?:(?:option|choice|选项)\s*)?{_OPTION}(?!\w)")
_CLAUSE_END = re.compile(r"[,;:!?\n，。；：！？]|\.(?!\d)|\b(?:but|so|thus|hence|therefore)\b", re.IGNORECASE)
_RULED_OUT = re.compile(r"\b(?:eliminat|exclud|reject|discard|rul)\w*\b|排除", re.IGNORECASE)


_ASKED = re.compile(r"[^.!?。！？\n]{0,60}[?？]")
_SUPPOSED = re.compile(r"\b(?:if|had|were)\b[^.!?\n]{0,100}$", re.IGNORECASE)


def _one_space(found: re.Match[str]) -> str:
    return "\n" if "\n" in found[0] else " "


def option_letter(text: str | None) -> str | None:
    r"""
    Read the letter of an option from an answer.

    Args:
        text (`str`, *optional*):
            `B`, `(B)`, `\text{(B)}`, `B. twelve`, `option B`, `**B**`, ...

    Returns:
        `str` or `None`: the capital letter, `None` if the text names no option, or several.
    """
    if text is None:
        return None
    plain = (
        _WRAPPING.sub(r"\1", _SPACES.sub(_one_space, text)).replace("$", "").replace("*", "").replace("\\", "").strip()
    )
    if re.fullmatch(r"[(\[（]?\s*[A-Ha-h]\s*[)\]）]?\s*[.。:]?", plain):
        return next(c for c in plain if c.isalpha()).upper()
    if found := _LETTER.match(plain):
        others = re.findall(r"(?<![A-Za-z])[(\[（]?([B-H])[)\]）.](?![A-Za-z])", plain[found.end(1) :])
        listed = re.match(
            r"\s*[)\]）]?\s*(?:,|and|or|/|&|、|和|或)\s*[(\[（]?[A-H](?![A-Za-z])", plain[found.end(1) :]
        )
        return None if listed or others else found[1].upper()
    return None


def named_letter(text: str) -> str | None:
    """
    Find the option that prose names last: "the correct option is B", "故选：B", "B is correct".

    Returns:
        `str` or `None`: the capital letter; `None` if none is named, the last one is offered beside another ("B or C"), or all
        that are named are denied or ruled out.
    """
    plain = _SPACES.sub(_one_space, _WRAPPING.sub(r"\1", text[-_LOOKED_AT:]))
    plain = plain.replace("*", "").replace("$", "").replace("\\", "")
    for found in reversed(list(_NAMED.finditer(plain))):
        before = _CLAUSE_END.split(plain[max(0, found.start() - 100) : found.start()])[-1]
        after = _CLAUSE_END.split(plain[found.end() : found.end() + 100], maxsplit=1)[0]
        if any(sign.search(around) for sign in (DENIAL, _RULED_OUT) for around in (before, after)):
            continue
        if _ASKED.match(plain, found.end()) or (
            "would" in found[0].lower() and _SUPPOSED.search(plain, 0, found.start())
        ):
            continue
        if _ANOTHER.match(plain, found.end()):
            return None
        return next(letter for letter in found.groups() if letter).upper()
    return None


@dataclass(frozen=True)
class ChoiceAccuracy:
    r"""
    Reward of 1.0 if the completion chooses the right option, 0.0 if another or none, `None` where the row has no gold,
    or one that is neither a letter nor one of the options.

    Needs the column `solution`. The column `options`, where there is one, holds the options of each row: a list of
    texts, a mapping from letter to text, or either as JSON; with it, golds and answers may be texts as well.

    Args:
        prefilled (`bool`, *optional*):
            Whether the prompts open the thought. See [`MathAccuracy`].
        style (`str`, *optional*, defaults to `"think"`):
            Form of a completion. See [`MathAccuracy`].
        special_token (`str`, *optional*, defaults to `"|special_token|"`):
            The mark of the style `"special_token"`.
        deadline_cpu_seconds (`float`, *optional*, defaults to `2.0`):
            CPU time that computer algebra may spend on an answer given as a formula instead of a letter.
        gold_key (`str`, *optional*):
            Under which key of a mapping in `solution` the gold stands. Of a list in `solution`, any option is right.
    """

    prefilled: bool | None = None
    style: str = "think"
    special_token: str = "|special_token|"
    deadline_cpu_seconds: float = DEADLINE_CPU_SECONDS
    gold_key: str | None = None

    __name__: ClassVar[str] = "choice_accuracy"
    requires: ClassVar[tuple[str, ...]] = ("solution",)
    may_read: ClassVar[tuple[str, ...]] = ("options",)
    is_accuracy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ConfigError(f"expected one of {', '.join(STYLES)}, got {self.style!r}", key="style")

    def reads_gold(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row of data has a solution that is one of its options."""
        try:
            options = read_options(row.get("options"))
            golds = read_golds(row.get("solution"), self.gold_key)
            return any(self._judge(gold, options, None)[0] is not None for gold in golds)
        except ConfigError:
            return False

    def __call__(
        self,
        *,
        completions: list[Any],
        prompts: list[Any] | None = None,
        completion_ids: list[Any] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        size = len(completions)
        solutions = column("solution", columns, size, self.__name__)
        options = columns.get("options") or [None] * size
        prefilled = columns.get("prefilled") if self.prefilled is None else self.prefilled
        truncated = columns.get("truncated")
        parts = answer_parts(completions, prompts, prefilled, self.style, self.special_token, truncated)
        rewards: list[float | None] = []
        chosen: list[str] = []
        for part, solution, offered in zip(parts, solutions, options, strict=True):
            offered = read_options(offered)
            verdicts = [self._judge(gold, offered, part) for gold in read_golds(solution, self.gold_key)]
            known = [reward for reward, _ in verdicts if reward is not None]
            rewards.append(max(known, default=None))
            chosen.append(next((choice for _, choice in verdicts if choice), ""))
        if log_extra is not None:
            log_extra("choice", chosen)
        return rewards

    def _judge(self, gold_text: str, options: dict[str, str], part: str | None) -> tuple[float | None, str | None]:
        gold = self._option(gold_text, options)
        if gold is None and not options:
            gold = _plain_words(gold_text) or None
            if gold is None:
                return None, None
            answer = final_answer(part) if part is not None else None
            return (float(answer is not None and _plain_words(answer) == gold), answer)
        if gold is None:
            return None, None
        choice = self._choice(part, options)
        return float(choice == gold), choice

    def _choice(self, part: str | None, options: dict[str, str]) -> str | None:
        if part is None:
            return None
        answer = final_answer(part)
        if answer is not None and (choice := self._option(answer, options)):
            return choice
        if "\\boxed" in part or "\\fbox" in part:
            return None  # the box is the answer, and it names no option
        return named_letter(part)

    def _option(self, text: str, options: dict[str, str]) -> str | None:
        """Return the letter of the option that a text names, by letter or by what the option says."""
        plain = _plain_words(text)
        same = [letter for letter, option in options.items() if plain and _plain_words(option) == plain]
        letter = option_letter(text)
        if letter is not None and (not options or letter in options):
            # An option may itself be a letter; what it says then goes before what it is called only if they agree.
            says = _plain_words(_LABEL.sub("", _WRAPPING.sub(r"\1", text)).replace("\\ ", " "))
            others = [
                name for name, option in options.items() if name != letter and says and _plain_words(option) == says
            ]
            return None if others else letter  # `B) what C says` chooses neither
        if len(same) == 1:
            return same[0]
        if not options or not re.search(r"[\d\\]", text):
            return None
        verdicts = judge([(option, text) for option in options.values()], self.deadline_cpu_seconds)
        equal = [letter for letter, verdict in zip(options, verdicts, strict=True) if verdict]
        return equal[0] if len(equal) == 1 else None


def read_options(options: Any) -> dict[str, str]:
    """
    Read a row's options.

    Args:
        options (`list[str]`, `dict[str, str]` or `str`, *optional*):
            The options in order, by letter, or either of them as JSON.

    Returns:
        `dict[str, str]`: text by letter, without the letter in front of the text.

    Raises:
        [`~errors.ConfigError`]: if it is none of these, or holds more than eight.
    """
    if options is None or options == "":
        return {}
    if isinstance(options, str):
        options = _parsed(options)
    if isinstance(options, Mapping):
        found = {str(key).strip("() .").upper(): str(text) for key, text in options.items() if text is not None}
    elif isinstance(options, (list, tuple)):
        found = dict(zip(LETTERS, map(str, options)))
    else:
        raise ConfigError(f"expected a list, a mapping or JSON of one, got {type(options).__name__}", key="options")
    if len(options) > len(LETTERS) or any(key not in LETTERS or len(key) != 1 for key in found):
        raise ConfigError(f"expected at most {len(LETTERS)} options lettered A to H, got {options!r}", key="options")
    return {letter: re.sub(rf"^\s*[(\[]?{letter}[)\].:、]\s*", "", text).strip() for letter, text in found.items()}


def _parsed(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    raise ConfigError(f"expected JSON of a list or mapping, got {text[:80]!r}", key="options")


def _plain_words(text: str) -> str:
    plain = _WRAPPING.sub(r"\1", str(text)).replace("$", "").casefold()
    return re.sub(r"\s+", " ", plain).strip(" .。,;:!*")


choice_accuracy = ChoiceAccuracy()
