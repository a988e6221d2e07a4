"""
Generation that stops computing rows that have ended.

`generate` goes on until the longest completion of a batch has ended, and passes the ended rows through the model all the
while. With R1's ragged lengths that is most of its work. Here, around the model's forward pass, the rows that have ended
are taken out of what goes in and out of the cache, and put back into what comes out; `generate` itself sees whole batches,
draws its random numbers for whole batches, and overwrites what it draws for ended rows with padding, as ever. So the
completions are those without it, but for the rounding of a smaller matrix product, which now and then tips a token.

For transformers' `generate` with a cache that grows; vLLM and continuous batching do this by themselves. A model with
recurrent layers is left alone.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, TypeGuard

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


# The share of the rows in the cache that must have ended before they are taken out: each time, the cache is copied.
ENDED_SHARE = 1 / 8


@contextlib.contextmanager
def compact_rows(model: nn.Module, eos_token_ids: int | list[int] | None) -> Iterator[None]:
    """
    Leave rows that have ended out of a model's forward passes in `generate`.

    Args:
        model (`nn.Module`):
            The model, or an adapter or a strategy's module around it.
        eos_token_ids (`int` or `list[int]`, *optional*):
            The tokens that end a completion, as `generate` is told.
    """
    core = next((module for module in model.modules() if isinstance(module, PreTrainedModel)), None)
    if core is None or eos_token_ids is None:
        yield
        return
    rows = _Rows(eos_token_ids)
    hooks = [
        core.register_forward_pre_hook(rows.take_out, with_kwargs=True),
        core.register_forward_hook(rows.put_back, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def has_rows(cache: Any) -> TypeGuard[DynamicCache]:
    """Tell whether all that a cache holds are keys and values by row; states of recurrent layers are not taken apart."""
    return isinstance(cache, DynamicCache) and all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers
    )


class _Rows:
    """Which rows of a batch are still computed."""

    def __init__(self, eos_token_ids: int | list[int]):
        self.ends = torch.tensor(eos_token_ids)
        self.ended: torch.Tensor | None = None  # (B,)
        self.left: torch.Tensor | None = None  # those in the cache, where some have been taken out

    def take_out(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        ids, cache = kwargs.get("input_ids"), kwargs.get("past_key_values")
        if ids is None or not has_rows(cache) or cache.get_seq_length() == 0:
            self.ended = self.left = None  # the prompts
            return None
        if ids.size(1) != 1:
            return None
        if self.ended is None:
            self.ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        # A row that has ended is fed padding, which may be one of these tokens; ended is ended.
        self.ended |= torch.isin(ids[:, 0], self.ends.to(ids.device))
        present = self.ended if self.left is None else self.ended[self.left]  # (rows in the cache,)
        n_ended = int(present.sum())
        if ENDED_SHARE * len(present) <= n_ended < len(present):
            stay = (~present).nonzero()[:, 0]
            cache.batch_select_indices(stay)
            self.left = stay if self.left is None else self.left[stay]
        if self.left is None:
            return None
        return args, {name: self._of_remaining(value, len(ids)) for name, value in kwargs.items()}

    def put_back(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if self.left is not None and self.ended is not None:
            logits = output.logits  # (rows left, 1, V)
            output.logits = logits.new_zeros(len(self.ended), *logits.shape[1:]).index_copy(0, self.left, logits)
        return output

    def _of_remaining(self, value: Any, n_rows: int) -> Any:
        if isinstance(value, dict):  # masks by kind of attention
            return {name: self._of_remaining(one, n_rows) for name, one in value.items()}
        if isinstance(value, torch.Tensor) and value.dim() > 1 and value.size(0) == n_rows:
            return value[self.left]
        return value
