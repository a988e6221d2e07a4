"""
The `reward` stage: a preference model from pairs, with TRL's RewardTrainer (paper, v2 3.1: pairwise loss, scalar head).

```bash
accelerate launch --config_file recipes/accelerate/zero3.yaml -m trl_r1.stages.reward --config reward.yaml
```

The config is a flat TRL YAML: the fields of [`~preference.config.R1RewardConfig`], of TRL's `ModelConfig` and of
[`~stages._arguments.RewardStageArguments`]. The model may be a causal language model: its score head is then new. The
text that is scored is the prompt in its template with the response, as [`~rewards.PreferenceModel`] forms it in RL.

The paper's safety model is pointwise, on responses labelled safe or unsafe: the `pointwise` stage.
"""

import sys
from typing import TYPE_CHECKING, Any

from ..data.parallel import processes_for
from ..kinds import Curve, StageKind
from ..rewards.preference_text import PreferenceForm
from ._common import program
from ._pairs import usable_pairs


if TYPE_CHECKING:
    from collections.abc import Callable

    from datasets import Dataset
    from trl import ModelConfig, RewardConfig

    from ._arguments import RewardStageArguments

STAGE = StageKind(
    configs=(
        "trl_r1.preference.config:R1RewardConfig",
        "trl_r1.stages._arguments:RewardStageArguments",
        "trl:ModelConfig",
    ),
    leaves=("model",),
    reads=("prompt", "chosen", "rejected"),
    references={"chat_template_path": "file"},
    trains=True,
    curves=(
        Curve("Loss", ("loss", "eval_loss"), labels=("training", "held-out"), digits=3),
        Curve("Pairs ordered right", ("accuracy", "eval_accuracy"), labels=("training", "held-out"), share=True),
        Curve("Margin between chosen and rejected", ("margin",)),
    ),
    purpose="A model that scores answers, trained on pairs of a better and a worse one.",
    card="reward_model",
)


def train(args: "RewardConfig", stage: "RewardStageArguments", model: "ModelConfig") -> None:
    """
    Train a preference model.

    Args:
        args ([`~preference.config.R1RewardConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.RewardStageArguments`]):
            Data, template and the part of a response that is judged.
        model ([`~trl.ModelConfig`]):
            The model to start from, and LoRA.
    """
    from ..preference.trainer import R1RewardTrainer

    train_scorer(args, stage, model, kind="preference", tokenized=tokenized, trainer_class=R1RewardTrainer)


def train_scorer(
    args: "RewardConfig",
    stage: "RewardStageArguments",
    model: "ModelConfig",
    *,
    kind: str,
    tokenized: "Callable[[Dataset, Any, PreferenceForm], Dataset]",
    trainer_class: type,
) -> None:
    """
    Train a model that scores responses, and write the form of its texts beside it.

    Args:
        args ([`~preference.config.R1RewardConfig`]), stage ([`~stages._arguments.RewardStageArguments`]), model ([`~trl.ModelConfig`]):
            As [`train`].
        kind (`str`):
            What the rows are: see [`~data.load_rows`].
        tokenized (`Callable`):
            Turns rows into what the trainer reads.
        trainer_class (`type`):
            The trainer.
    """
    from transformers import AutoTokenizer

    from ..data import load_rows, parse_sources
    from ._training import has_to_train, train_and_save, trainer_arguments

    if not has_to_train(args, stage):
        return
    form = PreferenceForm(stage.prompt_template, stage.part, args.max_length)
    with args.main_process_first(desc="loading the rows"):
        rows = load_rows(parse_sources(stage.data), kind, seed=args.seed)
    if model.use_peft:
        model.lora_task_type = "SEQ_CLS"
        # The score head is new: frozen, it would stay as random as it was made.
        model.lora_modules_to_save = sorted({*(model.lora_modules_to_save or []), "score"})
    shared = trainer_arguments(args, model)
    tokenizer = AutoTokenizer.from_pretrained(
        shared["model"], revision=args.model_init_kwargs["revision"], trust_remote_code=args.trust_remote_code
    )
    with args.main_process_first(desc="tokenizing the rows"):
        rows = tokenized(rows, tokenizer, form)
    trainer = trainer_class(train_dataset=rows, processing_class=tokenizer, **shared)
    # A reward is loaded as it is, so an adapter is always merged.
    train_and_save(trainer, merge_adapter=True, keep_checkpoints=stage.keep_checkpoints, complete=form.save)


def tokenized(pairs: "Dataset", tokenizer: Any, form: PreferenceForm) -> "Dataset":
    """
    Turn pairs into the token ids that RewardTrainer scores.

    Args:
        pairs (`datasets.Dataset`):
            Rows with `prompt`, `chosen` and `rejected`.
        tokenizer ([`~transformers.PreTrainedTokenizerBase`]):
            The model's.
        form ([`~rewards.preference_text.PreferenceForm`]):
            How prompt and response become one text. Pairs with a side longer than its `max_length` are left out, and
            so are pairs whose sides become the same text.

    Returns:
        `datasets.Dataset`: `chosen_ids` and `rejected_ids`.

    Raises:
        [`~errors.DataError`]: if no pair is left.
    """

    def ids(row: dict[str, Any]) -> dict[str, list[int]]:
        return {f"{side}_ids": form.token_ids(tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")}

    tokens = pairs.map(ids, remove_columns=pairs.column_names, num_proc=processes_for(len(pairs)))
    return usable_pairs(tokens, form.max_length)


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
