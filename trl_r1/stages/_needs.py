"""
What this machine lacks for a stage. `trl-r1 plan` lists it, since a recipe may be planned elsewhere than it runs, and
`trl-r1 run` refuses to start.

What a stage needs is said where it is used: an engine and a reward by `check_machine`, whatever asks a model at a server by
its address (`base_url`), and a trainer's arguments by the keys below.
"""

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any
from unittest import mock

from ..errors import MachineError
from ..model_server import server_name
from ..sampling.engine import Engine, engine_of
from ._refusals import Launch, value_of


CONNECT_SECONDS = 5.0
# Holds the runner's CUDA_VISIBLE_DEVICES while that of a check is empty.
VISIBLE_GPUS = "TRL_R1_VISIBLE_GPUS"

# Keys of a trainer's arguments which need a package, with the values that do.
_PACKAGES: tuple[tuple[str, Callable[[Any], bool], str, str], ...] = (
    ("use_vllm", bool, "vllm", "trl_r1[vllm]"),
    ("use_peft", bool, "peft", "peft"),
    ("use_liger_kernel", bool, "liger_kernel", "liger-kernel"),
    ("load_in_4bit", bool, "bitsandbytes", "bitsandbytes"),
    ("load_in_8bit", bool, "bitsandbytes", "bitsandbytes"),
    ("attn_implementation", lambda value: str(value).startswith("flash_attention_2"), "flash_attn", "flash-attn"),
    ("attn_implementation", lambda value: str(value).startswith("flash_attention_3"), "flash_attn_3", "flash-attn-3"),
    ("attn_implementation", lambda value: "/" in str(value), "kernels", "kernels"),
    (
        "optim",
        lambda value: bool(re.search("8bit|paged", str(getattr(value, "value", value)))),
        "bitsandbytes",
        "bitsandbytes",
    ),
)
# Trackers that are a package of their own name.
_TRACKERS = ("clearml", "comet_ml", "mlflow", "swanlab", "trackio", "wandb")


def lacking(
    configs: Sequence[Any], launch: Launch, rewards: Sequence[tuple[str, Any, Any]], beside: int = 0
) -> Iterator[str]:
    """
    Say what this machine lacks for a stage.

    Args:
        configs (`Sequence[Any]`):
            Instances of the stage's config classes.
        launch (`Launch`):
            How it is started.
        rewards (`Sequence[tuple[str, Any, Any]]`):
            Its rewards, each with its key and domains. What they say by `check_machine` is not asked for here.
        beside (`int`, *optional*, defaults to `0`):
            GPUs of the servers that run beside it.

    Returns:
        `Iterator[str]`: a sentence each.
    """
    if value_of(configs, "ddp_timeout") is not None:
        yield from _packages(configs, launch)
    gpus = _gpus_needed(configs, launch) + beside
    if gpus and gpus > (here := gpus_here()):
        servers = f" ({beside} for the servers beside it)" if beside else ""
        yield f"{gpus} GPU{'s' if gpus > 1 else ''}{servers}; there {'is' if here == 1 else 'are'} {here or 'none'}"
    for engine, config in _engines(configs):
        try:
            engine.check_machine(config)
        except MachineError as error:
            yield str(error)
    for key, address in _addresses(configs, rewards):
        if why := unanswered(address):
            yield f"a server that answers at {address} (`{key}`): {why}"


def _packages(configs: Sequence[Any], launch: Launch) -> Iterator[str]:
    missing = {
        package: (name, key)
        for key, asks, package, name in _PACKAGES
        if asks(value_of(configs, key)) and find_spec(package) is None
    }
    asked = value_of(configs, "report_to") or ()
    missing |= {
        tracker: (tracker, "report_to") for tracker in _TRACKERS if tracker in asked and find_spec(tracker) is None
    }
    if "tensorboard" in asked and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        missing["tensorboard"] = ("tensorboard", "report_to")
    if launch.deepspeed and find_spec("deepspeed") is None:
        missing["deepspeed"] = ("trl_r1[deepspeed]", "accelerate" if launch.accelerate else "deepspeed")
    for package, (name, key) in missing.items():
        yield f"the package {package} (`{key}`): pip install {name}"


def _engines(configs: Sequence[Any]) -> list[tuple[type[Engine], Any]]:
    """Return the engines that a stage samples with, each with its settings."""
    sampling = next((config for config in configs if hasattr(config, "backend")), None)
    if sampling is None:
        return []
    changes = [one for one in (value_of(configs, "by_model") or {}).values() if "backend" in one]
    return [(engine_of(one.backend), one) for one in (sampling, *(replace(sampling, **each) for each in changes))]


def _gpus_needed(configs: Sequence[Any], launch: Launch) -> int:
    engines = max((engine.gpus(config) for engine, config in _engines(configs)), default=0)
    if value_of(configs, "ddp_timeout") is None or value_of(configs, "use_cpu") or not launch.gpu:
        return engines
    # A plain process trains on a CPU as well, but not in a format which only GPUs compute in.
    launched = bool(launch.accelerate) or bool(value_of(configs, "bf16") or value_of(configs, "fp16"))
    return max(engines, -(-launch.processes // int(launch.accelerate.get("num_machines") or 1)) if launched else 0)


def gpus_here() -> int:
    """Return how many GPUs a stage would see. This process itself is shown none: a check takes no memory of a GPU."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get(VISIBLE_GPUS)
    given = {"CUDA_VISIBLE_DEVICES": visible} if visible is not None else {}
    with mock.patch.dict("os.environ", given):
        if visible is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        return torch.cuda.device_count() or torch.accelerator.device_count()


def _addresses(configs: Sequence[Any], rewards: Sequence[tuple[str, Any, Any]]) -> Iterator[tuple[str, str]]:
    found = [
        ("base_url", address)
        for engine, config in _engines(configs)
        if not engine.loads_model
        for address in config.servers
    ]
    found.append(("refine_url", value_of(configs, "refine_url")))
    if value_of(configs, "use_vllm") and value_of(configs, "vllm_mode") == "server":
        host, port = value_of(configs, "vllm_server_host"), value_of(configs, "vllm_server_port")
        found.append(("vllm_server_base_url", value_of(configs, "vllm_server_base_url") or f"http://{host}:{port}"))
    found += [(f"{key}.args.base_url", getattr(reward, "base_url", None)) for key, reward, _ in rewards]
    for key, address in dict.fromkeys(found):
        if isinstance(address, str) and address and not server_name(address):  # that one the runner starts
            yield key, address


@functools.cache
def unanswered(address: str) -> str:
    """
    Say why nothing answers at an address, nothing where something does: any answer counts, a refusal for want of a key too.

    Args:
        address (`str`):
            Where the server's API starts.
    """
    import httpx2

    try:
        httpx2.get(f"{address.rstrip('/')}/models", timeout=CONNECT_SECONDS)
    except (httpx2.HTTPError, OSError) as error:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    return ""
