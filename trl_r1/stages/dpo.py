"""
The `dpo` stage: direct preference optimization on pairs, with TRL's DPOTrainer (arXiv 2305.18290).

```bash
accelerate launch --config_file recipes/accelerate/zero3.yaml -m trl_r1.stages.dpo --config dpo.yaml
```

The config is a flat TRL YAML: the fields of [`~preference.config.R1DPOConfig`], of TRL's `ModelConfig` and of
[`~stages._arguments.StageArguments`]. The data are pairs as the `pairs` stage leaves them. R1 has no such stage, and the
defaults are TRL's.

A killed stage resumes from its last checkpoint and with the same numbers. That holds because the reference is the model
that the stage starts from: one that moves (`sync_ref_model`) is in no checkpoint, and is refused.
"""

import sys
from typing import TYPE_CHECKING, Any

from ..data.parallel import processes_for
from ..errors import ConfigError
from ..kinds import Curve, StageKind
from ..sft.checks import check_template_keeps_reasoning
from ..text import render_prompt
from ._common import program
from ._pairs import usable_pairs


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import DPOConfig, ModelConfig

    from ._arguments import StageArguments

STAGE = StageKind(
    configs=(
        "trl_r1.preference.config:R1DPOConfig",
        "trl_r1.stages._arguments:StageArguments",
        "trl:ModelConfig",
    ),
    leaves=("model",),
    reads=("prompt", "chosen", "rejected"),
    trains=True,
    curves=(
        Curve("Loss", ("loss",), digits=3, axis="loss"),
        Curve("Pairs ordered right", ("rewards/accuracies",), share=True),
        Curve("Margin of the implicit reward", ("rewards/margins",), digits=3),
        Curve("Implicit reward", ("rewards/chosen", "rewards/rejected"), digits=3),
        Curve("Log-probability of a response, nats", ("logps/chosen", "logps/rejected"), digits=1),
    ),
    purpose="Direct preference optimization: of each pair of answers, the chosen one is to become more likely.",
)


def train(args: "DPOConfig", stage: "StageArguments", model: "ModelConfig") -> None:
    """
    Train a policy on preference pairs.

    Args:
        args ([`~preference.config.R1DPOConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.StageArguments`]):
            Data and template.
        model ([`~trl.ModelConfig`]):
            The model to start from, which is the reference as well, and LoRA.
    """
    from ..data import load_rows, parse_sources
    from ..preference.trainer import R1DPOTrainer
    from ._training import has_to_train, train_and_save, trainer_arguments

    if not has_to_train(args, stage):
        return
    if args.sync_ref_model:
        raise ConfigError(
            "expected false: TRL saves no moving reference, so a resumed stage would train against another one",
            key="sync_ref_model",
        )
    with args.main_process_first(desc="loading the pairs"):
        pairs = load_rows(parse_sources(stage.data), "preference", seed=args.seed)
        args.dataset_num_proc = args.dataset_num_proc or processes_for(len(pairs))
        pairs = pairs.map(
            rendered,
            fn_kwargs={"template": stage.prompt_template},
            remove_columns=pairs.column_names,
            num_proc=args.dataset_num_proc,
        )
    trainer = R1DPOTrainer(train_dataset=pairs, **trainer_arguments(args, model))
    check_template(pairs, trainer.processing_class)
    with args.main_process_first(desc="leaving out pairs"):
        trainer.train_dataset = usable_pairs(trainer.train_dataset, args.max_length)
    train_and_save(trainer, merge_adapter=stage.merge_adapter, keep_checkpoints=stage.keep_checkpoints)


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
    check_template_keeps_reasoning(
        ({"prompt": pair["prompt"], "completion": pair["chosen"]} for pair in pairs),
        lambda messages, row: tokenizer.apply_chat_template(messages, tokenize=False),
    )


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
