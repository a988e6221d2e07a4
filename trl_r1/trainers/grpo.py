"""
TRL's GRPOTrainer, for R1.

What it adds, each by a few lines around `super()`: the metrics of [`metrics`] and the traces of [`rollouts`], taken
where the rewards are known; a schedule of completion lengths; exact resumption ([`resume`]). With
[`~configs.R1GRPOConfig`] its defaults are the paper's; with TRL's own config it trains as TRL's trainer does.
"""

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from accelerate.logging import get_logger
from accelerate.utils import gather_object, is_peft_model
from transformers import TrainerCallback
from trl import GRPOTrainer

from .._compat import RepeatSampler, get_config_model_id
from ..configs import R1GRPOConfig
from ..text import completion_text, prompt_ends_in_thought, style_of_template
from ..trace import write_traces
from .compact_generation import CompactGeneration
from .curriculum import PromptCurriculum
from .dynamic_sampling import DynamicSampling
from .group_tokens import HandsGroupTokens
from .lean_step import LeanStep
from .metrics import count_emergence, emergence_metrics, group_metrics, judging_rewards, question_language
from .overlap import OverlapRewards
from .resume import EpochRepeatSampler, ExactResume, is_sharded, load_reference, save_reference
from .rollouts import asked, remove_rollouts_from, shard_path, to_traces


logger = get_logger(__name__)


