"""
Micro-batches of rows of similar length, by number or by tokens.

TRL cuts a rollout into micro-batches of equally many rows, as they come. Within what one optimizer step adds up, it
makes no difference to the gradient which row is in which micro-batch, as long as each counts as much as before.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from .partition import longest_of_all_ranks, partition, row_lengths, width
from .switches import Switches


# One process, or gradients that are exchanged in the last call alone.
_MAY_LEAVE_CALLS_EMPTY = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
# Marks, among the tensors of a rollout, the rows that cannot move the policy.
WITHOUT_GRADIENT = "without_gradient"


@dataclass(frozen=True)
class MicroBatches:
    """
    Divides what an optimizer step adds up into micro-batches anew, and adds it up.

    Args:
        accelerator (`Accelerator`):
            The ranks, which go through the same micro-batches.
        window (`int`):
            Calls of `training_step` to an optimizer step (`gradient_accumulation_steps`).
        switches ([`~grpo.switches.Switches`]):
            Whether rows move between the calls of a step, to those of similar length (`group_by_length`), whether a pass
            is computed at the width of its rows (`trim_padding`), whether rows that are marked by [`WITHOUT_GRADIENT`]
            are left out (`skip_zero_advantage`), and the most tokens of a micro-batch (`max_tokens_per_micro_batch`).
        multiple (`int`, *optional*):
            What the width of each side is rounded up to.
        mean_over_rows (`bool`):
            Whether the loss is a mean over the rows of a micro-batch, which has to become one over the nominal number.
    """

    accelerator: Accelerator
    window: int
    switches: Switches
    multiple: int | None
    mean_over_rows: bool

    def divide(self, calls: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
        """
        Divide a rollout.

        Args:
            calls (`Sequence[Mapping[str, Any]]`):
                Its part for each call of `training_step`, as TRL has it.

        Returns:
            `tuple[list[dict[str, Any]], dict[str, list[float]]]`: one entry for each call, as before, with micro-batches
            of its own, for [`loss`]; and metrics.
        """
        # Rows may move within one optimizer step, and within one rollout.
        span, rollout = 1, len(calls)
        if self.switches.group_by_length and (self.window % rollout == 0 or rollout % self.window == 0):
            span = min(self.window, rollout)
        metrics: dict[str, list[float]] = {}
        divided = []
        for start in range(0, rollout, span):
            divided += self._divide(calls[start : start + span], metrics)
        return divided, metrics

    def _divide(self, calls: Sequence[Mapping[str, Any]], metrics: dict[str, list[float]]) -> list[dict[str, Any]]:
        n = len(calls)
        batch = join(calls)
        without_gradient = batch.pop(WITHOUT_GRADIENT, None)
        device = batch["completion_ids"].device
        sides = batch["prompt_mask"].size(1), batch["completion_mask"].size(1)
        lengths = row_lengths(torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1), sides[0])
        kept = self._kept(lengths, without_gradient, n)
        if self.switches.group_by_length:
            kept = kept[lengths[kept].sum(1).argsort(descending=True, stable=True)]
        computed = lengths[kept] if self.switches.trim_padding else torch.tensor([sides] * len(kept))
        longest = longest_of_all_ranks(self.accelerator, computed)
        sizes = partition(
            longest, n, self.switches.max_tokens_per_micro_batch, self.multiple, exactly=self._fills_every_call
        )
        if self.switches.skip_zero_advantage:
            metrics.setdefault("skipped_rows", []).append(1 - len(kept) / len(lengths))
        metrics.setdefault("padding", []).append(1 - lengths[kept].sum().item() / self._cost(longest, sizes))
        micro_batches = [take(batch, rows) for rows in torch.split(kept.to(device), sizes)]
        # Empty calls come first: the last one is where gradients are exchanged.
        places = [call * len(sizes) // n for call in range(n + 1)]
        return [
            {"micro_batches": micro_batches[start:end], "nominal_rows": len(lengths) // n}
            for start, end in itertools.pairwise(places)
        ]

    def _kept(self, lengths: torch.Tensor, without_gradient: torch.Tensor | None, calls: int) -> torch.Tensor:
        """Rows that are computed, in their order: those that move the policy, and as many others as it takes."""
        if without_gradient is None:
            return torch.arange(len(lengths))
        skipped = without_gradient.cpu()
        # As many on every rank, since all ranks go through the same micro-batches; the shortest others fill up.
        busy = torch.tensor([len(skipped) - int(skipped.sum())], device=self.accelerator.device)
        number = max(self.accelerator.gather(busy).max().item(), calls if self._fills_every_call else 1)
        preference = torch.where(skipped, lengths.sum(1) + 1, 0)
        return preference.argsort(stable=True)[:number].sort().values

    def _cost(self, longest: Sequence[tuple[int, int]], sizes: Sequence[int]) -> int:
        """Tokens of all micro-batches, padding included."""
        starts = itertools.accumulate(sizes, initial=0)
        return sum(size * width(longest[start : start + size], self.multiple) for start, size in zip(starts, sizes))

    @property
    def _fills_every_call(self) -> bool:
        """Whether no call may be without a row: DeepSpeed and FSDP expect a pass through the model before a backward."""
        return self.accelerator.distributed_type not in _MAY_LEAVE_CALLS_EMPTY

    def loss(
        self,
        model: nn.Module,
        call: Mapping[str, Any],
        loss_of: Callable[[nn.Module, Mapping[str, Any]], torch.Tensor],
    ) -> torch.Tensor:
        """
        Compute the loss of one call. All micro-batches but the last are run backwards here; the trainer itself runs the
        last one backwards.

        Args:
            model (`nn.Module`):
                The policy.
            call (`Mapping[str, Any]`):
                What [`divide`] returned for it.
            loss_of (`Callable`):
                Computes the loss of one micro-batch.

        Returns:
            `torch.Tensor` of shape `()`: the sum of the losses.
        """
        micro_batches = call["micro_batches"]
        if not micro_batches:
            return torch.zeros((), device=self.accelerator.device, requires_grad=True)
        done = torch.zeros((), device=self.accelerator.device)
        for micro_batch in micro_batches[:-1]:
            with self._gradients_kept_back(model):
                loss = self.weight(call, micro_batch) * loss_of(model, micro_batch)
                self._backward(loss)
            done += loss.detach()
        return self.weight(call, micro_batches[-1]) * loss_of(model, micro_batches[-1]) + done

    def weight(self, call: Mapping[str, Any], micro_batch: Mapping[str, Any]) -> float:
        """What the loss of a micro-batch is multiplied by."""
        return len(micro_batch["completion_ids"]) / call["nominal_rows"] if self.mean_over_rows else 1.0

    def _backward(self, loss: torch.Tensor) -> None:
        # As `Trainer.training_step` does it.
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))

    @contextlib.contextmanager
    def _gradients_kept_back(self, model: nn.Module) -> Iterator[None]:
        """As `Trainer` keeps them back between two micro-batches: no exchange between ranks, no optimizer step."""
        state = self.accelerator.gradient_state
        before = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
            with contextlib.nullcontext() if deepspeed else self.accelerator.no_sync(model):
                yield
        finally:
            state._set_sync_gradients(before)


def join(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Put parts of one rollout together again.

    Args:
        entries (`Sequence[Mapping[str, Any]]`):
            The parts: tensors with a row for each completion, and values that all share.

    Returns:
        `dict[str, Any]`: the whole.
    """
    return {
        name: torch.cat([entry[name] for entry in entries]) if _has_rows(value) else value
        for name, value in entries[0].items()
    }


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
    return {name: value[rows] if _has_rows(value) else value for name, value in batch.items()}


def _has_rows(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0
