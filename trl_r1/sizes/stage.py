"""
The figures of one stage, from the configs that its module makes. Runs in the process of `stages/_check.py`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..adapters import lora_targets
from ..errors import ConfigError
from ..rewards.schedule import model_arguments
from .memory import Memory, Training, memory_of
from .model import ModelSize, model_size, read_config
from .passes import Pass, count_pass
from .strategy import Strategy, strategy_of
from .throughput import Throughput
from .work import (
    IDS_AND_MASK,
    LOG_PROBABILITIES,
    TEXT,
    cache_tokens,
    checkpoint_bytes,
    sampling_speed,
    training_hours,
)


GB = 10**9
GIB = 1 << 30
_MOST_PROCESSES = 256


@dataclass(frozen=True)
class Origin:
    """
    What is known beforehand of a model that a config names.

    Args:
        model (`str`):
            The folder or the Hub id that has its `config.json`: its own, or that of the model it is trained from.
        score (`bool`, *optional*, defaults to `False`):
            Whether it has a score in place of the output projection.
    """

    model: str
    score: bool = False


@dataclass(frozen=True)
class Setting:
    """
    What a stage's figures depend on besides its configs.

    Args:
        name (`str`):
            The stage's name.
        accelerate (`Mapping[str, Any]`):
            What its accelerate file holds.
        processes (`int`):
            In how many processes it runs.
        gpu (`bool`):
            Whether on GPUs.
        gpu_memory (`float`):
            GiB of each.
        origins (`Mapping[str, Origin]`):
            Where the configs of models are that the run itself makes, by the path that the stage's config names.
        rows (`int`, *optional*):
            Rows of its data, where they are known.
        throughput ([`~sizes.throughput.Throughput`]):
            What is assumed.
    """

    name: str
    accelerate: Mapping[str, Any]
    processes: int
    gpu: bool
    gpu_memory: float
    origins: Mapping[str, Origin] = field(default_factory=dict)
    rows: int | None = None
    throughput: Throughput = field(default_factory=Throughput)


@dataclass
class Figures:
    """
    The figures of a stage; bytes, hours of the clock, and `None` for what is not known.

    Args:
        stage (`str`):
            Its name.
        model (`str`):
            Where its `config.json` is.
        parameters (`int`), trainable (`int`):
            Of its model.
        strategy (`str`), gpus (`int`):
            How and on how many GPUs it runs; 0 on a CPU.
        questions (`float`), completions (`int`), tokens (`int`):
            In a step; of an SFT, rows are completions, and of preferences pairs. Of a stage that samples, in all of it.
        micro_batch (`tuple[int, int]`):
            Rows and tokens of the longest micro-batch.
        steps (`int`):
            Steps of the optimizer.
        memory (`dict`):
            Of one GPU, or of one process on a CPU, as [`~sizes.memory.Memory`] has it.
        cache (`dict`):
            Of vLLM: `tokens`, and sequences `at_longest` and `at_mean`, with these lengths.
        disk (`dict[str, int]`):
            Bytes by what they are.
        hours (`dict[str, float]`):
            Of the clock, by what takes them.
        notes (`list[str]`):
            What could not be sized, and why.
        problems (`list[dict]`):
            What does not fit, each with `key` and `message`.
    """

    stage: str
    model: str | None = None
    parameters: int | None = None
    trainable: int | None = None
    strategy: str | None = None
    gpus: int = 0
    questions: float | None = None
    completions: int | None = None
    tokens: int | None = None
    micro_batch: tuple[int, int] | None = None
    steps: int | None = None
    memory: dict[str, int] | None = None
    cache: dict[str, float] | None = None
    disk: dict[str, int] = field(default_factory=dict)
    hours: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)


def size_stage(made: Sequence[Any], config: Mapping[str, Any], setting: Setting) -> Figures:
    """
    Size a stage.

    Args:
        made (`Sequence[Any]`):
            Its configs, as its module has them made.
        config (`Mapping[str, Any]`):
            What they were made of.
        setting ([`Setting`]):
            What else counts.

    Returns:
        [`Figures`]: what could be sized, and notes on what could not.
    """
    figures = Figures(setting.name)
    args = next((each for each in made if hasattr(each, "per_device_train_batch_size")), None)
    sampling = next((each for each in made if hasattr(each, "backend") and hasattr(each, "n_samples")), None)
    try:
        if args is not None:
            _TrainingStage(args, next(m for m in made if hasattr(m, "use_peft")), config, setting, figures).size()
        elif sampling is not None:
            _size_sampling(sampling, config, setting, figures)
    except ConfigError as error:
        figures.notes.append(error.message)
    return figures


def _model_of(place: Any, setting: Setting, revision: str | None = None) -> tuple[Any, Origin]:
    """The config of a model that a stage's config names."""
    text = str(place)
    origin = setting.origins.get(text) or Origin(text)
    path, _, own_revision = origin.model.partition("@")
    return read_config(path, own_revision or revision), origin


