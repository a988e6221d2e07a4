"""
The figures of a stage that samples: one engine, whatever the number of GPUs.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ..errors import ConfigError
from .figures import GIB, Figures, Setting, cache_of, no_cache
from .memory import Memory
from .model import model_size
from .work import TEXT, sampling_speed


def size_sampling(sampling: Any, config: Mapping[str, Any], setting: Setting, figures: Figures) -> None:
    """
    Size a stage that samples, from one model or from several, one after the other.

    Args:
        sampling ([`~sampling.SamplingConfig`]):
            How it samples.
        config (`Mapping[str, Any]`):
            The stage's config, for `models` and `by_model`.
        setting ([`~sizes.figures.Setting`]):
            What else counts.
        figures ([`~sizes.figures.Figures`]):
            What is filled in: of the model that leaves the smallest cache, and hours of all.
    """
    models, by_model = config.get("models"), config.get("by_model") or {}
    names = list(models) if isinstance(models, Mapping) else [""]
    each = {name: replace(sampling, **by_model.get(name, {})) for name in names}
    engines = {name: one for name, one in each.items() if one.backend == "vllm"}
    if any(one.backend == "server" for one in each.values()):
        figures.notes.append("what a server costs is not sized")
    figures.gpus = max((one.tensor_parallel_size for one in engines.values()), default=0) if setting.gpu else 0
    tokens = {}
    if setting.rows is None:
        figures.notes.append("completions and hours depend on the rows of its data, which are not known yet")
    else:
        figures.questions = setting.rows
        figures.completions = sum(setting.rows * one.n_samples for one in each.values())
        tokens = {name: setting.rows * one.n_samples * _mean(one, setting) for name, one in each.items()}
        figures.tokens = round(sum(tokens.values()))
        figures.disk["traces"] = TEXT * figures.tokens
    for name, one in engines.items():
        try:
            _size_engine(name, one, tokens.get(name), setting, figures)
        except ConfigError as error:
            figures.notes.append(error.message)


def _mean(sampling: Any, setting: Setting) -> float:
    return setting.throughput.completion_tokens(sampling.max_completion_tokens)


def _size_engine(name: str, sampling: Any, tokens: float | None, setting: Setting, figures: Figures) -> None:
    """Size the engine of one model, which samples so many tokens."""
    assumed, gpus, share = setting.throughput, sampling.tensor_parallel_size, sampling.gpu_memory_utilization
    model = model_size(setting.config_of(name))
    context = _mean(sampling, setting) + assumed.mean_prompt_tokens
    longest = sampling.max_model_length or sampling.max_completion_tokens + assumed.longest_prompt_tokens
    cache = cache_of(model, share, gpus, longest, context, setting)
    if figures.cache is None or cache["tokens"] < figures.cache["tokens"]:
        figures.cache, figures.model, figures.parameters = cache, setting.models[name][0], model.parameters
        held, all_of_it = 2 * model.parameters // gpus, round(share * setting.gpu_memory * GIB)
        figures.memory = asdict(Memory(held, 0, 0, 0, 0, 0, 0, all_of_it - held, 0, peak=all_of_it))
    if cache["at_longest"] < 1:
        figures.problems.append(no_cache("gpu_memory_utilization", share, cache, name))
    elif tokens is not None:
        at_once = max(1.0, min(cache["at_mean"], (setting.rows or 1) * sampling.n_samples))
        speed = sampling_speed(model, 2, at_once, context, gpus, assumed)
        figures.hours["sampling"] = figures.hours.get("sampling", 0.0) + tokens / speed / 3600
