r"""
Answers in prose: what a sentence gives as its value, and what in it denies that. Pure, and linear in the text.
"""

import itertools
import re

from .clauses import main_clause
from .prose_numbers import (
    BOLD,
    CLAUSE_END,
    EITHER_WORD,
    LISTED,
    NOT_STATED,
    NUMBER,
    STATES,
    TEXT_GROUP,
    denied,
    number_in,
    says,
    stated_in_two_numbers,
    stated_in_words,
    unit_behind,
    words_in_bold,
)
from .words import DENIAL, NUMBER_IN_WORDS, changes, is_noun_phrase, says_a_number


ANCHOR = re.compile(
    r"(?:\b(?:answers?\b|ans\b\.?)\**[ \t]*(?:\([^()\n]{0,40}\)[ \t]*)?(?:(?:is|are|equals|would be|must be)\b[ \t]*:?|[:=：])|"
    r"答案[】\]]?(?:应该)?(?:是|为|等于|选)?[ \t]*[:：]?|答[ \t]*[:：]|[故应]填写?[:：]?|[故应因以]此?选(?:择|项)?[:：]?(?=[ \t]*\(?[A-H]))[ \t]*\**[ \t]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\n|。|！|[.!?](?=\s+[A-Z(\\$]|\s*$)|(?<=[^\d])\.(?=\s)|\.(?=\s*\*\*)")
_SENTENCES = re.compile(r"(?:(?<=[.!?])|(?<=[.!?]\$)|(?<=[.!?]\$\$))(?<!\.\.)\s+(?=[A-Z<])|(?<=[。！])")
_REASON = re.compile(
    r"\s*(?:,\s*)?\b(?:because|since|where|which|so|hence|thus|when|if|but|as)\b.*", re.IGNORECASE | re.DOTALL
)
PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?![A-Za-z]|\s*=)")
_MATHEMATICS = "pi sqrt inf infty infinity sin cos tan cot sec csc log ln exp arcsin arccos arctan mod and or"
_MATH_WORDS = frozenset(_MATHEMATICS.split())
_VERBS = frozenset(["for", "with", "is", "are", "was", "were", "where", "when", "since", "because", "equals", "gives"])
_LONGEST_WHOLE = 2_000
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|(?<![\\$])\$((?:\\\$|[^$\n])+?)(?<!\\)\$(?!\d)|\\\(((?:(?!\\[()])[^\n])+)\\\)",
    re.DOTALL,
)
_BARE_NAME = re.compile(r"\$\s*([A-Za-z](?:_\w)?)\s*\$|\\\(\s*([A-Za-z](?:_\w)?)\s*\\\)")
# What prose has and products of letters (`xy + 1`) have not: a word of four letters, a common short one, or Chinese.
_WORDS = re.compile(
    r"(?<![\\A-Za-z])(?:(?!sqrt)[A-Za-z]{4,}|the|and|are|is|it|its|we|so|of|not|has|get|you|was|for|all|by)(?![A-Za-z])|[\u3400-\u9fff]",
    re.IGNORECASE,
)


