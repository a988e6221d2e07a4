"""
Multiple-choice questions whose options stand in columns of their own.

The options are put under the question, lettered, in an order that the question alone decides: shuffled, since data sets
such as GPQA name the right one first, and the same in every run and for every model.
"""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any


LETTERS = "ABCDEFGH"

# Own choice: what follows the options, so that the answer is a letter.
INSTRUCTION = "Choose one of the options and give its letter as the final answer."


def options_of(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """
    Return the options of a row in the order of the data set.

    Args:
        row (`Mapping[str, Any]`):
            The row as it was read.
        columns (`Sequence[str]`):
            A column for each option, or one column that holds a list of them.
    """
    cells = [row[column] for column in columns]
    if len(cells) == 1 and isinstance(cells[0], (list, tuple)):
        cells = list(cells[0])
    return [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]


def as_choice(question: str, options: Sequence[str], solution: Any) -> tuple[str, str | None, str] | None:
    """
    Put the options under their question.

    Args:
        question (`str`):
            The question.
        options (`Sequence[str]`):
            Its options, at most eight.
        solution (`Any`):
            The right one: its text, its letter in the order of `options`, or its number in it, counted from 0.

    Returns:
        `tuple[str, str | None, str]` or `None`: the prompt, the letter of the right option (`None` where `solution` names
        none) and the options by letter as JSON. `None` where there are fewer than two options, or too many.
    """
    if not 2 <= len(options) <= len(LETTERS):
        return None
    right = _position(options, solution)
    order = list(range(len(options)))
    random.Random(question).shuffle(order)
    lettered = {LETTERS[i]: options[position] for i, position in enumerate(order)}
    lines = "\n".join(f"{letter}) {option}" for letter, option in lettered.items())
    letter = None if right is None else LETTERS[order.index(right)]
    return f"{question}\n\n{lines}\n\n{INSTRUCTION}", letter, json.dumps(lettered, ensure_ascii=False)


def _position(options: Sequence[str], solution: Any) -> int | None:
    if isinstance(solution, int) and not isinstance(solution, bool):
        return solution if 0 <= solution < len(options) else None
    text = str(solution).strip() if solution is not None else ""
    if text in options:
        return options.index(text)
    position = LETTERS.find(text.upper()) if len(text) == 1 else -1
    return position if 0 <= position < len(options) else None
