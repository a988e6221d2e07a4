r"""
The final answer of a completion's answer part, and the gold of a solution. Pure, and linear in the length of the text.

Where the answer stands, in this order:
1. the last closed `\boxed{...}` (or `\fbox{...}`). Boxes joined by nothing but a comma, `and` or `or` are one list:
   `\boxed{1}, \boxed{2}` answers with two values, and `\boxed{4} or \boxed{5}` does not answer 4. Boxes with words
   between them are several attempts, and the last one counts. A last box that is never closed is no answer.
2. what follows the last `####` (GSM8K).
3. what follows the last "answer is", "answer:", "答案是", ... in its sentence.
4. the whole text, if it is one expression, number or word rather than prose.
5. the last formula of the last line that is not blank, else the last number of it. Three numbers or more in a row, or two
   with an `or` between, are a list: naming every number answers with none of them.
"""

import itertools
import re


_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_JOINT = re.compile(r"[\s$.]*(?:,|;|，|、|and|or|和|或|,\s*and|,\s*or|\\text\{\s*(?:and|or)\s*\}|\\quad|\\,)[\s$]*")
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_ANCHOR = re.compile(
    r"(?:\banswers?\b\**[ \t]*(?:\([^()\n]{0,40}\)[ \t]*)?(?:(?:is|are|equals|would be|must be)\b[ \t]*:?|[:=：])|"
    r"答案(?:应该)?(?:是|为|等于)?[ \t]*[:：]?|答[ \t]*[:：])[ \t]*\**[ \t]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\n|。|！|[.!?](?=\s+[A-Z(\\$]|\s*$)|(?<=[^\d])\.(?=\s)|\.(?=\s*\*\*)")
_REASON = re.compile(
    r"\s*(?:,\s*)?\b(?:because|since|where|which|so|hence|thus|when|if|but|as)\b.*", re.IGNORECASE | re.DOTALL
)
_NUMBER = re.compile(
    r"(?<![A-Za-z\d_.\\])[-+]?\s?(?:\\\$|[$¥€£])?\s?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*\\?%)?"
)
_LISTED = re.compile(r"\s*(?:,|;|/|，|、|;|(?:,\s*)?(?:and|or)(?![A-Za-z])|和|或)\s*")
_EITHER = re.compile(r"or|或")
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?![A-Za-z]|\s*=)")
_MATHEMATICS = "pi sqrt inf infty infinity sin cos tan cot sec csc log ln exp arcsin arccos arctan mod and or"
_MATH_WORDS = frozenset(_MATHEMATICS.split())
_LONGEST_WHOLE = 2_000


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
    text = text.strip()
    if "<answer>" in text:  # closed blocks were taken out before; an open one was cut
        return None
    if "\\boxed" in text or "\\fbox" in text:
        return _boxed(text)
    if "####" in text:
        return _HASHES.findall(text)[-1].strip() or None
    anchors = list(_ANCHOR.finditer(text))
    for anchor in reversed(anchors[-2:]):
        if found := _after_anchor(text[anchor.end() :]):
            return found
    if is_expression(text):
        return text.strip("*").strip() or None
    return _last_of_last_line(text)


def read_gold(solution: str) -> str | None:
    """
    Find the reference answer in a data set's solution: an answer by itself, or a worked solution that ends in one.

    Returns:
        `str` or `None`: `None` if there is nothing to compare with.
    """
    if not isinstance(solution, str):
        return None if solution is None or isinstance(solution, bool) else str(solution)
    text = solution.strip()
    if "</think>" in text:
        text = text.rsplit("</think>", 1)[1].strip()
    if blocks := re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL):
        text = blocks[-1].strip()
    if "\n" not in text and not any(mark in text for mark in ("\\boxed", "\\fbox", "####")) and len(text) < 200:
        words = _PROSE.findall(re.sub(r"\\text\s*\{[^{}]*\}", "", text))
        if len(words) <= 4 and not _ANCHOR.search(text):
            return text or None  # an answer by itself, whatever it looks like
    return final_answer(text)


