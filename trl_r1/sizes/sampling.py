"""
The figures of a stage that samples: one engine, whatever the number of GPUs.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .figures import GIB, Figures, Setting, cache_of, no_cache
from .memory import Memory
from .model import model_size
from .work import TEXT, sampling_speed


def size_sampling(sampling: Any, config: Mapping[str, Any], setting: Setting, figures: Figures) -> None:
    """Size a stage that samples: one engine, whatever the number of GPUs."""
    assumed = setting.throughput
    models = config.get("models")
    names = list(models) if isinstance(models, Mapping) else [""]
    figures.gpus = sampling.tensor_parallel_size if setting.gpu and sampling.backend == "vllm" else 0
    mean = assumed.completion_tokens(sampling.max_completion_tokens)
    if setting.rows is None:
        figures.notes.append("its completions and hours depend on the rows of its data, which are not known yet")
    else:
        figures.questions = setting.rows
        figures.completions = setting.rows * sampling.n_samples * len(names)
        figures.tokens = round(figures.completions * mean)
        figures.disk["traces"] = TEXT * figures.tokens
    if sampling.backend != "vllm":
        if sampling.backend == "server":
            figures.notes.append("what a server costs is not sized")
        return
    longest = sampling.max_model_length or sampling.max_completion_tokens + assumed.longest_prompt_tokens
    for name in names:
        model_config = setting.config_of(name)
        model = model_size(model_config)
        cache = cache_of(
            model,
            sampling.gpu_memory_utilization,
            sampling.tensor_parallel_size,
            longest,
            mean + assumed.mean_prompt_tokens,
            setting,
        )
        if figures.cache is None or cache["tokens"] < figures.cache["tokens"]:
            figures.cache, figures.model, figures.parameters = cache, setting.models[name][0], model.parameters
            held = 2 * model.parameters // sampling.tensor_parallel_size
            engine = round(sampling.gpu_memory_utilization * setting.gpu_memory * GIB)
            figures.memory = asdict(Memory(held, 0, 0, 0, 0, 0, 0, engine - held, 0, peak=engine))
        if setting.rows is not None:
            at_once = max(1.0, min(cache["at_mean"], sampling.shard_prompts * sampling.n_samples))
            context = mean + assumed.mean_prompt_tokens
            speed = sampling_speed(model, 2, at_once, context, sampling.tensor_parallel_size, assumed)
            tokens = (figures.tokens or 0) / len(names)
            figures.hours["sampling"] = figures.hours.get("sampling", 0.0) + tokens / speed / 3600
    if figures.cache is not None and figures.cache["at_longest"] < 1:
        figures.problems.append(no_cache("gpu_memory_utilization", sampling.gpu_memory_utilization, figures))
