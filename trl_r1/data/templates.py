"""
From canonical rows to TRL's data set formats.
"""

from typing import TYPE_CHECKING, Any

from ..text import render_prompt


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
    chat = prompt_template == "chat"
    render_prompt(prompt_template, "")  # a wrong template is refused here, and not by a worker of `map`
    map_row = {"grpo": _grpo_row, "sft": _sft_row, "reward": _preference_row}[kind]
    dataset = dataset.map(
        map_row,
        fn_kwargs={"template": prompt_template, "chat": chat},
        remove_columns=["prompt"] + (["chosen", "rejected"] if kind == "reward" else []),
    )
    return dataset


def _grpo_row(row: dict[str, Any], template: str, chat: bool) -> dict[str, Any]:
    return {"prompt": render_prompt(template, row["prompt"]), "question": row["prompt"]}


def _sft_row(row: dict[str, Any], template: str, chat: bool) -> dict[str, Any]:
    completion = row["completion"]
    return {
        "prompt": render_prompt(template, row["prompt"]),
        "completion": [{"role": "assistant", "content": completion}] if chat else completion,
    }


def _preference_row(row: dict[str, Any], template: str, chat: bool) -> dict[str, Any]:
    prompt = render_prompt(template, row["prompt"])
    return {
        which: [*prompt, {"role": "assistant", "content": row[which]}] if chat else prompt + row[which]
        for which in ("chosen", "rejected")
    }
