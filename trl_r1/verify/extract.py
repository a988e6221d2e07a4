r"""
The final answer of a completion's answer part. Pure, and linear in the length of the text.

Where the answer stands, in this order; what stands more than 100,000 characters before the end is not looked at:
1. the last closed `\boxed{...}` (or `\fbox{...}`). Boxes of one sentence that a comma, `and` or `or` joins are one list:
   `\boxed{1}, \boxed{2}` answers with two values, `$p = \boxed{5}$ and $q = \boxed{2}$` with two named ones, and
   `\boxed{4} or \boxed{5}` does not answer 4. A few harmless words may stand beside an `and`. Boxes with other words
   between them are several attempts, and the last one counts. A last box that is never closed is no answer.
2. what follows the last `####` (GSM8K).
3. what follows the last "answer is", "answer:", "答案是", ... in its sentence.
4. the whole text, if it is one expression, number or word rather than prose.
5. the last formula of the last line that is not blank, with those that a comma, `and` or `or` joins to it; else its last
   number. Three numbers or more in a row, or two with an `and` or `or` between, are a list: naming every number answers with
   none of them. A unit behind it belongs to it, and what the sentence says beside its value ([`~verify.clauses`]) does not. Bullets
   at the end that are values are a list. A number in words counts where it ends the last sentence behind its verb. Else the words
   in bold type, a yes or no, or a sentence that holds no number.

What stands in a question, or in a clause of prose (3 and 5) that denies it ("The answer is not 4"), is no answer.
"""

import re

from .normal import normalise
from .prose import ANCHOR, PROSE, TEXT_GROUP, after_anchor, bulleted, is_expression, last_of_last_line, taken_back
from .prose_numbers import unit_behind
from .units import take_unit, unit_named
from .words import is_noun_phrase


_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_GLUE = re.compile(r"\\(?:text|mbox|textrm|textbf)\s*\{([^{}]*)\}|\\(?:qquad|quad)(?![A-Za-z])|\\[,;:! ()\[\]]|[$\s]+")
_NAME = r"(?:[A-Za-z]\w{0,2}(?:_\{?\w{1,3}\}?)?|\([A-Za-z](?:, ?[A-Za-z])*\))"
_CONNECTOR = r"(?:, ?and|, ?or|; ?and|as well as|and|or|[,;&、，；]|\\\\|和|或|与|以及)"
_JOINT = re.compile(rf" ?\.? ?{_CONNECTOR} ?(?:{_NAME} ?(?:=|\\approx|\bis\b) ?)?")
_JOINT_OF_WORDS = re.compile(r" ?((?:[A-Za-z()]+ ){0,4})and ((?:[A-Za-z()]+ ?){0,5}?)((?:is|are|=|:) ?)?")
_NAMED_BOX = re.compile(rf"(?:^|(?<=[\s,;]))({_NAME}) ?(?:=|\\approx) ?$")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_OFFERED_BEHIND = re.compile(r"[\s$.]{0,4}(?:\\[)\]]\s?)?(?:or|或)\s+\$?\s*(-?[\d\\](?:[^\s$.,]|[.,](?=\d)){0,40})")
_NOT_BEFORE = re.compile(r"(?:\b(?:not|never|rather than|instead of)|n['’]t|不是|而非)[\s$:(\\\[]*$", re.IGNORECASE)
_DENIED_BOX = re.compile(
    r"[\s$.]{0,4}(?:\\[)\]])?\s*(?:(?:is|was|are|seems|would be)\s+(?:certainly |clearly |definitely )?(?:wrong|incorrect|false|not\b|never\b)|"
    r"(?:isn|wasn|can)['’]t\b|cannot be\b|是错|不对|不是)",
    re.IGNORECASE,
)
_PERCENT_BEHIND = re.compile(r"\s*(?:\$|\\\))?\s*(?:\\?%|percent\b|pct\b)")
_FENCE = re.compile(r"^[ \t]*```[ \t]*\w*[ \t]*$", re.MULTILINE)
_PICTURES = re.compile(
    "(?![✖✗✘❌❎])[\u2600-\u27bf\U0001f300-\U0001faff\ufe0f\u25a0\u25a1\u25aa\u25fb\u25fc\u220e]"
)  # ticks, emoji, the end of a proof
_LONGEST_ANSWER = 10_000
_LAST_LINES = 2_000
_LOOKED_AT = 100_000


