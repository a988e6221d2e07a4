"""
How long stages take, and what they leave on the disk. Torch-free arithmetic; docs/scaling.md has the formulas and their sources.
"""

from .model import ModelSize
from .throughput import Throughput


HOUR = 3600.0
# int64 ids and masks of a rollout, and its fp32 log-probabilities, per token.
IDS_AND_MASK, LOG_PROBABILITIES = 16, 4
# Bytes of text to a token, in traces and data. Our own assumption.
TEXT = 4


def pass_flops(model: ModelSize, length: float) -> float:
    """
    Operations of a forward pass per token: two for each active parameter, and those of attention.

    Args:
        model ([`~sizes.model.ModelSize`]):
            The model.
        length (`float`):
            Mean length of a row: a token attends to half of its row.
    """
    return 2 * model.active + 2 * model.attention * length


def training_hours(
    model: ModelSize, tokens: float, length: float, gpus: int, passes: float, throughput: Throughput
) -> float:
    """
    Return the hours that the passes over some tokens take.

    Args:
        model ([`~sizes.model.ModelSize`]):
            The model.
        tokens (`float`):
            Tokens that are trained on, over all GPUs.
        length (`float`):
            Mean length of a row.
        gpus (`int`):
            How many GPUs share them.
        passes (`float`):
            Forward passes that a token takes, a backward pass counting as two.
        throughput ([`~sizes.throughput.Throughput`]):
            How fast a GPU is.
    """
    speed = gpus * throughput.peak_flops * throughput.model_flops_utilization
    return passes * pass_flops(model, length) * tokens / speed / HOUR


def sampling_speed(
    model: ModelSize, weight_bytes: float, at_once: float, context: float, gpus: int, throughput: Throughput
) -> float:
    """
    Return the tokens per second that one engine samples.

    A decoding step reads the weights once and the cache of each sequence, and multiplies each token with the weights.

    Args:
        model ([`~sizes.model.ModelSize`]):
            The model.
        weight_bytes (`float`):
            Bytes of a weight.
        at_once (`float`):
            Sequences that are decoded together.
        context (`float`):
            Their mean length.
        gpus (`int`):
            GPUs of the engine.
        throughput ([`~sizes.throughput.Throughput`]):
            How fast a GPU is.
    """
    read = weight_bytes * model.active + 2 * model.cache * context * at_once
    reading = read / (gpus * throughput.memory_bandwidth * throughput.bandwidth_utilization)
    computing = (
        at_once * pass_flops(model, 2 * context) / (gpus * throughput.peak_flops * throughput.model_flops_utilization)
    )
    return at_once / max(reading, computing, throughput.decode_step_seconds)


def cache_tokens(
    model: ModelSize, weight_bytes: float, share: float, gpu_bytes: float, gpus: int, reserve: float
) -> int:
    """
    Return how many tokens fit into the key-value cache of one engine, which vLLM keeps in 16 bits.

    Args:
        model ([`~sizes.model.ModelSize`]):
            The model.
        weight_bytes (`float`):
            Bytes of a weight.
        share (`float`):
            Share of each GPU's memory that the engine has.
        gpu_bytes (`float`):
            Memory of a GPU.
        gpus (`int`):
            GPUs of the engine.
        reserve (`float`):
            Bytes on each GPU for the engine's activations and CUDA graphs.
    """
    free = gpus * (share * gpu_bytes - reserve) - weight_bytes * model.parameters
    return max(0, int(free // (2 * model.cache))) if model.cache else 0


def checkpoint_bytes(
    model: ModelSize, weight_bytes: int, moments: float, zero_stage: int, reference: bool, adapter: bool
) -> int:
    """
    Return the bytes of one checkpoint, without the rollout: weights, optimizer, fp32 weights under ZeRO, and the reference.

    Args:
        model ([`~sizes.model.ModelSize`]):
            The model.
        weight_bytes (`int`):
            Bytes of a weight.
        moments (`float`):
            Bytes that the optimizer keeps per trained parameter.
        zero_stage (`int`):
            DeepSpeed's, which keeps fp32 weights, and below 3 saves the weights a second time; 0 without it.
        reference (`bool`):
            Whether a moving reference is saved.
        adapter (`bool`):
            Whether only an adapter is saved.
    """
    saved = model.trainable if adapter else model.parameters
    state = (moments + (4 if zero_stage else 0)) * model.trainable
    copies = 2 if zero_stage in (1, 2) else 1
    return round(copies * weight_bytes * saved + state + (weight_bytes * model.parameters if reference else 0))
