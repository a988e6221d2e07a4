"""
What an SFT on reasoning must not do without a word: train on no reasoning, or on reasoning without its end. Torch-free.
"""

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError


if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

# Where chat messages keep a chain of thought that is not in their content.
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
_PROBE = "the thought of turn {}"


def check_template_keeps_reasoning(
    rows: Iterable[Mapping[str, Any]], render: Callable[[list[dict[str, Any]], Mapping[str, Any]], str]
) -> None:
    """
    Refuse a chat template that drops the reasoning of assistant turns which are trained on.

    The templates of R1's distilled models do so (`content.split('</think>')[-1]`), and others do it for all turns but
    the last: fit for a conversation that goes on, but a model trained through them is trained on no reasoning.

    Args:
        rows (`Iterable[Mapping[str, Any]]`):
            Rows of the data set, conversational ones with `messages`, or with `prompt` and `completion`. Others are
            passed over. Each shape of conversation is tried once.
        render (`Callable`):
            Renders messages with the template, given the row they come from.

    Raises:
        [`~errors.ConfigError`]: if a turn's reasoning does not come out of the template.
    """
    seen = set()
    for row in rows:
        context, trained = _conversation(row)
        shape = tuple((m.get("role"), _has_reasoning(m)) for m in [*context, *trained])
        if shape in seen or not any(map(_has_reasoning, trained)):
            continue
        seen.add(shape)
        probes = [_PROBE.format(i) for i in range(len(trained))]
        text = render([*context, *(_put(m, probe) for m, probe in zip(trained, probes))], row)
        dropped = [i for i, m in enumerate(trained) if _has_reasoning(m) and probes[i] not in text]
        if dropped:
            turns = [i for i, m in enumerate(trained) if m.get("role") == "assistant"]
            raise ConfigError(
                f"the chat template drops the reasoning of assistant turn {turns.index(dropped[0]) + 1} of "
                f"{len(turns)}: nothing of its <think> block would be trained on. Expected a template that keeps it. "
                "The `sft` stage takes one as `chat_template_path` (TRL has such versions of many templates: "
                "`chat_templates/*_training.jinja` in its package); or use rows of plain text.",
                key="chat_template",
            )


def _conversation(row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The messages of a row: those that are only read, and those that are trained on."""
    if _is_messages(row.get("messages")):
        return [], row["messages"]
    if _is_messages(row.get("prompt")) and _is_messages(row.get("completion")):
        return row["prompt"], row["completion"]
    return [], []


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, Mapping) and "role" in m for m in value)


def _has_reasoning(message: Mapping[str, Any]) -> bool:
    if message.get("role") != "assistant":
        return False
    return bool(_thought_of(message).strip()) or any(message.get(key) for key in _REASONING_KEYS)


def _thought_of(message: Mapping[str, Any]) -> str:
    """The chain of thought in a message's content: what stands before its last `</think>`, in linear time."""
    content = message.get("content")
    return content.rpartition("</think>")[0].removeprefix("<think>") if isinstance(content, str) else ""


def _put(message: Mapping[str, Any], probe: str) -> dict[str, Any]:
    """The message with a probe for its reasoning."""
    probed = copy.deepcopy(dict(message))
    if not _has_reasoning(probed):
        return probed
    for key in _REASONING_KEYS:
        if probed.get(key):
            probed[key] = probe
    if thought := _thought_of(message):
        probed["content"] = probed["content"].replace(thought, f"\n{probe}\n", 1)
    return probed


def fit_rows(dataset: "Dataset", max_length: int, too_long: str, max_share: float) -> "Dataset":
    """
    Refuse, leave out, or count the rows that are longer than the maximum length.

    Args:
        dataset (`datasets.Dataset`):
            Tokenized rows, with `input_ids`.
        max_length (`int`):
            The maximum length in tokens.
        too_long (`str`):
            `"refuse"` (more than `max_share` of the rows), `"drop"` or `"cut"` (by the trainer, later).
        max_share (`float`):
            The share of rows that may be longer.

    Returns:
        `datasets.Dataset`: the rows to train on.

    Raises:
        [`~errors.DataError`]: if too many are longer, or no row is left.
    """
    lengths = token_counts(dataset)
    kept = [i for i, length in enumerate(lengths) if length <= max_length]
    over = len(lengths) - len(kept)
    if not over:
        return dataset
    what = f"{over} of {len(lengths)} rows ({over / len(lengths):.1%}) are longer than {max_length} tokens"
    longest = f"The longest row has {max(lengths)} tokens."
    if too_long == "refuse" and over > max_share * len(lengths):
        raise DataError(
            f"{what} and would lose their end, where the answer is; expected at most {max_share:.1%} "
            f"(`max_truncated_share`). {longest} Raise `max_length`, or set `too_long: drop` to leave them out or "
            "`too_long: cut` to cut them.",
            key="max_length",
        )
    if too_long == "drop" and not kept:
        raise DataError(f"{what}: none is left. {longest} Expected a larger `max_length`.", key="max_length")
    logger.warning("%s and are %s", what, "left out" if too_long == "drop" else "cut at their end")
    return dataset.select(kept) if too_long == "drop" else dataset


def token_counts(dataset: "Dataset") -> list[int]:
    """Return the number of tokens of each row (`input_ids`), without turning them into Python's numbers."""
    import pyarrow.compute as pc

    batches = dataset.select_columns("input_ids").with_format("arrow").iter(batch_size=1000)
    return [length for batch in batches for length in pc.list_value_length(batch["input_ids"]).to_pylist()]


def check_packing(config: Any) -> None:
    """
    Refuse packing for a model in which a packed row would see the one before it.

    Attention keeps rows apart by their positions; a layer with a state of its own does not know where one ends.

    Args:
        config ([`~transformers.PretrainedConfig`]):
            The model's.

    Raises:
        [`~errors.ConfigError`]: if a layer is no attention.
    """
    others = set(getattr(config.get_text_config(), "layer_types", None) or ()) - _ATTENTION
    if others:
        raise ConfigError(
            f"the model has layers of type {', '.join(sorted(others))}, whose state would run on from one packed row into "
            "the next; expected false. Rows are dealt out by length instead (`train_sampling_strategy`)",
            key="packing",
        )