def final_answer(text: str) -> str | None:
    r"""
    Find the final answer.

    Args:
        text (`str`):
            The answer part of a completion (what follows the thought), or an answer by itself.

    Returns:
        `str` or `None`: the answer as it was written, without its box; `None` if the text gives none, or stops in the
        middle of its last box or of an `<answer>` block.
    """
    found = _found(_PICTURES.sub(" ", text[-_LOOKED_AT:]).strip())
    return found if found is None or len(found) <= _LONGEST_ANSWER else None


def _found(text: str) -> str | None:
    if "<answer>" in text:  # closed blocks were taken out before; an open one was cut
        return None
    if "\\boxed" in text or "\\fbox" in text:
        return _boxed(text)
    if "```" in text:
        text = _FENCE.sub("", text).strip()
    if "\\text" in text:
        text = TEXT_GROUP.sub(lambda group: group[1] if ANCHOR.search(group[1]) else group[0], text)
    if "####" in text:
        return _HASHES.findall(text)[-1].strip() or None
    anchors = list(ANCHOR.finditer(text))
    for anchor in reversed(anchors[-2:]):
        if taken_back(text, anchor):
            return None
        if found := after_anchor(text[anchor.end() :]):
            return found
    if listed := bulleted([line.strip() for line in text[-_LAST_LINES:].splitlines() if line.strip()]):
        return listed
    if is_expression(text):
        return text.strip("*").strip() or None
    return last_of_last_line(text)


def stands_alone(text: str) -> bool:
    """Tell whether a solution is an answer by itself, whatever it looks like, and no text that ends in one."""
    if "\n" in text or any(mark in text for mark in ("\\boxed", "\\fbox", "####")) or not 0 < len(text) < 200:
        return False
    words = PROSE.findall(re.sub(r"\\text\s*\{[^{}]*\}", "", text))
    return len(words) <= 4 and not ANCHOR.search(text)


def boxes(text: str) -> list[tuple[int, int, str | None]]:
    r"""
    Find the outermost boxes of a text.

    Returns:
        `list[tuple[int, int, str | None]]`: start, end and content of each; content `None` where the box is never
        closed.
    """
    closing = _closing_braces(text)
    found, position = [], 0
    for box in _BOX.finditer(text):
        if box.start() < position:
            continue  # inside the box before
        opening = box.end()
        if text[opening : opening + 1] == "{":
            end = closing.get(opening)
            content = None if end is None else text[opening + 1 : end]
            position = len(text) if end is None else end + 1
            if end is None:
                position = opening + 1  # a later box may still stand inside what was never closed
        else:
            bare = re.match(r"-?\d[\d.,]*|\S", text[opening : opening + 40])
            content = bare[0].rstrip(".,") if bare else None
            position = opening + (bare.end() if bare else 0)
        found.append((box.start(), position, content))
    return found


def ends_in_box(text: str) -> bool:
    """Tell whether the last box of a text is closed, so that what was cut off behind it is no loss."""
    found = boxes(text[-_LOOKED_AT:])
    return bool(found) and found[-1][2] is not None


def _closing_braces(text: str) -> dict[int, int]:
    closing: dict[int, int] = {}
    stack: list[int] = []
    for found in _BRACE.finditer(text):
        if found[0] == "{":
            stack.append(found.start())
        elif found[0] == "}" and stack:
            closing[stack.pop()] = found.start()
    return closing


def _boxed(text: str) -> str | None:
    found = boxes(text)
    if not found or found[-1][2] is None:
        return None
    filled = [box for box in found if box[2] is None or box[2].strip()]
    while (
        filled and filled[-1][2] is not None and _NOT_BEFORE.search(text[max(0, filled[-1][0] - 30) : filled[-1][0]])
    ):
        filled.pop()
    if not filled or filled[-1][2] is None:
        return None
    if _DENIED_BOX.match(text, filled[-1][1]):
        return None
    joined = [filled[-1]]
    for before in reversed(filled[:-1]):
        if before[2] is None or not _joins(text[before[1] : joined[-1][0]]):
            break
        joined.append(before)
    joined.reverse()
    contents = [
        _unwrapped(content)
        + (r"\%" if _PERCENT_BEHIND.match(text, end) and not content.rstrip().endswith("%") else "")
        for _, end, content in joined
    ]
    if offered := _OFFERED_BEHIND.match(text, joined[-1][1]):
        contents[-1] += (
            f" = {offered[1]}"  # `\\boxed{\\frac34}$ or $0.75$` says the same twice, `\\boxed{4}$ or $5$` nothing
        )
    elif len(contents) == 1 and (unit := _unit_behind(text, joined[-1][1])) and _lacks_a_unit(contents[0]):
        contents[0] += rf"\text{{ {unit}}}"
    if len(joined) > 1 and not offered:
        names = [_NAMED_BOX.search(_plain(text[max(0, start - 40) : start])) for start, _, _ in joined]
        if all(names) and not any("=" in content for content in contents):
            contents = [f"{name[1]} = {content}" for name, content in zip(names, contents, strict=True)]
    return ", ".join(contents) or None


