"""The real rows against the lengths that a stage really has, since a rehearsal shortens both."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ..data import load_source
from ..data.rows import use_of
from ..data.source import parse_sources
from ..errors import TrlR1Error
from ..text import render_prompt


def measure(
    stage: Mapping[str, Any], rows: Mapping[str, str], models: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """
    Compare the lengths of a stage's rows with what it has room for.

    Args:
        stage (`Mapping[str, Any]`):
            As [`~rehearsal.prepare.prepare`] has it.
        rows (`Mapping[str, str]`):
            File of real rows, by source.
        models (`Mapping[str, str]`):
            Folders of tiny models, whose tokenizers are the real ones.

    Returns:
        `tuple[list[str], list[str]]`: faults and notes.
    """
    config, faults, notes = stage["config"], [], []
    template = config.get("prompt_template")
    place = models.get(config.get("chat_template_path") or "") or models.get(stage["root"] or "")
    if place is None or not isinstance(template, str):
        return [], []
    count = _counter(place)
    for each in stage["sources"]:
        if each["at"] != "data" or each["key"] not in rows:
            continue
        try:
            lengths = _lengths(each["source"], rows[each["key"]], stage["reads"], template, count)
        except (TrlR1Error, ValueError, TypeError):
            continue  # the stage itself says what is wrong with its rows or its template
        fault, note = _judged(stage, each["source"], lengths)
        faults += fault
        notes += note
    return faults, notes


def _judged(
    stage: Mapping[str, Any], source: Mapping[str, Any], lengths: list[tuple[int, int]]
) -> tuple[list[str], list[str]]:
    """`lengths`: of each row the tokens of its prompt, and of prompt and longest response together."""
    if not lengths:
        return [], []
    config, name, n = stage["config"], source.get("name") or source.get("path"), len(lengths)
    if "completion" in stage["reads"] or "chosen" in stage["reads"]:
        room = config.get("max_length")
        over = sum(whole > room for _, whole in lengths) if isinstance(room, int) else 0
        refuses = "completion" in stage["reads"] and config.get("too_long", "refuse") == "refuse"
        share = config.get("max_truncated_share", 0.01) if refuses else 0.5
        what = f"{over} of {n} real rows of `{name}` are longer than `max_length` {room} (up to {max(w for _, w in lengths)})"
        if over > share * n:
            kept = f"at most {share:.0%} (`max_truncated_share`)" if refuses else "most of them to fit"
            return [f"{what}; expected {kept}"], []
        return [], [f"{what}, and are cut or left out"] if over else []
    longest = config.get("max_completion_length") or config.get("max_completion_tokens")
    window = config.get("vllm_max_model_length") if config.get("use_vllm") else config.get("max_model_length")
    if not isinstance(window, int) or not isinstance(longest, int):
        return [], []
    over = sum(prompt + longest > window for prompt, _ in lengths)
    what = (
        f"the prompts of {over} of {n} real rows of `{name}` (up to {max(p for p, _ in lengths)} tokens) and {longest} "
        f"tokens of completion do not fit in a window of {window}"
    )
    if 2 * over >= n:
        return [f"{what}; expected a longer window (`max_model_length`) or shorter completions"], []
    return [], [what] if over else []


def _lengths(
    source: Mapping[str, Any], place: str, reads: list[str], template: str, count: Callable[[Any], int]
) -> list[tuple[int, int]]:
    taken = ("config", "split", "limit", "share", "from_step")
    (parsed,) = parse_sources([{key: value for key, value in source.items() if key not in taken} | {"path": place}])
    use = use_of(reads)
    responses = [meaning for meaning in ("completion", "chosen", "rejected") if meaning in reads]
    found = []
    for row in load_source(parsed, use):
        prompt = render_prompt(template, row["prompt"])
        wholes = [
            count(prompt + row[m] if isinstance(prompt, str) else [*prompt, {"role": "assistant", "content": row[m]}])
            for m in responses
        ]
        found.append((count(prompt), max(wholes, default=0)))
    return found


@cache
def _counter(place: str) -> Callable[[Any], int]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(place)

    def count(text: Any) -> int:
        if not isinstance(text, str):
            text = tokenizer.apply_chat_template(text, tokenize=False)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return count
