"""
LoRA adapters as models: the full model behind an adapter directory.

A stage that trains with LoRA saves its adapter in `model/` and, beside it in `merged/`, the full model, which whatever
comes after it (another stage, an evaluation) takes. An adapter from elsewhere is merged once by whoever reads it. Merging
happens in a process of its own: a process that DeepSpeed has already taken over would partition whatever it loads.

```bash
python -m trl_r1.adapters ADAPTER_DIR INTO_DIR
```
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from .errors import ConfigError, MachineError
from .io import read_json, whole_folder, write_json


ADAPTER_CONFIG = "adapter_config.json"
MERGED_FROM = "merged_from.json"
MERGED = "merged"  # beside an adapter: its full model


def is_adapter(path: str | os.PathLike[str]) -> bool:
    """Tell whether a directory holds an adapter and no model of its own."""
    path = Path(path)
    return (path / ADAPTER_CONFIG).is_file() and not (path / "config.json").is_file()


def lora_targets(targets: Any) -> Any:
    """
    Return what PEFT takes as `target_modules`.

    `ModelConfig` makes a text of a list of one, which PEFT would take as a pattern for a module's whole path.
    """
    return [targets] if isinstance(targets, str) and re.fullmatch(r"\w+", targets) else targets


def full_model(path: str | os.PathLike[str], into: str | os.PathLike[str]) -> str:
    """
    Return the path of a full model: `path` itself, or, where that is an adapter, its merger with its base.

    Args:
        path (`str` or `os.PathLike`):
            A model directory, an adapter directory, or a Hub id.
        into (`str` or `os.PathLike`):
            Where the merged model goes, unless it is beside the adapter, in `merged/`. What an earlier call merged there
            from the same adapter is used again.

    Returns:
        `str`: a path that `from_pretrained` takes.

    Raises:
        [`~errors.ConfigError`]: if the adapter's config cannot be read.
        [`~errors.MachineError`]: if the merger failed.
    """
    if not is_adapter(path):
        return str(path)
    adapter, into = Path(path).resolve(), Path(into)
    origin = _origin(adapter)
    for place in (adapter.with_name(MERGED), into):
        if read_json(place / MERGED_FROM).get("weights") == origin:
            return str(place)
    # Nothing of this process's distributed world may reach the one that merges.
    distributed = re.compile(r"(ACCELERATE|TORCHELASTIC|FSDP)_.*|(LOCAL_)?(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)")
    environment = {name: value for name, value in os.environ.items() if not distributed.fullmatch(name)}
    command = [sys.executable, "-m", "trl_r1.adapters", str(adapter), str(into)]
    merged = subprocess.run(command, env=environment, capture_output=True, text=True)
    if merged.returncode:
        raise MachineError(f"{adapter}: the adapter could not be merged into its base:\n{merged.stderr[-2000:]}")
    return str(into)


def _origin(adapter: Path) -> list[list[str | int]]:
    """What tells an adapter from any other: name, size and time of its weights, which moving it does not change."""
    weights = sorted(adapter.glob("adapter_model*"))
    if not weights:
        raise ConfigError("expected an adapter with its weights (adapter_model.safetensors)", file=str(adapter))
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in weights]


def merge(adapter: str | os.PathLike[str], into: str | os.PathLike[str]) -> None:
    """
    Merge an adapter into its base and save the full model with its tokenizer.

    Args:
        adapter (`str` or `os.PathLike`):
            A directory that PEFT saved.
        into (`str` or `os.PathLike`):
            Where the full model goes; it appears there whole or not at all.
    """
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    adapter, into = Path(adapter), Path(into)
    config = PeftConfig.from_pretrained(str(adapter))
    sequence_classification = str(getattr(config.task_type, "value", config.task_type)) == "SEQ_CLS"
    architecture = AutoModelForSequenceClassification if sequence_classification else AutoModelForCausalLM
    kwargs = {"num_labels": 1} if sequence_classification else {}
    base = architecture.from_pretrained(config.base_model_name_or_path, revision=config.revision, **kwargs)
    tokenizer = AutoTokenizer.from_pretrained(str(adapter))
    if sequence_classification:
        base.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    model = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    with whole_folder(into) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_json(partial / MERGED_FROM, {"adapter": str(adapter), "weights": _origin(adapter)})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m trl_r1.adapters ADAPTER_DIR INTO_DIR")
    merge(sys.argv[1], sys.argv[2])
