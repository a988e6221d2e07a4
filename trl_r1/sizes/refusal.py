"""
What is said of a training that does not fit on its GPUs, and which change makes it fit. Torch-free but for the passes that a
change asks to be counted again.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

from .memory import Training, memory_of
from .passes import Pass


_GIB = 1 << 30
_MOST_PROCESSES = 256


def refusal(
    training: Training, limit: float, *, checkpointing: bool, one_row: int, count: Callable[[int], Pass]
) -> dict[str, str] | None:
    """
    Say why a training does not fit.

    Args:
        training ([`~sizes.memory.Training`]):
            The training.
        limit (`float`):
            Bytes of a GPU.
        checkpointing (`bool`):
            Whether it has gradient checkpointing already.
        one_row (`int`):
            Rows of the smallest micro-batch.
        count (`Callable[[int], Pass]`):
            Counts the pass of so many rows, with gradient checkpointing.

    Returns:
        `dict[str, str]`: `key` and `message`, with the first change that makes it fit; `None` where it fits.
    """
    memory = memory_of(training)
    if memory.peak <= limit:
        return None
    helps = next(
        (
            text
            for text, changed in _changes(training, checkpointing, one_row, count)
            if memory_of(changed).peak <= limit
        ),
        None,
    )
    parts = sorted(
        ((value, name) for name, value in asdict(memory).items() if name not in ("peak", "host")), reverse=True
    )
    largest = ", ".join(f"{name.replace('_', ' ')} {value / _GIB:.1f}" for value, name in parts[:4] if value)
    advice = f"expected less. What helps: {helps}" if helps else "expected a smaller model, or shorter rows"
    message = (
        f"does not fit: a GPU would need {memory.peak / _GIB:.1f} GiB and has {limit / _GIB:g} ({largest}); {advice}"
    )
    return {"key": "accelerate", "message": message}


def _changes(
    training: Training, checkpointing: bool, one_row: int, count: Callable[[int], Pass]
) -> Iterator[tuple[str, Training]]:
    """Changes of one kind each, from the cheapest on."""
    strategy = training.strategy
    if training.engine and not training.engine_sleeps:
        yield "`vllm_enable_sleep_mode: true`", replace(training, engine_sleeps=True)
    if not checkpointing:
        yield "`gradient_checkpointing: true`", replace(training, layers=count(training.rows))
    if training.rows > one_row:
        text = "`per_device_train_batch_size: 1`, and more `gradient_accumulation_steps` in its place"
        smaller = replace(training, rows=one_row, layers=count(one_row), accumulates=True)
        yield text + ("" if checkpointing else ", with `gradient_checkpointing: true`"), smaller
    if strategy.processes > 1 and not strategy.shards_weights:
        yield "`accelerate: zero3`", replace(training, strategy=replace(strategy, kind="zero", stage=3))
    processes = 2 * strategy.processes
    while processes <= _MOST_PROCESSES:
        wider = replace(strategy, kind="fsdp" if strategy.kind == "fsdp" else "zero", stage=3, processes=processes)
        yield (
            f"{processes} GPUs, divided by ZeRO-3 or FSDP2 (`num_processes: {processes}`)",
            replace(training, strategy=wider),
        )
        processes *= 2
    offloaded = replace(strategy, kind="zero", stage=3, offloads_optimizer=True, offloads_weights=True)
    yield "`accelerate: zero3_offload`, several times slower", replace(training, strategy=offloaded)