@dataclass
class _TrainingStage:
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

    @property
    def pairs(self) -> bool:
        """Whether a row of the data is two rows of a micro-batch."""
        return self.scores or hasattr(self.args, "precompute_ref_log_probs")

    def size(self) -> None:
        args, figures, n = self.args, self.figures, self.setting.processes
        strategy = strategy_of(self.setting.accelerate, n)
        figures.strategy, figures.gpus = strategy.name, n if self.setting.gpu else 0
        figures.completions = args.per_device_train_batch_size * args.gradient_accumulation_steps * n
        figures.questions = figures.completions / args.num_generations if self.samples else None
        figures.steps = self.steps()
        figures.tokens = round(figures.completions * self.mean_length() * (2 if self.pairs else 1))
        figures.micro_batch = self.micro_batch()
        model_config, origin = _model_of(
            self.config.get("model_name_or_path"), self.setting, self.given.model_revision
        )
        figures.model = origin.model
        lora = self.lora()
        head = "score" if self.scores else "lm"
        model = model_size(model_config, head, lora)
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
            self.refuse(training, model_config, lora)

    # --- lengths ----------------------------------------------------------------------------------------------------

    def longest_completion(self) -> int:
        return max(
            [
                self.args.max_completion_length,
                *(getattr(self.args, "max_completion_length_schedule", None) or {}).values(),
            ]
        )

    def longest(self) -> int:
        """Tokens of the longest row."""
        if not self.samples:
            return self.args.max_length or 0
        completion = self.longest_completion()
        engine = getattr(self.args, "vllm_max_model_length", None) if self.args.use_vllm else None
        return engine if engine and engine > completion else completion + self.setting.throughput.longest_prompt_tokens

    def mean_length(self) -> float:
        """Tokens of a row, prompt included."""
        assumed = self.setting.throughput
        if self.samples:
            return self.mean_completion() + assumed.mean_prompt_tokens
        given = assumed.mean_row_tokens
        return min(given or assumed.completion_tokens(self.longest()) + assumed.mean_prompt_tokens, self.longest())

    def mean_completion(self) -> float:
        """Over a schedule of limits, weighted by the steps of each."""
        args, assumed = self.args, self.setting.throughput
        limits = {0: args.max_completion_length, **(getattr(args, "max_completion_length_schedule", None) or {})}
        starts = sorted(limits)
        if self.figures.steps is None or len(starts) == 1:
            return assumed.completion_tokens(args.max_completion_length)
        ends = [*starts[1:], self.figures.steps]
        parts = [(max(0, min(end, self.figures.steps) - start), limits[start]) for start, end in zip(starts, ends)]
        return sum(n * assumed.completion_tokens(limit) for n, limit in parts) / max(1, sum(n for n, _ in parts))

    def micro_batch(self) -> tuple[int, int]:
        args = self.args
        rows, longest = args.per_device_train_batch_size * (2 if self.pairs else 1), self.longest()
        budget = getattr(args, "max_tokens_per_micro_batch", None)
        if budget and rows * longest > budget:
            return max(1, budget // longest), longest
        return rows, longest

    def steps(self) -> int | None:
        if self.args.max_steps > 0:
            return int(self.args.max_steps)
        rows = self.setting.rows
        if rows is None:
            self.figures.notes.append("its steps and hours depend on the rows of its data, which are not known yet")
            return None
        if self.samples:
            rows *= self.args.num_generations
        return math.ceil(self.args.num_train_epochs * rows / (self.figures.completions or 1))

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
            args.beta != 0 if self.samples else self.pairs and not self.scores and not args.precompute_ref_log_probs
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
            reward_models=sum(self.reward_models()),
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
        args, completion = self.args, self.longest_completion()
        kept = bool(args.use_vllm) + (args.beta != 0)
        kept += (
            bool(args.use_vllm)
            or args.gradient_accumulation_steps % (args.steps_per_generation * args.num_iterations) != 0
        )
        return IDS_AND_MASK * self.longest() + LOG_PROBABILITIES * kept * completion

    def reward_models(self) -> list[int]:
        """Bytes of the models that rewards hold, each whole on each GPU."""
        found = []
        for declared in self.config.get("rewards") or ():
            arguments = (declared.get("args") or {}) if isinstance(declared, Mapping) else {}
            for name in model_arguments(declared.get("func")) if arguments else ():
                if isinstance(arguments.get(name), str):
                    try:
                        config, _ = _model_of(arguments[name], self.setting)
                        found.append(2 * model_size(config, "score").parameters)
                    except ConfigError as error:
                        self.figures.notes.append(f"a reward's model is not sized: {error.message}")
        return found

    def fill_engine(self, training: Training) -> None:
        if not self.colocated:
            return
        args = self.args
        gpus = args.vllm_tensor_parallel_size
        self.figures.cache = _cache_of(
            training.model, args.vllm_gpu_memory_utilization, gpus, self.longest(), self.mean_length(), self.setting
        )
        if self.figures.cache["at_longest"] < 1:
            self.figures.problems.append(
                _no_cache("vllm_gpu_memory_utilization", args.vllm_gpu_memory_utilization, self.figures)
            )

    def refuse(self, training: Training, model_config: Any, lora: Any) -> None:
        """Note what does not fit, with changes that make it fit."""
        limit = self.setting.gpu_memory * GIB
        memory = memory_of(training)
        if memory.peak <= limit:
            return
        n = training.strategy.processes

        def without_checkpoints(rows: int) -> Pass:
            return self.layers(
                model_config, training.weight_bytes, training.compute_bytes, rows, training.length, True, lora
            )

        changes: list[tuple[str, Callable[[], Training]]] = []
        one_row = 2 if self.pairs else 1
        if not self.args.gradient_checkpointing:
            changes.append(
                ("gradient_checkpointing: true", lambda: replace(training, layers=without_checkpoints(training.rows)))
            )
        if training.rows > one_row:
            text = "per_device_train_batch_size: 1 (and more gradient_accumulation_steps)"
            changes.append((text, lambda: replace(training, rows=one_row, layers=without_checkpoints(one_row))))
        if training.engine and not training.engine_sleeps:
            changes.append(("vllm_enable_sleep_mode: true", lambda: replace(training, engine_sleeps=True)))
        if n > 1 and not training.strategy.shards_weights:
            zero3 = replace(training.strategy, kind="zero", stage=3)
            changes.append(("accelerate: zero3", lambda: replace(training, strategy=zero3)))
        if n > 1:
            offloaded = replace(
                training.strategy, kind="zero", stage=3, offloads_optimizer=True, offloads_weights=True
            )
            changes.append(("accelerate: zero3_offload", lambda: replace(training, strategy=offloaded)))
        more = n * 2
        while more <= _MOST_PROCESSES:
            wider = replace(training.strategy, processes=more, kind="zero", stage=training.strategy.stage or 3)
            text = f"{more} GPUs (num_processes: {more}, with {'the same accelerate file' if n > 1 else 'accelerate: zero3'})"
            changes.append((text, lambda wider=wider: replace(training, strategy=wider)))  # type: ignore[misc]
            more *= 2
        helps = next((text for text, change in changes if memory_of(change()).peak <= limit), None)
        parts = sorted(
            ((value, name) for name, value in asdict(memory).items() if name not in ("peak", "host")), reverse=True
        )
        largest = ", ".join(f"{name.replace('_', ' ')} {value / GIB:.1f}" for value, name in parts[:4] if value)
        self.figures.problems.append(
            {
                "key": "accelerate",
                "message": (
                    f"does not fit: a GPU would need {memory.peak / GIB:.1f} GiB of {self.setting.gpu_memory:g} ({largest}); "
                    + (f"expected less. What helps: {helps}" if helps else "expected a smaller model or shorter rows")
                ),
            }
        )

    # --- disk and time ----------------------------------------------------------------------------------------------

    def fill_disk(self, training: Training, stored: int, adapter: bool) -> None:
        args, model, disk = self.args, training.model, self.figures.disk
        w = training.weight_bytes
        disk["model"] = w * model.parameters + (training.trained_bytes * model.trainable if adapter else 0)
        if str(getattr(args.save_strategy, "value", args.save_strategy)) != "no":
            moving = training.reference and bool(getattr(args, "sync_ref_model", False))
            each = checkpoint_bytes(
                model, w, training.moments_bytes, training.strategy.kind == "zero", moving, adapter
            )
            kept = 1 + (args.save_total_limit or 1)  # while the oldest goes, the newest is there
            if self.figures.steps is not None:
                every = args.save_steps if args.save_steps >= 1 else args.save_steps * self.figures.steps
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
        return args.save_steps >= 1 and args.save_steps % cycle == 0

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
        mean, wait = self.mean_length(), 1.0
        if not self.samples and not getattr(args, "packing", False) and not _groups_by_length(args):
            wait = assumed.wait_of(gpus)
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


def _size_sampling(sampling: Any, config: Mapping[str, Any], setting: Setting, figures: Figures) -> None:
    """Size a stage that samples: one engine, whatever the number of GPUs."""
    assumed = setting.throughput
    models = config.get("models")
    places = list(models.values()) if isinstance(models, Mapping) else [config.get("model_name_or_path")]
    figures.gpus = sampling.tensor_parallel_size if setting.gpu and sampling.backend == "vllm" else 0
    mean = assumed.completion_tokens(sampling.max_completion_tokens)
    if setting.rows is None:
        figures.notes.append("its completions and hours depend on the rows of its data, which are not known yet")
    else:
        figures.questions = setting.rows
        figures.completions = setting.rows * sampling.n_samples * len(places)
        figures.tokens = round(figures.completions * mean)
        figures.disk["traces"] = TEXT * figures.tokens
    if not any(places):
        return
    if sampling.backend != "vllm":
        if sampling.backend == "server":
            figures.notes.append("what a server costs is not sized")
        return
    longest = sampling.max_model_length or sampling.max_completion_tokens + assumed.longest_prompt_tokens
    for place in dict.fromkeys(places):
        model_config, origin = _model_of(place, setting)
        model = model_size(model_config)
        cache = _cache_of(
            model,
            sampling.gpu_memory_utilization,
            sampling.tensor_parallel_size,
            longest,
            mean + assumed.mean_prompt_tokens,
            setting,
        )
        if figures.cache is None or cache["tokens"] < figures.cache["tokens"]:
            figures.cache, figures.model, figures.parameters = cache, origin.model, model.parameters
            held = 2 * model.parameters // sampling.tensor_parallel_size
            engine = round(sampling.gpu_memory_utilization * setting.gpu_memory * GIB)
            figures.memory = asdict(Memory(held, 0, 0, 0, 0, 0, 0, engine - held, 0, peak=engine))
        if setting.rows is not None:
            at_once = max(1.0, min(cache["at_mean"], sampling.shard_prompts * sampling.n_samples))
            context = mean + assumed.mean_prompt_tokens
            speed = sampling_speed(model, 2, at_once, context, sampling.tensor_parallel_size, assumed)
            tokens = (figures.tokens or 0) * places.count(place) / len(places)
            figures.hours["sampling"] = figures.hours.get("sampling", 0.0) + tokens / speed / 3600
    if figures.cache is not None and figures.cache["at_longest"] < 1:
        figures.problems.append(_no_cache("gpu_memory_utilization", sampling.gpu_memory_utilization, figures))


def _cache_of(
    model: ModelSize, share: float, gpus: int, longest: int, mean: float, setting: Setting
) -> dict[str, float]:
    reserve = setting.throughput.vllm_reserve_gb * GB
    tokens = cache_tokens(model, 2, share, setting.gpu_memory * GIB, gpus, reserve)
    return {
        "tokens": tokens,
        "at_longest": tokens / longest,
        "at_mean": tokens / mean,
        "longest": longest,
        "mean": mean,
    }


def _no_cache(key: str, share: float, figures: Figures) -> dict[str, str]:
    cache = figures.cache or {}
    message = (
        f"does not fit: with a share of {share:g} vLLM's weights leave a cache of {cache['tokens']:,.0f} tokens, less than one "
        f"sequence of {cache['longest']:,.0f}; expected a larger share, more tensor_parallel_size, or a shorter model length"
    )
    return {"key": key, "message": message}


def _moments(optimizer: str) -> float:
    """Bytes that an optimizer keeps for each fp32 parameter."""
    if "8bit" in optimizer:
        return 2.0
    if "sgd" in optimizer or "adafactor" in optimizer:
        return 0.0
    return 4.0 if "lion" in optimizer else 8.0


def _groups_by_length(args: Any) -> bool:
    return bool(getattr(args, "group_by_length", False)) or "length" in str(
        getattr(args, "train_sampling_strategy", "")
    )
