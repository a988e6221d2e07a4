"""
The program in an answer: the last fenced block that is named as a language that is asked for, or the last without a name
that may be a program in it.
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
        line = line.lstrip("\ufeff").rstrip("\r")
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
    Return the program in an answer. A block without a name, such as a sample output, does not take a named one's place.

    Args:
        text (`str`):
            The answer.
        languages (`Sequence[str]`):
            Languages that are asked for. A block with no name behind its fence counts as the first of them.

    Returns:
        `tuple[str, str]`: language and source of the last block that is named as one of them, else of the last without
        a name that looks like a program; `None` where there is none, or the answer ends inside a block.
    """
    blocks = fenced_blocks(text)
    if blocks and blocks[-1][1] is None:
        return None
    held = [(name, source) for name, source in blocks if source and source.strip()]
    for name, source in reversed(held):
        language = language_of(name) if name else None
        if language in languages:
            return language, source
    bare = [source for name, source in held if not name]
    found = next(
        (source for source in reversed(bare) if _looks_like(source, languages[0])), bare[-1] if bare else None
    )
    return None if found is None else (languages[0], found)


def _looks_like(source: str, language: str) -> bool:
    """Tell whether a block without a name may be a program, rather than an output or a formula beside one."""
    if language == "python":
        try:
            tree = ast.parse(textwrap.dedent(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
        return any(map(_does_something, ast.walk(tree)))
    entry = {"cpp": r"\bmain\b", "c": r"\bmain\b", "java": r"\bmain\b", "go": r"\bmain\b", "rust": r"\bmain\b"}
    return re.search(entry.get(language, r"[a-z]\w*\s*[ (=.]"), source) is not None


def _does_something(node: ast.AST) -> bool:
    """Tell whether a node of a program does more than `3 7` or `Input: 3`, which Python can read too."""
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    return isinstance(node, (ast.stmt, ast.Call)) and not isinstance(node, ast.Expr)


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
