"""
What a judge is shown, so that nothing in it passes for the judge's instructions or for its verdict. Pure.

A policy that is rewarded by a judge learns to write to the judge. Three ways are closed here. It may close the part in
which its text stands and go on as the instructions: the marks around each part hold a hash of all parts, which no part
can hold. It may write the control tokens of a chat template, which many servers take as such wherever they stand: they
are broken up. It may write the verdict that it wants and have the judge repeat it: of what the judge writes, an object
that stands in the material is not its own. That a judge is *persuaded* no parsing can prevent; see docs/rewards.md.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..text import split_completion


# `<|im_end|>`, `<｜Assistant｜>`, `</s>`, `<start_of_turn>`, `<think>`; `[INST]`, `[/INST]`, `[TOOL_CALLS]`.
_CONTROL = re.compile(r"<(?=[/|｜A-Za-z_])|\[(?=/?[A-Z_]{2,}\])")
_INVALID_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|)')


def parts_between_marks(parts: Mapping[str, str]) -> str:
    """
    Lay out what a judge is to judge.

    Args:
        parts (`Mapping[str, str]`):
            Name (`"reference answer"`) and text of each part.

    Returns:
        `str`: each part between `[name mark]` and `[/name mark]`, control tokens broken up.
    """
    shown = {name: _CONTROL.sub(r"\g<0> ", text) for name, text in parts.items()}
    mark = hashlib.sha256(json.dumps([*parts.items()]).encode()).hexdigest()[:12]
    return "\n\n".join(f"[{name} {mark}]\n{text}\n[/{name} {mark}]" for name, text in shown.items())


def own_verdict(reply: str, field: str, material: Sequence[str]) -> dict[str, Any]:
    """
    Return the JSON object that a judge gave as its verdict.

    Args:
        reply (`str`):
            What the judge wrote. Its own thought does not count.
        field (`str`):
            The field that makes an object a verdict.
        material (`Sequence[str]`):
            What the judge was shown and a policy wrote.

    Raises:
        `ValueError`: if there is no such object, or several that differ, but for those that stand in the material.
    """
    quotable = [_squeezed(text) for text in material]
    verdicts: list[dict[str, Any]] = []
    for value, source in _objects(_behind_thought(reply)):
        if field not in value or any(_squeezed(source) in text for text in quotable):
            continue
        if any(value == planted for text in material for planted, _ in _objects(text)):
            continue
        verdicts.append(value)
    if not verdicts:
        raise ValueError(f"no object of its own with {field!r}")
    if any(verdict[field] != verdicts[0][field] for verdict in verdicts):
        raise ValueError(f"several objects that differ in {field!r}")
    return verdicts[-1]


def _objects(text: str) -> list[tuple[dict[str, Any], str]]:
    """Return the outermost JSON objects in a text, each with its source."""
    found: list[tuple[dict[str, Any], str]] = []
    # LaTeX in a string: `\s` is no escape of JSON, and a judge that quotes a formula forgets to double it.
    text = _INVALID_ESCAPE.sub(lambda escape: escape[0] if escape[1] else "\\\\", text)
    decoder = json.JSONDecoder(object_pairs_hook=_without_doubles, strict=False)
    start = _OPENING.search(text)  # LaTeX's braces are none
    failed = 0
    while start is not None:
        try:
            value, end = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            end = start.end()
            failed += 1
            if failed > _MOST_FAILURES:
                raise ValueError("too many braces to find an object of its own among them") from None
        else:
            found.append((value, text[start.start() : end]))
        start = _OPENING.search(text, end)
    return found


_OPENING = re.compile(r"\{(?=\s{0,20}[\"}])")
_MOST_FAILURES = 300


def _behind_thought(reply: str) -> str:
    """Return what a judge says behind its own thought; a `</think>` within an object is a quotation."""
    text = reply.strip()
    at = text.find("</think>")
    if at < 0:
        return split_completion(text).answer or ""
    if not text.startswith("<think>") and any(
        "</think>" in source and text.find(source) <= at for _, source in _objects(text)
    ):
        return text
    return text[at + len("</think>") :]


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = {name.strip().lower(): value for name, value in pairs}
    if len(named) < len(pairs):
        raise ValueError("a field stands twice")
    return named


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", _INVALID_ESCAPE.sub(lambda escape: escape[0] if escape[1] else "\\\\", text))
