"""
What is refused in a stage's config though each of its classes takes its own part: settings that contradict the model, the
launcher, or what comes before the stage. TRL, vLLM and DeepSpeed notice some of it when they are made, which may be days
after the run began, and the rest never.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.parallel import processes_for
from ..errors import ConfigError
from ..sampling.engine import engine_of
from ..text import render_prompt
from ._models import UNKNOWN, KnownModel, positions_of, read_template


# A completion grows by at least so many tokens a second, however many are sampled at once. Our own choice.
SLOWEST_TOKENS_PER_SECOND = 10
# So many long rows are tokenised a second by one process: 48 of Mixture-of-Thoughts, measured.
TOKENIZED_ROWS_PER_SECOND = 50


@dataclass(frozen=True)
class Launch:
    """
    How a stage is started.

    Args:
        processes (`int`):
            In how many processes.
        gpu (`bool`):
            Whether the launcher's file allows GPUs.
        accelerate (`Mapping[str, Any]`):
            The launcher's file; empty for one plain process.
        deepspeed (`bool`):
            Whether this file or the stage's own key `deepspeed` asks for DeepSpeed.
    """

    processes: int = 1
    gpu: bool = True
    accelerate: Mapping[str, Any] = field(default_factory=dict)
    deepspeed: bool = False

    @property
    def fsdp2(self) -> bool:
        """Whether this file asks for FSDP2."""
        return self.accelerate.get("distributed_type") == "FSDP" and _is_fsdp2(self.accelerate.get("fsdp_config"))


def _is_fsdp2(config: Any) -> bool:
    found = config if isinstance(config, Mapping) else {}
    return str(found.get("fsdp_version", found.get("version"))) == "2"


def value_of(configs: Sequence[Any], key: str, default: Any = None) -> Any:
    """Return the value of a key from that of a stage's configs which has it."""
    return next((getattr(config, key) for config in configs if hasattr(config, key)), default)


def refusals(
    configs: Sequence[Any], launch: Launch, models: Sequence[KnownModel], rows: int | None = None
) -> Iterator[ConfigError]:
    """
    Find what is refused.

    Args:
        configs (`Sequence[Any]`):
            Instances of the stage's config classes.
        launch (`Launch`):
            How it is started.
        models (`Sequence[KnownModel]`):
            The models that it reads.
        rows (`int`, *optional*):
            How many rows of data it reads, where that is known.

    Returns:
        `Iterator[ConfigError]`: each with its key, what was expected and the change that helps.
    """
    if value_of(configs, "ddp_timeout") is not None:
        yield from _low_precision_weights(configs, launch)
        yield from _short_timeouts(configs, launch, rows)
    yield from _effort(configs)
    for model in models:
        for rule in (_positions, _heads, _templates):
            try:
                if loads_weights(configs, model):
                    yield from rule(settings_for(configs, model), launch, model)
            except ConfigError as error:  # a config or a tokenizer that cannot be read, or a wrong value in `by_model`
                yield error


def _effort(configs: Sequence[Any]) -> Iterator[ConfigError]:
    """Refuse to stop at so many accepted samples where nothing says which these are, or where it would bias the result."""
    own = (value_of(configs, "by_model") or {}).values()
    asked = value_of(configs, "until_accepted") is not None or any(each.get("until_accepted") for each in own)
    if asked and not any(getattr(config, "says_solved", False) for config in configs):
        yield ConfigError(
            "expected none: only rejection sampling and cold-start data can stop at what is solved; an evaluation's "
            "numbers would be biased",
            key="until_accepted",
        )


def loads_weights(configs: Sequence[Any], model: KnownModel) -> bool:
    """Tell whether the stage itself loads a model, which it does not where it is a name at a server."""
    backend = _own(configs, model).get("backend", value_of(configs, "backend"))
    return backend is None or engine_of(backend).loads_model


