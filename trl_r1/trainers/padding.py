"""
Log-probabilities at the width of the rows at hand.

TRL pads a whole rollout to its longest prompt and its longest completion, and runs every pass at that width. Here the
columns that are padding in every row of a pass are cut before the model sees them, and put back, as zeros, in what it
returns: what TRL reads there are the same numbers.

Exact where positions are relative (rotary ones): a row that begins further left has its positions shifted, all alike.
See [`~trainers.exactness`] for where it is not.
"""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch.nn import functional as F

from .exactness import Switches
from .partition import partition, rounded_up


class TrimPadding:
    """Policy, old and reference log-probabilities at each pass's own width. To stand before TRL's trainer."""

    _switches = Switches()

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, **named
    ):
        log_probabilities = super()._get_per_token_logps_and_entropies
        if not self._switches.trim_padding:
            return log_probabilities(model, input_ids, attention_mask, logits_to_keep, batch_size=batch_size, **named)
        model = AtOwnWidth(model, input_ids.size(1) - logits_to_keep, self.pad_to_multiple_of)
        if batch_size is None or named.get("compute_aux_loss"):
            return log_probabilities(model, input_ids, attention_mask, logits_to_keep, batch_size=batch_size, **named)
        # A pass without gradient over a whole rollout, to be cut into chunks. No row's result depends on the others, so
        # rows of similar length go together, whatever the loss.
        lengths = row_lengths(attention_mask, input_ids.size(1) - logits_to_keep)
        order = lengths.sum(1).argsort(descending=True, stable=True)
        sizes = partition(
            longest_of_all_ranks(self.accelerator, lengths[order]),
            number=-(-len(order) // batch_size),
            budget=self._switches.max_tokens_per_micro_batch,
            multiple=self.pad_to_multiple_of,
        )
        chunks = [
            log_probabilities(model, input_ids[rows], attention_mask[rows], logits_to_keep, **named)
            for rows in order.to(input_ids.device).split(sizes)
        ]
        back = order.argsort().to(input_ids.device)
        log_probs, entropies, _ = (None if parts[0] is None else torch.cat(parts)[back] for parts in zip(*chunks))
        return log_probs, entropies, None


def row_lengths(attention_mask: torch.Tensor, prompt_width: int) -> torch.Tensor:
    """
    Tokens that are attended to.

    Args:
        attention_mask (`torch.Tensor` of shape `(B, P + C)`):
            1 for tokens, 0 for padding.
        prompt_width (`int`):
            P, the columns of prompts.

    Returns:
        `torch.Tensor` of shape `(B, 2)`, on the CPU: tokens of each row's prompt and completion.
    """
    sides = attention_mask[:, :prompt_width], attention_mask[:, prompt_width:]
    return torch.stack([side.sum(1) for side in sides], dim=1).cpu()


def longest_of_all_ranks(accelerator: Accelerator, lengths: torch.Tensor) -> list[tuple[int, int]]:
    """
    The longest of the rows that stand at the same place on every rank.

    Cut by these, micro-batches hold a budget on every rank, are of the same number (ZeRO-3 and FSDP gather parameters in
    each pass) and have the same numbers of rows (TRL gathers clip ratios by row).

    Args:
        accelerator (`Accelerator`):
            The ranks.
        lengths (`torch.Tensor` of shape `(n, 2)`):
            As [`row_lengths`] returns them, for as many rows on every rank.

    Returns:
        `list[tuple[int, int]]`: the longest prompt and the longest completion at each of the `n` places.
    """
    gathered = accelerator.gather(lengths.to(accelerator.device))
    return [(prompt, completion) for prompt, completion in gathered.view(-1, *lengths.shape).amax(0).tolist()]


class AtOwnWidth:
    """
    A model that is shown no column of padding which all rows share. Called as TRL calls its own.

    Args:
        model (`Callable`):
            The model, with TRL's fused LM head.
        prompt_width (`int`):
            Columns of prompts, padded on the left; those of completions follow, padded on the right.
        multiple (`int`, *optional*):
            What the width of each side is rounded up to, as far as there are columns.
    """

    def __init__(self, model: Callable, prompt_width: int, multiple: int | None = None):
        self._model = model
        self._prompt_width = prompt_width
        self._multiple = multiple

    def __call__(self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor, **named) -> Any:
        left, right = self._margins(attention_mask)
        kept = slice(left, input_ids.size(1) - right)
        outputs = self._model(
            input_ids=input_ids[:, kept], attention_mask=attention_mask[:, kept], labels=labels[:, kept], **named
        )
        # TRL's head returns zeros where there is nothing to predict.
        outputs.log_probs = F.pad(outputs.log_probs, (left, right))
        if outputs.entropy is not None:
            outputs.entropy = F.pad(outputs.entropy, (left, right))
        return outputs

    def _margins(self, attention_mask: torch.Tensor) -> tuple[int, int]:
        """Columns that can go on the left and on the right."""
        used = attention_mask.any(dim=0).tolist()
        prompt, completion = used[: self._prompt_width], used[self._prompt_width :]
        first = prompt.index(True) if any(prompt) else len(prompt) - 1
        last = len(completion) - completion[::-1].index(True) if any(completion) else 1
        return (
            max(0, len(prompt) - rounded_up(len(prompt) - first, self._multiple)),
            max(0, len(completion) - rounded_up(last, self._multiple)),
        )
