"""
The fenced blocks of README, CONTRIBUTING, recipes/README and docs/, with the comment that stands before each:

- `<!-- file: NAME -->`: the block is that file, in a folder that all blocks of its page share.
- `<!-- needs: WHAT -->`: it is not run, since it needs that. `<!-- blocks need: WHAT -->` says it for all commands of a page.
- `<!-- ci: WHERE -->`: CI runs it there, as it does what `.ci/readme` prints (`<!-- playground -->`).
- `<!-- run -->`: commands of a few seconds, which a slow test runs. Commands must have one of these comments.

Python without a comment is run, in a folder that holds a tiny model (`my-model`) and a few problems (`problems.jsonl`).
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    ROOT / "recipes" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_FENCE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)? *```(?P<language>\w*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL
)
_OF_PAGE = re.compile(r"^<!-- blocks need: .+ -->$", re.MULTILINE)
_RUN_BY_CI = ("playground", "tests", "vllm")  # what `.ci/readme` prints: tests/test_repository.py


@dataclass(frozen=True)
class Block:
    """
    One fenced block.

    Args:
        page (`Path`):
            The file that has it.
        line (`int`):
            Where it begins there.
        language (`str`):
            What the fence says.
        text (`str`):
            What is in it.
        file (`str`):
            The file that it is; empty where it is none.
        run (`bool`):
            Whether it is run by the tests of the documentation.
    """

    page: Path
    line: int
    language: str
    text: str
    file: str
    run: bool

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command of a bash block, without what is set for it (`NAME=value`) and comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        found = []
        for line in lines:
            words: list[str] = []
            for word in [*shlex.split(line, comments=True), "&&"]:
                if word in ("&&", "||", "|", ";"):
                    found += [words] if words else []
                    words = []
                elif words or not re.match(r"\w+=", word):
                    words.append(word)
        return found


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        kind, _, about = (fence["note"] or "").partition(": ")
        line = text.count("\n", 0, fence.start("language")) + 1
        where = f"{page.relative_to(ROOT)}:{line}"
        if kind not in ("", "file", "needs", "ci", "run", *_RUN_BY_CI):
            pytest.fail(f"{where}: unknown comment `{kind}` before a block")
        if not kind and fence["language"] == "bash":
            if not _OF_PAGE.search(text):
                pytest.fail(f"{where}: expected a comment that says what the commands need, or `run`")
            kind = "needs"
        run, file = kind in ("", "file", "run"), about if kind == "file" else ""
        found.append(Block(page, line, fence["language"], fence["text"], file, run))
    return found