def settings_for(configs: Sequence[Any], model: KnownModel) -> list[Any]:
    """Return the configs with what `by_model` says of this model alone."""
    own = _own(configs, model)
    return [replace(config, **own) if own and hasattr(config, "backend") else config for config in configs]


def _own(configs: Sequence[Any], model: KnownModel) -> dict[str, Any]:
    return (value_of(configs, "by_model") or {}).get(model.name) or {}


def _init(configs: Sequence[Any]) -> dict[str, Any]:
    init = value_of(configs, "model_init_kwargs")
    return init if isinstance(init, dict) else {}


def _low_precision_weights(configs: Sequence[Any], launch: Launch) -> Iterator[ConfigError]:
    dtype = _init(configs).get("dtype", value_of(configs, "dtype"))
    if dtype not in ("bfloat16", "float16", "auto") or value_of(configs, "use_peft"):
        return
    own_fsdp2 = value_of(configs, "fsdp") and _is_fsdp2(value_of(configs, "fsdp_config"))
    if launch.deepspeed or launch.fsdp2 or own_fsdp2:
        return
    what = "as they were saved, which is bfloat16 as a rule," if dtype == "auto" else f"in {dtype}"
    yield ConfigError(
        f"the trained weights are {what} and nothing keeps them in float32: a step of 3e-6 is lost in rounding. Expected "
        "`dtype: float32` (with `bf16: true` the passes are still in bfloat16), or an `accelerate:` file with DeepSpeed or "
        "FSDP2 (`zero2`, `zero3`, `fsdp2`), which keep float32 weights, or `use_peft: true`",
        key="dtype" if "dtype" not in _init(configs) else "model_init_kwargs",
    )


def longest_completion(configs: Sequence[Any]) -> int | None:
    """Return the most tokens that a completion of a GRPO stage may have; `None` for other stages."""
    first = value_of(configs, "max_completion_length")
    if not isinstance(first, int) or value_of(configs, "num_generations") is None:
        return None
    schedule = value_of(configs, "max_completion_length_schedule") or {}
    return max(first, *schedule.values()) if schedule else first


def _short_timeouts(configs: Sequence[Any], launch: Launch, rows: int | None) -> Iterator[ConfigError]:
    timeout = value_of(configs, "ddp_timeout")
    if launch.processes < 2:
        return
    longest = longest_completion(configs)
    if longest is not None and (needed := longest / SLOWEST_TOKENS_PER_SECOND) > timeout:
        what = f"completions of up to {longest} tokens, at {SLOWEST_TOKENS_PER_SECOND} tokens a second"
    elif longest is None and rows is not None:
        workers = value_of(configs, "dataset_num_proc") or processes_for(rows) or 1
        needed = rows / (TOKENIZED_ROWS_PER_SECOND * workers)
        what = f"{rows} rows that rank 0 tokenises, {TOKENIZED_ROWS_PER_SECOND} a second in each of {workers} processes (`dataset_num_proc`)"
    else:
        return
    if needed > timeout:
        more = "" if longest is not None else ", or more of `dataset_num_proc`"
        yield ConfigError(
            f"is {timeout} s; a rank may have to wait {needed:.0f} s for another ({what}), and would end the training. "
            f"Expected at least {needed:.0f}{more}",
            key="ddp_timeout",
        )


def _positions(configs: Sequence[Any], launch: Launch, model: KnownModel) -> Iterator[ConfigError]:
    completion, whole = lengths_asked(configs)
    if completion is not None and whole is not None and completion[1] >= whole[1]:
        yield ConfigError(
            f"is {whole[1]}, which leaves no room for a prompt before the {completion[1]} tokens of `{completion[0]}`; "
            "expected more",
            key=whole[0],
        )
    key, tokens = whole or completion or ("", 0)
    prompt = 0 if whole else 1  # of its tokens only the first is sure
    config = model.config(_init(configs)) if tokens else None
    positions = positions_of(config) if config is not None else None
    if positions is not None and tokens + prompt > positions:
        yield ConfigError(
            f"{_of(model)}asks for {tokens} tokens{' and a prompt' if prompt else ''}; {model.shown} has {positions} "
            f"positions. Expected at most {positions - prompt}, or a model with more: `model_init_kwargs: "
            "{max_position_embeddings: ...}` in the stage that trains it, or rope scaling in its config",
            key=key,
        )


