"""
The help of a config's keys, said once: in the `Args:` of its class.
"""

import dataclasses
import inspect
import re
from types import MappingProxyType
from typing import TypeVar


T = TypeVar("T")

_ENTRY = re.compile(r"^ {4}(\w.*\)):\n((?: {8}.*\n|\n)*)", re.MULTILINE)
_TYPE = re.compile(r" \([^()]*(?:\([^()]*\)[^()]*)*\)")


def arguments_of(docstring: str) -> dict[str, str]:
    """
    Read the `Args:` of a docstring.

    Args:
        docstring (`str`):
            In TRL's form: an entry for each argument, its text indented below it.

    Returns:
        `dict[str, str]`: the text of each argument, on one line.
    """
    _, _, entries = inspect.cleandoc(docstring).partition("\nArgs:\n")
    entries = re.split(r"\n(?=\S)", entries)[0]  # up to the next section
    found = {}
    for names, text in _ENTRY.findall(f"{entries}\n"):  # one argument, or several: `a (int), b (int)`; `a, b (int)`
        found.update(dict.fromkeys(_TYPE.sub("", names).split(", "), " ".join(text.split())))
    return found


def help_from_docstring(config: type[T]) -> type[T]:
    """
    Give the fields of a dataclass the help that `--help` prints: their entries in its docstring. A decorator.

    Raises:
        `TypeError`: if the class defines a field that its docstring does not explain.
    """
    explained = arguments_of(config.__doc__ or "")
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if field.name in explained:
            # argparse reads `%` as the beginning of a placeholder.
            text = explained[field.name].replace("%", "%%")
            field.metadata = MappingProxyType({**field.metadata, "help": text})
        elif field.name in inspect.get_annotations(config):
            raise TypeError(f"{config.__name__}.{field.name} is not explained in the docstring")
    return config
