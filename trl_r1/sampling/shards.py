"""
Sampling shard by shard, so that it can be killed at any moment and goes on where it was.

A shard is a few prompts with all their completions, one parquet file that appears whole or not at all. Each has a seed
of its own, made from the run's seed and its number: sampled again, alone, it comes out the same. Beside the shards
stands what they were sampled with (`sampling.json`); shards that were sampled with anything else are thrown away.
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

from ..io import whole_file
from ..trace import Trace, read_traces, write_traces
from .config import SamplingConfig
from .generator import Generator


logger = logging.getLogger(__name__)

_CANONICAL = ("prompt_id", "prompt", "solution", "domain", "language")
# What may change between two runs without changing what is sampled.
_INCIDENTAL = ("server_concurrency", "server_timeout_seconds", "server_retries", "api_key_variable")


def load_generator(model: str, config: SamplingConfig, work_dir: str | os.PathLike) -> Generator:
    """Load the backend that the config names. `work_dir` takes what has to be made for it: a merged adapter."""
    if config.backend == "server":
        from .server import ServerGenerator

        return ServerGenerator(model, config)
    from ..adapters import full_model

    model = full_model(model, Path(work_dir) / "merged")
    if config.backend == "vllm":
        from .vllm_engine import VllmGenerator

        return VllmGenerator(model, config)
    from .local import LocalGenerator

    return LocalGenerator(model, config)


def shard_count(n_prompts: int, config: SamplingConfig) -> int:
    """Return the number of shards that so many prompts make."""
    return -(-n_prompts // config.shard_prompts)


def sample(
    model: str,
    rows: Iterable[Mapping[str, Any]],
    config: SamplingConfig,
    out_dir: str | os.PathLike,
    *,
    name: str | None = None,
    stem: str = "",
    finish: Callable[[list[Trace]], list[Trace]] | None = None,
    finish_key: Any = None,
    on_shard: Callable[[int, int], None] | None = None,
    generator: Generator | None = None,
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
            What the shards' names begin with (`STEM-00000.parquet`), so that several models' shards can stand in one
            folder.
        finish (`Callable`, *optional*):
            Called with a shard's traces before they are written, to add rewards.
        finish_key (*optional*):
            What `finish` depends on, as JSON. Where it changes, `finish` runs again on the traces that are there; they
            are not sampled again.
        on_shard (`Callable`, *optional*):
            Called after each shard with the numbers of shards done and in all.
        generator ([`Generator`], *optional*):
            What samples. By default the backend that the config names, loaded when a shard is missing.

    Yields:
        [`~trace.Trace`]: prompt by prompt, in the order of the rows.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    stem = f"{_file_name(stem)}-" if stem else ""
    rows = list(rows)
    files = _files(model)
    # A run's folder may be moved: a local model is known by its files, not by where they are.
    made_with = {"model": None if files else model, "files": files, "config": _lasting(config), "rows": _digest(rows)}
    note = out_dir / f"{stem}sampling.json"
    _forget_others(out_dir, stem, note, made_with)
    finished = _digest(finish_key) if finish else None
    total = shard_count(len(rows), config)
    for i in range(total):
        shard = out_dir / f"{stem}{i:05d}.parquet"
        mark = out_dir / f".{shard.stem}.finished"
        if not shard.exists():
            generator = generator or load_generator(model, config, out_dir)
            part = [rows[j] for j in range(i * config.shard_prompts, min((i + 1) * config.shard_prompts, len(rows)))]
            traces = list(_sample_shard(generator, part, config, name or model, shard_seed(config.seed, i)))
            write_traces(shard, finish(traces) if finish else traces)
            _write(mark, finished)
        elif finish and _read(mark) != finished:
            write_traces(shard, finish([dataclasses.replace(trace, rewards={}) for trace in read_traces(shard)]))
            _write(mark, finished)
        if on_shard:
            on_shard(i + 1, total)
        yield from read_traces(shard)


def shard_seed(seed: int, shard: int) -> int:
    """Return the seed of a shard: 31 bits, unlike for neighbouring shards and seeds."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{shard}".encode()).digest()[:4], "big") >> 1


def _sample_shard(
    generator: Generator, rows: list[Mapping[str, Any]], config: SamplingConfig, model: str, seed: int
) -> Iterator[Trace]:
    completions = generator.generate([row["prompt"] for row in rows], config.n_samples, seed)
    for row, samples in zip(rows, completions):
        for each in samples:
            yield Trace(
                **{key: row.get(key) for key in _CANONICAL},
                completion=each.text,
                model=model,
                sampling=config.distribution,
                finish_reason=each.finish_reason,
                n_tokens=each.n_tokens,
                seed=seed,
                extra={key: value for key, value in row.items() if key not in _CANONICAL and value is not None},
            )


def _file_name(stem: str) -> str:
    return re.sub(r"[^\w.-]", "_", stem)


def _lasting(config: SamplingConfig) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(config).items() if key not in _INCIDENTAL}


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


def _forget_others(out_dir: Path, stem: str, note: Path, made_with: dict[str, Any]) -> None:
    if _read(note) != json.dumps(made_with):
        stale = [p for p in out_dir.glob(f"{stem}*.parquet") if re.fullmatch(r"\d{5}", p.stem[len(stem) :])]
        if stale:
            logger.warning("%s: %d shards were sampled with other settings and are made anew", out_dir, len(stale))
        for shard in stale:
            shard.unlink()
        _write(note, json.dumps(made_with))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str | None) -> None:
    if text is not None:
        with whole_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