def lengths_asked(configs: Sequence[Any]) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    """Return the tokens of a completion and of prompt and completion together, each with its key; `None` without a bound."""
    longest = longest_completion(configs)
    if longest is not None:
        whole = value_of(configs, "vllm_max_model_length") if value_of(configs, "use_vllm") else None
        return ("max_completion_length", longest), ("vllm_max_model_length", whole) if whole else None
    if tokens := value_of(configs, "max_completion_tokens"):
        whole = value_of(configs, "max_model_length")
        return ("max_completion_tokens", tokens), ("max_model_length", whole) if whole else None
    whole = value_of(configs, "max_length")
    return None, ("max_length", whole) if whole else None


def _of(model: KnownModel) -> str:
    return f"for `{model.name}` it " if model.name else ""


def _heads(configs: Sequence[Any], launch: Launch, model: KnownModel) -> Iterator[ConfigError]:
    key = "tensor_parallel_size"
    if value_of(configs, "use_vllm") and value_of(configs, "vllm_mode") == "colocate":
        key = "vllm_tensor_parallel_size"
        size = value_of(configs, key) or 1
        if launch.processes % size:
            some = "1 process" if launch.processes == 1 else f"{launch.processes} processes"
            yield ConfigError(f"is {size}; expected a divisor of the stage's {some}", key=key)
    size = value_of(configs, key) or 1
    if size == 1:
        return
    config = model.config(_init(configs))
    heads = getattr(config.get_text_config(), "num_attention_heads", None) if config is not None else None
    if isinstance(heads, int) and heads % size:
        fitting = [str(n) for n in range(1, size) if heads % n == 0 and size % n == 0]
        yield ConfigError(
            f"is {size}; {model.shown} has {heads} attention heads, which cannot be divided among {size} GPUs. Expected "
            f"a divisor of {heads}, such as {fitting[-1]}",
            key=key,
        )


def _templates(configs: Sequence[Any], launch: Launch, model: KnownModel) -> Iterator[ConfigError]:
    template = value_of(configs, "prompt_template")
    if not isinstance(template, str):
        return
    path = value_of(configs, "chat_template_path")
    before = next((one for one in reversed(model.trained) if one.get("prompt_template")), None)
    # Fine-tuning teaches the template of its own data; whatever else reads a model needs the one that it was taught.
    teaches = any(cls.__name__ == "SFTConfig" for config in configs for cls in type(config).__mro__)
    if before and not teaches and _rendered(before["prompt_template"]) != _rendered(template):
        yield ConfigError(
            f"{_of(model)}is {template!r}, but the stage `{before['stage']}` trains the model with "
            f"{before['prompt_template']!r}; expected the same along a chain, or `by_model` in an evaluation",
            key="prompt_template",
        )
    if template != "chat":
        return
    inherited = model.chat_template()
    own = read_template(path, model.fetch) if isinstance(path, str) else inherited
    if own is None:
        yield ConfigError(
            f"{_of(model)}is `chat`, and {f'`{path}`' if path else model.shown} has no chat template; expected another "
            "`prompt_template`, or `chat_template_path` in the stage that fine-tunes it (a `.jinja` file or a model that has "
            "one)",
            key="prompt_template",
        )
    elif (
        before is not None
        and before["prompt_template"] == "chat"
        and UNKNOWN not in (own, inherited)
        and own != inherited
    ):
        yield ConfigError(
            f"differs from the chat template with which the stage `{before['stage']}` trains the model; expected one "
            "chat template along a chain: leave it out, since a model keeps its own",
            key="chat_template_path",
        )


def _rendered(template: Any) -> Any:
    try:
        return render_prompt(str(template), "?")
    except ConfigError:  # reported where it is
        return template
