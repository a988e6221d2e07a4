"""
TRL's GRPOTrainer, for R1. With [`~grpo.config.R1GRPOConfig`] its defaults are the paper's; with TRL's own config it trains
as TRL's trainer does.

Each method of TRL that is overridden is here once (those of checkpoints in [`~resume`]), in the order of a step:

    _get_train_sampler                       prompts, from any epoch on            sampler
    _prepare_inputs                          a rollout into micro-batches          micro_batches
      _generate_and_score_completions        length schedule; which prompts        curriculum, prompt_stream
                                             groups without variance replaced      dynamic_sampling
                                             metrics, kept rollouts, a stop        metrics, rollout, stall
        _generate                            rows that have ended left out         compact_generation
        _get_per_token_logps_and_entropies   no columns of padding                 padding
        _calculate_rewards                   what rewards cannot see
    training_step                            the share of time spent on rewards
      compute_loss                           the sum over micro-batches            micro_batches
    rank_state, save_files, ...              exact resumption                      reference
"""

import contextlib
import copy
import functools
import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate.logging import get_logger
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import ProcessorMixin
from trl import GRPOTrainer
from typing_extensions import override

from .._compat import RepeatSampler, check_attributes, get_config_model_id
from ..compact_generation import compact_rows
from ..data import id_of_row, question_of_row
from ..resume import ExactResume
from ..solved import accuracy_rewards
from ..text import completion_text, prompt_ends_in_thought, style_of_template
from ..trace import Trace, write_traces
from .arguments import check_rewards, check_tokenizer, without_moving_reference
from .config import R1GRPOConfig
from .curriculum import PromptCurriculum, SaveAtEnd
from .dynamic_sampling import GroupReplacement, check_dynamic_sampling, join_batches
from .metrics import count_emergence, emergence_metrics, group_metrics, group_tokens, groups_of, question_language
from .micro_batches import WITHOUT_GRADIENT, MicroBatches
from .padding import AtOwnWidth, LogProbabilities, in_chunks_of_similar_length
from .prompt_stream import PromptStream, check_prompt_stream
from .reference import load_reference, moving_reference, save_reference
from .rollout import FOLDER, SHARD, RemoveStaleRollouts, Rollout
from .sampler import go_to_epoch
from .stall import StallCheck
from .switches import MEAN_OVER_ROWS, decide, reasons_in_config, reasons_in_model


logger = get_logger(__name__)

Rows = Sequence[Mapping[str, Any]]
# Under this name TRL adds to the rows what only `_generate` knows of their prompts.
_PREFILLED = "trl_r1.prefilled"


