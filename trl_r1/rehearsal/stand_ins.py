"""
Rows in place of a data set that is not on this machine: its columns as far as a recipe names them, and contents of our own.
Torch-free.
"""

import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

from .completions import completions_of


# So short that rows of two data sets share no ten words: the one may be held out from the other.
_PROBLEMS = {"en": "What is {a} plus {b}?", "zh": "{a}加{b}等于多少？"}
_REQUESTS = {"en": "Write {n} sentences about a train journey.", "zh": "请写{n}句话，介绍花园。"}
_CODE = "Print the number read, plus {n}."
_CHOICE = "Which is the largest?\nA) {n}\nB) {m}\nC) 1\nD) 0"


def stand_in_rows(
    source: Mapping[str, Any], columns: Collection[str], needed: Collection[str], kinds: Collection[str], n: int
) -> list[dict[str, Any]]:
    """
    Make rows of a data set's schema.

    Args:
        source (`Mapping[str, Any]`):
            The source, with the names of its columns.
        columns (`Collection[str]`):
            What its stages read of it: `prompt`, `completion`, `chosen`, `rejected`.
        needed (`Collection[str]`):
            Columns that the rewards for its rows read.
        kinds (`Collection[str]`):
            Names of these rewards' classes.
        n (`int`):
            How many.
    """
    first = 2 * (zlib.crc32(repr([source.get(key) for key in ("path", "config", "split")]).encode()) % 1000)
    return [_row(source, columns, needed, kinds, first + i) for i in range(n)]


def _row(
    source: Mapping[str, Any], columns: Collection[str], needed: Collection[str], kinds: Collection[str], i: int
) -> dict[str, Any]:
    language = source.get("language") or "en"
    options = source.get("options_columns") or []
    row = _task(language, needed, kinds, "solution" in needed or bool(source.get("solution_column")), i)
    right, wrong = (one.text for one in completions_of({**row, "language": language}, 2))
    cells: dict[str, Any] = {"prompt": row["prompt"]}
    known = {
        "completion": right,
        "chosen": right,
        "rejected": wrong,
        "thought": right.partition("</think>")[0],
        "solution": row.get("solution"),
        "label": i % 2 == 0,
        "language": language,
        "domain": source.get("domain") or "none",
    }
    cells |= {
        meaning: value
        for meaning, value in known.items()
        if source.get(f"{meaning}_column") or (meaning in {*columns, *needed} and value is not None)
    }
    made: dict[str, Any] = dict.fromkeys(needed, "")
    made |= {key: value for key, value in row.items() if key not in ("prompt", "solution")}
    made |= {
        name: values[0] if isinstance(values, list) else values for name, values in (source.get("where") or {}).items()
    }
    for meaning, value in cells.items():
        named = source.get(f"{meaning}_column") or meaning
        first, *more = named if isinstance(named, list) else [named]
        made |= {first: value, **dict.fromkeys(more, "Answer it.")}
    if source.get("prompt_column") and source.get("prompt_column") == source.get("completion_column"):
        made[source["prompt_column"]] = [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": right},
        ]
    # Options in columns of their own, of which the first is right where the solution is one of them.
    if len(options) > 1:
        made |= {column: f"{10 * (k + 1) + i}" for k, column in enumerate(options)}
        made[source.get("solution_column") or "solution"] = made[options[0]]
    elif options:
        made |= {options[0]: [str(10 + i), str(20 + i), "1"], source.get("solution_column") or "solution": str(20 + i)}
    return made


def _task(language: str, needed: Collection[str], kinds: Collection[str], solved: bool, i: int) -> dict[str, Any]:
    if "CodeAccuracy" in kinds:
        cases = [{"input": f"{k}\n", "output": f"{k + i}\n", "type": "stdin_stdout", "fn_name": None} for k in (1, 7)]
        tests = {"language": "python", "test_cases": cases}
        columns = [column for column in needed if column not in ("solution", "entry_point")] or ["tests"]
        program = f"print(int(input()) + {i})"
        return {"prompt": _CODE.format(n=i), "canonical_solution": program, **{c: json.dumps(tests) for c in columns}}
    if "ChoiceAccuracy" in kinds:
        options = [str(10 + i), str(20 + i), "1", "0"]
        return {"prompt": _CHOICE.format(n=10 + i, m=20 + i), "solution": "B", "options": options}
    if not solved:
        return {"prompt": _REQUESTS.get(language, _REQUESTS["en"]).format(n=i + 2)}
    a, b = 11 + 7 * i, 3 + 5 * i % 17
    return {"prompt": _PROBLEMS.get(language, _PROBLEMS["en"]).format(a=a, b=b), "solution": str(a + b)}
