"""The Jinja templates of the report and of the cards: one environment for each folder, with the same filters. Torch-free."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .scores import show, show_duration


if TYPE_CHECKING:
    import jinja2


@cache
def templates(folder: Path, html: bool) -> "jinja2.Environment":
    """
    Return the templates of a folder.

    Args:
        folder (`Path`):
            Where they are.
        html (`bool`):
            Whether they make HTML, so that every text is escaped. In Markdown the filter `cell` escapes what goes into
            tables.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
        autoescape=html,
    )
    environment.filters.update(
        cell=_cell,
        fenced=_fenced,
        show=show,
        duration=show_duration,
        short=lambda name: str(name).rsplit(".", 1)[-1],
    )
    return environment


def _fenced(text: str, characters: int = 2000) -> str:
    """The beginning of any text as a block of code in Markdown."""
    if len(text) > characters:
        text = f"{text[:characters]}..."
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def _cell(value: object) -> str:
    """A text in a cell of a Markdown table: no new lines, no bars, no HTML."""
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
