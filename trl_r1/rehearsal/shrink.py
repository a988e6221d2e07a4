"""
A stage of the recipe as it is rehearsed: other models, few rows, short lengths, few steps, a CPU. Torch-free.

Everything that is not named here is as in the recipe.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..io import read_json
from ..kinds import StageKind
from ..recipe import ResolvedStage, read_document, recipe_homes
from ..recipe.references import RUN, with_texts
from ..rewards.schedule import model_arguments
from .engine_names import BACKEND_VARIABLE, TOKENS_VARIABLE


STEPS, GENERATIONS, SAMPLES, TOKENS = 2, 4, 4, 1024
ROWS = 24  # of each source
MEMORY_SHARE = 0.1  # of the machine's, for vLLM's cache; several stages run at once
PROMPTS = 6  # of each source, where a stage samples
ENGINE, GRPO, PLAYGROUND = "trl_r1.rehearsal.engine", "trl_r1.rehearsal.grpo", "trl_r1.rehearsal.playground"

_TRAINING = re.compile(r"(GRPO|SFT|Reward|DPO)Config$")
# Of these no size matters to a rehearsal: stages that differ in nothing else are rehearsed once.
_NUMBERS = re.compile(
    r"learning_rate|temperature|top_p|weight_decay|max_grad_norm|epsilon|beta|ddp_timeout|seed|warmup_steps|warmup_ratio|"
    r"num_train_epochs|save_total_limit|max_length|max_truncated_share|gpu_memory_utilization|batch_size"
)
_URL = re.compile(r"https?://\S+|server:\S+")


@dataclass(frozen=True)
class Prepared:
    """
    What a rehearsal has in place of the recipe's models and data.

    Args:
        models (`dict[str, str]`):
            Folder of the tiny model, by the recipe's model.
        sources (`dict[str, str]`):
            File of a few rows, by the `source_key` of the recipe's source.
        packages (`frozenset[str]`):
            Which of `deepspeed` and `vllm` are installed.
        environment (`dict[str, str]`):
            What all stages find in their environment.
    """

    models: dict[str, str]
    sources: dict[str, str]
    packages: frozenset[str] = frozenset()
    environment: dict[str, str] = field(default_factory=dict)


def trains(kind: StageKind | None) -> str | None:
    """Return which of TRL's trainers a kind of stage configures: `"GRPO"`, `"SFT"`, `"Reward"`, `"DPO"` or none."""
    found = [match[1] for name in (kind.configs if kind else ()) if (match := _TRAINING.search(name))]
    return found[0] if found else None


def samples(kind: StageKind | None) -> bool:
    """Return whether a kind of stage samples with an engine."""
    return kind is not None and kind.samples


def source_key(source: Mapping[str, Any]) -> str:
    """Return what tells a data source from others, whatever a stage takes of it."""
    taken = ("limit", "share", "from_step", "name")
    return repr(sorted((key, repr(value)) for key, value in source.items() if key not in taken))


def named(item: ResolvedStage, what: str) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """
    Find what a stage's config names, where its kind says so.

    Args:
        item (`ResolvedStage`):
            The stage.
        what (`str`):
            `"model"`: each value that is a text. `"data"`: each source, a mapping. `"file"`: each value that is a text.

    Yields:
        `tuple`: the keys that lead to it, and the value.
    """
    kind = item.kind
    if kind is None:
        return
    patterns = [pattern for pattern, means in {"data": "data", **kind.names}.items() if means == what]
    for pattern in patterns:
        for keys, value in _at(item.config, pattern.split("."), ()):
            if what == "model" and not _is_model(item.config, keys):
                continue
            if what != "data" and isinstance(value, str):
                yield keys, value
            elif what == "data" and isinstance(value, list):
                yield from (((*keys, i), source) for i, source in enumerate(value) if isinstance(source, dict))


