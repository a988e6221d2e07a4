"""
What a training holds in the memory of one GPU, by part. Torch-free arithmetic; docs/scaling.md compares it with measured figures.

With P parameters of w bytes, T of them trained, over N processes, one process holds at the peak

| | weights | gradients | optimizer (AdamW) |
|---|---|---|---|
| one process | w P | w T | 8 T (4 T where w = 2) |
| DDP | w P | 2 w T: the reducer's buckets hold a copy | as above |
| ZeRO-1 | w P | w T | (4 + 8) T / N: fp32 weights and two moments |
| ZeRO-2 | w P | w T / N | (4 + 8) T / N |
| ZeRO-3 | w P / N | w T / N | (4 + 8) T / N; in fp32 8 T / N, the weights are the ones that are updated |
| FSDP2 | 4 P / N | 4 T / N | 8 T / N |

and besides the activations of its longest micro-batch, the buffers of the communication, the reference, and reward models.
"""

from dataclasses import dataclass

from .model import ModelSize
from .passes import Pass
from .strategy import MAX_LIVE, REDUCE_BUCKET, SUB_GROUP, Strategy


# Tiles in which TRL computes log-probabilities: tokens by entries of the vocabulary.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32_768
# Without Triton the backward pass through a tile holds this many of its size, in fp32: the logits and what is made of them.
TILES_WITHOUT_TRITON = 8.25


@dataclass(frozen=True)
class Training:
    """
    A training whose memory is asked for.

    Args:
        model ([`~sizes.model.ModelSize`]):
            The model.
        strategy ([`~sizes.strategy.Strategy`]):
            How it is divided.
        weight_bytes (`int`):
            Bytes of a weight in the passes.
        trained_bytes (`int`):
            Bytes of a weight that is trained, and of its gradient; adapters may have more than the weights beside them.
        compute_bytes (`int`):
            Bytes of an activation.
        rows (`int`), length (`int`):
            The largest micro-batch.
        layers ([`~sizes.passes.Pass`]):
            What a pass through the layers holds.
        moments_bytes (`float`, *optional*, defaults to `8`):
            Bytes that the optimizer keeps for a trained parameter, where it trains fp32 weights.
        accumulates (`bool`, *optional*, defaults to `True`):
            Whether a step has several backward passes.
        has_lm_head (`bool`, *optional*, defaults to `True`):
            Whether log-probabilities are computed.
        reference (`bool`, *optional*, defaults to `False`):
            Whether there is a reference policy with weights of its own.
        reward_models (`int`, *optional*, defaults to `0`):
            Bytes of the models among the rewards.
        rollout (`int`, *optional*, defaults to `0`):
            Bytes of the rollout of a process.
        cache (`int`, *optional*, defaults to `0`):
            Bytes of the key-value cache while the trainer itself generates.
        engine (`int`, *optional*, defaults to `0`):
            Bytes that vLLM takes beside the trainer.
        engine_sleeps (`bool`, *optional*, defaults to `False`):
            Whether vLLM gives them back while the trainer works.
        gpu (`bool`, *optional*, defaults to `True`):
            Whether it runs on GPUs.
        reserve (`int`, *optional*, defaults to `0`):
            Bytes for CUDA, NCCL and what the allocator cannot use.
    """

    model: ModelSize
    strategy: Strategy
    weight_bytes: int
    trained_bytes: int
    compute_bytes: int
    rows: int
    length: int
    layers: Pass
    moments_bytes: float = 8
    accumulates: bool = True
    has_lm_head: bool = True
    reference: bool = False
    reward_models: int = 0
    rollout: int = 0
    cache: int = 0
    engine: int = 0
    engine_sleeps: bool = False
    gpu: bool = True
    reserve: int = 0


@dataclass(frozen=True)
class Memory:
    """
    The memory of one GPU, in bytes: what is held throughout, what the training step adds, and what the rollout adds.

    Args:
        weights, gradients, optimizer, reference, reward_models (`int`):
            Held throughout.
        activations (`int`):
            Held at the peak of a step, with gathered weights, logits and buffers of the communication.
        rollout (`int`):
            The rollout's tensors, and the cache where the trainer generates.
        engine (`int`):
            vLLM's share.
        reserve (`int`):
            Left to CUDA, NCCL and the allocator.
        peak (`int`):
            The most at any time.
        host (`int`):
            In the host's memory, where parts are offloaded.
    """

    weights: int
    gradients: int
    optimizer: int
    reference: int
    reward_models: int
    activations: int
    rollout: int
    engine: int
    reserve: int
    peak: int
    host: int = 0


