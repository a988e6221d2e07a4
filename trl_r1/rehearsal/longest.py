"""Tokenized rows at their maximum length, for a step that takes all the memory that any step may take. Torch-free."""

from typing import TYPE_CHECKING, Any

from ..stages._pairs import usable_pairs


if TYPE_CHECKING:
    from datasets import Dataset


def longest_rows(dataset: "Dataset", max_length: int | None) -> "Dataset":
    """
    Repeat the tokens of each row until it is as long as it may be.

    Args:
        dataset (`datasets.Dataset`):
            Tokenized rows: `input_ids`, and further lists of the same length (`labels`, `completion_mask`, ...). Packed
            rows are as long as they may be already.
        max_length (`int`, *optional*):
            That length; rows stay as they are without one.
    """
    if max_length is None or "seq_lengths" in dataset.column_names:
        return dataset

    def repeated(row: dict[str, Any]) -> dict[str, Any]:
        size = len(row["input_ids"])
        times = -(-max_length // max(1, size))
        lists = {key: value for key, value in row.items() if isinstance(value, list) and len(value) == size}
        return {key: (value * times)[:max_length] for key, value in lists.items()}

    return dataset.map(repeated)


def longest_pairs(pairs: "Dataset", max_length: int | None) -> "Dataset":
    """
    Leave out what [`~stages._pairs.usable_pairs`] does, and repeat the tokens of both responses of each pair until it is as
    long as it may be. Arguments as there.
    """
    kept = usable_pairs(pairs, max_length)
    if max_length is None:
        return kept

    def repeated(pair: dict[str, Any]) -> dict[str, list[int]]:
        room = max_length - len(pair.get("prompt_ids", ()))
        return {key: (pair[key] * (-(-room // len(pair[key]))))[:room] for key in ("chosen_ids", "rejected_ids")}

    return kept.map(repeated)