def _is_model(config: Any, keys: tuple[str | int, ...]) -> bool:
    """Whether an argument of a reward names a model of the recipe, as its class says; all else does."""
    if keys[-2:-1] != ("args",):
        return True
    for key in keys[:-2]:
        config = config[key]
    return keys[-1] in model_arguments(config.get("func"))


def _at(value: Any, pattern: list[str], keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if not pattern:
        yield keys, value
        return
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = [(key, each) for key, each in value.items() if pattern[0] in ("*", str(key))]
    elif isinstance(value, list) and pattern[0] == "*":
        items = list(enumerate(value))
    for key, each in items:
        yield from _at(each, pattern[1:], (*keys, key))


def addresses(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every server that a config names, with the key that does: `("rewards[0].args.base_url", "http://...")`."""
    found: list[tuple[str, str]] = []

    def look(value: Any, at: str) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                look(each, f"{at}.{key}" if at else str(key))
        elif isinstance(value, list):
            for i, each in enumerate(value):
                look(each, f"{at}[{i}]")
        elif isinstance(value, str) and at.rpartition(".")[2].endswith("url") and _URL.fullmatch(value):
            found.append((at, value))

    look(dict(config), "")
    return found


def rehearsed(item: ResolvedStage, prepared: Prepared) -> ResolvedStage:
    """Return a stage as it is rehearsed."""
    item = replace(item, config=deepcopy(item.config))
    config = item.config
    inputs: list[Path] = []
    for keys, source in [*named(item, "data")]:
        place = prepared.sources.get(source_key(source))
        if place is not None:
            kept = {key: value for key, value in source.items() if key not in ("config", "split", "solved")}
            kept["name"] = source.get("name") or _label(str(source.get("path")))
            _put(config, keys, {**kept, "path": place})
            inputs.append(Path(place))
    for keys, value in [*named(item, "model"), *named(item, "file")]:
        if value in prepared.models:
            _put(config, keys, prepared.models[value])
            inputs.append(Path(prepared.models[value]))
    stage = item.stage
    trainer = trains(item.kind)
    if trainer is not None:
        _train(config, trainer, prepared.packages)
        stage = replace(
            stage,
            kind=GRPO if stage.kind == "grpo" else stage.kind,
            accelerate=_launch(stage.accelerate, stage.num_processes, prepared.packages),
            num_processes=None,
        )
    if samples(item.kind):
        _sample(config, prepared.packages)
    if stage.kind == "playground":
        stage = replace(stage, kind=PLAYGROUND)
    config["env"] = {**(config.get("env") or {}), **prepared.environment, **_backend_of(item, config)}
    if samples(item.kind):
        config["backend"] = ENGINE
    files = [path for path in (stage.accelerate, *inputs) if path is not None]
    return replace(item, stage=stage, config=config, inputs=tuple(dict.fromkeys(files)))


def _backend_of(item: ResolvedStage, config: Mapping[str, Any]) -> dict[str, str]:
    return {BACKEND_VARIABLE: str(config.get("backend") or "transformers")} if samples(item.kind) else {}


def _label(path: str) -> str:
    """A source's name where it has none, as [`~data.DataSource`] has it."""
    return Path(path.partition("@")[0].removesuffix(".gz")).stem


def _put(config: Any, keys: tuple[str | int, ...], value: Any) -> None:
    for key in keys[:-1]:
        config = config[key]
    config[keys[-1]] = value


def renamed(item: ResolvedStage, names: Mapping[str, str]) -> ResolvedStage:
    """Return a stage with other names for itself and its parents, in what it reads and where it writes."""

    def change(text: str) -> str:
        head, slash, rest = text.partition(f"{RUN}/")
        if head or not slash:
            return text
        name, slash, rest = rest.partition("/")
        return f"{RUN}/{names.get(name, name)}{slash}{rest}"

    config = {key: with_texts(value, change) for key, value in item.config.items()}
    parents = tuple(dict.fromkeys(names.get(parent, parent) for parent in item.parents))
    return replace(item, stage=replace(item.stage, name=names[item.name]), config=config, parents=parents)


def identity(item: ResolvedStage) -> str:
    """
    Return what tells a rehearsed stage from others: all but its name, and how large its `_NUMBERS` are.

    Args:
        item (`ResolvedStage`):
            The stage, its parents under the names under which they are rehearsed.
    """
    own = renamed(item, {item.name: "this"})
    config = {
        key: (value > 0) if _NUMBERS.fullmatch(key) and isinstance(value, (int, float)) else value
        for key, value in own.config.items()
    }
    return json.dumps([own.stage.kind, str(own.stage.accelerate), config], sort_keys=True, default=str)


# --- training


def _launch(accelerate: Path | None, num_processes: int | None, packages: frozenset[str]) -> Path | None:
    """The accelerate file of two processes on a CPU, where the recipe's has more than one."""
    if accelerate is None:
        return None
    told = read_document(accelerate).data
    if (num_processes or told.get("num_processes") or 1) == 1:
        return None
    zero3 = (told.get("deepspeed_config") or {}).get("zero_stage") == 3 and "deepspeed" in packages
    name = "cpu_zero3" if zero3 else "cpu_ddp"
    return next(path for home in recipe_homes() if (path := home / "accelerate" / f"{name}.yaml").is_file())


def _train(config: dict[str, Any], trainer: str, packages: frozenset[str]) -> None:
    # `batch_size` says how many rows a step has, from which several passes follow on any number of processes.
    accumulation = _number(config, "gradient_accumulation_steps", 2 if config.get("batch_size") else 1)
    steps = _number(config, "max_steps", 0)
    if trainer == "GRPO" and _rollout_of_several(config):
        config["steps_per_generation"] = 2 * accumulation
    for key in ("batch_size", "deepspeed", "fsdp", "fsdp_config", "load_in_4bit", "load_in_8bit", "tf32"):
        config.pop(key, None)
    config |= {
        "use_cpu": True,
        "bf16": False,
        "fp16": False,
        "dtype": "float32",
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": min(accumulation, 2),
        "max_steps": STEPS,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": STEPS,
        "report_to": "none",
        "push_to_hub": False,
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
    }
    config.pop("dataset_num_proc", None)
    for key in ("use_liger_kernel", "torch_compile"):
        if key in config:
            config[key] = False
    if re.search(r"bit|paged|fused", str(config.get("optim", ""))):
        config["optim"] = "adamw_torch"
    init = config.get("model_init_kwargs")
    for place in [config, *([init] if isinstance(init, dict) else [])]:
        if re.search(r"flash|kernels|/", str(place.get("attn_implementation", ""))):
            place["attn_implementation"] = "sdpa"
        if place is not config and "dtype" in place:
            place["dtype"] = "float32"
    if isinstance(config.get("max_length"), int):
        config["max_length"] = max(config["max_length"], 2 * TOKENS)
    if trainer == "GRPO":
        _train_grpo(config, accumulation, steps, packages)


def _train_grpo(config: dict[str, Any], accumulation: int, steps: int, packages: frozenset[str]) -> None:
    per_rollout = 2 if _number(config, "steps_per_generation", accumulation) > accumulation else 1
    steps_of_rollout = per_rollout * _number(config, "num_iterations", 1)
    config.pop("generation_batch_size", None)
    config |= {
        "num_generations": min(_number(config, "num_generations", GENERATIONS) or GENERATIONS, GENERATIONS),
        "per_device_train_batch_size": GENERATIONS,
        "steps_per_generation": per_rollout * config["gradient_accumulation_steps"],
        "max_steps": STEPS * steps_of_rollout,
        "save_steps": STEPS * steps_of_rollout,
        "max_completion_length": TOKENS,
        "save_rollouts": True,
    }
    if _number(config, "ref_model_sync_steps", 1):
        config["ref_model_sync_steps"] = 1
    if isinstance(config.get("num_generations_eval"), int):
        config["num_generations_eval"] = config["num_generations"]
    if config.get("max_completion_length_schedule"):
        config["max_completion_length_schedule"] = {steps_of_rollout: TOKENS}

    def step(value: Any) -> int:
        """A step of the rehearsal for one of the training: none, late, or never."""
        if not isinstance(value, int) or value <= 0:
            return 0
        return STEPS * steps_of_rollout if 0 < steps <= value else steps_of_rollout

    for one in [*(config.get("rewards") or ()), *(config.get("data") or ())]:
        if isinstance(one, dict):
            one |= {key: step(one[key]) for key in ("from_step",) if one.get(key) is not None}
            if one.get("until_step") is not None:
                one["until_step"] = max(step(one["until_step"]), (one.get("from_step") or 0) + 1)
    if config.get("use_vllm"):
        if "vllm" in packages:
            config |= {"vllm_mode": "colocate", "vllm_enable_sleep_mode": False, "vllm_tensor_parallel_size": 1}
            config |= {"vllm_max_model_length": 4 * TOKENS, "vllm_gpu_memory_utilization": MEMORY_SHARE}
            config.pop("vllm_server_base_url", None)
        else:
            for key in [key for key in config if key.startswith("vllm_")]:
                del config[key]
            config["use_vllm"] = False


def _rollout_of_several(config: Mapping[str, Any]) -> bool:
    """Whether a rollout serves several steps where both are counted in completions of all processes."""
    rollout, step = config.get("generation_batch_size"), config.get("batch_size")
    return isinstance(rollout, int) and isinstance(step, int) and rollout > step


def _number(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


# --- sampling


def _sample(config: dict[str, Any], packages: frozenset[str]) -> None:
    if config.get("backend") == "vllm" and "vllm" not in packages:
        config["backend"] = "transformers"
    # The lengths that a filter may ask for are not those of a rehearsal.
    config["env"] = {
        **(config.get("env") or {}),
        TOKENS_VARIABLE: str(_number(config, "max_completion_tokens", 32768)),
    }
    by_model = [own for own in (config.get("by_model") or {}).values() if isinstance(own, dict)]
    most = max(_number(each, "n_samples", 16) for each in (config, *by_model))
    for each in (config, *by_model):
        if each is config or "n_samples" in each:
            each["n_samples"] = min(_number(each, "n_samples", 16), SAMPLES if each is config else 2 * SAMPLES)
        each |= {key: TOKENS for key in ("max_completion_tokens",) if each is config or key in each}
        each |= {key: 4 * TOKENS for key in ("max_model_length",) if each.get(key)}
        each |= {key: "float32" for key in ("dtype",) if each is config or key in each}
        each |= {key: 1 for key in ("tensor_parallel_size",) if each is config or key in each}
        each |= {key: MEMORY_SHARE for key in ("gpu_memory_utilization",) if each is config or key in each}
        if each is not config and each.get("backend"):
            each["backend"] = ENGINE
    for source in config.get("data") or ():
        if isinstance(source, dict):
            source["limit"] = min(source.get("limit") or PROMPTS, PROMPTS)
    config["shard_prompts"] = PROMPTS
    if "models" in config:
        now = max(each.get("n_samples", 0) for each in (config, *by_model))
        # What is more than there are samples is refused, and still is.
        config["pass_at_k"] = sorted({min(k, now) if k <= most else now + 1 for k in config.get("pass_at_k") or ()})
        if config.get("hard_below") is not None:
            config["hard_chosen_by"] = now if _number(config, "hard_chosen_by", 4) >= most else max(1, now // 2)


def adapter_base(place: str) -> str:
    """Return the model that a folder's adapter was trained on; the folder itself where it holds a model."""
    found = read_json(Path(place) / "adapter_config.json").get("base_model_name_or_path")
    return str(found) if found else place
