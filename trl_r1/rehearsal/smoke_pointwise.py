"""The `pointwise` stage under `--smoke`: its own code, with every response as long as `max_length` lets it be."""

import sys
from typing import TYPE_CHECKING, Any

from ..stages import pointwise
from .longest import longest_rows
from .variant import variant


if TYPE_CHECKING:
    from datasets import Dataset

    from ..rewards.preference_text import PreferenceForm

STAGE = pointwise.STAGE
_tokenized = pointwise.tokenized


def tokenized(rows: "Dataset", tokenizer: Any, form: "PreferenceForm") -> "Dataset":
    """Tokenize rows, and repeat the tokens of each. Arguments as [`~stages.pointwise.tokenized`]."""
    return longest_rows(_tokenized(rows, tokenizer, form), form.max_length)


main = variant(pointwise, "trl_r1.stages.pointwise.tokenized", lambda: tokenized)

if __name__ == "__main__":
    sys.exit(main())