# Right behind a box, in its formula: `\boxed{18}\text{ cm}^2`.
_UNIT_IN_FORMULA = re.compile(
    r"(?:\\[ ,;:!]|[~\s])*\\(?:text|mathrm|textrm|mbox)\s*\{\s*([A-Za-z. /]{1,20}|[\u3400-\u9fff/]{1,8})\s*\}(\s*\^\s*\{?[23]\}?)?"
)
_END_OF_FORMULA = re.compile(r"(?:\\[)\]]|\$|\*){1,4}")
# What makes another unit of one in prose: `cm$^2$`, `feet squared`, `miles per hour`, `元/千克`.
_UNIT_GOES_ON = re.compile(
    r"\s*(?:[/^²³每]|\$?\s*\^|\\(?![\])])|(?:squared|cubed|per|an?|each|every|and|in (?:an?|one|each|every))\b|\d)"
)
_POWER = re.compile(r"[²³]|\^\{?[23]\}?")
_BY_EACH = re.compile(r"每[^。，,.]{0,15}$")


def _unit_behind(text: str, end: int) -> str:
    """Return the known unit that directly follows a box; empty where none does, or what follows it makes another of it."""
    if _BY_EACH.search(text[max(0, end - 80) : end].rpartition("\\boxed")[0]):
        return ""
    if found := _UNIT_IN_FORMULA.match(text, end):
        name, goes_on = found[1].strip() + (found[2] or "").replace(" ", ""), found.end()
        known = unit_named(name).known
    else:
        closing = _END_OF_FORMULA.match(text, end)
        end = closing.end() if closing else end
        name = unit_behind(text, end)
        word = name.partition("^")[0]
        known, goes_on = bool(name), text.find(word, end) + len(word)
        if power := _POWER.match(text, goes_on):
            goes_on = power.end()
    return name if known and not _UNIT_GOES_ON.match(text, goes_on) else ""


def _lacks_a_unit(content: str) -> bool:
    """Tell whether a box holds one value without a unit of its own."""
    one_value = re.search(r"\d", content) and not re.search(
        r",(?!\d{3}(?!\d))|[;<>:%]|\\(?:text|le|ge|in|begin|pm)|\bor\b", content
    )
    return bool(one_value) and take_unit(normalise(content))[1] is None


def _plain(text: str) -> str:
    """Take spacing commands, text groups and delimiters of math mode off what stands around boxes."""
    return re.sub(r" +", " ", _GLUE.sub(lambda found: f" {found[1] or ''} ", text))


def _joins(between: str) -> bool:
    """Tell whether what stands between two boxes makes one list of them."""
    if not between:
        return True
    if len(between) > 120:
        return False
    plain = _plain(between)
    if _JOINT.fullmatch(plain):
        return True
    words = _JOINT_OF_WORDS.fullmatch(plain)
    return bool(words) and all(_harmless(part) for part in (words[1], words[2]))


def _harmless(words: str) -> bool:
    return not words.strip() or is_noun_phrase(re.sub(r"[()]", " ", words).strip() + " values")


def _unwrapped(content: str) -> str:
    """Unwrap boxes in a box, however deep: what is left of an inner one is its braces."""
    if "\\boxed" not in content and "\\fbox" not in content:
        return content.strip()
    content = _BOX.sub("", content).strip()
    closing = _closing_braces(content)
    start, end = 0, len(content)
    while end - start > 1 and closing.get(start) == end - 1:
        start, end = start + 1, end - 1
    return content[start:end].strip()