class R1GRPOTrainer(
    PromptCurriculum,
    DynamicSampling,
    ExactResume,
    LeanStep,
    HandsGroupTokens,
    OverlapRewards,
    CompactGeneration,
    GRPOTrainer,
):
    """
    [`~trl.GRPOTrainer`] with what the training of DeepSeek-R1 needs. Takes the same arguments.

    - A resumed run equals the uninterrupted one: with a reference policy that is replaced, with several inner epochs,
      at any step, in any epoch, under DDP and ZeRO (see [`~trainers.resume`]).
    - It logs reflection words, the share of the prompt's language, solve rates by group and domain, pass@G and
      truncation (see [`~trainers.metrics`]).
    - Reward functions are also handed `truncated` and `prefilled`, as if they were columns: whether the length limit cut
      a completion, and whether its prompt, as the model saw it, had already opened the thought; and those that ask for
      it `group_tokens`, the lengths of the row's whole group (see [`~rewards.GroupLength`]).
    - `args.max_completion_length_schedule` changes the maximum length of completions at given steps.
    - `args.save_rollouts` keeps what is sampled (see [`~trainers.rollouts`]). The data set's columns `question`,
      `prompt_id`, `solution`, `domain` and `language` find their way into the traces; none is needed.

    Example:

    ```python
    >>> from trl_r1 import R1GRPOConfig, R1GRPOTrainer
    >>> from trl_r1.rewards import math_accuracy, think_format

    >>> trainer = R1GRPOTrainer(
    ...     model="Qwen/Qwen2.5-1.5B",
    ...     reward_funcs=[math_accuracy, think_format],
    ...     args=R1GRPOConfig(output_dir="out", max_completion_length=1024),
    ...     train_dataset=dataset,  # columns `prompt` and `solution`
    ... )
    >>> trainer.train()
    ```
    """

    _tag_names: ClassVar[list[str]] = [*GRPOTrainer._tag_names, "trl_r1"]
    _sampler: EpochRepeatSampler | None = None

    # Whatever TRL's constructor takes, this one takes.
    @functools.wraps(GRPOTrainer.__init__)
    def __init__(self, model, reward_funcs=None, args=None, *rest, **named):
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = R1GRPOConfig(f"{name.split('/')[-1]}-GRPO")
        given = inspect.signature(GRPOTrainer.__init__).bind(self, model, reward_funcs, args, *rest, **named).arguments
        has_adapter = given.get("peft_config") is not None or (not isinstance(model, str) and is_peft_model(model))
        if has_adapter and args.sync_ref_model and getattr(args, "sync_ref_model_by_default", False):
            logger.warning("With PEFT there is no reference model to replace: `sync_ref_model` is off.")
            args.sync_ref_model = False
        super().__init__(model, reward_funcs, args, *rest, **named)
        self._judges = judging_rewards(self.reward_funcs, self.reward_func_names)
        self._length_schedule: dict[int, int] = getattr(args, "max_completion_length_schedule", None) or {}
        self._languages = tuple(getattr(args, "languages", None) or ()) or None
        self._keeps_rollouts: bool = getattr(args, "save_rollouts", False)
        if self._keeps_rollouts:
            self.add_callback(_RemoveStaleRollouts())

    # Sampling and rewards

    def _generate_and_score_completions(self, inputs):
        if self._length_schedule:
            self._set_completion_length(self._scheduled_length(self.state.global_step))
        return super()._generate_and_score_completions(inputs)

    def _scheduled_length(self, step: int) -> int:
        begun = [length for start, length in self._length_schedule.items() if start <= step]
        return begun[-1] if begun else self.args.max_completion_length

    def _set_completion_length(self, length: int) -> None:
        self.max_completion_length = length
        if self.use_vllm:
            self.vllm_generation.max_completion_length = length
        else:
            self.generation_config.max_new_tokens = length
            self.generation_kwargs["max_new_tokens"] = length

    def _generate(self, prompts):
        generated = super()._generate(prompts)
        # Only here the prompts are seen as the model saw them.
        self._prompt_ids = generated[0]
        if self._early_rewards:
            _, completion_ids, _, completions, *_ = generated
            rows, _ = self._told(self._rows, completion_ids)
            self._call_early(prompts, rows, completions, completion_ids)
        return generated

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        inputs, truncated = self._told(inputs, completion_ids_list)
        # (N, F) for all completions of all processes, NaN where a function does not apply
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        texts = [completion_text(completion) for completion in completions]
        self._log_emergence(inputs, texts, truncated, rewards)
        if self._keeps_rollouts and self.model.training:
            first = self.accelerator.process_index * len(prompts)
            self._keep(inputs, texts, completion_ids_list, rewards[first : first + len(prompts)])
        return rewards

    def _told(
        self, inputs: Sequence[Mapping[str, Any]], completion_ids: Sequence[Sequence[int]]
    ) -> tuple[list[dict[str, Any]], list[bool]]:
        """
        Rows with what rewards cannot see: whether the limit cut the completion, whether the prompt had opened the
        thought, which form the chat template asks for. And the first by itself.
        """
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        truncated = [not ids or ids[-1] not in ends for ids in completion_ids]
        # `<think>` may be several tokens, or a special one.
        prompt_ends = self._tokenizer.batch_decode([ids[-8:] for ids in self._prompt_ids])
        template = getattr(self._tokenizer, "chat_template", None)
        style = style_of_template(template) if isinstance(template, str) else None
        rows = [
            {"truncated": cut, "prefilled": prompt_ends_in_thought(end), "thought_style": style, **row}
            for row, cut, end in zip(inputs, truncated, prompt_ends, strict=True)
        ]
        return rows, truncated

    def _log_emergence(
        self,
        inputs: Sequence[Mapping[str, Any]],
        texts: Sequence[str],
        truncated: Sequence[bool],
        rewards: torch.Tensor,
    ) -> None:
        mode = "train" if self.model.training else "eval"
        targets = [row.get("language") or question_language(asked(row), self._languages) for row in inputs]
        local = {
            "counts": count_emergence(texts, targets, truncated, self._languages),
            "domains": [row.get("domain") for row in inputs],
        }
        ranks = gather_object([local])
        metrics = emergence_metrics(rank["counts"] for rank in ranks)
        metrics |= group_metrics(
            rewards.tolist(),
            self.reward_weights.tolist(),
            self._judges,
            self.num_generations if mode == "train" else self.num_generations_eval,
            [domain for rank in ranks for domain in rank["domains"]],
        )
        for name, value in metrics.items():
            self._metrics[mode][name].append(value)

    def _keep(
        self,
        inputs: Sequence[Mapping[str, Any]],
        texts: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        rewards: torch.Tensor,
    ) -> None:
        traces = to_traces(
            inputs,
            texts,
            [len(ids) for ids in completion_ids],
            [
                {name: None if value != value else value for name, value in zip(self.reward_func_names, row)}
                for row in rewards.tolist()
            ],
            model=get_config_model_id(self.model.config),
            sampling={
                "temperature": self.temperature,
                "top_p": self.top_p,
                "top_k": self.top_k,
                "max_completion_tokens": self.max_completion_length,
            },
            seed=self.args.seed,
            step=self.state.global_step,
        )
        write_traces(
            shard_path(
                self.args.output_dir,
                self.state.global_step,
                self._step,
                self.accelerator.process_index,
                self._sampling_round,
            ),
            traces,
        )

    # Resumption

    def _get_train_sampler(self, dataset=None):
        sampler = super()._get_train_sampler(dataset)
        self._sampler = EpochRepeatSampler(sampler) if type(sampler) is RepeatSampler else None
        return self._sampler or sampler

    def _rank_state(self) -> dict[str, Any]:
        state = super()._rank_state()
        # Within a cycle of `num_iterations` over a rollout, the rollout is needed again.
        in_cycle = self._step % (self.args.steps_per_generation * self.num_iterations) != 0
        state["rollout"] = {
            "batches_done": self._step,
            "buffer": self._buffered_inputs if in_cycle else None,
            "max_completion_length": self.max_completion_length,
        }
        # TRL keeps these in a file of its own, which it writes when the checkpoint already looks whole.
        state["entropy"] = {"coefficient": self.entropy_coef, "last": self._last_world_entropy}
        return state

    def _load_rank_state(self, state: dict[str, Any]) -> None:
        super()._load_rank_state(state)
        self._step = state["rollout"]["batches_done"]
        self._buffered_inputs = state["rollout"]["buffer"]
        if self._length_schedule:
            self._set_completion_length(state["rollout"]["max_completion_length"])
        self.entropy_coef = state["entropy"]["coefficient"]
        self._last_world_entropy = state["entropy"]["last"]

    def _save_rng_state(self, output_dir):
        if self._reference_moves:
            save_reference(self._reference, output_dir, self.args.process_index)
        super()._save_rng_state(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint):
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        if self._reference_moves:
            load_reference(self._reference, checkpoint, self.args.process_index)
        if self._sampler is not None:
            # The epoch the next step belongs to: at the end of an epoch this is a whole number.
            self._sampler.set_epoch(int(self.state.epoch or 0))

    @property
    def _reference_moves(self) -> bool:
        return self.ref_model is not None and self.args.sync_ref_model

    @property
    def _reference(self) -> torch.nn.Module:
        # Its names as they are without a strategy, wherever the strategy leaves the parameters whole.
        return self.ref_model if is_sharded(self.ref_model) else self.accelerator.unwrap_model(self.ref_model)


class _RemoveStaleRollouts(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            removed = remove_rollouts_from(args.output_dir, state.global_step)
            if removed:
                logger.warning(
                    f"{removed} shards of rollouts were sampled at step {state.global_step} or later by an earlier run "
                    f"in {args.output_dir}; they are removed, since this run samples those steps itself."
                )
        args.distributed_state.wait_for_everyone()
