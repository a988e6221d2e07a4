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
   none of them. Else the words that stand in bold type.

What stands in a question, or in a clause of prose (3 and 5) that denies it ("The answer is not 4"), is no answer.
"""

import itertools
import re

from .words import DENIAL, changes, is_noun_phrase


_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_GLUE = re.compile(r"\\(?:text|mbox|textrm|textbf)\s*\{([^{}]*)\}|\\(?:qquad|quad)(?![A-Za-z])|\\[,;:! ()\[\]]|[$\s]+")
_NAME = r"(?:[A-Za-z]\w{0,2}(?:_\{?\w{1,3}\}?)?|\([A-Za-z](?:, ?[A-Za-z])*\))"
_CONNECTOR = r"(?:, ?and|, ?or|; ?and|as well as|and|or|[,;&、，；]|\\\\|和|或|与|以及)"
_JOINT = re.compile(rf" ?\.? ?{_CONNECTOR} ?(?:{_NAME} ?(?:=|\\approx|\bis\b) ?)?")
_JOINT_OF_WORDS = re.compile(r" ?((?:[A-Za-z()]+ ){0,4})and ((?:[A-Za-z()]+ ?){0,5}?)((?:is|are|=|:) ?)?")
_NAMED_BOX = re.compile(rf"(?:^|(?<=[\s,;]))({_NAME}) ?(?:=|\\approx) ?$")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_ANCHOR = re.compile(
    r"(?:\banswers?\b\**[ \t]*(?:\([^()\n]{0,40}\)[ \t]*)?(?:(?:is|are|equals|would be|must be)\b[ \t]*:?|[:=：])|"
    r"答案[】\]]?(?:应该)?(?:是|为|等于)?[ \t]*[:：]?|答[ \t]*[:：])[ \t]*\**[ \t]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\n|。|！|[.!?](?=\s+[A-Z(\\$]|\s*$)|(?<=[^\d])\.(?=\s)|\.(?=\s*\*\*)")
_SENTENCES = re.compile(r"(?:(?<=[.!?])|(?<=[.!?]\$)|(?<=[.!?]\$\$))(?<!\.\.)\s+(?=[A-Z<])|(?<=[。！])")
_OFFERED_BEHIND = re.compile(r"[\s$.]{0,4}(?:\\[)\]]\s?)?(?:or|或)\s+\$?\s*(-?[\d\\](?:[^\s$.,]|[.,](?=\d)){0,40})")
_NOT_BEFORE = re.compile(r"(?:\b(?:not|never|rather than|instead of)|n['’]t|不是|而非)[\s$:(\\\[]*$", re.IGNORECASE)
_DENIED_BOX = re.compile(
    r"[\s$.]{0,4}(?:\\[)\]])?\s*(?:(?:is|was|are|seems|would be)\s+(?:certainly |clearly |definitely )?(?:wrong|incorrect|false|not\b|never\b)|"
    r"(?:isn|wasn|can)['’]t\b|cannot be\b|是错|不对|不是)",
    re.IGNORECASE,
)
_PERCENT_BEHIND = re.compile(r"\s*(?:\$|\\\))?\s*(?:\\?%|percent\b|pct\b)")
_REASON = re.compile(
    r"\s*(?:,\s*)?\b(?:because|since|where|which|so|hence|thus|when|if|but|as)\b.*", re.IGNORECASE | re.DOTALL
)
_NUMBER = re.compile(
    r"(?<![A-Za-z\d_.\\])[-+]?\s?(?:\\\$|[$¥€£])?\s?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
    r"(?:(?::\d{1,2}){1,2}(?:\s?[ap]\.?m\b\.?)?|(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*(?:\\?%|percent\b|pct\b))?)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\s*(?:,|;|/|，|、|;|(?:,\s*)?(?:and|or)(?![A-Za-z])|和|或)\s*")
_BOTH = re.compile(r"or|and|或|和")
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?![A-Za-z]|\s*=)")
_MATHEMATICS = "pi sqrt inf infty infinity sin cos tan cot sec csc log ln exp arcsin arccos arctan mod and or"
_MATH_WORDS = frozenset(_MATHEMATICS.split())
_LONGEST_WHOLE = 2_000
_LONGEST_ANSWER = 10_000
_LOOKED_AT = 100_000
_CLAUSE_END = re.compile(
    r"[,;:!?，。；：！？\n]|\.(?!\d)|\b(?:but|it['’]s|so|thus|hence|therefore)\b|而是|但", re.IGNORECASE
)
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|(?<![\\$])\$([^$\n]+?)(?<!\\)\$(?!\d)|\\\(((?:(?!\\[()])[^\n])+)\\\)", re.DOTALL
)
_BARE_NAME = re.compile(r"\$\s*([A-Za-z](?:_\w)?)\s*\$|\\\(\s*([A-Za-z](?:_\w)?)\s*\\\)")
_TEXT_GROUP = re.compile(r"\\(?:text|textbf|textrm|mbox|textnormal)\s*\{([^{}]*)\}")
# Beside a number of prose: what makes another of it, or says where it lies.
_BEFORE_NUMBER = re.compile(
    r"(?:\b(?:than|least|most|over|under|below|above|within|almost|nearly|half|twice|thrice|double|triple|times|plus|minus|"
    r"negative|between|beyond|up to|anything but|all but|负|大于|小于|超过|不到)|[<>≤≥]|\\(?:le|ge|lt|gt)q?|"
    r"\d\s*(?:to|through|[-–—~]|到|至)|"
    r"(?:squares?|cubes?|roots?|reciprocal|half|third|quarter|inverse|opposite|negative|multiples?|powers?|factorial|logarithm|double|"
    r"percent|fraction|factors?|divisors?|out|instead)\s+of)\s*[$(]*$",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(r"[\s$,:;.)]{0,4}(?:no|not|wrong|incorrect|false)\b(?!\s*\S{0,3}\d)", re.IGNORECASE)
_BEHIND_NUMBER = re.compile(
    r"[)$]*(?:\s*[百千万亿倍]|\s+(?:hundred|thousand|million|billion|trillion|dozen|squared|cubed|factorial|plus|minus|and a|times (?=as|more|the|that|larger|bigger|greater|[\d$\\])|"
    r"halves|thirds?|quarters?|fourths?|fifths?|tenths?|hundredths?|or (?:more|less|so)|too)\b)",
    re.IGNORECASE,
)
# What prose has and products of letters (`xy + 1`) have not: a word of four letters, a common short one, or Chinese.
_WORDS = re.compile(
    r"(?<![\\A-Za-z])(?:(?!sqrt)[A-Za-z]{4,}|the|and|are|is|it|its|we|so|of|not|has|get|you|was|for|all|by)(?![A-Za-z])|[\u3400-\u9fff]",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"\b(?:is|are|be|equals|equal to|get|obtain|gives|that|has)\b:?|[:：=]|等于|[是为得]", re.IGNORECASE
)


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
    found = _found(text[-_LOOKED_AT:].strip())
    return found if found is None or len(found) <= _LONGEST_ANSWER else None


def _found(text: str) -> str | None:
    if "<answer>" in text:  # closed blocks were taken out before; an open one was cut
        return None
    if "\\boxed" in text or "\\fbox" in text:
        return _boxed(text)
    if "\\text" in text:
        text = _TEXT_GROUP.sub(lambda group: group[1] if _ANCHOR.search(group[1]) else group[0], text)
    if "####" in text:
        return _HASHES.findall(text)[-1].strip() or None
    anchors = list(_ANCHOR.finditer(text))
    for anchor in reversed(anchors[-2:]):
        if _taken_back(text, anchor):
            return None
        if found := _after_anchor(text[anchor.end() :]):
            return found
    if is_expression(text):
        return text.strip("*").strip() or None
    return _last_of_last_line(text)


def _taken_back(text: str, anchor: re.Match[str]) -> bool:
    """Tell whether what stands before "the answer is" in its sentence takes it back: "I doubt that", "If x were 13,"."""
    before = re.split(r"[.!?\n。！？]", text[max(0, anchor.start() - 200) : anchor.start()])[-1]
    behind = _SENTENCE_END.split(text[anchor.end() : anchor.end() + 200], maxsplit=1)[0]
    supposed = "would" in anchor[0].lower() and (_SUPPOSED.search(before) or _SUPPOSED.search(behind))
    return bool(supposed or _DOUBTED.search(_CLAUSE_END.split(before)[-1]))


_DOUBTED = re.compile(
    r"\b(?:doubt(?:s|ful)?|den(?:y|ies)|false|untrue|wrong|incorrect|unlikely|impossible|cannot be|not (?:true|right|correct|the case)|"
    r"(?:not|n['’]t) (?:think|believe|say|mean))\b|怀疑|错误|否认|不认为",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\b(?:if|had|were)\b", re.IGNORECASE)


def stands_alone(text: str) -> bool:
    """Tell whether a solution is an answer by itself, whatever it looks like, and no text that ends in one."""
    if "\n" in text or any(mark in text for mark in ("\\boxed", "\\fbox", "####")) or not 0 < len(text) < 200:
        return False
    words = _PROSE.findall(re.sub(r"\\text\s*\{[^{}]*\}", "", text))
    return len(words) <= 4 and not _ANCHOR.search(text)


def is_expression(text: str) -> bool:
    """Tell whether a text is an answer by itself rather than prose around one."""
    if not text or len(text) > _LONGEST_WHOLE or (text.count("\n") > 2 and "matrix" not in text):
        return False
    if (re.search(r"\d", text) and DENIAL.search(text)) or (" **" in text and _BOLD.search(text)):
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
    if len(joined) > 1 and not offered:
        names = [_NAMED_BOX.search(_plain(text[max(0, start - 40) : start])) for start, _, _ in joined]
        if all(names) and not any("=" in content for content in contents):
            contents = [f"{name[1]} = {content}" for name, content in zip(names, contents, strict=True)]
    return ", ".join(contents) or None


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


def _after_anchor(rest: str) -> str | None:
    rest = rest[:_LONGEST_WHOLE].lstrip()
    sentence = _SENTENCE_END.split(rest, maxsplit=1)[0] if not rest.startswith(("$$", "\\[")) else rest
    if rest[len(sentence) : len(sentence) + 1] == "?":
        return None
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
    return _number(sentence, last=False) or (
        sentence if len(sentence) <= 80 and not re.search(r"\d", sentence) else None
    )


def _last_of_last_line(text: str) -> str | None:
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()[-_LONGEST_WHOLE:]
    if line in ("$$", "\\]"):
        formula = re.search(r"(?:\$\$|\\\[)((?:(?!\$\$|\\\[).){1,2000})(?:\$\$|\\\])\s*$", text[-2_010:], re.DOTALL)
        return formula[1].strip() if formula else None
    if is_expression(line):
        return line.strip("*").strip() or None
    for sentence in reversed(_SENTENCES.split(line)):
        if formulas := list(_FORMULA.finditer(sentence)):
            first = len(formulas) - 1
            while first and _LISTED.fullmatch(sentence[formulas[first - 1].end() : formulas[first].start()]):
                first -= 1
            listed = formulas[first:]
            if any(_denied(sentence, one.start(), one.end()) for one in listed[:20]):
                return None
            return ", ".join(map(_inside_formula, listed))
        if _NUMBER.search(sentence):
            return _number(sentence, last=True)
        if (bold := _BOLD.findall(sentence)) and len(bold) == 1 and not _NOT_STATED.search(sentence):
            return None if DENIAL.search(sentence) else str(bold[0]).strip()
    return None


_NOT_STATED = re.compile(r"\b(?:but|any\w*|every\w*|except|unlike|than|or)\b|[?？]|或", re.IGNORECASE)


_BOLD = re.compile(r"(?<![*\w)}])\*\*([^*\s][^*:：\n]{0,80})\*\*(?!\s*[:：])")


def _inside_formula(found: re.Match[str]) -> str:
    return next(part for part in found.groups() if part).strip()


def sentence_value(text: str) -> str | None:
    """
    Find what a sentence in a box, or around a formula, gives as the answer.

    Returns:
        `str` or `None`: what it announces as the answer; else its only formula; else what follows its verb, or its only
        number. `None` if it is no sentence, holds several, or denies or changes what it holds.
    """
    if len(text) > _LONGEST_WHOLE or not _WORDS.search(text):
        return None
    text = _BARE_NAME.sub(r"\1\2", _TEXT_GROUP.sub(r"\1", text)).strip().strip("*").strip()
    if is_expression(text) or _CONDITIONAL.search(text):
        return None
    for anchor in list(_ANCHOR.finditer(text))[-1:]:
        return _after_anchor(text[anchor.end() :])
    if formulas := list(_FORMULA.finditer(text)):
        around = _FORMULA.sub(" ", text)
        if (
            len(formulas) > 1
            or re.search(r"[\d$]|\\[()]", around)
            or not re.search(r"[^\W\d_]", around)
            or _says(around)
        ):
            return None
        return _inside_formula(formulas[0])
    if not _WORDS.search(text) or "$" in text or "\\(" in text or _EITHER_WORD.search(text):
        return None
    *before, last = _STATES.split(text)
    last = last.strip(" .*")
    if before and last and not _says(text) and not re.search(r"\d", " ".join(before)) and is_expression(last):
        return last
    found = list(_NUMBER.finditer(text))
    if any(_LISTED.fullmatch(text[one.end() : other.start()]) for one, other in itertools.pairwise(found)):
        return None
    numbers = [number for number in found if not _denied(text, number.start(), number.end())]
    if len(numbers) != 1 or (len(found) == 1 and _says(text)) or changes(text[numbers[0].end() :]):
        return None
    return (
        text[numbers[0].start() :].strip(" .") if is_noun_phrase(text[numbers[0].end() :]) else numbers[0][0].strip()
    )


_LEFT_OPEN = re.compile(
    r"\b(?:rul\w*|exclud\w*|eliminat\w*|reject\w*|discard\w*|suppos\w*|assum\w*|guess\w*|were)\b|排除|假设|如果",
    re.IGNORECASE,
)
_CONDITIONAL = re.compile(r"\b(?:if|unless|provided|assuming|suppose)\b|如果|假设|除非", re.IGNORECASE)
_ASKED = re.compile(r"[^\d.!?。！？]{0,60}[?？]")
_EITHER_WORD = re.compile(r"\b(?:or|either)\b|或", re.IGNORECASE)


def _says(words: str) -> bool:
    return bool(DENIAL.search(words) or _EITHER_WORD.search(words) or _MULTIPLE.search(words))


_MULTIPLE = re.compile(r"\b(?:million|billion|trillion|thousand|hundred|dozen)\b", re.IGNORECASE)


def _denied(text: str, start: int, end: int) -> bool:
    """Tell whether the clause around a span of prose denies it, or makes another number of it."""
    if _BEFORE_NUMBER.search(text[max(0, start - 30) : start]) or _BEHIND_NUMBER.match(text, end):
        return True
    if _ASKED.match(text, end):
        return True
    before = text[max(0, start - 200) : start]
    for number in _NUMBER.finditer(before):  # `not 3 but 4` denies the first, `not 3 and 4` both
        if not _LISTED.fullmatch(before[number.end() :]):
            last = number.end()
            before = " " * last + before[last:]
    before = _CLAUSE_END.split(before)[-1]
    if _DENIED_BEHIND.match(text, end) or (
        text[end : end + 1] == " " and changes(_CLAUSE_END.split(text[end : end + 60])[0])
    ):
        return True
    after = _CLAUSE_END.split(text[end : end + 200], maxsplit=1)[0]
    if _LEFT_OPEN.search(before):
        return True
    return bool(DENIAL.search(before) or DENIAL.search(after) or re.search(r"≠|\\neq?(?![A-Za-z])|!=", before))


def _number(text: str, last: bool) -> str | None:
    """Return the first or last number of a text; with its neighbours where three or more are listed, or an `or` parts them."""
    text = _TEXT_GROUP.sub(r"\1", text)
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    between = [text[one.end() : other.start()] for one, other in itertools.pairwise(found)]
    start = end = len(found) - 1 if last else 0
    while start > 0 and _LISTED.fullmatch(between[start - 1]):
        start -= 1
    while end < len(found) - 1 and _LISTED.fullmatch(between[end]):
        end += 1
    if any(_denied(text, number.start(), number.end()) for number in found[start : end + 1][:20]):
        return None
    if end - start >= 2 or any(_BOTH.search(joint) for joint in between[start:end]):
        return ", ".join(number[0].strip() for number in found[start : end + 1])
    return found[-1 if last else 0][0].strip()
