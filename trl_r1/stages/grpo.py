"""
The `grpo` stage: reinforcement learning with GRPO, as R1-Zero and both RL stages of R1 are trained (paper, v2 2.1, 3.2).

```bash
accelerate launch --config_file recipes/accelerate/zero3.yaml -m trl_r1.stages.grpo --config recipes/r1_zero/zero.yaml
```

The config is a flat TRL YAML: the fields of [`~grpo.config.R1GRPOConfig`], of TRL's `ModelConfig` and of
[`~stages._arguments.GRPOStageArguments`]. The stage resumes from its last whole checkpoint, and leaves behind `model/`,
`trainer_state.json`, `metrics.json` and, with `save_rollouts`, what was sampled.

Where a data source has a `share` or a `from_step`, the order of prompts is laid down before training; otherwise TRL
shuffles them.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ConfigError, DataError
from ..kinds import Curve, StageKind
from ..model_server import address_of
from ._common import program


if TYPE_CHECKING:
    from datasets import Dataset
    from trl import GRPOConfig, ModelConfig

    from ..data import DataSource
    from ._arguments import GRPOStageArguments

STAGE = StageKind(
    configs=("trl_r1.grpo.config:R1GRPOConfig", "trl_r1.stages._arguments:GRPOStageArguments", "trl:ModelConfig"),
    leaves=("model",),
    references={"rewards.*.args.model": "model"},
    trains=True,
    curves=(
        Curve("Reward, all together", ("reward",), axis="weighted sum"),
        Curve("Reward by kind, unweighted", ("rewards/*/mean",), axis="mean reward"),
        Curve("Solve rate", ("solve_rate", "solve_rate/*"), labels=("all",), share=True, axis="share of completions"),
        Curve("Solved at least once (pass@G)", ("pass@G",), share=True, axis="share of groups"),
        Curve("Completion length, tokens", ("completions/mean_length",), digits=1, axis="tokens"),
        Curve("Truncated completions", ("truncated",), share=True, axis="share of completions"),
        Curve("Format", ("rewards/*format*/mean",), share=True, axis="share of completions"),
        Curve("Share of prompt's language", ("language_share",), share=True, axis="share of words"),
        Curve("Reflection words per 1,000", ("reflection_per_1000_words",), digits=1, axis="per 1,000 words"),
        Curve("Reflection by word, per 1,000", ("reflection/*",), digits=1, axis="per 1,000 words"),
        Curve("Groups with equal rewards", ("frac_reward_zero_std",), share=True, axis="share of groups"),
        Curve("KL to the reference, nats", ("kl",), digits=3, axis="nats"),
        Curve("Entropy of the policy, nats", ("entropy",), axis="nats"),
    ),
    purpose="Reinforcement learning: the model samples answers, and those that are rewarded become more likely.",
)

# By these TRL tells what kind of data it has; prompts have no business with them.
MISLEADING_COLUMNS = ("completion", "chosen", "rejected", "messages", "image", "images")


def train(args: "GRPOConfig", stage: "GRPOStageArguments", model: "ModelConfig") -> None:
    """
    Train a policy with GRPO.

    Args:
        args ([`~grpo.config.R1GRPOConfig`]):
            The trainer's arguments.
        stage ([`~stages._arguments.GRPOStageArguments`]):
            Data, template and rewards.
        model ([`~trl.ModelConfig`]):
            The model to start from, and LoRA.
    """
    from ..data import load_prompts, parse_sources, render
    from ..grpo.arguments import check_rewards
    from ..grpo.trainer import R1GRPOTrainer
    from ..rewards.schedule import describe, load_rewards
    from ._training import has_to_train, train_and_save, trainer_arguments

    if not has_to_train(args, stage):
        return
    if args.vllm_server_base_url:
        args.vllm_server_base_url = address_of(args.vllm_server_base_url, api="")
    # What may be wrong is read before what takes long to load.
    if model.use_peft and args.sync_ref_model and not args.sync_ref_model_by_default:
        raise ConfigError(
            "with `use_peft` there is no reference model that could be replaced; expected false or nothing",
            key="sync_ref_model",
        )
    rewards, weights = load_rewards(stage.rewards, where="rewards")
    if args.process_index == 0:
        if advice := advice_on_save_steps(args):
            print(advice, flush=True)
        print("Rewards:", *describe(rewards, weights), sep="\n  ", flush=True)
    sources = parse_sources(stage.data)
    with args.main_process_first(desc="loading the prompts"):
        prompts = render(load_prompts(sources, seed=args.seed), "grpo", stage.prompt_template)
        check_rewards(rewards, prompts, key="rewards")
        prompts = prompts.remove_columns([name for name in MISLEADING_COLUMNS if name in prompts.column_names])
    args.reward_weights = weights
    trainer = R1GRPOTrainer(
        reward_funcs=rewards,
        train_dataset=in_order(prompts, sources, args),
        **trainer_arguments(args, model),
    )
    train_and_save(trainer, merge_adapter=stage.merge_adapter, keep_checkpoints=stage.keep_checkpoints)


def advice_on_save_steps(args: "GRPOConfig") -> str | None:
    """
    Say of which number `save_steps` should be a multiple, where it is none.

    A checkpoint within the steps that a rollout serves holds the rollout as well: 8 to 15 GB for 8,192 completions of up
    to 32,768 tokens.

    Args:
        args ([`~grpo.config.R1GRPOConfig`]):
            The trainer's arguments.
    """
    rollout = args.steps_per_generation * args.num_iterations // args.gradient_accumulation_steps
    if (
        rollout < 2
        or str(args.save_strategy.value) != "steps"
        or args.save_steps < 1
        or args.save_steps % rollout == 0
    ):
        return None
    return (
        f"`save_steps` is {args.save_steps}, and a rollout serves {rollout} steps: a checkpoint between them holds the "
        f"rollout as well, which may be larger than the model. A multiple of {rollout} does without."
    )


def in_order(prompts: "Dataset", sources: Sequence["DataSource"], args: "GRPOConfig") -> "Dataset":
    """
    Lay the prompts down in the order of training, where a source has a `share` or a `from_step`.

    Args:
        prompts (`datasets.Dataset`):
            The rendered prompts.
        sources (`Sequence[DataSource]`):
            Where they come from.
        args ([`~grpo.config.R1GRPOConfig`]):
            The trainer's arguments. Where an order is laid down, TRL's shuffle is switched off and `max_steps` is set.

    Returns:
        `datasets.Dataset`: the prompts, each generation's after those of the one before.

    Raises:
        [`~errors.DataError`]: if there are fewer prompts than one generation needs.
    """
    from ..data import schedule_prompts

    per_generation = args.generation_batch_size // args.num_generations
    # One generation serves `steps_per_generation` micro-batches, `num_iterations` times; a step takes
    # `gradient_accumulation_steps` of them.
    steps_per_generation = args.steps_per_generation * args.num_iterations / args.gradient_accumulation_steps
    if all(source.share is None and source.from_step is None for source in sources):
        if len(prompts) < per_generation:
            raise DataError(
                f"expected at least the {per_generation} prompts that one generation takes (generation_batch_size "
                f"{args.generation_batch_size} / num_generations {args.num_generations}), got {len(prompts)}, each question "
                "counted once",
                key="data",
            )
        return prompts
    if args.max_steps <= 0:
        args.max_steps = math.ceil(args.num_train_epochs * len(prompts) / per_generation * steps_per_generation)
    generations = math.ceil(args.max_steps / steps_per_generation)
    by_generation = [
        source if source.from_step is None else replace(source, from_step=int(source.from_step / steps_per_generation))
        for source in sources
    ]
    late = [source.label for source in sources if (source.from_step or 0) >= args.max_steps]
    if late:
        raise ConfigError(
            f"{', '.join(late)}: offered only after the last of {args.max_steps} steps", key="data.from_step"
        )
    args.shuffle_dataset = False
    return prompts.select(schedule_prompts(prompts, by_generation, generations, per_generation, seed=args.seed))


main = program(STAGE, train)

if __name__ == "__main__":
    sys.exit(main())