class R1GRPOTrainer(ExactResume, GRPOTrainer):
    """
    [`~trl.GRPOTrainer`] with what the training of DeepSeek-R1 needs. Takes the same arguments.

    - A resumed run equals the uninterrupted one (see [`~resume`]).
    - It logs reflection words, the share of the prompt's language, solve rates and pass@G (see [`~grpo.metrics`]).
    - Reward functions are also handed `truncated` and `prefilled`, as if they were columns: whether the length limit cut
      a completion, and whether its prompt, as the model saw it, had already opened the thought; `thought_style`, the form
      that the chat template asks for; and those that ask for it `group_tokens`, the lengths of the row's whole group (see
      [`~rewards.GroupLength`]).
    - With `args.save_rollouts` the data set's columns `question`, `prompt_id`, `solution`, `domain` and `language` find
      their way into the traces (see [`~grpo.rollout`]); none is needed.

    Raises:
        [`~errors.MachineError`]: if TRL's trainer is not as this one expects it, with what changed.

    Example:

    ```python
    >>> from trl_r1 import R1GRPOConfig, R1GRPOTrainer
    >>> from trl_r1.rewards import math_accuracy, think_format
    >>> args = R1GRPOConfig(output_dir="out", max_completion_length=1024)
    >>> rewards = [math_accuracy, think_format]  # the data set has `prompt` and `solution`
    >>> trainer = R1GRPOTrainer("Qwen/Qwen2.5-1.5B", rewards, args, train_dataset=dataset)
    >>> trainer.train()
    ```
    """

    _tag_names: ClassVar[list[str]] = [*GRPOTrainer._tag_names, "trl_r1"]
    compacts = False
    _buffered_inputs: list[dict[str, Any]]
    _logs: dict[str, Any]

    # Whatever TRL's constructor takes, this one takes.
    @functools.wraps(GRPOTrainer.__init__)  # type: ignore[misc]
    def __init__(self, model: Any, reward_funcs: Any = None, args: Any = None, *rest: Any, **named: Any):
        if args is None:
            name = model if isinstance(model, str) else get_config_model_id(model.config)
            args = R1GRPOConfig(f"{name.split('/')[-1]}-GRPO")
        given = inspect.signature(GRPOTrainer.__init__).bind(self, model, reward_funcs, args, *rest, **named).arguments
        check_rewards(reward_funcs, given.get("train_dataset"))
        without_moving_reference(model, args, given.get("peft_config"))
        super().__init__(model, reward_funcs, args, *rest, **named)
        check_attributes(self, _step=int, _logs=dict, eos_token_ids=list, reward_func_names=list)
        sees_images = isinstance(self.processing_class, ProcessorMixin)
        self.text_tokenizer = self.processing_class.tokenizer if sees_images else self.processing_class
        check_tokenizer(self.text_tokenizer)
        by_model = reasons_in_model(self.model, is_vlm=sees_images, has_aux_loss=self.aux_loss_enabled)
        self.switches = decide(args, {**by_model, **reasons_in_config(args)})
        self.compacts = self.switches.compact_generation and self.rollout_func is None
        self.micro_batches = MicroBatches(
            self.accelerator,
            window=args.gradient_accumulation_steps,
            switches=self.switches,
            multiple=self.pad_to_multiple_of,
            mean_over_rows=self.loss_type in MEAN_OVER_ROWS,
        )
        self.accuracy_rewards = accuracy_rewards(self.reward_funcs, self.reward_func_names)
        self.languages = tuple(getattr(args, "languages", None) or ()) or None
        self.length_schedule: dict[int, int] = getattr(args, "max_completion_length_schedule", None) or {}
        self.keeps_rollouts: bool = getattr(args, "save_rollouts", False)
        if self.keeps_rollouts:
            self.add_callback(RemoveStaleRollouts())
        self.stall = StallCheck(args, self.reward_funcs, self.reward_func_names, self.reward_weights.tolist())
        self.add_callback(self.stall)
        self.samples_dynamically: bool = getattr(args, "dynamic_sampling", False)
        self._empty_logs = copy.deepcopy(self._logs)
        self.prompt_stream: PromptStream | None = None
        self.curriculum: PromptCurriculum | None = None
        for switch in ("dynamic_sampling", "prompt_curriculum"):
            if getattr(args, switch, False):
                check_prompt_stream(self.train_dataset, self.shuffle_dataset, switch)
                self.prompt_stream = PromptStream(self.train_dataset, args.seed)
        if self.samples_dynamically:
            check_dynamic_sampling(args, self.train_dataset.column_names)
        if getattr(args, "prompt_curriculum", False):
            self.curriculum = PromptCurriculum(args.seed, self.num_generations)
            self.add_callback(SaveAtEnd(self.curriculum))
        self.moving_reference = moving_reference(self)
        self._reward_seconds = 0.0
        self._prompt_sampler: Any = None

    # A step

    @override
    def _get_train_sampler(self, dataset: Dataset | None = None) -> Any:
        self._prompt_sampler = super()._get_train_sampler(dataset)
        return self._prompt_sampler

    @override
    def _prepare_inputs(self, generation_batch: Any) -> Any:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self.switches.rearranges and self._buffered_inputs is not before:
            self._buffered_inputs, metrics = self.micro_batches.divide(self._buffered_inputs)
            for name, values in metrics.items():
                self._metrics["train"][name] += values
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    @override
    def _generate_and_score_completions(self, inputs: Rows) -> dict[str, Any]:
        if not self.model.training:
            return self._sample(inputs)[1]
        if self.length_schedule:
            begun = [length for step, length in self.length_schedule.items() if step <= self.state.global_step]
            self._set_completion_length([self.args.max_completion_length, *begun][-1])
        if self.curriculum is not None:
            inputs = self._offered(inputs, self.curriculum)
        rollout, batch = self._sample(inputs)
        return self._with_groups_replaced(inputs, rollout, batch) if self.samples_dynamically else batch

    def _set_completion_length(self, length: int) -> None:
        self.max_completion_length = length
        if self.use_vllm:
            self.vllm_generation.max_completion_length = length
        else:
            self.generation_config.max_new_tokens = self.generation_kwargs["max_new_tokens"] = length

    def _offered(self, inputs: Rows, curriculum: PromptCurriculum) -> Rows:
        """This rank's rows, with fresh prompts in place of those that are not offered this time."""
        names = self._ids_of_groups(inputs)
        kept = [curriculum.is_offered(name, f"batch {self._step}, group {i}") for i, name in enumerate(names)]
        out, known = kept.count(False), len(curriculum.rates)
        self._log({"prompt_curriculum/replaced": out / len(kept), "prompt_curriculum/known": known})
        fresh = iter(self._fresh_rows(out, set(names), inputs))
        rows = [None if stays else next(fresh) for stays in kept]
        return [rows[group] or row for group, row in zip(self._groups_of_rows(len(inputs)), inputs, strict=True)]

    def _with_groups_replaced(self, inputs: Rows, rollout: Rollout, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch, with groups of fresh prompts in place of those without variance."""
        ranks, rank, size = self.accelerator.num_processes, self.accelerator.process_index, self.num_generations
        taken = set(self._ids_of_groups(inputs))
        replacement = GroupReplacement(
            [not group.zero_std for group in rollout.groups], ranks, rank, self.args.max_sampling_rounds
        )
        batches = [batch]
        while n := replacement.groups_to_sample():
            fresh = self._fresh_rows(ranks * n, taken, inputs)[rank * n : (rank + 1) * n]
            rollout, batch = self._sample([row for row in fresh for _ in range(size)], len(batches))
            batches.append(batch)
            replacement.add([not group.zero_std for group in rollout.groups])
        self._log(replacement.metrics(size))
        if len(batches) == 1:
            return batch
        chosen = [(number, group * size + row) for number, group in replacement.places for row in range(size)]
        joined = join_batches(batches, chosen, self.text_tokenizer.pad_token_id)
        joined["num_items_in_batch"] = self.accelerator.gather(_counted_tokens(joined).sum()).sum()
        return joined

    def _sample(self, inputs: Rows, further_round: int = 0) -> tuple[Rollout, dict[str, Any]]:
        """Let TRL sample and score; then log and keep what came of it."""
        rollout = Rollout(dict(row) for row in inputs)
        with self._unlogged() if further_round else contextlib.nullcontext():
            batch = super()._generate_and_score_completions(rollout)
        training = self.model.training
        size = self.num_generations if training else self.num_generations_eval
        rollout.groups = groups_of(
            rollout.rewards.tolist(),
            self.reward_weights.tolist(),
            self.accuracy_rewards,
            size,
            by_function=self.multi_objective_aggregation == "normalize_then_sum",
        )
        rollout.domains = domains = gather_object([row.get("domain") for row in rollout])[::size]
        if not further_round:
            languages = [
                row.get("language") or question_language(question_of_row(row), self.languages) for row in rollout
            ]
            counts = count_emergence(rollout.texts, languages, rollout.truncated, self.languages)
            self._log(emergence_metrics(gather_object([counts])) | group_metrics(rollout.groups, domains))
        if training:
            self.stall.rollouts.append(rollout)
            self._reward_seconds += rollout.reward_seconds
            if self.curriculum is not None:
                counted = [(group.solved, group.judged) for group in rollout.groups]
                self.curriculum.remember(self.state.global_step, self._ids_of_groups(rollout), domains, counted)
            if self.keeps_rollouts:
                self._keep(rollout, further_round)
            if self.switches.skip_zero_advantage:
                batch[WITHOUT_GRADIENT] = self._without_gradient(rollout, batch)
        return rollout, batch

    def _without_gradient(self, rollout: Rollout, batch: Mapping[str, Any]) -> torch.Tensor:
        """The rows (B,) that cannot move the policy: no variance, no advantage, or no token that counts."""
        zero_std = [rollout.groups[group].zero_std for group in self._groups_of_rows(len(rollout))]
        no_advantage: torch.Tensor = (batch["advantages"].view(len(rollout), -1) == 0).all(1)
        return no_advantage.new_tensor(zero_std) | no_advantage | (_counted_tokens(batch).sum(1) == 0)

    def _keep(self, rollout: Rollout, further_round: int) -> None:
        rank, step = self.accelerator.process_index, self.state.global_step
        rewards = rollout.rewards[rank * len(rollout) : (rank + 1) * len(rollout)].tolist()
        sampling = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        sampling["max_completion_tokens"] = self.max_completion_length
        traces = [
            Trace.of_row(
                row,
                prompt_id=id_of_row(row),
                prompt=question_of_row(row),
                completion=rollout.texts[i],
                rewards=dict(zip(self.reward_func_names, rewards[i], strict=True)),
                model=get_config_model_id(self.model.config),
                sampling={**sampling, "prefilled": True} if rollout.prefilled[i] else sampling,
                finish_reason="length" if rollout.truncated[i] else "stop",
                n_tokens=len(rollout.completion_ids[i]),
                seed=self.args.seed,
                step=step,
            )
            for i, row in enumerate(rollout)
        ]
        further = f"-round{further_round:02d}" if further_round else ""
        shard = SHARD.format(step=step, call=self._step, further=further, rank=rank)
        write_traces(Path(self.args.output_dir, FOLDER, shard), traces)

    @override
    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        left_out: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self.compacts:
            left_out = compact_rows(self.model_wrapped, self.generation_config.eos_token_id)
        with left_out:
            generated = super()._generate(prompts)
        prompt_ids, completion_ids, tool_mask, completions, logps, extra_fields, *images = generated
        # Only here the prompts are seen as the model saw them. `<think>` may be several tokens, or a special one.
        last_words = self.text_tokenizer.batch_decode([ids[-8:] for ids in prompt_ids])
        extra_fields = {**extra_fields, _PREFILLED: [prompt_ends_in_thought(end) for end in last_words]}
        return prompt_ids, completion_ids, tool_mask, completions, logps, extra_fields, *images

    @override
    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **named: Any,
    ) -> LogProbabilities:
        compute: Callable[..., LogProbabilities] = super()._get_per_token_logps_and_entropies
        prompt_width = input_ids.size(1) - logits_to_keep
        if self.switches.trim_padding:
            model = AtOwnWidth(model, prompt_width, self.pad_to_multiple_of)
        if not self.switches.trim_padding or batch_size is None or named.get("compute_aux_loss"):
            return compute(model, input_ids, attention_mask, logits_to_keep, batch_size=batch_size, **named)
        return in_chunks_of_similar_length(
            lambda ids, mask: compute(model, ids, mask, logits_to_keep, **named),
            input_ids,
            attention_mask,
            prompt_width,
            self.accelerator,
            rows=batch_size,
            budget=self.switches.max_tokens_per_micro_batch,
            multiple=self.pad_to_multiple_of,
        )

    @override
    def _calculate_rewards(
        self, inputs: Any, prompts: list[Any], completions: list[Any], completion_ids_list: list[list[int]]
    ) -> torch.Tensor:
        ends = {*self.eos_token_ids, self.text_tokenizer.pad_token_id}
        truncated = [not ids or ids[-1] not in ends for ids in completion_ids_list]
        prefilled = [row.pop(_PREFILLED, False) for row in inputs]
        template = getattr(self.text_tokenizer, "chat_template", None)
        style = style_of_template(template) if isinstance(template, str) else None
        rows = [
            {"truncated": cut, "prefilled": opened, "thought_style": style, **row}
            for row, cut, opened in zip(inputs, truncated, prefilled, strict=True)
        ]
        if any(getattr(reward, "reads_group_tokens", False) is True for reward in self.reward_funcs):
            # A rank holds a slice of the batch, which may begin within a group; all ranks pass here at the same time.
            size = self.num_generations if self.model.training else self.num_generations_eval
            tokens = group_tokens(gather_object([len(ids) for ids in completion_ids_list]), size)
            first = self.accelerator.process_index * len(rows)
            rows = [{**row, "group_tokens": tokens[first + i]} for i, row in enumerate(rows)]
        begun = time.perf_counter()
        # (N, F) for all completions of all processes, NaN where a function does not apply
        rewards: torch.Tensor = super()._calculate_rewards(rows, prompts, completions, completion_ids_list)
        if isinstance(inputs, Rollout):
            inputs.reward_seconds = time.perf_counter() - begun
            inputs.texts = [completion_text(completion) for completion in completions]
            inputs.completion_ids, inputs.prefilled, inputs.truncated = completion_ids_list, prefilled, truncated
            inputs.rewards = rewards
        return rewards

    @override
    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if self._step % self.current_gradient_accumulation_steps == 0:
            self._log({"reward_time_share": self._reward_seconds / self._metrics["train"]["step_time"][-1]})
            self._reward_seconds = 0.0
        return loss

    @override
    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if "micro_batches" in inputs:
            return self.micro_batches.loss(model, inputs, super().compute_loss)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _groups_of_rows(self, n: int) -> list[int]:
        """The number, among the groups of all ranks, of the group of each of this rank's n rows in training."""
        first = self.accelerator.process_index * n
        return [(first + row) // self.num_generations for row in range(n)]

    def _ids_of_groups(self, rows: Rows) -> list[str]:
        """The prompts of the groups of all ranks, in the order of their gathered rewards."""
        return list(gather_object([id_of_row(row) for row in rows])[:: self.num_generations])

    def _fresh_rows(self, n: int, taken: set[str], inputs: Rows) -> list[dict[str, Any]]:
        """Rows of prompts that are not taken, with the columns of the loader's; the same ones on every rank."""
        is_offered = {} if self.curriculum is None else {"is_offered": self.curriculum.is_offered}
        rows = self.prompt_stream.draw(n, taken, id_of_row, **is_offered)  # type: ignore[union-attr]
        return [{column: row[column] for column in inputs[0] if column in row} for row in rows]

    def _log(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._metrics["train" if self.model.training else "eval"][name].append(value)

    @contextlib.contextmanager
    def _unlogged(self) -> Iterator[None]:
        """What is sampled within is in no metric and in no table, but for the number of tokens."""
        metrics, logs = self._metrics["train"], self._logs
        self._metrics["train"], self._logs = defaultdict(list), copy.deepcopy(self._empty_logs)
        try:
            yield
            metrics["num_tokens"] = self._metrics["train"]["num_tokens"]
        finally:
            self._metrics["train"], self._logs = metrics, logs

    # Resumption

    @override
    def rank_state(self) -> dict[str, Any]:
        state = super().rank_state()
        # Within a cycle of `num_iterations` over a rollout, the rollout is needed again.
        in_cycle = self._step % (self.args.steps_per_generation * self.num_iterations) != 0
        state["rollout"] = {
            "batches_done": self._step,
            "buffer": self._buffered_inputs if in_cycle else None,
            "max_completion_length": self.max_completion_length,
        }
        state["steps_without_variance"] = self.stall.steps
        # TRL writes these to a file of its own when the checkpoint already looks whole.
        state["entropy"] = {"coefficient": self.entropy_coef, "last": self._last_world_entropy}
        if self.prompt_stream is not None:
            state["prompts_drawn"] = self.prompt_stream.position
        return state

    @override
    def load_rank_state(self, state: dict[str, Any]) -> None:
        super().load_rank_state(state)
        self._step = state["rollout"]["batches_done"]
        self._buffered_inputs = state["rollout"]["buffer"]
        if self.length_schedule:
            self._set_completion_length(state["rollout"]["max_completion_length"])
        self.stall.steps = state.get("steps_without_variance", 0)
        self.entropy_coef = state["entropy"]["coefficient"]
        self._last_world_entropy = state["entropy"]["last"]
        if self.prompt_stream is not None:
            self.prompt_stream.position = state.get("prompts_drawn", 0)

    @override
    def save_files(self, folder: str) -> None:
        if self.moving_reference is not None:
            save_reference(self.moving_reference, folder, self.args.process_index)
        if self.curriculum is not None and self.accelerator.is_main_process:
            self.curriculum.save(folder, self.args.output_dir)

    @override
    def load_files(self, checkpoint: str) -> None:
        if self.moving_reference is not None:
            load_reference(self.moving_reference, checkpoint, self.args.process_index)
        if self.curriculum is not None:
            self.curriculum.load(checkpoint)
        if isinstance(self._prompt_sampler, RepeatSampler):
            # The epoch the next step belongs to: at the end of an epoch this is a whole number.
            go_to_epoch(self._prompt_sampler, int(self.state.epoch or 0))


def _counted_tokens(batch: Mapping[str, Any]) -> torch.Tensor:
    """The mask (B, C) of the tokens that the loss is taken over."""
    mask: torch.Tensor = batch["completion_mask"]
    return mask if batch.get("tool_mask") is None else mask * batch["tool_mask"]
