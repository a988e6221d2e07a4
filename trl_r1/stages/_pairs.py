"""
Which preference pairs can be trained on.
"""

import logging
from typing import TYPE_CHECKING, Any

from ..data.parallel import processes_for
from ..errors import DataError


if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def usable_pairs(pairs: "Dataset", max_length: int | None) -> "Dataset":
    """
    Leave out the pairs whose sides are alike, and those that would be cut: what is cut is the end, where the answer is.

    Args:
        pairs (`datasets.Dataset`):
            Token ids: `chosen_ids`, `rejected_ids` and, where the sides do not begin with it, `prompt_ids`.
        max_length (`int`, *optional*):
            The most tokens of a prompt with its response.

    Raises:
        [`~errors.DataError`]: if no pair is left.
    """

    def usable(pair: dict[str, Any]) -> bool:
        longest = len(pair.get("prompt_ids", ())) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))
        return pair["chosen_ids"] != pair["rejected_ids"] and (max_length is None or longest <= max_length)

    kept = pairs.filter(usable, num_proc=processes_for(len(pairs)))
    left_out = len(pairs) - len(kept)
    if left_out:
        logger.warning(
            "%d of %d pairs are left out: longer than max_length, or both sides alike", left_out, len(pairs)
        )
    if len(kept) == 0:
        raise DataError(
            f"expected pairs of two different responses of at most {max_length} tokens, got none among {len(pairs)}",
            key="data",
        )
    return kept
