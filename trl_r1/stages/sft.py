"""
The `sft` stage: supervised fine-tuning on reasoning traces: both SFTs of R1, and its distillation (paper, v2 B.4.2-3).

```bash
accelerate launch --config_file recipes/accelerate/zero3.yaml -m trl_r1.stages.sft --config sft.yaml
```

The config is a flat TRL YAML: the fields of [`~sft.config.R1SFTConfig`], of TRL's `ModelConfig` and of
[`~stages._arguments.StageArguments`]. The loss is on the completion alone. Distillation is this stage with another
base.
"""

import sys
from typing import TYPE_CHECKING

from ..kinds import Curve, StageKind
from ._common import program


if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig

    from ._arguments import StageArguments

STAGE = StageKind(
    configs=("trl_r1.sft.config:R1SFTConfig", "trl_r1.stages._arguments:StageArguments", "trl:ModelConfig"),
    leaves=("model",),
    reads=("prompt", "completion"),
    references={"chat_template_path": "file"},
    trains=True,
    curves=(
        Curve("Loss", ("loss", "eval_loss"), labels=("training", "held-out"), digits=3, axis="nats a token"),
        Curve("Loss by source", ("loss/*",), digits=3, axis="nats a token"),
        Curve("Accuracy of tokens", ("mean_token_accuracy",), share=True, axis="share of tokens"),
    ),
    purpose="Supervised fine-tuning: the model learns to write what the data hold.",
)

# TRL tells a conversation by its columns: a further `chosen` or `messages` would mislead it.
COLUMNS = ("prompt", "completion", "source", "domain", "language", "prompt_id")


def train(args: "SFTConfig", stage: "StageArguments", model: "ModelConfig") -> None:
    """
    Fine-tune a model on prompts with completions.

    Args:
        args ([`~sft.config.R1SFTConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.StageArguments`]):
            Data and template.
        model ([`~trl.ModelConfig`]):
            The model to start from, and LoRA.
    """
    from ..data import load_sft
    from ..sft.trainer import R1SFTTrainer
    from ._training import has_to_train, train_and_save, trainer_arguments

    if not has_to_train(args, stage):
        return
    with args.main_process_first(desc="loading the data"):
        rows = load_sft(stage.data, stage.prompt_template, COLUMNS, seed=args.seed)
    trainer = R1SFTTrainer(train_dataset=rows, **trainer_arguments(args, model))
    train_and_save(trainer, merge_adapter=stage.merge_adapter, keep_checkpoints=stage.keep_checkpoints)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
