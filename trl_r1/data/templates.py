"""
From canonical rows to TRL's data set formats.
"""

from typing import TYPE_CHECKING, Any

from ..text import render_prompt
from .parallel import processes_for


if TYPE_CHECKING:
    from datasets import Dataset


def render(dataset: "Dataset", kind: str, prompt_template: str) -> "Dataset":
    """
    Put canonical rows into TRL's formats.

    Args:
        dataset (`datasets.Dataset`):
            Rows of [`load_prompts`] or [`load_rows`].
        kind (`str`):
            `"grpo"`: `prompt` rendered, the question as it was in `question`, all other columns as they are. `"sft"`:
            `prompt` and `completion`. `"reward"`: `chosen` and `rejected`, each with the prompt before it. Where the
            template is `"chat"`, these are conversations; else plain text.
        prompt_template (`str`):
            See [`~text.render_prompt`].
    """
    render_prompt(prompt_template, "")  # a wrong template is refused here, and not by a worker of `map`
    removed = ["prompt", "chosen", "rejected"] if kind == "reward" else ["prompt"]
    return dataset.map(
        _rendered,
        fn_kwargs={"kind": kind, "template": prompt_template},
        remove_columns=removed,
        num_proc=processes_for(len(dataset)),
    )


def _rendered(row: dict[str, Any], kind: str, template: str) -> dict[str, Any]:
    prompt: Any = render_prompt(template, row["prompt"])
    if kind == "grpo":
        return {"prompt": prompt, "question": row["prompt"]}
    columns = ("completion",) if kind == "sft" else ("chosen", "rejected")
    written: dict[str, Any] = {name: row[name] for name in columns}
    if template == "chat":
        written = {name: [{"role": "assistant", "content": text}] for name, text in written.items()}
    if kind == "sft":
        return {"prompt": prompt, **written}
    return {name: prompt + answer for name, answer in written.items()}
