"""
The config of [`R1GRPOTrainer`]: TRL's, with the paper's numbers as defaults and the fields that TRL lacks.

Where the paper gives a value, its source is in the field's entry: v1 and v2 are the versions of arXiv 2501.12948, cited by
section. Where it gives none, the entry says "our own choice". Everything not declared here is TRL's.

```python
>>> from trl_r1 import R1GRPOConfig
>>> R1GRPOConfig(output_dir="out", max_completion_length=1024)
```
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trl import GRPOConfig

from ..docstrings import help_from_docstring
from ..errors import ConfigError
from ..language import LANGUAGES, normalize_language
from ..training_config import TrainingConfig
from .dynamic_sampling import check_dynamic_sampling
from .switches import reasons_in_config, refuse


@help_from_docstring
@dataclass
class R1GRPOConfig(TrainingConfig, GRPOConfig):
    r"""
    Configuration of the [`R1GRPOTrainer`]: [`~trl.GRPOConfig`] with the settings of DeepSeek-R1-Zero's training.

    The defaults are valid together on one device: a batch of 16 is one group of 16 completions. The paper's step has
    32 questions x 16 completions (v2 2.1): `batch_size: 512`; its rollout of 8,192 completions serves 16 such steps:
    `generation_batch_size: 8192`. Both hold on any number of processes. See [`~training_config.TrainingConfig`].

    Args:
        learning_rate (`float`, *optional*, defaults to `3e-6`):
            Learning rate. Paper, v2 2.1: 3e-6.
        lr_scheduler_type (`str`, *optional*, defaults to `"constant"`):
            Learning rate schedule. Our own choice: the paper names one rate and no schedule.
        per_device_train_batch_size (`int`, *optional*, defaults to `16`):
            Completions per device and forward pass. Our own choice: one whole group.
        per_device_eval_batch_size (`int`, *optional*, defaults to `16`):
            Completions per device in evaluation. Our own choice: one whole group.
        num_generations (`int`, *optional*, defaults to `16`):
            Completions per question (G). Paper, v2 2.1: 16.
        max_completion_length (`int`, *optional*, defaults to `32768`):
            Maximum tokens of a completion. Paper, v2 2.1: 32,768 before step 8,200.
        max_completion_length_schedule (`dict[int, int]`, *optional*):
            Maximum tokens of a completion by the step from which it holds. Paper, v2 2.1: `{8200: 65536}`. Before its
            first step `max_completion_length` holds. A list of `[step, length]` pairs is accepted too. It takes effect with the first completions that are sampled at or after the step. With vLLM, `vllm_max_model_length`
            must hold a prompt with the longest of them.
        temperature (`float`, *optional*, defaults to `1.0`):
            Sampling temperature. Paper, v2 2.1: 1; R1's second RL stage 0.7 (v2 3.2.2).
        beta (`float`, *optional*, defaults to `0.001`):
            KL coefficient. Paper, v2 2.1: 0.001.
        num_iterations (`int`, *optional*, defaults to `1`):
            Inner epochs over a rollout. Paper, v2 2.1: 1.
        epsilon (`float`, *optional*, defaults to `0.2`):
            Clip ratio. R1-Zero's is not stated, so this is TRL's default. R1's RL stages use 10 (v2 3.2.1), which caps the
            ratio at 11 where the advantage is positive and clips nothing where it is negative (our inference).
        loss_type (`str`, *optional*, defaults to `"grpo"`):
            Loss. Paper, v1 eq. 1-3, and DeepSeekMath (arXiv 2402.03300) eq. 3: `grpo`, the mean over completions of the
            mean over tokens.
        scale_rewards (`str`, *optional*, defaults to `"group"`):
            How advantages are scaled. Paper, v1 eq. 3: by the standard deviation of their group.
        use_bias_correction_kl (`bool`, *optional*, defaults to `False`):
            Whether the KL term carries the importance ratio. Paper, v1 eq. 2: it does not; DeepSeek introduced the
            ratio later (V3.2).
        sync_ref_model (`bool`, *optional*):
            Whether to replace the reference policy every `ref_model_sync_steps` steps. Paper, v2 2.1: yes. By
            default on wherever there is a reference model to replace: off where `beta` is 0 and with PEFT. With an
            explicit `True`, TRL raises where there is no such model.
        ref_model_mixup_alpha (`float`, *optional*, defaults to `1.0`):
            Share of the policy in the new reference. Paper, v2 2.1: all of it.
        ref_model_sync_steps (`int`, *optional*, defaults to `400`):
            Steps between two replacements of the reference. Paper, v2 2.1: 400.
        vllm_importance_sampling_mode (`str`, *optional*, defaults to `"token_truncate"`):
            How the difference between vLLM's log-probabilities and the trainer's is corrected. Our own choice: each
            token by its own ratio, at most `vllm_importance_sampling_clip_max`. TRL's default, `sequence_mask`,
            multiplies a whole completion by exp of the *sum* of its tokens' differences, 0 above the cap: at a deviation
            of 0.02 a token it keeps 98 % of the gradient at 600 tokens, 33 % at 10,000 and 7 % at 32,000, a penalty on
            length that the paper does not have.
        save_rollouts (`bool`, *optional*, defaults to `False`):
            Whether to keep what is sampled in training as trace shards in `output_dir/rollouts/`.
        compact_generation (`bool`, *optional*):
            Whether rows that have ended are left out of transformers' `generate` ([`~compact_generation`]).
            Samples the same, but for rounding: now and then a token tips. `None`: on where possible, that is with a
            model of text, no vLLM, no continuous batching and a cache that grows.
        dynamic_sampling (`bool`, *optional*, defaults to `False`):
            Whether groups without variance in their rewards are replaced by groups of fresh prompts (DAPO, arXiv
            2503.14476, eq. 11; see [`~grpo.dynamic_sampling`]). Not in R1's training.
        max_sampling_rounds (`int`, *optional*, defaults to `4`):
            Further rounds of sampling per generation at most, with `dynamic_sampling`. Our own choice: 4.
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
        max_steps_without_variance (`int`, *optional*, defaults to `50`):
            After how many optimizer steps running in which no group has variance in its rewards, or every reward is
            `None`, the training stops with an error ([`~grpo.stall`]). Groups that are solved whole, and those to which no
            reward applies at the step, do not count. `None` or 0: never. Our own choice: 50.
        languages (`list[str]`, *optional*):
            The languages that may occur (ISO 639-1), for the metrics that count words. `None`: all that
            [`trl_r1.language`] knows. With one language to a script, as in `["en", "zh"]`, no word list is loaded.
    """

    learning_rate: float = 3e-6
    lr_scheduler_type: str = "constant"
    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int = 16
    num_generations: int | None = 16
    max_completion_length: int | None = 32768
    max_completion_length_schedule: dict[Any, Any] | str | None = None
    temperature: float = 1.0
    beta: float = 0.001
    num_iterations: int = 1
    epsilon: float = 0.2
    loss_type: str = "grpo"
    scale_rewards: str = "group"
    use_bias_correction_kl: bool = False
    sync_ref_model: bool | None = None
    ref_model_mixup_alpha: float = 1.0
    ref_model_sync_steps: int = 400
    vllm_importance_sampling_mode: str = "token_truncate"
    save_rollouts: bool = False
    compact_generation: bool | None = None
    dynamic_sampling: bool = False
    max_sampling_rounds: int = 4
    trim_padding: bool | None = None
    group_by_length: bool | None = None
    max_tokens_per_micro_batch: int | None = None
    skip_zero_advantage: bool | None = None
    prompt_curriculum: bool = False
    max_steps_without_variance: int | None = 50
    languages: list[str] | None = None

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
        if (
            self.batch_size is not None
            and self.steps_per_generation is not None
            and self.generation_batch_size is None
        ):
            raise ConfigError(
                f"is {self.steps_per_generation}; expected `generation_batch_size` in its place: beside `batch_size` "
                f"({self.batch_size}), a rollout of so many micro-batches would change with the number of processes",
                key="steps_per_generation",
            )
        super().__post_init__()
        for language in self.languages or ():
            if normalize_language(language) not in LANGUAGES:
                raise ConfigError(f"expected languages of {', '.join(LANGUAGES)}, got {language!r}", key="languages")
        if self.max_tokens_per_micro_batch is not None and self.max_tokens_per_micro_batch < 1:
            raise ConfigError(
                f"expected at least 1, got {self.max_tokens_per_micro_batch}", key="max_tokens_per_micro_batch"
            )
        if self.max_steps_without_variance is not None and self.max_steps_without_variance < 0:
            raise ConfigError(
                f"expected a number of steps, or null for any; got {self.max_steps_without_variance}",
                key="max_steps_without_variance",
            )
        self.max_completion_length_schedule = read_length_schedule(self.max_completion_length_schedule)
        if self.max_completion_length_schedule and "max_new_tokens" in (self.generation_kwargs or {}):
            raise ConfigError(
                "expected either it or `generation_kwargs.max_new_tokens`, which would override it; got both",
                key="max_completion_length_schedule",
            )
        refuse(self, reasons_in_config(self))
        if self.dynamic_sampling:
            check_dynamic_sampling(self)


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
    if schedule is None:
        return None
    try:
        given = json.loads(schedule) if isinstance(schedule, str) else schedule
        pairs = list(given.items() if isinstance(given, Mapping) else given)
        # A step may be a text, as the keys of a JSON object are, but neither 1.5 nor true.
        lengths = {int(str(step)): length for step, length in pairs}
        if len(lengths) < len(pairs) or any(
            step < 0 or type(length) is not int or length < 1 for step, length in lengths.items()
        ):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "expected lengths by first step, such as {8200: 65536} or [[0, 32768], [8200, 65536]], each step once, no "
            f"step below 0 and no length below 1; got {schedule!r}",
            key="max_completion_length_schedule",
        ) from error
    return dict(sorted(lengths.items())) or None
