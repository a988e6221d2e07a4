"""
Shards of 0.1.0: a few prompts with all their samples each, refused where anything at all had changed. They are adopted where
the model and the distribution are those asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .folder import Folder


_NAMES = {"vllm_max_model_length": "max_model_length"}


def adopted(folder: "Folder", before: dict[str, Any], key: dict[str, Any], model: str) -> bool:
    """
    Tell whether the folder's shards are of 0.1.0 and samples of a key, and lay down which prompts belong to which.

    Args:
        folder ([`~sampling.folder.Folder`]):
            The folder.
        before (`dict[str, Any]`):
            The note beside the shards.
        key (`dict[str, Any]`):
            What is asked for.
        model (`str`):
            The model whose key it is.
    """
    config = {_NAMES.get(name, name): value for name, value in (before.get("config") or {}).items()}
    shards = folder.shards()
    if not config or not shards:
        return False
    same = all(config.get(name, value) == value for name, value in key["settings"].items())
    named = key["model"] in (None, before.get("model"), config.get("server_model"))
    # It knew files by name, size and time.
    listed = sorted([p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in _files(model))
    if not same or not named or before.get("files") != listed:
        return False
    for path in shards.values():
        path.with_name(f".{path.stem}.finished").unlink(missing_ok=True)
    folder.write_blocks(folder.blocks_of_shards())
    return True


def _files(model: str) -> list[Path]:
    folder = Path(model)
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