def is_expression(text: str) -> bool:
    """Tell whether a text is an answer by itself rather than prose around one."""
    if not text or len(text) > _LONGEST_WHOLE or (text.count("\n") > 2 and "matrix" not in text):
        return False
    bare = re.sub(r"\\(?:text|mbox|mathrm|textbf|begin|end)\s*\{[^{}]*\}", " ", text)
    words = [word for word in _PROSE.findall(bare) if word.lower() not in _MATH_WORDS]
    if re.search(r"[。，]", text.rstrip("。")) and re.search(r"[\u3400-\u9fff]{3}", text):
        return False
    if not words:
        return not re.search(r"[\u3400-\u9fff]{5}", text) or not re.search(r"\d", text)
    if not re.search(r"\d", bare) and "\\" not in bare and "=" not in bare:
        return len(words) <= 4  # `Monday`, `two lines`
    leading = re.match(r"[^A-Za-z]*", text)[0]
    return len(words) <= 3 and bool(re.search(r"[\d}]", leading)) and text.rstrip(".").count(". ") == 0


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


def _closing_braces(text: str) -> dict[int, int]:
    closing: dict[int, int] = {}
    stack: list[int] = []
    escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            stack.append(position)
        elif character == "}" and stack:
            closing[stack.pop()] = position
    return closing


def _boxed(text: str) -> str | None:
    found = boxes(text)
    if not found or found[-1][2] is None:
        return None
    filled = [box for box in found if box[2] is None or box[2].strip()]
    if not filled or filled[-1][2] is None:
        return None
    contents = [filled[-1][2]]
    for before, after in zip(reversed(filled[:-1]), reversed(filled[1:])):
        between = text[before[1] : after[0]]
        if before[2] is None or len(between) > 40 or not _JOINT.fullmatch(between):
            break
        contents.append(before[2])
    inner = [_inside(content) for content in reversed(contents)]
    return ", ".join(inner) or None


def _inside(content: str) -> str:
    """Unwrap a box in a box."""
    nested = boxes(content)
    if len(nested) == 1 and nested[0][2] is not None:
        start, end, inside = nested[0]
        return f"{content[:start]}{_inside(inside)}{content[end:]}".strip()
    return content.strip()


def _after_anchor(rest: str) -> str | None:
    rest = rest[:_LONGEST_WHOLE].lstrip()
    sentence = _SENTENCE_END.split(rest, maxsplit=1)[0] if not rest.startswith(("$$", "\\[")) else rest
    for delimiter in (r"\$\$(.+?)\$\$", r"\\\[(.+?)\\\]"):
        if formula := re.match(delimiter, rest, re.DOTALL):
            return formula[1].strip() or None
    sentence = _REASON.sub("", sentence).strip().strip("*").strip()
    if not sentence:
        return None
    if is_expression(sentence):
        return sentence
    if formula := re.match(r"\$([^$\n]+)\$|\\\((.+?)\\\)", sentence):
        return (formula[1] or formula[2]).strip()
    return _number(sentence, last=False) or (sentence if len(sentence) <= 80 else None)


def _last_of_last_line(text: str) -> str | None:
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()[-_LONGEST_WHOLE:]
    if line in ("$$", "\\]"):
        formula = re.search(r"(?:\$\$|\\\[)((?:(?!\$\$|\\\[).){1,2000})(?:\$\$|\\\])\s*$", text[-2_010:], re.DOTALL)
        return formula[1].strip() if formula else None
    if is_expression(line):
        return line.strip("*").strip() or None
    formulas = re.findall(
        r"(?<![\\$])\$([^$\n]+)\$(?!\d)|\\\(((?:(?!\\[()]).)+)\\\)|\\\[((?:(?!\\[\[\]]).)+)\\\]", line
    )
    if formulas:
        return next(part for part in formulas[-1] if part).strip()
    return _number(line, last=True)


def _number(text: str, last: bool) -> str | None:
    """Return the first or last number of a text; with its neighbours where three or more are listed, or an `or` parts them."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    between = [text[one.end() : other.start()] for one, other in itertools.pairwise(found)]
    start = end = len(found) - 1 if last else 0
    while start > 0 and _LISTED.fullmatch(between[start - 1]):
        start -= 1
    while end < len(found) - 1 and _LISTED.fullmatch(between[end]):
        end += 1
    if end - start >= 2 or any(_EITHER.search(joint) for joint in between[start:end]):
        return ", ".join(number[0].strip() for number in found[start : end + 1])
    return found[-1 if last else 0][0].strip()
