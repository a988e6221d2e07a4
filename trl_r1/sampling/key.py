"""
What samples depend on: their key. Whatever else changes, what has been sampled stays and is used.

The key is made of the model's files, or of its name where it has none here, and of the settings that change the
distribution. It holds no address, no concurrency, no batch size, no number of samples and no prompts.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from .config import SamplingConfig
from .engine import engine_of


_DISTRIBUTION = (
    "prompt_template",
    "completion_prefix",
    "temperature",
    "top_p",
    "top_k",
    "max_completion_tokens",
    "seed",
)
_OF_WEIGHTS = ("dtype", "max_model_length")  # where the engine loads them
# What lies beside a model and is none of it.
_BESIDE = {"README.md", "LICENSE", "training_args.bin", "trainer_state.json"}
_WHOLE_BYTES = 64 * 2**20  # a larger file is known by its size and by pieces of it
_PIECES, _PIECE_BYTES = 256, 2**16


def key_of(model: str, config: SamplingConfig) -> dict[str, Any]:
    """
    Return the key of samples, as `sampling.json` holds it.

    Args:
        model (`str`):
            Directory, Hub id or the model's name at a server.
        config ([`SamplingConfig`]):
            How to sample.
    """
    loads = engine_of(config.backend).loads_model
    files = model_files(model)
    settings = {name: getattr(config, name) for name in (*_DISTRIBUTION, *(_OF_WEIGHTS if loads else ()))}
    if "." in config.backend:  # nobody knows what an engine of one's own makes of the others
        settings["backend"] = config.backend
    name = None if loads else config.server_model
    return {"model": name or (None if files else model), "files": files, "settings": settings}


def digest(content: Any) -> str:
    """Return 16 hexadecimal digits that stand for whatever JSON can hold."""
    text = json.dumps(content, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def model_files(model: str) -> list[list[Any]]:
    """Return name, size and digest of a local model's files, wherever they are and whenever they were copied there."""
    folder = Path(model)
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.is_file() and file.name not in _BESIDE)
    return sorted([file.name, file.stat().st_size, _of_file(file)] for file in files if not file.name.startswith("."))


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Say what differs between two keys: `temperature (1.0, now 0.5), the model's files`."""
    was, settings = before.get("settings") or {}, now["settings"]
    found = [
        f"{name} ({was.get(name)!r}, now {settings.get(name)!r})"
        for name in {**settings, **was}
        if was.get(name) != settings.get(name)
    ]
    found += [
        what
        for name, what in (("model", "the model"), ("files", "the model's files"))
        if before.get(name) != now[name]
    ]
    return ", ".join(found)


def _of_file(file: Path) -> str:
    size = file.stat().st_size
    found = hashlib.sha256()
    with open(file, "rb") as content:
        if size <= _WHOLE_BYTES:
            while part := content.read(2**20):
                found.update(part)
        else:
            for i in range(_PIECES):
                content.seek((size - _PIECE_BYTES) * i // (_PIECES - 1))
                found.update(content.read(_PIECE_BYTES))
    return found.hexdigest()[:16]