def is_expression(text: str) -> bool:
    """Tell whether a text is an answer by itself rather than prose around one."""
    if not text or len(text) > _LONGEST_WHOLE or (text.count("\n") > 2 and "matrix" not in text):
        return False
    if (re.search(r"\d", text) and DENIAL.search(text)) or re.search(
        r"\\[\])]\s*[A-Za-z]{2}|\n\s*(?:So|Thus|Hence|Therefore)\b", text
    ):
        return False
    if "**" in text and (bold := BOLD.search(text)) and len(bold[0]) < len(text.strip(" .")):
        return False
    if re.match(r"an? \d|[\u3400-\u9fff]+[是为得]\s*[(\[{\\√]|(?:\d+[\u3400-\u9fff]+)?[\u3400-\u9fff]{2,}\s*\d", text):
        return False
    bare = re.sub(r"\\(?:text|mbox|mathrm|textbf|begin|end)\s*\{[^{}]*\}", " ", text)
    words = [word for word in PROSE.findall(bare) if word.lower() not in _MATH_WORDS]
    if re.search(r"[\u3400-\u9fff]{2}", text) and (
        re.search(r"[A-Za-z}]\s*[\u3400-\u9fff]{2}", text)
        or (re.search(r"[\u3400-\u9fff]{2}", _FORMULA.sub("", text)) and _FORMULA.search(text))
    ):
        return False
    if re.search(r"[。，]", text.rstrip("。")) and re.search(r"[\u3400-\u9fff]{3}", text):
        return False
    if not words:
        return not re.search(r"[\u3400-\u9fff]{5}", text) or not re.search(r"\d", text)
    if not re.search(r"\d", bare) and "\\" not in bare and "=" not in bare:
        return len(words) <= 4 and not (_SUBJECT.match(text) or _NUMBERED.match(text))  # `Monday`, `two lines`
    if not _VERBS.isdisjoint(word.lower() for word in words):
        return False
    leading = text[: next(word.start() for word in PROSE.finditer(text))]
    return len(words) <= 3 and bool(re.search(r"[\d}]", leading)) and text.rstrip(".").count(". ") == 0


def taken_back(text: str, anchor: re.Match[str]) -> bool:
    """Tell whether what stands before "the answer is" in its sentence takes it back: "I doubt that", "If x were 13,"."""
    before = re.split(r"[.!?\n。！？]", text[max(0, anchor.start() - 200) : anchor.start()])[-1]
    behind = _SENTENCE_END.split(text[anchor.end() : anchor.end() + 200], maxsplit=1)[0]
    supposed = "would" in anchor[0].lower() and (_SUPPOSED.search(before) or _SUPPOSED.search(behind))
    return bool(supposed or _DOUBTED.search(CLAUSE_END.split(before)[-1]))


