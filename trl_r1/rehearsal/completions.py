"""
What a random model cannot write: a right completion of a row, and ones that are spoilt in known ways.

A row's completions are, in this order and then again: right; wrong; right without the form that is asked for; and cut off
or, for every other row, with a thought in another language. A right program is the row's own where it has one, else a
table of the tests' inputs and outputs. Torch-free.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..language import detect
from ..sandbox.rows import Stdio, read_row


_THOUGHTS = {
    "en": "First we read the question slowly and write down what is given. Then we work through it, and check the result.",
    "zh": "首先我们慢慢读题，写下已知的条件。然后一步一步地推理，最后再检查一遍结果是否正确。",
    "de": "Zuerst lesen wir die Frage langsam und schreiben auf, was gegeben ist. Dann rechnen wir und prüfen das Ergebnis.",
    "fr": "Nous lisons d'abord la question lentement et notons ce qui est donné. Puis nous vérifions notre résultat.",
    "es": "Primero leemos la pregunta despacio y anotamos lo que se nos da. Luego comprobamos otra vez el resultado.",
    "ja": "まず問題をゆっくり読んで、与えられた条件を書き出します。それから順に考えて、最後に答えを確かめます。",
    "ru": "Сначала мы медленно читаем вопрос и записываем, что дано. Затем мы решаем задачу и проверяем результат.",
}
_SUMMARIES = {
    "en": "The answer is",
    "zh": "答案是",
    "de": "Die Antwort ist",
    "fr": "La réponse est",
    "es": "La respuesta es",
}
_PROSE = {
    "en": "Thank you for the question. Here is what you asked for, as well as it can be said in a few words.",
    "zh": "谢谢您的提问。下面就是您想要的内容，我尽量说得简短而清楚。",
}
# Columns in which data sets keep a right program.
_PROGRAMS = ("gold_standard_solution", "canonical_solution", "code", "program")


@dataclass(frozen=True)
class Completion:
    """
    A completion that stands in for a model's.

    Args:
        text (`str`):
            All of it, its thought included.
        finish_reason (`str`):
            `"stop"` or `"length"`.
    """

    text: str
    finish_reason: str = "stop"


def completions_of(row: Mapping[str, Any], n: int, style: str = "think", number: int = 0) -> list[Completion]:
    """
    Return completions of a row, the first one right.

    Args:
        row (`Mapping[str, Any]`):
            A canonical row: `prompt` (or `question`), `solution`, `language`, and its further columns.
        n (`int`):
            How many.
        style (`str`, *optional*, defaults to `"think"`):
            The form of a right one: `"think"` or `"r1_zero"`.
        number (`int`, *optional*, defaults to `0`):
            The row's place among others: of every other one a completion is cut off, of the rest one is in another
            language.
    """
    question = str(row.get("question") or row.get("prompt") or "")
    language = str(row.get("language") or detect(question))
    own = _THOUGHTS.get(language, _THOUGHTS["en"])
    other = _THOUGHTS["zh" if language == "en" else "en"]
    right, wrong = _answers(row, language)
    whole = _in_form(own, right, style)
    cut = Completion((_in_form(own + "\n" + own, "", "think").partition("</think>")[0])[: len(whole) + 8], "length")
    kinds = (
        Completion(whole),
        Completion(_in_form(own, wrong, style)),
        Completion(right),
        cut if number % 2 else Completion(_in_form(other, right, style)),
    )
    return [kinds[i % len(kinds)] for i in range(n)]


def _in_form(thought: str, answer: str, style: str) -> str:
    if style == "r1_zero":
        return f"<think>{thought}</think> <answer>{answer}</answer>"
    return f"<think>\n{thought}\n</think>\n\n{answer}"


def _answers(row: Mapping[str, Any], language: str) -> tuple[str, str]:
    """A right answer to the row's question, and a wrong one."""
    program = _program(row)
    if program is not None:
        return f"```python\n{program}\n```", "```python\nraise SystemExit(1)\n```"
    gold = row.get("solution")
    if not isinstance(gold, str) or not gold.strip():
        prose = _PROSE.get(language, _PROSE["en"])
        return prose, prose[: len(prose) // 2]
    gold = gold.strip()
    boxed = gold if "\\boxed" in gold else f"\\boxed{{{_bare(gold)}}}"
    said = _SUMMARIES.get(language, _SUMMARIES["en"])
    return f"{said} {boxed}", f"{said} \\boxed{{{_another(_bare(gold), row)}}}"


def _bare(gold: str) -> str:
    inner = re.fullmatch(r"\$+([^$]*)\$+|\\\((.*)\\\)|\\\[(.*)\\\]", gold, re.DOTALL)
    return next((group for group in inner.groups() if group is not None), gold).strip() if inner else gold


def _another(gold: str, row: Mapping[str, Any]) -> str:
    letter = re.fullmatch(r"[(\[]?\s*([A-H])\s*[)\]]?\.?", gold)
    if letter:
        return "B" if letter[1] == "A" else "A"
    options = row.get("options")
    if isinstance(options, (list, tuple)):
        return next((str(option) for option in options if str(option) != gold), "0")
    if re.fullmatch(r"-?\d+", gold):
        return str(int(gold) + 1)
    return "-1234567" if "1234567" not in gold else "0"


def _program(row: Mapping[str, Any]) -> str | None:
    """A program that passes the row's tests; `None` where the row has none, or none can be made of them."""
    tests = _tests(row)
    if tests is None:
        return None
    for column in _PROGRAMS:
        text = row.get(column)
        if isinstance(text, str) and text.strip():
            fenced = re.search(r"```[^\n]*\n(.*?)```", text, re.DOTALL)
            return (fenced[1] if fenced else text).strip()
    if isinstance(tests, Stdio):
        table = {given.strip(): expected for given, expected in tests.cases}
        return f"import sys\nprint({table!r}[sys.stdin.read().strip()])"
    return "def unknown():\n    return None"


def _tests(row: Mapping[str, Any]) -> Any:
    for column, value in row.items():
        looks = isinstance(value, (dict, list)) or (isinstance(value, str) and value.lstrip()[:1] in ("{", "["))
        if column in ("tests", "verification_info", "test") or (
            looks and "test" in json.dumps(value, default=str)[:200]
        ):
            try:
                return read_row(value, row.get("entry_point")).tests
            except Exception:  # no tests, or in a shape that the reward will report
                continue
    return None
