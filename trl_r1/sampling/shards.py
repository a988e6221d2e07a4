"""
Sampling shard by shard, so that it can be killed at any moment and goes on where it was.

A shard is a few prompts with all their completions, one parquet file that appears whole or not at all. Each has a seed
of its own, made from the run's seed and its number: sampled again, alone, it comes out the same. What the shards were
sampled with is beside them (`sampling.json`); where anything else is asked for, they stay as they are and sampling is
refused.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..adapters import full_model
from ..errors import ConfigError
from ..io import read_json, write_json, write_text
from ..trace import Trace, read_traces, write_traces
from .config import SamplingConfig
from .engine import Engine, engine_of


logger = logging.getLogger(__name__)

_CANONICAL = ("prompt_id", "prompt", "solution", "domain", "language")
# What may change between two runs without changing what is sampled.
_INCIDENTAL = ("server_concurrency", "server_timeout_seconds", "server_retries", "api_key_variable")
# Keys as 0.1.0 called them, in the notes beside its shards.
_FORMER = {
    "vllm_tensor_parallel_size": "tensor_parallel_size",
    "vllm_gpu_memory_utilization": "gpu_memory_utilization",
    "vllm_max_model_length": "max_model_length",
}


def shard_count(n_prompts: int, config: SamplingConfig) -> int:
    """Return the number of shards that so many prompts make."""
    return -(-n_prompts // config.shard_prompts)


def sample(
    model: str,
    rows: Iterable[Mapping[str, Any]],
    config: SamplingConfig,
    out_dir: str | os.PathLike[str],
    *,
    name: str | None = None,
    stem: str = "",
    finish: Callable[[list[Trace]], list[Trace]] | None = None,
    finish_key: Any = None,
    on_shard: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
) -> Iterator[Trace]:
    """
    Sample completions of all rows, shard by shard, and yield them as traces. Shards that are there are read, not made.

    Args:
        model (`str`):
            Directory, Hub id (`org/name@revision`), LoRA adapter directory, or the model's name at a server.
        rows (`Iterable[Mapping]`):
            Prompt rows, as [`~data.load_prompts`] gives them.
        config ([`SamplingConfig`]):
            How to sample.
        out_dir (`str` or `os.PathLike`):
            Folder of the shards.
        name (`str`, *optional*):
            Name of the model in the traces. Defaults to `model`.
        stem (`str`, *optional*, defaults to `""`):
            What the shards' names begin with (`STEM-00000.parquet`), so that one folder can hold several models'
            shards.
        finish (`Callable`, *optional*):
            Called with a shard's traces before they are written, to add rewards.
        finish_key (*optional*):
            What `finish` depends on, as JSON. Where it changes, `finish` runs again on the traces that are there; they
            are not sampled again.
        on_shard (`Callable`, *optional*):
            Called after each shard with the numbers of shards done and in all.
        engine ([`Engine`], *optional*):
            What samples. By default the one that the config names, loaded when a shard is missing and closed at the end.

    Yields:
        [`~trace.Trace`]: prompt by prompt, in the order of the rows.

    Raises:
        [`~errors.ConfigError`]: if the folder holds shards that were sampled with other settings, prompts or weights.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]", "_", f"{stem}-") if stem else ""
    rows = list(rows)
    files = _files(model)
    # A run's folder may be moved: a local model is known by its files, not by where they are.
    lasting = {key: value for key, value in dataclasses.asdict(config).items() if key not in _INCIDENTAL}
    made_with = {"model": None if files else model, "files": files, "config": lasting, "rows": _digest(rows)}
    _check_made_with(out_dir, stem, made_with)
    finished = _digest(finish_key)
    total = shard_count(len(rows), config)
    loaded = None
    try:
        for i in range(total):
            shard = out_dir / f"{stem}{i:05d}.parquet"
            mark = out_dir / f".{shard.stem}.finished"
            if not shard.exists():
                if engine is None:
                    named = engine_of(config.backend)
                    full = full_model(model, out_dir / f"{stem}merged") if named.loads_model else model
                    engine = loaded = named(full, config)
                part = rows[i * config.shard_prompts : (i + 1) * config.shard_prompts]
                traces = list(_sample_shard(engine, part, config, name or model, shard_seed(config.seed, i)))
                # The mark first: a mark without its shard says nothing, a shard without its mark would be scored again.
                if finish:
                    write_text(mark, finished)
                write_traces(shard, finish(traces) if finish else traces)
            elif finish and (not mark.exists() or mark.read_text(encoding="utf-8") != finished):
                write_traces(shard, finish([dataclasses.replace(trace, rewards={}) for trace in read_traces(shard)]))
                write_text(mark, finished)
            if on_shard:
                on_shard(i + 1, total)
            yield from read_traces(shard)
    finally:
        if loaded is not None:
            loaded.close()


def shard_seed(seed: int, shard: int) -> int:
    """Return the seed of a shard: 31 bits, unlike for neighbouring shards and seeds."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{shard}".encode()).digest()[:4], "big") >> 1


def _sample_shard(
    engine: Engine, rows: list[Mapping[str, Any]], config: SamplingConfig, model: str, seed: int
) -> Iterator[Trace]:
    completions = engine.generate([row["prompt"] for row in rows], config.n_samples, seed)
    for row, samples in zip(rows, completions):
        for each in samples:
            canonical: dict[str, Any] = {key: row.get(key) for key in _CANONICAL}
            yield Trace(
                **canonical,
                completion=each.text,
                model=model,
                sampling=config.distribution,
                finish_reason=each.finish_reason,
                n_tokens=each.n_tokens,
                seed=seed,
                extra={key: value for key, value in row.items() if key not in _CANONICAL and value is not None},
            )


def _files(model: str) -> list[list[Any]]:
    """Name, size and time of a local model's files: other weights under the same path are another model."""
    folder = Path(model)
    if not folder.is_dir():
        return []
    return sorted([p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in folder.iterdir() if p.is_file())


def _digest(content: Any) -> str:
    digest = hashlib.sha256()
    for item in content if isinstance(content, list) else [content]:
        digest.update(json.dumps(item, sort_keys=True, default=str, ensure_ascii=False).encode())
    return digest.hexdigest()


def _check_made_with(out_dir: Path, stem: str, made_with: dict[str, Any]) -> None:
    """Refuse shards that were made with anything else, and note what those to come are made with."""
    note = out_dir / f"{stem}sampling.json"
    before = read_json(note)
    before["config"] = {_FORMER.get(key, key): value for key, value in before.get("config", {}).items()}
    if before == made_with:
        return
    shards = [p for p in out_dir.glob(f"{stem}*.parquet") if re.fullmatch(r"\d{5}", p.stem[len(stem) :])]
    if shards:
        was, now = before["config"], made_with["config"]
        differing = [f"{key} ({was.get(key)!r}, now {now.get(key)!r})" for key in now if was.get(key) != now[key]]
        others = {"model": "the model", "files": "the model's files", "rows": "the prompts"}
        differing += [what for key, what in others.items() if before.get(key) != made_with[key]]
        raise ConfigError(
            f"holds {len(shards)} shards that were sampled with other settings: {', '.join(differing)}. Set these back, "
            f"or move the shards and {note.name} away to sample anew",
            file=str(out_dir),
        )
    write_json(note, made_with)