_DOUBTED = re.compile(
    r"\b(?:doubt(?:s|ful)?|den(?:y|ies)|false|untrue|wrong|incorrect|unlikely|impossible|cannot be|not (?:true|right|correct|the case)|"
    r"(?:not|n['’]t) (?:think|believe|say|mean))\b|怀疑|错误|否认|不认为",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\b(?:if|had|were)\b", re.IGNORECASE)


def after_anchor(rest: str) -> str | None:
    rest = rest[:_LONGEST_WHOLE]
    if rest.lstrip(" *:").startswith("\n"):
        rest = rest.lstrip(" *:").lstrip()
        if listed := bulleted([line.strip() for line in rest.splitlines() if line.strip()]):
            return listed
        if bullet := _BULLET.match(rest):
            rest = rest[bullet.end() :]
    rest = rest.lstrip()
    sentence = _SENTENCE_END.split(rest, maxsplit=1)[0] if not rest.startswith(("$$", "\\[")) else rest
    if rest[len(sentence) : len(sentence) + 1] == "?":
        return None
    for delimiter in (r"\$\$(.+?)\$\$", r"\\\[(.+?)\\\]"):
        if formula := re.match(delimiter, rest, re.DOTALL):
            return formula[1].strip() or None
    sentence = _BOLD_END.sub("", _REASON.sub("", _said_again(_placed(sentence)))).strip().strip("*").strip()
    sentence = _EMPHASISED.sub(r"\2", sentence)
    if sentence.endswith((")", "）")) and not re.search("[(（]", sentence):
        sentence = sentence[:-1]  # `（答：90）`
    if not sentence:
        return None
    if is_expression(sentence):
        return sentence
    if formula := re.match(r"\$([^$\n]+)\$|\\\((.+?)\\\)", sentence):
        return (formula[1] or formula[2]).strip()
    formulas = list(_FORMULA.finditer(sentence))
    if len(formulas) == 1 and not re.search(r"\d", _FORMULA.sub("", sentence)) and not DENIAL.search(sentence):
        return None if denied(sentence, formulas[0].start(), formulas[0].end()) else _inside_formula(formulas[0])
    if re.search(r"[\u3400-\u9fff]{2}", sentence):  # `8盒一共有56支，每盒7支`
        clauses = [clause for clause in re.split("[，,；;]", sentence) if re.search(r"(?<![每第\d.])\d", clause)]
        return None if _TAKEN_BACK.search(sentence) else number_in(clauses[0] if clauses else sentence, last=True)
    return number_in(sentence, last=False) or (
        sentence if len(sentence) <= 80 and not re.search(r"\d", sentence) else None
    )


_EMPHASISED = re.compile(r"^([\"_“])([^\"_“”]+)[\"_”]$")
# `5小时后`, and the number of a class: `三（1）班`
_WHEN_IN_CHINESE = re.compile(
    r"^(?:经过)?\d+(?:\.\d+)?[\u3400-\u9fff]{1,2}?(?:以?后|之?内)[,，]?(?=.*\d)|[（(]\d[）)](?=班)"
)


def _placed(sentence: str) -> str:
    return _WHEN_IN_CHINESE.sub("", sentence)


_TAKEN_BACK = re.compile("不对|错了|不是")
_BOLD_END = re.compile(r"(?<=[^\s*])\*\*(?=\s|$)")  # its opening mark stands before the answer
_IN_BRACKETS = re.compile(
    r"(?<=\S)\s*[(（](?:or|i\.e\.,?|that is,?|equivalently,?|=|即|或)\s*([^()（）]{1,40}?)(?:,? (?:in|as)(?: an?)? (?:decimal|fraction|mixed|simplest|lowest)[a-z ]*)?[)）]"
)


def _said_again(sentence: str) -> str:
    """Write a value that brackets say in another way as an alternative, which then has to be equal: `7/2 (or 3.5)`."""
    return _IN_BRACKETS.sub(r" or \1", sentence)


def last_of_last_line(text: str) -> str | None:
    """Return what the last line gives: its bullets, its last formula, its last number, its words in bold type, a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1][-_LONGEST_WHOLE:] if lines else ""
    if line in ("$$", "\\]"):
        formula = re.search(r"(?:\$\$|\\\[)((?:(?!\$\$|\\\[).){1,2000})(?:\$\$|\\\])\s*$", text[-2_010:], re.DOTALL)
        return formula[1].strip() if formula else None
    if is_expression(line):
        return line.strip("*").strip() or None
    statement = None
    for sentence in reversed(_SENTENCES.split(line)):
        if all_but := _ALL_BUT.search(sentence):
            return _BARE_DOLLARS.sub("", sentence[all_but.start() :])
        if _CHECK.match(sentence):
            continue
        if found := stated_in_two_numbers(sentence):
            return found
        if option := _OPTION.match(sentence):
            return None if DENIAL.search(sentence) else rf"\text{{({option[1]})}} {option[2] or ''}"
        sentence = main_clause(_said_again(sentence))
        sentence = _POWER_OF_UNIT.sub(r"^\1", sentence)
        sentence = _NAMED_FIGURE.sub(lambda found: found[1].strip(), sentence)
        if stated := words_in_bold(sentence) or stated_in_words(sentence):
            return stated
        if formulas := list(_FORMULA.finditer(sentence)):
            if (bold := _only_value_in_bold(sentence[formulas[-1].end() :])) is not None:
                return bold
            if _NUMBER_LAST.fullmatch(sentence, formulas[-1].end()):
                return number_in(sentence[formulas[-1].end() :], last=True)
            return _formulas(sentence, formulas)
        if len(_NAMED_IN_WORDS.findall(sentence)) > 1:
            sentence = _NAMED_IN_WORDS.sub(r"\1 = ", sentence)
        if listed := _values_in_bold(sentence) or _NAMED_VALUES.search(sentence):
            return listed if isinstance(listed, str) else listed[1]
        if _DATED.match(sentence):
            return sentence
        if _NO_SOLUTION.search(sentence):
            return "no solution"
        if (stated := yes_or_no(sentence)) and _REASON.fullmatch(sentence, sentence.find(",")):
            return stated
        if plain := _only_value_in_bold(sentence) or _plain_value(sentence):
            return plain
        if NUMBER.search(sentence):
            return number_in(sentence, last=True)
        if stated := yes_or_no(sentence):
            return stated
        if bold := BOLD.findall(sentence):
            stated = len(bold) == 1 and not NOT_STATED.search(sentence) and not DENIAL.search(sentence)
            return str(bold[0]).strip() if stated else None
        if statement is None:
            said = _WORDS.search(sentence) and not DENIAL.search(sentence) and not NOT_STATED.search(sentence)
            statement = sentence if said and 8 < len(sentence) <= 120 else ""
    return statement or None


def _values_in_bold(sentence: str) -> str | None:
    """Return what a list of expressions in bold type gives: `**x = 3** and **x = -3**`."""
    found = list(BOLD.finditer(sentence)) if "**" in sentence else []
    if len(found) < 2 or not all(
        LISTED.fullmatch(sentence[a.end() : b.start()]) for a, b in itertools.pairwise(found)
    ):
        return None
    if not all(re.search(r"\d", one[1]) and is_expression(one[1]) for one in found) or DENIAL.search(sentence):
        return None
    return ", ".join(one[1].strip() for one in found)


def _only_value_in_bold(sentence: str) -> str | None:
    """Return the one value in bold type of a sentence that holds other numbers: `It costs **\\$64** for 16 glasses.`"""
    found = list(BOLD.finditer(sentence)) if "**" in sentence else []
    if len(found) != 1 or not is_expression(found[0][1]):
        return None
    if not re.search(r"\d", found[0][1]) and not says_a_number(found[0][1]):
        return None
    return None if denied(sentence, found[0].start(1), found[0].end(1)) else found[0][1].strip()


_NAMED_IN_WORDS = re.compile(r"(?<![\w'])([b-zB-Z]) (?:is|equals) (?=-?\d)")
_NAMED_VALUE = r"[A-Za-z](?:_?\w)?\s?=\s?[^\s,=，]{1,30}"
_NAMED_VALUES = re.compile(
    rf"(?<![\w+*/-])({_NAMED_VALUE}(?:(?:, (?:and |or )?| and | or |，){_NAMED_VALUE}){{1,9}}?)[.。\s]*$"
)
# The number belongs to a date, and what is said of it are words: `The 100th day will be a Sunday.`
_DATED = re.compile(
    r"(?:(?:So|Thus|Hence|Therefore),? )?(?:[Tt]he \d+(?:st|nd|rd|th)(?: \w+)?|[A-Z][a-z]{2,8} \d{1,2}(?:st|nd|rd|th)?|(?:In )?\d+ (?:day|week|month|year)s(?: from now| later)?,? (?:it|that))(?:,? \d{4},?)? (?:is|was|will be|falls on|fell on|will fall on) [^\d$]+$"
)
_CHECK = re.compile(r"[(（]?(?:Check|Verification|检验|验算)\s*[:：]")
# Which option is right, maybe with what it says: `The correct choice is **(C)** $x^2$.`
_OPTION = re.compile(
    r"(?i:(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:correct |right |best )(?:answer )?(?:option|choice) is):?\s+\$?(?:\*\*)?\(?([A-H])\)?(?:\*\*)?\$?"
    r"(?:[.:]?\s+(\$[^$]+\$)|,? (?:because|since)\b.*)?[.\s]*$"
)
_POWER_OF_UNIT = re.compile(r"(?<=[A-Za-z])\$\s*\^\s*\{?([23])\}?\s*\$")  # `24 cm$^2$`
_NO_SOLUTION = re.compile(r"\bhas no (?:real |integer |such )?(?:solutions?|roots?)[.\s]*$", re.IGNORECASE)
# What a sentence of words says of a figure: `$\triangle ABC$ is a right triangle.`
_NAMED_FIGURE = re.compile(r"^\$\\(?:triangle|angle)\s*([A-Z]{1,4})\s*\$(?= is an? [a-z]+(?: [a-z]+){0,2}[.\s]*$)")
_SUBJECT = re.compile(r"(?:it|this|he|she|they) [a-z]", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?:the \w+|there) (?:is|are|was|were) {NUMBER_IN_WORDS.pattern}", re.IGNORECASE)
_BARE_DOLLARS = re.compile(r"[$]|\\[()]")
_ALL_BUT = re.compile(r"all real numbers (?:x )?(?:except|other than|but)\b", re.IGNORECASE)
_NUMBER_LAST = re.compile(r"[^$\d]*(?:\b(?:is|equals|equal to|are)\b|[=是为])[\s*]*-?\d[\d.,/]*[.。．\s*]*")


def _formulas(sentence: str, formulas: list[re.Match[str]]) -> str | None:
    first = len(formulas) - 1
    joints: list[str] = []
    while first and (
        LISTED.fullmatch(joint := sentence[formulas[first - 1].end() : formulas[first].start()])
        or (_WHILE.fullmatch(joint) and "=" in formulas[first - 1][0] and "=" in formulas[first][0])
    ):
        joints.insert(0, r" \text{ or } " if re.search("or|或", joint) else ", ")
        first -= 1
    listed = formulas[first:]
    if any(denied(sentence, one.start(), one.end()) for one in listed[:20]):
        return None
    values = [_inside_formula(one) for one in listed]
    if (unit := unit_behind(sentence, listed[-1].end())) and re.search(r"\d|\\", values[-1]):
        values[-1] += rf" \text{{ {unit}}}"
    return values[0] + "".join(joint + value for joint, value in zip(joints, values[1:], strict=True))


_WHILE = re.compile(r",? (?:while|whereas) ")
_BULLET = re.compile(r"(?:[-*•–]|\(?\d{1,2}[.)])\s+(?=\S)")
_TERMS = r"[^=A-Za-z]*(?:\\[A-Za-z]+[^=A-Za-z]*)*"
_OF_A_LIST = re.compile(rf"(?:\\?[A-Za-z]+(?:_\{{?\w+\}}?)?\s*=)?(?:{_TERMS}=)?{_TERMS}[a-z]?")


def bulleted(lines: list[str]) -> str | None:
    """Return what the bullets at the end say, if there are several and each is a value, maybe with a name."""
    values: list[str] = []
    for line in reversed(lines[-20:]):
        bullet = _BULLET.match(line)
        value = (
            line[bullet.end() :].replace("**", "").strip("*$.,; \t").removeprefix("\\(").removesuffix("\\)").strip()
            if bullet
            else ""
        )
        if not value or len(value) > 80 or not re.search(r"\d", value) or not _OF_A_LIST.fullmatch(value):
            break
        values.insert(0, value)
    return ", ".join(values) if len(values) > 1 else None


_ITS_KIND = re.compile(r"(?:the )?(?:ordered )?(?:points?|pairs?|values?|equation|line|set|interval)\s+")
_PLAIN_VALUE = re.compile(
    r"(?:\b(?:is|are|equals|be|get|gives|at|to|therefore,?|thus,?|hence,?|so)\s+|[=:是为得]\s*)(?=\S)"
)
_MORE_THAN_A_NUMBER = re.compile(
    r"[√π^×∛∜{(\[+²³₀-₉<>≤≥]|[-+]\s*\d*i\b|\d[a-z]\b|[a-z]\s*[-+]\s*\d|\b(?:ln|log|sin|cos|tan) "
)
_RATIO = re.compile(r"\bratio\b[^\d]*(\d+(?:(?: to |\s*:\s*)\d+){1,4})[.\s]*$", re.IGNORECASE)


def _plain_value(sentence: str) -> str | None:
    """Return an expression of more than a number that ends a sentence without delimiters: `the value is √3/2`."""
    if (ratio := _RATIO.search(sentence)) and not DENIAL.search(sentence):
        return ratio[1].replace(" to ", ":")
    for verb in list(_PLAIN_VALUE.finditer(sentence))[-3:]:
        value = sentence[verb.end() :].strip(" .*。")
        value = _ITS_KIND.sub("", value, count=1)
        word = next((word for word in PROSE.finditer(value) if word[0].lower() not in _MATH_WORDS), None)
        if (
            _MORE_THAN_A_NUMBER.search(value)
            and is_expression(value)
            and not (word and re.search(r"\d|=", value[word.start() :]))
        ):
            return None if denied(sentence, verb.end(), verb.end() + len(value)) else value
    return None


def yes_or_no(sentence: str) -> str | None:
    """Return the yes or no that a sentence begins with, if nothing turns it."""
    found = _YES_OR_NO.match(sentence)
    if found is None or _TURNED.search(sentence):
        return None
    other = "no" if found[1].lower() == "yes" else "yes"
    return None if re.search(rf"\b{other}\b", sentence[found.end() :], re.IGNORECASE) else found[1]


_YES_OR_NO = re.compile(r"\**(yes|no)\**\s*[,.:;!—–-]", re.IGNORECASE)
_TURNED = re.compile(r"\b(?:but|wait|if|actually|or|unless|except|only)\b|[?？]", re.IGNORECASE)


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
    text = _BARE_NAME.sub(r"\1\2", TEXT_GROUP.sub(r"\1", text)).strip().strip("*").strip()
    if is_expression(text) or _CONDITIONAL.search(text) or _DATED.match(text):
        return None
    for anchor in list(ANCHOR.finditer(text))[-1:]:
        return after_anchor(text[anchor.end() :])
    if formulas := list(_FORMULA.finditer(text)):
        around = _FORMULA.sub(" ", text)
        if (
            len(formulas) > 1
            or re.search(r"[\d$]|\\[()]", around)
            or not re.search(r"[^\W\d_]", around)
            or says(around)
        ):
            return None
        return _inside_formula(formulas[0])
    if (
        not _WORDS.search(text)
        or "$" in text.replace("\\$", "")
        or re.search(r"\\[(A-Za-z]", text)
        or EITHER_WORD.search(text)
    ):
        return None
    *before, last = STATES.split(text)
    last = _LEADING_ADVERB.sub("", last.strip(" .*"))
    if before and last and not says(text) and not re.search(r"\d", " ".join(before)) and is_expression(last):
        return last
    found = list(NUMBER.finditer(text))
    if not found and not says(text):
        in_words = list(NUMBER_IN_WORDS.finditer(text))
        if len(in_words) == 1 and not re.match(r"one\b", in_words[0][0], re.IGNORECASE):
            words = in_words[0]
            return None if denied(text, words.start(), words.end()) else words[0].strip(" .")
    if any(LISTED.fullmatch(text[one.end() : other.start()]) for one, other in itertools.pairwise(found)):
        return None
    numbers = [number for number in found if not denied(text, number.start(), number.end())]
    if len(numbers) != 1 or (len(found) == 1 and says(text)) or changes(text[numbers[0].end() :]):
        return None
    return (
        text[numbers[0].start() :].strip(" .") if is_noun_phrase(text[numbers[0].end() :]) else numbers[0][0].strip()
    )


_LEADING_ADVERB = re.compile(
    r"(?:(?:therefore|thus|hence|then|exactly|precisely|only|a total of|in total)\s+)+", re.IGNORECASE
)
_CONDITIONAL = re.compile(r"\b(?:if|unless|provided|assuming|suppose)\b|如果|假设|除非", re.IGNORECASE)
