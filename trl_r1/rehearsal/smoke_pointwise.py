"""The `pointwise` stage under `--smoke`: its own code, with every response as long as `max_length` lets it be."""

import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

from ..stages import pointwise, program
from .longest import longest_rows


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import ModelConfig, RewardConfig

    from ..rewards.preference_text import PreferenceForm
    from ..stages._arguments import RewardStageArguments

STAGE = pointwise.STAGE
_tokenized = pointwise.tokenized


def tokenized(rows: "Dataset", tokenizer: Any, form: "PreferenceForm") -> "Dataset":
    """Tokenize rows, and repeat the tokens of each. Arguments as [`~stages.pointwise.tokenized`]."""
    return longest_rows(_tokenized(rows, tokenizer, form), form.max_length)


def train(args: "RewardConfig", stage: "RewardStageArguments", model: "ModelConfig") -> None:
    """Train one step. Arguments as [`~stages.pointwise.train`]."""
    with mock.patch.object(pointwise, "tokenized", tokenized):
        pointwise.train(args, stage, model)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
