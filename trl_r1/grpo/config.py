"""
The config of [`R1GRPOTrainer`]: TRL's, with the paper's numbers as defaults and the fields that TRL lacks.

Where the paper gives a value, its source is in the field's help: v1 and v2 are the versions of arXiv 2501.12948, cited by
section. Where it gives none, the help says "our own choice". Everything not declared here is TRL's.

```python
>>> from trl_r1 import R1GRPOConfig
>>> R1GRPOConfig(output_dir="out", max_completion_length=1024)
```
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trl import GRPOConfig

from ..errors import ConfigError
from ..language import LANGUAGES, normalize_language


@dataclass
class R1GRPOConfig(GRPOConfig):
    r"""
    Configuration of the [`R1GRPOTrainer`]: [`~trl.GRPOConfig`] with the settings of DeepSeek-R1-Zero's training.

    The defaults are valid together on one device: a batch of 16 is one group of 16 completions. The paper's step has
    32 questions x 16 completions = 512 (v2 2.1), which is `per_device_train_batch_size * gradient_accumulation_steps *
    number of devices`, and its rollout of 8,192 completions serves 16 such steps (`steps_per_generation = 16 *
    gradient_accumulation_steps`).

    Each field's help has its source. Where there is more to say:

    Args:
        max_completion_length_schedule (`dict[int, int]`, *optional*):
            Maximum length in tokens by the step from which it holds: the paper's is `{8200: 65536}` (v2 2.1). Before
            its first step `max_completion_length` holds. A list of `[step, length]` pairs is accepted too. It takes
            effect with the first completions that are sampled at or after the step. With vLLM, `vllm_max_model_length`
            must hold a prompt with the longest of them.
        epsilon (`float`, *optional*, defaults to `0.2`):
            Clip ratio. R1-Zero's is not stated, so this is TRL's. R1's RL stages use 10 (v2 3.2.1), which caps the
            ratio at 11 where the advantage is positive and clips nothing where it is negative (our inference).
        loss_type (`str`, *optional*, defaults to `"grpo"`):
            v1 eq. 1-3, DeepSeekMath (arXiv 2402.03300) eq. 3: the mean over completions of the mean over tokens.
        use_bias_correction_kl (`bool`, *optional*, defaults to `False`):
            v1 eq. 2 has the KL term without importance ratio; DeepSeek introduced the ratio later (V3.2).
        sync_ref_model (`bool`, *optional*):
            Whether to replace the reference policy every `ref_model_sync_steps` steps (v2 2.1). By default on wherever
            there is a reference model to replace: off where `beta` is 0 and with PEFT. A `True` in the config is
            taken at its word, and TRL raises where there is no such model.
        compact_generation (`bool`, *optional*):
            Whether rows that have ended are left out of transformers' `generate` ([`~grpo.compact_generation`]).
            Samples the same, but for rounding: now and then a token tips. `None`: on where possible, that is with a
            model of text, no vLLM, no continuous batching and a cache that grows.
        dynamic_sampling (`bool`, *optional*, defaults to `False`):
            Whether groups without variance in their rewards are replaced by groups of fresh prompts (DAPO, arXiv
            2503.14476, eq. 11; see [`~grpo.dynamic_sampling`]). Not in R1's training.
        trim_padding (`bool`, *optional*):
            Whether log-probabilities of the policy, the old policy and the reference are computed without the columns
            that are padding in all rows of a pass ([`~grpo.padding`]). Changes the order of floating-point sums
            alone. By default on where positions are relative (rotary). `pad_to_multiple_of` keeps widths few, where each
            new one is compiled for.
        group_by_length (`bool`, *optional*):
            Whether the rows of an optimizer step are divided into micro-batches by length, long ones in few rows and
            short ones in many ([`~grpo.micro_batches`]). Changes the order of floating-point sums, and logged means
            over micro-batches (entropy, KL, clip ratios). By default on where no row's loss depends on the rows beside it:
            not with `loss_type: bnpo`, an entropy bonus, `top_entropy_quantile` below 1 or an auxiliary loss of experts.
        max_tokens_per_micro_batch (`int`, *optional*):
            The most tokens, padding included, in a forward and backward pass: what would have more is divided further,
            and `per_device_train_batch_size` may be as large as the step needs. A row that is longer by itself has a
            pass of its own. `None`: `per_device_train_batch_size` rows at the longest width bound a pass.
        skip_zero_advantage (`bool`, *optional*):
            Whether rows that cannot move the policy are left out of forward and backward: those of groups whose rewards
            are all equal, and those that no reward could score or no token of which counts ([`~grpo.metrics`]).
            Normalisers count them as before. By default on at `beta` 0, where also `group_by_length`'s conditions on the
            loss hold.
        prompt_curriculum (`bool`, *optional*, defaults to `False`):
            Whether prompts that were mastered or hopeless when they were last seen are offered less often
            ([`~grpo.curriculum`]). Not in R1's training.
        languages (`list[str]`, *optional*):
            The languages that may occur (ISO 639-1), for the metrics that count words. `None`: all that
            [`trl_r1.language`] knows. With one language to a script, as in `["en", "zh"]`, no word list is loaded.
    """

    learning_rate: float = field(default=3e-6, metadata={"help": "Learning rate. Paper, v2 2.1: 3e-6."})
    lr_scheduler_type: str = field(
        default="constant",
        metadata={"help": "Learning rate schedule. Our own choice: the paper names one rate and no schedule."},
    )
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "Completions per device and forward pass. Our own choice: one whole group."}
    )
    per_device_eval_batch_size: int = field(
        default=16, metadata={"help": "Completions per device in evaluation. Our own choice: one whole group."}
    )
    num_generations: int | None = field(
        default=16, metadata={"help": "Completions per question (G). Paper, v2 2.1: 16."}
    )
    max_completion_length: int | None = field(
        default=32768, metadata={"help": "Maximum tokens of a completion. Paper, v2 2.1: 32,768 before step 8,200."}
    )
    max_completion_length_schedule: dict | str | None = field(
        default=None,
        metadata={
            "help": "Maximum tokens of a completion by the step from which it holds, as a mapping or as a list of "
            "[step, length] pairs; before its first step `max_completion_length` holds. Paper, v2 2.1: {8200: 65536}."
        },
    )
    temperature: float = field(
        default=1.0, metadata={"help": "Sampling temperature. Paper, v2 2.1: 1; R1's second RL stage 0.7 (v2 3.2.2)."}
    )
    beta: float = field(default=0.001, metadata={"help": "KL coefficient. Paper, v2 2.1: 0.001."})
    num_iterations: int = field(default=1, metadata={"help": "Inner epochs over a rollout. Paper, v2 2.1: 1."})
    epsilon: float = field(
        default=0.2,
        metadata={"help": "Clip ratio. R1-Zero's is not stated: TRL's default. R1's RL stages: 10 (v2 3.2.1)."},
    )
    loss_type: str = field(
        default="grpo",
        metadata={"help": "Loss. Paper, v1 eq. 1-3: `grpo`, the mean over completions of the mean over tokens."},
    )
    scale_rewards: str = field(
        default="group",
        metadata={"help": "How advantages are scaled. Paper, v1 eq. 3: by the standard deviation of their group."},
    )
    use_bias_correction_kl: bool = field(
        default=False,
        metadata={"help": "Whether the KL term carries the importance ratio. Paper, v1 eq. 2: it does not."},
    )
    sync_ref_model: bool | None = field(
        default=None,
        metadata={
            "help": "Whether to replace the reference policy every `ref_model_sync_steps` steps. Paper, v2 2.1: yes. "
            "Default: yes, but not where there is no reference model to replace (beta 0, PEFT)."
        },
    )
    ref_model_mixup_alpha: float = field(
        default=1.0, metadata={"help": "Share of the policy in the new reference. Paper, v2 2.1: all of it."}
    )
    ref_model_sync_steps: int = field(
        default=400, metadata={"help": "Steps between two replacements of the reference. Paper, v2 2.1: 400."}
    )
    save_rollouts: bool = field(
        default=False,
        metadata={"help": "Whether to keep what is sampled in training as trace shards in `output_dir/rollouts/`."},
    )
    compact_generation: bool | None = field(
        default=None,
        metadata={
            "help": "Whether rows that have ended are left out of transformers' `generate`. None: where possible."
        },
    )
    dynamic_sampling: bool = field(
        default=False,
        metadata={
            "help": "Whether groups without variance in their rewards are replaced by groups of fresh prompts (DAPO)."
        },
    )
    max_sampling_rounds: int = field(
        default=4,
        metadata={
            "help": "Further rounds of sampling per generation at most, with `dynamic_sampling`. Our own choice: 4."
        },
    )
    trim_padding: bool | None = field(
        default=None,
        metadata={
            "help": "Whether log-probabilities are computed without columns that are padding in all rows. Default: where "
            "exact (rotary positions)."
        },
    )
    group_by_length: bool | None = field(
        default=None,
        metadata={
            "help": "Whether the rows of an optimizer step are divided into micro-batches by length. Default: where exact."
        },
    )
    max_tokens_per_micro_batch: int | None = field(
        default=None,
        metadata={"help": "The most tokens, padding included, in a forward and backward pass. None: no such limit."},
    )
    skip_zero_advantage: bool | None = field(
        default=None,
        metadata={
            "help": "Whether rows that cannot move the policy are left out of forward and backward. Default: at beta 0, "
            "where exact."
        },
    )
    prompt_curriculum: bool = field(
        default=False,
        metadata={"help": "Whether prompts that were mastered or hopeless when last seen are offered less often."},
    )
    languages: list[str] | None = field(
        default=None,
        metadata={"help": "The languages that may occur (ISO 639-1), for the metrics that count words. Default: all."},
    )

    def __post_init__(self) -> None:
        # Whether the user asked for it decides what happens with PEFT, which only the trainer sees.
        self.sync_ref_model_by_default = self.sync_ref_model is None
        if self.sync_ref_model is None:
            self.sync_ref_model = self.beta != 0.0
        if self.num_generations is not None and self.num_generations < 2:
            raise ConfigError(
                f"is {self.num_generations}; expected at least 2, or there is nothing to compare",
                key="num_generations",
            )
        super().__post_init__()
        for language in self.languages or ():
            if normalize_language(language) not in LANGUAGES:
                raise ConfigError(f"expected languages of {', '.join(LANGUAGES)}, got {language!r}", key="languages")
        if self.max_tokens_per_micro_batch is not None and self.max_tokens_per_micro_batch < 1:
            raise ConfigError(
                f"expected a number of tokens above 0, got {self.max_tokens_per_micro_batch}",
                key="max_tokens_per_micro_batch",
            )
        self.max_completion_length_schedule = read_length_schedule(self.max_completion_length_schedule)
        if self.max_completion_length_schedule and "max_new_tokens" in (self.generation_kwargs or {}):
            raise ConfigError(
                "expected either it or `generation_kwargs.max_new_tokens`, which would override it; got both",
                key="max_completion_length_schedule",
            )


def read_length_schedule(schedule: Any) -> dict[int, int] | None:
    """
    Read a schedule of completion lengths.

    Args:
        schedule (`Mapping`, list of pairs, JSON text, or `None`):
            Maximum length in tokens by the step from which it holds.

    Returns:
        `dict[int, int]`: length by first step, in the order of the steps; `None` for none.

    Raises:
        [`~errors.ConfigError`]: if it is no such thing.
    """
    expected = "expected lengths by first step, such as {8200: 65536} or [[0, 32768], [8200, 65536]]"
    if schedule is None:
        return None
    try:
        if isinstance(schedule, str):
            schedule = json.loads(schedule)
        pairs = schedule.items() if isinstance(schedule, Mapping) else schedule
        if isinstance(pairs, str) or (isinstance(pairs, Sequence) and not all(len(pair) == 2 for pair in pairs)):
            raise ValueError
        # `int("8200")` because the keys of a JSON object are text
        pairs = [(int(step) if isinstance(step, str) else step, length) for step, length in pairs]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{expected}; got {schedule!r}", key="max_completion_length_schedule") from error
    steps = [step for step, _ in pairs]
    whole = all(type(number) is int for pair in pairs for number in pair)
    if not whole or any(step < 0 or length < 1 for step, length in pairs) or len(set(steps)) < len(steps):
        raise ConfigError(
            f"{expected}, each step once, no step below 0 and no length below 1; got {schedule!r}",
            key="max_completion_length_schedule",
        )
    return dict(sorted(pairs)) or None
