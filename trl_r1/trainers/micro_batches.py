"""
Micro-batches of rows of similar length, by number or by tokens.

TRL cuts a rollout into micro-batches of equally many rows, as they come. Within what one optimizer step adds up, it
makes no difference to the gradient which row stands in which micro-batch, as long as each counts as much as before.
TRL's `grpo` divides the sum over the rows of a micro-batch by their number n, and then by the number of micro-batches; with
the nominal number N in place of n, by a factor of n / N on its loss, any division into micro-batches gives

$$ \\nabla L = \\frac{1}{N K} \\sum_{i=1}^{N K} \\nabla \\ell_i $$

for K micro-batches of N rows. The same holds for `sapo`, `luspo` and `dr_grpo`; `dapo`, `cispo` and `vespo` divide by
the tokens of the rollout and need no factor. `bnpo` divides by the tokens of a micro-batch: no row may move there.

The number of calls of `training_step` between two optimizer steps stays what it is. Where a budget of tokens makes more
micro-batches, a call takes several of them, one after the other, each with its backward pass; where no row is left for a
call, it returns a zero.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import DistributedType

from .exactness import MEAN_OVER_ROWS, Switches
from .padding import longest_of_all_ranks, row_lengths
from .partition import partition, width


# One process, or gradients that are exchanged in the last call alone.
_MAY_LEAVE_CALLS_EMPTY = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


class MicroBatches:
    """Divides what an optimizer step adds up into micro-batches anew. To stand before TRL's trainer."""

    _switches = Switches()

    def _prepare_inputs(self, generation_batch):
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._switches.rearranges and self._buffered_inputs is not before:
            self._buffered_inputs = self._rearranged(self._buffered_inputs)
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    def _rearranged(self, buffer: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One entry for each call of `training_step`, as before, but with micro-batches of its own in each."""
        window, rollout = self.args.gradient_accumulation_steps, len(buffer)
        # Rows may move within one optimizer step, and within one rollout.
        span = 1
        if self._switches.group_by_length and (window % rollout == 0 or rollout % window == 0):
            span = min(window, rollout)
        return [entry for start in range(0, rollout, span) for entry in self._divided(buffer[start : start + span])]

    def _divided(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        calls = len(entries)
        batch = join(entries)
        idle = batch.pop("idle", None)
        device = batch["completion_ids"].device
        lengths = row_lengths(
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1), batch["prompt_mask"].size(1)
        )
        kept = self._kept(lengths, idle, calls)
        if self._switches.group_by_length:
            kept = kept[lengths[kept].sum(1).argsort(descending=True, stable=True)]
        sides = batch["prompt_mask"].size(1), batch["completion_mask"].size(1)
        computed = lengths[kept] if self._switches.trim_padding else torch.tensor([sides] * len(kept))
        longest = longest_of_all_ranks(self.accelerator, computed)
        sizes = partition(
            longest,
            calls,
            self._switches.max_tokens_per_micro_batch,
            self.pad_to_multiple_of,
            exactly=self._fills_every_call,
        )
        self._log_rows(len(kept) / len(lengths), lengths[kept].sum().item(), longest, sizes)
        micro_batches = [take(batch, rows) for rows in kept.to(device).split(sizes)]
        # Empty calls come first: the last one is where gradients are exchanged.
        places = [call * len(sizes) // calls for call in range(calls + 1)]
        return [
            {"micro_batches": micro_batches[start:end], "nominal_rows": len(lengths) // calls}
            for start, end in itertools.pairwise(places)
        ]

    def _kept(self, lengths: torch.Tensor, idle: torch.Tensor | None, calls: int) -> torch.Tensor:
        """Rows that stay, in their order: those that are not idle, and as many idle ones as it takes."""
        if idle is None:
            return torch.arange(len(lengths))
        idle = idle.cpu()
        # As many on every rank, since all ranks go through the same micro-batches; the shortest idle ones fill up.
        busy = torch.tensor([len(idle) - int(idle.sum())], device=self.accelerator.device)
        number = max(self.accelerator.gather(busy).max().item(), calls if self._fills_every_call else 1)
        preference = torch.where(idle, lengths.sum(1) + 1, 0)
        return preference.argsort(stable=True)[:number].sort().values

    @property
    def _fills_every_call(self) -> bool:
        """Whether no call may be without a row: DeepSpeed and FSDP expect a pass through the model before a backward."""
        return self.accelerator.distributed_type not in _MAY_LEAVE_CALLS_EMPTY

    def _log_rows(self, kept: float, tokens: int, longest: Sequence[tuple[int, int]], sizes: Sequence[int]) -> None:
        computed, start = 0, 0
        for size in sizes:
            computed += size * width(longest[start : start + size], self.pad_to_multiple_of)
            start += size
        if self._switches.skip_zero_advantage:
            self._metrics["train"]["skipped_rows"].append(1 - kept)
        self._metrics["train"]["padding"].append(1 - tokens / computed)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if "micro_batches" not in inputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        micro_batches = inputs["micro_batches"]
        if not micro_batches:
            return torch.zeros((), device=self.accelerator.device, requires_grad=True)
        loss_of = super().compute_loss
        done = torch.zeros((), device=self.accelerator.device)
        for micro_batch in micro_batches[:-1]:
            with self._gradients_kept_back(model):
                loss = self._weight(inputs, micro_batch) * loss_of(model, micro_batch)
                self._backward(loss)
            done += loss.detach()
        # The trainer itself runs the last one backwards.
        return self._weight(inputs, micro_batches[-1]) * loss_of(model, micro_batches[-1]) + done

    def _weight(self, inputs: Mapping[str, Any], micro_batch: Mapping[str, Any]) -> float:
        if self.loss_type not in MEAN_OVER_ROWS:
            return 1.0
        return len(micro_batch["completion_ids"]) / inputs["nominal_rows"]

    def _backward(self, loss: torch.Tensor) -> None:
        # As `Trainer.training_step` does it.
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))

    @contextlib.contextmanager
    def _gradients_kept_back(self, model) -> Iterator[None]:
        """As `Trainer` keeps them back between two micro-batches: no exchange between ranks, no optimizer step."""
        state, deepspeed = self.accelerator.gradient_state, DistributedType.DEEPSPEED
        before = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            plain = self.accelerator.distributed_type == deepspeed
            with contextlib.nullcontext() if plain else self.accelerator.no_sync(model):
                yield
        finally:
            state._set_sync_gradients(before)


def join(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Put parts of one rollout together again.

    Args:
        entries (`Sequence[Mapping[str, Any]]`):
            The parts: tensors and lists with a row for each completion, and values that all share.

    Returns:
        `dict[str, Any]`: the whole.
    """
    return {name: _joined([entry[name] for entry in entries]) for name in entries[0]}


def _joined(values: list[Any]) -> Any:
    if isinstance(values[0], list):
        return [item for value in values for item in value]
    if isinstance(values[0], torch.Tensor) and values[0].ndim > 0:
        return torch.cat(values)
    return values[0]


def take(batch: Mapping[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    """
    Some rows of a batch.

    Args:
        batch (`Mapping[str, Any]`):
            As [`join`] returns it.
        rows (`torch.Tensor` of shape `(n,)`):
            Their places.

    Returns:
        `dict[str, Any]`: a batch of `n` rows.
    """

    def taken(value: Any) -> Any:
        if isinstance(value, list):
            return [value[row] for row in rows.tolist()]
        return value[rows] if isinstance(value, torch.Tensor) and value.ndim > 0 else value

    return {name: taken(value) for name, value in batch.items()}