def head_bytes(training: Training) -> int:
    """
    Bytes that the log-probabilities of a micro-batch take in the backward pass.

    TRL projects in tiles and recomputes them. It adds up the gradients of the hidden states and of the projection in fp32,
    and casts them at the end.
    """
    model, w, c = training.model, training.weight_bytes, training.compute_bytes
    if not training.has_lm_head:
        return 0
    tokens = training.rows * training.length
    tile = min(tokens, TILE_TOKENS) * min(model.vocabulary, TILE_VOCABULARY)
    per_entry = c if training.gpu else 4 * TILES_WITHOUT_TRITON
    hidden = tokens * model.hidden * (4 + c + (c if c != 4 else 0))
    projection = model.head * (4 + (w if w != 4 else 0)) if model.trains_head else 0
    return round(tile * per_entry) + hidden + projection


def memory_of(training: Training) -> Memory:
    """
    Return the memory of one GPU.

    Args:
        training ([`Training`]):
            The training.

    Returns:
        [`Memory`]: by part.
    """
    model, strategy, w = training.model, training.strategy, training.weight_bytes
    n, trained, all_of_them = strategy.processes, model.trainable, model.parameters
    zero = strategy.kind == "zero"
    weights = w * all_of_them // (n if strategy.shards_weights else 1)
    weights += (training.trained_bytes - w) * trained // (n if strategy.shards_weights else 1)
    gradients = training.trained_bytes * trained // (n if strategy.shards_weights or strategy.stage == 2 else 1)
    if strategy.kind == "ddp":
        gradients *= 2
    moments = training.moments_bytes if zero or training.trained_bytes == 4 else training.moments_bytes / 2
    master = 4 if zero and not (strategy.stage == 3 and w == 4) else 0
    divided = n if strategy.shards_weights or strategy.stage >= 1 else 1
    optimizer = round((moments + master) * trained / divided)
    reference = weights if training.reference else 0
    buffers, step = _communication(training)
    pass_peak = max(training.layers.kept + head_bytes(training), training.layers.peak)
    persistent_gradients = training.accumulates or strategy.stage == 3
    if persistent_gradients:
        backward = pass_peak + buffers + gradients
    else:  # gradients come as activations go
        head_gradient = w * model.head if training.has_lm_head and model.trains_head else 0
        buckets = gradients // 2 if strategy.kind == "ddp" else 0
        backward = max(pass_peak + head_gradient + buckets, gradients + w * model.largest) + buffers
    activations = max(backward, gradients + step) - gradients
    host = 0
    if strategy.offloads_optimizer:
        host, optimizer, gradients = host + optimizer + gradients, 0, 0
    if strategy.offloads_weights:
        host, weights, reference = host + weights + reference, 0, 0
    held = weights + gradients + optimizer + reference + training.reward_models + training.reserve
    rollout = training.rollout + training.cache
    stepping = held + activations + training.rollout + (0 if training.engine_sleeps else training.engine)
    gathered = w * all_of_them if strategy.shards_weights and training.cache else 0
    generating = held + rollout + training.engine + gathered
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        reference=reference,
        reward_models=training.reward_models,
        activations=activations,
        rollout=rollout,
        engine=training.engine,
        reserve=training.reserve,
        peak=max(stepping, generating),
        host=host * n,
    )


def _communication(training: Training) -> tuple[int, int]:
    """Bytes of buffers during the backward pass, gathered weights included, and of those during the optimizer's step."""
    model, strategy, w, n = training.model, training.strategy, training.weight_bytes, training.strategy.processes
    trained, layer = model.trainable, (model.parameters - 2 * model.head) // max(1, model.layers)
    # What is only reserved takes memory of a GPU; of a CPU, what is written to.
    bucket = REDUCE_BUCKET if training.gpu else min(REDUCE_BUCKET, trained)
    if strategy.kind == "fsdp":
        return 2 * training.compute_bytes * layer + 4 * model.largest, 0
    if strategy.kind != "zero":
        return 0, 0
    # Flat gradients, and in fp32 where they are not, of what is updated at once.
    step = (4 if w == 4 else 4 + w) * (trained // n if strategy.stage < 3 else min(SUB_GROUP, trained // n))
    if strategy.offloads_optimizer:  # which steps in the host's memory
        step = 0
    if strategy.stage < 3:  # a bucket, and a copy of one process's part of it while it is reduced
        return w * bucket + w * bucket // n, step
    # A bucket, and a copy in the order of the processes while it is reduced; weights that are ahead or not yet let go.
    return 2 * w * bucket + w * min(MAX_LIVE, model.parameters), step
