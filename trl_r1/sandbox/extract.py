"""
The program in an answer: the last fenced block in a language that is asked for.
"""

import ast
import re
import textwrap
from collections.abc import Sequence

from .toolchains import language_of


_OPENING = re.compile(r"([ \t>]*)(`{3,}|~{3,})([^`\n]*)\Z")


def fenced_blocks(text: str) -> list[tuple[str, str | None]]:
    """
    Return the fenced blocks of a text.

    Args:
        text (`str`):
            Markdown.

    Returns:
        `list[tuple[str, str | None]]`: of each block the first word behind its fence, and what it holds; `None` for a
        last one that is never closed.
    """
    blocks: list[tuple[str, str | None]] = []
    lines: list[str]
    fence, name, lines, indent = "", "", [], ""
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if not fence:
            if opening := _OPENING.match(line):
                indent, fence, info = opening.groups()
                words = info.strip().strip("{}").split()
                name, lines = (words[0].strip(".,:") if words else ""), []
        else:
            bare = line.strip(" \t>")
            if len(bare) >= len(fence) and not bare.strip(fence[0]):
                held = "\n".join(lines)
                blocks.append((name, textwrap.dedent(held) if indent else held))
                fence = ""
            else:
                lines.append(line)
    if fence:
        blocks.append((name, None))
    return blocks


def last_program(text: str, languages: Sequence[str]) -> tuple[str, str] | None:
    """
    Return the program that an answer ends in.

    Args:
        text (`str`):
            The answer.
        languages (`Sequence[str]`):
            Languages that are asked for. A block with no name behind its fence counts as the first of them.

    Returns:
        `tuple[str, str]`: language and source of the last block that is in one of them; `None` where there is none, or
        the answer ends inside a block.
    """
    blocks = fenced_blocks(text)
    if blocks and blocks[-1][1] is None:
        return None
    for name, source in reversed(blocks):
        language = language_of(name) if name else languages[0]
        if language in languages and source and source.strip():
            return language, source
    return None


def defined_in_prompt(prompt: str, entry_point: str) -> str:
    """
    Return the code of a prompt that shows a function to be completed, as HumanEval's do.

    Args:
        prompt (`str`):
            The prompt: the code alone, or a text around it.
        entry_point (`str`):
            Name of the function.

    Returns:
        `str`: imports, further functions and the function's beginning, its last line without a line break; empty where
        the prompt does not show it.
    """
    if not defines(prompt, entry_point):
        return ""
    lines = prompt.split("\n")
    starts = [i for i, line in enumerate(lines) if re.match(r"(from|import|def|class|@|async def)\b", line)]
    pieces = [prompt, *(source or "" for _, source in fenced_blocks(prompt)), *("\n".join(lines[i:]) for i in starts)]
    for piece in pieces:
        if defines(piece, entry_point) and (_parses(piece) or _parses(f"{piece.rstrip()}\n    pass\n")):
            return piece.rstrip()
    return ""


def completed(beginning: str, source: str, entry_point: str | None) -> tuple[str, str]:
    """
    Join a prompt's code and what a completion gives.

    Args:
        beginning (`str`):
            What [`defined_in_prompt`] returned.
        source (`str`):
            The completion's program: the whole function, or what follows its beginning.
        entry_point (`str`):
            Name of the function.

    Returns:
        `tuple[str, str]`: the program under test, and what the prompt alone defines.
    """
    given = beginning if _parses(beginning) else f"{beginning}\n    pass\n"
    if defines(source, entry_point) or not beginning:
        return f"{given}\n\n{source}", given
    first = next((line for line in source.split("\n") if line.strip()), "")
    body = source if first[:1] in (" ", "\t") else textwrap.indent(source, "    ")
    return f"{beginning}\n{body}", given


def defines(source: str, name: str) -> bool:
    """Tell whether a text defines a function of a name."""
    return re.search(rf"^[ \t]*(async[ \t]+)?def[ \t]+{re.escape(name)}\b", source, re.MULTILINE) is not None


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
