"""
The figures of a training stage, from its trainer's arguments and its model's config.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..adapters import lora_targets
from ..errors import ConfigError
from .figures import GB, GIB, Figures, Setting, cache_of, no_cache
from .memory import Training, memory_of
from .model import ModelSize, model_size
from .passes import Pass, count_pass
from .refusal import refusal
from .strategy import Strategy, strategy_of
from .throughput import Throughput
from .work import IDS_AND_MASK, LOG_PROBABILITIES, TEXT, checkpoint_bytes, sampling_speed, training_hours


# Where rows are dealt out by length (`batch_rebalance`), a step takes so many times its share of the tokens.
_BALANCED = 1.1


@dataclass
class TrainingStage:
    """A training stage of which the figures are being filled in."""

    args: Any
    given: Any
    config: Mapping[str, Any]
    setting: Setting
    figures: Figures

    @property
    def samples(self) -> bool:
        return hasattr(self.args, "num_generations")

    @property
    def scores(self) -> bool:
        return hasattr(self.args, "center_rewards_coefficient")

    def size(self) -> None:
        args, figures, n = self.args, self.figures, self.setting.processes
        strategy = strategy_of(self.setting.accelerate, n, self.config.get("deepspeed"))
        figures.strategy, figures.gpus = strategy.name, n if self.setting.gpu else 0
        figures.completions = args.per_device_train_batch_size * args.gradient_accumulation_steps * n
        figures.questions = figures.completions / args.num_generations if self.samples else None
        figures.steps = self.steps()
        figures.tokens = round(figures.completions * self.mean_length() * (2 if self.setting.pairs else 1))
        figures.micro_batch = self.micro_batch()
        model_config = self.setting.config_of()
        figures.model = self.setting.models[""][0]
        lora = self.lora()
        model = model_size(model_config, "score" if self.scores else "lm", lora)
        figures.parameters, figures.trainable = model.parameters, model.trainable
        if self.given.load_in_4bit or self.given.load_in_8bit:
            figures.notes.append("memory of quantized weights is not sized")
            return
        stored = 4 if self.dtype(model_config) == "float32" else 2
        training = self.training(model, model_config, strategy, stored, lora)
        self.fill_disk(training, stored, lora is not None)
        figures.memory = asdict(memory_of(training))
        if self.setting.gpu:
            self.fill_engine(training)
            self.fill_hours(training)
            one_row = 2 if self.setting.pairs else 1
            w, c, length = training.weight_bytes, training.compute_bytes, training.length
            problem = refusal(
                training,
                self.setting.gpu_memory * GIB,
                checkpointing=self.args.gradient_checkpointing,
                one_row=one_row,
                count=lambda rows: self.layers(model_config, w, c, rows, length, True, lora),
            )
            figures.problems += [problem] if problem else []

    # --- lengths ----------------------------------------------------------------------------------------------------

    @property
    def limits(self) -> dict[int, int]:
        """The longest completion by the step from which it may be so long."""
        return {
            0: self.args.max_completion_length,
            **(getattr(self.args, "max_completion_length_schedule", None) or {}),
        }

    def longest(self) -> int:
        """Tokens of the longest row."""
        if not self.samples:
            if not self.args.max_length:
                raise ConfigError("its longest row is not known: `max_length` is not set")
            return int(self.args.max_length)
        completion = max(self.limits.values())
        engine = int(self.args.vllm_max_model_length or 0) if self.args.use_vllm else 0
        return engine if engine > completion else completion + self.setting.throughput.longest_prompt_tokens

    def mean_length(self) -> float:
        """Tokens of a row, prompt included."""
        assumed = self.setting.throughput
        if self.samples:
            return self.mean_completion() + assumed.mean_prompt_tokens
        given = assumed.mean_row_tokens
        return min(given or assumed.completion_tokens(self.longest()) + assumed.mean_prompt_tokens, self.longest())

    def mean_completion(self) -> float:
        """Over a schedule of limits, weighted by the steps of each."""
        steps, limits, assumed = self.figures.steps, self.limits, self.setting.throughput
        starts = sorted(limits)
        if steps is None or len(starts) == 1:
            return assumed.completion_tokens(limits[0])
        tokens = 0.0
        for start, end in zip(starts, [*starts[1:], steps]):
            tokens += max(0, min(end, steps) - start) * assumed.completion_tokens(limits[start])
        return tokens / steps

    def micro_batch(self) -> tuple[int, int]:
        args = self.args
        rows, longest = int(args.per_device_train_batch_size) * (2 if self.setting.pairs else 1), self.longest()
        if getattr(args, "packing", False) or getattr(args, "padding_free", False):
            return 1, rows * longest  # one after the other in a single row
        budget = getattr(args, "max_tokens_per_micro_batch", None)
        if budget and rows * longest > budget:
            return max(1, budget // longest), longest
        return rows, longest

    def steps(self) -> int | None:
        if self.args.max_steps > 0:
            return int(self.args.max_steps)
        rows = self.setting.rows
        if rows is None:
            self.figures.notes.append("steps and hours depend on the rows of its data, which are not known yet")
            return None
        if self.samples:
            rows *= int(self.args.num_generations)
        return math.ceil(float(self.args.num_train_epochs) * rows / (self.figures.completions or 1))

    # --- memory -----------------------------------------------------------------------------------------------------

    def lora(self) -> Any:
        from trl import get_peft_config

        found = get_peft_config(self.given)
        if found is not None and isinstance(self.given.lora_target_modules, str):
            found.target_modules = lora_targets(self.given.lora_target_modules)
        if found is not None and self.scores:
            found.task_type, found.modules_to_save = "SEQ_CLS", sorted({*(found.modules_to_save or []), "score"})
        return found

    def dtype(self, model_config: Any) -> str:
        """The type in which the weights are loaded."""
        named = (self.args.model_init_kwargs or {}).get("dtype") or self.given.dtype
        if named in (None, "auto"):
            named = getattr(model_config, "dtype", None) or "float32"
        return str(named).removeprefix("torch.")

    def training(self, model: ModelSize, model_config: Any, strategy: Strategy, stored: int, lora: Any) -> Training:
        args, setting = self.args, self.setting
        mixed = bool(args.bf16 or args.fp16)
        casts = mixed and strategy.kind == "zero"  # DeepSpeed casts the model itself
        weight_bytes = 4 if mixed and strategy.kind == "fsdp" and lora is None else 2 if casts else stored
        compute_bytes = 2 if mixed or weight_bytes == 2 else 4
        rows, length = self.micro_batch()
        reference = lora is None and (
            args.beta != 0 if self.samples else not getattr(args, "precompute_ref_log_probs", True)
        )
        rollout = cache = 0
        if self.samples:
            per_rank = args.per_device_train_batch_size * args.steps_per_generation
            rollout = per_rank * self.rollout_row()
            cache = 0 if args.use_vllm else per_rank * self.longest() * model.cache * compute_bytes
        share = getattr(args, "vllm_gpu_memory_utilization", 0.0) if self.colocated else 0.0
        return Training(
            model=model,
            strategy=strategy,
            weight_bytes=weight_bytes,
            trained_bytes=weight_bytes if lora is None or strategy.stage == 3 else 4,
            compute_bytes=compute_bytes,
            rows=rows,
            length=length,
            layers=self.layers(
                model_config, weight_bytes, compute_bytes, rows, length, args.gradient_checkpointing, lora
            ),
            moments_bytes=_moments(str(getattr(args.optim, "value", args.optim))),
            accumulates=args.gradient_accumulation_steps > 1,
            has_lm_head=not self.scores,
            reference=reference,
            reward_models=self.reward_models(),
            rollout=rollout,
            cache=cache,
            engine=round(share * setting.gpu_memory * GIB),
            engine_sleeps=bool(getattr(args, "vllm_enable_sleep_mode", False)),
            gpu=setting.gpu,
            reserve=round(setting.throughput.reserve_gb * GB) if setting.gpu else 0,
        )

    def layers(
        self,
        model_config: Any,
        weight_bytes: int,
        compute_bytes: int,
        rows: int,
        length: int,
        checkpointing: bool,
        lora: Any,
    ) -> Pass:
        return count_pass(
            model_config,
            rows,
            length,
            dtype="float32"
            if weight_bytes == 4 and self.setting.accelerate.get("distributed_type") != "FSDP"
            else "bfloat16",
            autocast=compute_bytes != weight_bytes,
            checkpointing=checkpointing,
            head="score" if self.scores else "lm",
            lora=lora,
        )

    @property
    def colocated(self) -> bool:
        return self.samples and bool(self.args.use_vllm) and self.args.vllm_mode == "colocate"

    def rollout_row(self) -> int:
        """Bytes of a row of the rollout: ids, masks, and log-probabilities when it was sampled, of then and of the reference."""
        args = self.args
        cycle = args.steps_per_generation * args.num_iterations
        kept = (bool(args.use_vllm), bool(args.beta), bool(args.use_vllm or args.gradient_accumulation_steps % cycle))
        completion = int(max(self.limits.values()))
        return IDS_AND_MASK * self.longest() + LOG_PROBABILITIES * sum(kept) * completion

    def reward_models(self) -> int:
        """Bytes of the models that rewards hold, each whole on each GPU, in 16 bits."""
        found = 0
        for place in self.setting.reward_models:
            try:
                found += 2 * model_size(self.setting.config_of(place), "score").parameters
            except ConfigError as error:
                self.figures.notes.append(f"a reward's model is not sized: {error.message}")
        return found

    def fill_engine(self, training: Training) -> None:
        if not self.colocated:
            return
        args = self.args
        gpus, share = args.vllm_tensor_parallel_size, args.vllm_gpu_memory_utilization
        self.figures.cache = cache_of(
            training.model, args.vllm_gpu_memory_utilization, gpus, self.longest(), self.mean_length(), self.setting
        )
        if self.figures.cache["at_longest"] < 1:
            self.figures.problems.append(no_cache("vllm_gpu_memory_utilization", share, self.figures.cache))

    # --- disk and time ----------------------------------------------------------------------------------------------

    def fill_disk(self, training: Training, stored: int, adapter: bool) -> None:
        args, model, disk = self.args, training.model, self.figures.disk
        w = training.weight_bytes
        disk["model"] = w * model.parameters + (training.trained_bytes * model.trainable if adapter else 0)
        saves = str(getattr(args.save_strategy, "value", args.save_strategy))
        if saves != "no":
            moving = training.reference and bool(getattr(args, "sync_ref_model", False))
            each = checkpoint_bytes(model, w, training.moments_bytes, training.strategy.stage, moving, adapter)
            kept = 1 + (args.save_total_limit or 1)  # while the oldest goes, the newest is there
            if self.figures.steps is not None:
                every = args.save_steps if args.save_steps >= 1 else args.save_steps * self.figures.steps
                if saves == "epoch":
                    every = self.figures.steps / args.num_train_epochs
                kept = min(kept if args.save_total_limit else 10**9, math.ceil(self.figures.steps / max(1, every)))
            disk["checkpoint"] = each
            if self.samples and not self.saves_between_rollouts():
                rows = args.per_device_train_batch_size * args.steps_per_generation * training.strategy.processes
                disk["checkpoint"] += rows * self.rollout_row()
                disk["rollout buffer"] = rows * self.rollout_row()
            disk["checkpoints"] = kept * disk["checkpoint"]
        if self.samples and getattr(args, "save_rollouts", False) and self.figures.steps:
            disk["rollouts"] = round(TEXT * self.figures.steps * (self.figures.tokens or 0) / args.num_iterations)

    def saves_between_rollouts(self) -> bool:
        """Whether a checkpoint falls between two rollouts, so that none has to be saved."""
        args = self.args
        cycle = args.steps_per_generation * args.num_iterations / args.gradient_accumulation_steps
        return bool(args.save_steps >= 1 and args.save_steps % cycle == 0)

    def fill_hours(self, training: Training) -> None:
        args, figures, assumed, model = self.args, self.figures, self.setting.throughput, training.model
        if figures.steps is None or figures.completions is None or figures.tokens is None:
            return
        gpus = self.setting.processes
        passes = 3 if model.trainable == model.parameters else 2  # a frozen weight has no gradient
        passes += 1 if args.gradient_checkpointing else 0
        if self.samples:
            passes += (args.beta != 0) + (
                bool(args.use_vllm) or args.steps_per_generation > args.gradient_accumulation_steps
            )
        elif training.reference:
            passes += 1
        mean = self.mean_length()
        # GRPO deals its rows out by length.
        wait = 1.0 if self.samples else _wait(args, gpus, assumed)
        tokens = figures.steps * figures.tokens
        figures.hours["training"] = training_hours(model, tokens * wait, mean, gpus, passes, assumed)
        if not self.samples:
            return
        sampled = figures.steps * figures.completions * self.mean_completion() / args.num_iterations
        if figures.cache is None:
            figures.notes.append(
                "the hours of sampling are not estimated without vLLM on the same GPUs, and not in its total"
            )
            return
        engine = args.vllm_tensor_parallel_size
        at_once = min(figures.cache["at_mean"], args.per_device_train_batch_size * args.steps_per_generation * engine)
        speed = sampling_speed(model, 2, max(1, at_once), mean, engine, assumed)
        figures.hours["sampling"] = sampled / (speed * gpus / engine) / 3600


def _moments(optimizer: str) -> float:
    """Bytes that an optimizer keeps for each fp32 parameter."""
    if "8bit" in optimizer:
        return 2.0
    if "sgd" in optimizer or "adafactor" in optimizer:
        return 0.0
    return 4.0 if "lion" in optimizer else 8.0


def _wait(args: Any, ranks: int, assumed: Throughput) -> float:
    """How much longer than its share a step takes, as all ranks wait for the longest rows."""
    if getattr(args, "packing", False):
        return 1.0
    strategy = str(getattr(args, "train_sampling_strategy", ""))
    return _BALANCED if "length" in strategy or "rebalance" in strategy else assumed.wait_of(ranks)
