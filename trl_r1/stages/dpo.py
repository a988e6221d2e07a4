"""
The `dpo` stage: direct preference optimization on pairs, with TRL's DPOTrainer (arXiv 2305.18290).

```bash
accelerate launch --config_file recipes/accelerate/zero3.yaml -m trl_r1.stages.dpo --config dpo.yaml
```

The config is a flat TRL YAML: the fields of TRL's `DPOConfig`, of its `ModelConfig` and of
[`~stages._arguments.StageArguments`]. The data are pairs as the `pairs` stage leaves them. R1 has no such stage, and the
defaults are TRL's.

A killed stage resumes as TRL's trainers do, from its last checkpoint and with the same numbers. That holds because the
reference is the model that the stage starts from: one that moves (`sync_ref_model`) is in no checkpoint, and is refused.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, DataError
from ..kinds import Curve, StageKind
from ..text import render_prompt, split_completion
from ._common import program


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import DPOConfig, ModelConfig

    from ._arguments import StageArguments

logger = logging.getLogger(__name__)

STAGE = StageKind(
    configs=("trl:DPOConfig", "trl_r1.stages._arguments:StageArguments", "trl:ModelConfig"),
    leaves=("model",),
    reads=("prompt", "chosen", "rejected"),
    trains=True,
    curves=(
        Curve("Loss", ("loss",), digits=3),
        Curve("Pairs ordered right", ("rewards/accuracies",), share=True),
        Curve("Margin of the implicit reward", ("rewards/margins",), digits=3),
        Curve("Implicit reward", ("rewards/chosen", "rewards/rejected"), digits=3),
        Curve("Log-probability of a response, nats", ("logps/chosen", "logps/rejected"), digits=1),
    ),
)


def train(args: "DPOConfig", stage: "StageArguments", model: "ModelConfig") -> None:
    """
    Train a policy on preference pairs.

    Args:
        args ([`~trl.DPOConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.StageArguments`]):
            Data and template.
        model ([`~trl.ModelConfig`]):
            The model to start from, which is the reference as well, and LoRA.
    """
    from trl import DPOTrainer

    from ..data import load_rows, parse_sources
    from ._training import has_to_train, train_and_save, trainer_arguments

    if not has_to_train(args, stage):
        return
    if args.sync_ref_model:
        raise ConfigError(
            "expected false: TRL saves no moving reference, so a resumed stage would train against another one",
            key="sync_ref_model",
        )
    with args.main_process_first(desc="loading the pairs"):
        pairs = load_rows(parse_sources(stage.data or ()), "preference", seed=args.seed)
        pairs = pairs.map(
            rendered, fn_kwargs={"template": stage.prompt_template}, remove_columns=pairs.column_names
        ).filter(lambda pair: pair["chosen"] != pair["rejected"])
    trainer = DPOTrainer(train_dataset=pairs, **trainer_arguments(args, model))
    check_template(pairs, trainer.processing_class)
    trainer.train_dataset = whole_pairs(trainer.train_dataset, args.max_length)
    train_and_save(trainer, merge_adapter=stage.merge_adapter)


def rendered(pair: dict[str, Any], template: str) -> dict[str, Any]:
    """Return a pair in TRL's format: conversations for the template `chat`, else plain text."""
    prompt = render_prompt(template, pair["prompt"])
    if isinstance(prompt, str):
        return {"prompt": prompt, "chosen": pair["chosen"], "rejected": pair["rejected"]}
    answers = {side: [{"role": "assistant", "content": pair[side]}] for side in ("chosen", "rejected")}
    return {"prompt": prompt, **answers}


def check_template(pairs: "Dataset", tokenizer: Any) -> None:
    """
    Refuse a chat template that drops the reasoning of a response, as those of R1's distilled models do.

    Args:
        pairs (`datasets.Dataset`):
            Rows of [`rendered`]; plain text passes.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The model's.

    Raises:
        [`~errors.ConfigError`]: if a thought does not come out of the template.
    """
    for pair in pairs:
        thought = None if isinstance(pair["chosen"], str) else split_completion(pair["chosen"][0]["content"]).thought
        if thought and thought.strip():
            if thought.strip() not in tokenizer.apply_chat_template(pair["prompt"] + pair["chosen"], tokenize=False):
                raise ConfigError(
                    "the model's chat template drops the <think> block of a response, so none would be trained on; "
                    "expected a template that keeps it, or another than `chat`",
                    key="prompt_template",
                )
            return


def whole_pairs(pairs: "Dataset", max_length: int | None) -> "Dataset":
    """
    Leave out the pairs that TRL would cut: what is cut is the end, where the answer is.

    Args:
        pairs (`datasets.Dataset`):
            The trainer's, with `prompt_ids`, `chosen_ids` and `rejected_ids`.
        max_length (`int`, *optional*):
            The most tokens of a prompt with its response.

    Raises:
        [`~errors.DataError`]: if no pair is left.
    """

    def fits(pair: dict[str, list[int]]) -> bool:
        longest = len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))
        return max_length is None or longest <= max_length

    whole = pairs.filter(fits)
    if len(whole) < len(pairs):
        logger.warning("%d of %d pairs are longer than max_length and left out", len(pairs) - len(whole), len(pairs))
    if len(whole) == 0:
        raise DataError(f"expected pairs of two different responses of at most {max_length} tokens", key="data")
    return whole


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
