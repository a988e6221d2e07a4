"""
The `pointwise` stage: a reward model of responses with labels, as R1's safety model (paper, v2 3.1: pointwise, responses
labelled safe or unsafe).

```bash
accelerate launch --config_file recipes/accelerate/zero2.yaml -m trl_r1.stages.pointwise --config safety.yaml
```

The config is that of the `reward` stage. Rows have `prompt`, `completion` and `label`: true or 1 for a good (safe)
response, false or 0 for a bad one. The model is used as any preference model is: [`~rewards.PreferenceModel`].
"""

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..data.parallel import processes_for
from ..errors import DataError
from ..kinds import Curve
from ..rewards.preference_text import PreferenceForm
from . import reward
from ._common import program


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import ModelConfig, RewardConfig

    from ._arguments import RewardStageArguments

logger = logging.getLogger(__name__)

STAGE = replace(
    reward.STAGE,
    reads=("prompt", "completion", "label"),
    curves=(
        Curve("Loss", ("loss", "eval_loss"), labels=("training", "held-out"), digits=3),
        Curve("Responses labelled right", ("accuracy", "eval_accuracy"), labels=("training", "held-out"), share=True),
    ),
    purpose="A model that scores answers, trained on answers with a label.",
)


def train(args: "RewardConfig", stage: "RewardStageArguments", model: "ModelConfig") -> None:
    """
    Train a reward model of labelled responses.

    Args:
        args ([`~preference.config.R1RewardConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.RewardStageArguments`]):
            Data, template and the part of a response that is judged.
        model ([`~trl.ModelConfig`]):
            The model to start from, and LoRA.
    """
    from ..preference.pointwise import R1PointwiseTrainer

    reward.train_scorer(args, stage, model, kind="labelled", tokenized=tokenized, trainer_class=R1PointwiseTrainer)


def tokenized(rows: "Dataset", tokenizer: Any, form: PreferenceForm) -> "Dataset":
    """
    Turn labelled responses into what [`~preference.pointwise.R1PointwiseTrainer`] reads.

    Args:
        rows (`datasets.Dataset`):
            Rows with `prompt`, `completion` and `label` (`"1"` or `"0"`).
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The model's.
        form ([`~rewards.preference_text.PreferenceForm`]):
            How prompt and response become one text. Rows longer than its `max_length` are left out.

    Returns:
        `datasets.Dataset`: `input_ids` and `label`.

    Raises:
        [`~errors.DataError`]: if what is left does not hold both labels.
    """

    def ids(row: dict[str, Any]) -> dict[str, Any]:
        text = form.token_ids(tokenizer, row["prompt"], row["completion"])
        return {"input_ids": text, "label": float(row["label"])}

    found = rows.map(ids, remove_columns=rows.column_names, num_proc=processes_for(len(rows)))
    if form.max_length is not None:
        kept = found.filter(lambda row: len(row["input_ids"]) <= form.max_length)
        if len(kept) < len(found):
            logger.warning("%d of %d rows are left out: longer than max_length", len(found) - len(kept), len(found))
        found = kept
    labels = set(found["label"])
    if labels != {0.0, 1.0}:
        raise DataError(
            f"expected responses of both labels of at most {form.max_length} tokens, got {sorted(labels)}", key="data"
        )
    return found


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
