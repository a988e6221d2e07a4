"""
What the outputs of a stage depend on, as one hash.

Its resolved configuration without the paths of its inputs, the fingerprints of its parents, the contents of the
local files it reads, and the versions of the packages that compute. Stages with equal fingerprints have equal outputs.
"""

import hashlib
import json
import os
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..data_files import data_files
from .references import ResolvedStage, with_texts


PACKAGES = ("trl_r1", "trl", "transformers", "torch", "accelerate", "peft", "datasets", "math-verify")

# Keys that had another name in 0.1.0, under which they are hashed: what it made stays what it was.
_FORMER_NAMES = {
    name: f"vllm_{name}" for name in ("gpu_memory_utilization", "max_model_length", "tensor_parallel_size")
}

# When a training logs and saves, not what it learns. (The best of its checkpoints depends on which there are.)
_TIMES = {"logging_steps", "logging_first_step", "save_steps", "save_total_limit"}

# Of a file above this size, only the size, the time of change and both ends are read: a plan must not take minutes.
_WHOLE_BYTES = 1 << 30
_END_BYTES = 1 << 24


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a stage computes with, without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def fingerprints(stages: list[ResolvedStage]) -> dict[str, str]:
    """
    Return the fingerprint of each stage.

    Args:
        stages (`list[ResolvedStage]`):
            Parents before children, as [`resolve`] returns them.
    """
    found: dict[str, str] = {}
    for item in stages:
        text = json.dumps(_identity(item, found), sort_keys=True, ensure_ascii=False, default=str)
        found[item.name] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return found


def _identity(item: ResolvedStage, found: dict[str, str]) -> dict[str, Any]:
    digests = _inputs(item)
    without = set() if item.config.get("load_best_model_at_end") else _TIMES
    config = {_FORMER_NAMES.get(key, key): value for key, value in item.config.items() if key not in without}
    return {
        "kind": item.stage.kind,
        # The same data in another folder are the same data.
        "config": with_texts(config, lambda text: digests.get(text, text)),
        "inputs": sorted(digests.values()),
        # With `batch_size` a step takes the same rows on any number of processes, and a checkpoint goes on on another.
        "processes": None if item.config.get("batch_size") is not None else item.stage.num_processes,
        "parents": {parent: found[parent] for parent in item.parents},
        "versions": package_versions(),
        "code": _own_code(item),
    }


def contents(item: ResolvedStage) -> dict[str, str]:
    """Return a hash of the contents of each file or folder that a stage reads, and of the user's modules that it runs, by name."""
    return {**_inputs(item), **_own_code(item)}


def _inputs(item: ResolvedStage) -> dict[str, str]:
    return {str(path): content_digest(path) for path in item.inputs}


def content_digest(path: Path) -> str:
    """Return a hash of a file's contents, or of all files of a folder, or of a data set in parts, with their names."""
    parts = [] if path.is_file() else data_files(path)
    if path.is_dir() or parts:
        digest = hashlib.sha256()
        path = path.parent if parts else path
        for file in parts or sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{content_digest(file)}\0".encode())
        return digest.hexdigest()
    try:
        stat = path.stat()
        return _file_digest(str(path), stat.st_size, stat.st_mtime_ns)
    except OSError:
        return "unreadable"


@cache
def _file_digest(path: str, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        if size > _WHOLE_BYTES:
            digest.update(f"{size} {changed}".encode() + file.read(_END_BYTES))
            file.seek(-_END_BYTES, os.SEEK_END)
        return hashlib.file_digest(file, lambda: digest).hexdigest()


def _own_code(item: ResolvedStage) -> dict[str, str]:
    """Return hashes of the user's own modules that the stage runs: no package's version covers them."""
    modules = [item.stage.module] if "." in item.stage.kind else []
    rewards = item.config.get("rewards")
    for reward in rewards if isinstance(rewards, list) else []:
        name = reward.get("func") if isinstance(reward, dict) else None
        if isinstance(name, str) and "." in name and not name.startswith("trl_r1."):
            modules.append(name.rpartition(".")[0])
    paths = {module: source_of(module) for module in modules}
    return {module: content_digest(path) for module, path in paths.items() if path is not None}


@cache
def source_of(module: str) -> Path | None:
    """Return the source file of a module, importing no more than the packages around it."""
    try:
        spec = find_spec(module)
    except Exception:  # whatever a package of the user's raises; the check of the rewards reports it
        return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None
