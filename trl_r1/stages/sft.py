"""
The `sft` stage: supervised fine-tuning on reasoning traces: both SFTs of R1, and its distillation (paper, v2 B.4.2-3).

```bash
accelerate launch --config_file recipes/accelerate/zero3.yaml -m trl_r1.stages.sft --config sft.yaml
```

The config is a flat TRL YAML: the fields of [`~configs.R1SFTConfig`], of TRL's `ModelConfig` and of
[`~stages._arguments.SFTStageArguments`]. The loss is on the completion alone. Distillation is this stage with another
base.
"""

import sys
from typing import TYPE_CHECKING

from ..kinds import Curve, StageKind
from ._common import program


if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig

    from ._arguments import SFTStageArguments

STAGE = StageKind(
    configs=("trl_r1.configs:R1SFTConfig", "trl_r1.stages._arguments:SFTStageArguments", "trl:ModelConfig"),
    leaves=("model",),
    reads=("prompt", "completion"),
    trains=True,
    curves=(
        Curve("Loss", ("loss", "eval_loss"), labels=("training", "held-out"), digits=3),
        Curve("Loss by source", ("loss/*",), digits=3),
        Curve("Accuracy of tokens", ("mean_token_accuracy",), share=True),
    ),
)

COLUMNS = ("prompt", "completion", "source", "domain", "language", "prompt_id")


def train(args: "SFTConfig", stage: "SFTStageArguments", model: "ModelConfig") -> None:
    """
    Fine-tune a model on prompts with completions.

    Args:
        args ([`~configs.R1SFTConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.SFTStageArguments`]):
            Data and template.
        model ([`~trl.ModelConfig`]):
            The model to start from, and LoRA.
    """
    from trl import get_quantization_config

    from ..data import load_rows, parse_sources, render
    from ..trainers import R1SFTTrainer
    from ._training import finished, lora, model_init_kwargs, model_path, train_and_save
    from ._world import check_world

    check_world(args, stage.expect_processes)
    if finished(args):
        return
    with args.main_process_first(desc="loading the data"):
        rows = render(load_rows(parse_sources(stage.data), "sft", seed=args.seed), "sft", stage.prompt_template)
        # TRL tells a conversation by its columns: a further `chosen` or `messages` would mislead it.
        rows = rows.select_columns([name for name in COLUMNS if name in rows.column_names])
    path, revision = model_path(model.model_name_or_path, args)
    args.model_init_kwargs = model_init_kwargs(args, model, revision)
    trainer = R1SFTTrainer(
        model=path,
        args=args,
        train_dataset=rows,
        peft_config=lora(model),
        quantization_config=get_quantization_config(model),
    )
    train_and_save(trainer, merge_adapter=stage.merge_adapter)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
